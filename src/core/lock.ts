/**
 * Locks: the conditional part of a promise, and the two lists in which they are written.
 * @see protocols/ledger/SPEC.md
 */
import { type Amount, readAmount } from './amount.ts'
import { type ByteReader, ByteWriter, equalBytes } from './bytes.ts'
import { keccak256 } from './crypto/keccak.ts'
import { keccakLeads, keccakTimes } from './crypto/keccak-block.ts'
import { TallyError } from './errors.ts'
import { type Hash32, hash32ToBytes, readHash32, readSeconds, type Seconds, writeHash32 } from './ids.ts'

/** Whoever shows a word that hashes k <= steps times to the anchor may claim k * unit. One step is a classic hash lock. */
export interface Lock {
  readonly anchor: Hash32
  /** base units for each step */
  readonly unit: Amount
  /** 1 to 1,024 */
  readonly steps: number
  /** from this time on the ledger counts the lock as zero; 0 = never */
  readonly expiry: Seconds
}

/** A word that hashes `k` times to the anchor of a lock. k = 0: the anchor itself, worth nothing. */
export interface Reveal {
  /** 32 bytes */
  readonly word: Uint8Array
  readonly k: number
}

/** A lock with what was revealed of it, as it is shown to the ledger. */
export interface ShownLock extends Reveal {
  readonly lock: Lock
}

/** The most locks that one promise can carry. */
export const MAX_LOCKS = 64
/** The most steps that one lock can have: a longer walk would let a peer burn our time, and the ledger's gas. */
export const MAX_STEPS = 1024
/** Bytes of a lock as it is signed: anchor 32 | unit 12 | steps 2 | expiry 5. */
export const LOCK_BYTES = 51
/** Bytes of a lock as it is shown: word 32 | k 2 | unit 12 | steps 2 | expiry 5. */
export const SHOWN_LOCK_BYTES = 53
/** Bytes of a word. */
export const WORD_BYTES = 32

function refused(message: string, fields: Record<string, string | number> = {}): TallyError {
  return new TallyError('LOCKS_REFUSED', { message, fields })
}

/**
 * Refuses a list that no promise may carry.
 *
 * @throws TallyError LOCKS_REFUSED for more than 64 locks, an anchor that stands twice, or steps outside 1 to 1,024
 */
export function checkLocks(locks: readonly Lock[]): void {
  if (locks.length > MAX_LOCKS)
    throw refused(`${locks.length} locks in a promise of at most ${MAX_LOCKS}`, { locks: locks.length })
  const anchors = new Set<Hash32>()
  for (const { anchor, steps } of locks) {
    if (!Number.isInteger(steps) || steps < 1 || steps > MAX_STEPS) {
      throw refused(`a lock of ${steps} steps; 1 to ${MAX_STEPS} are allowed`, { steps })
    }
    if (anchors.has(anchor)) throw refused(`the anchor ${anchor} stands twice in one promise`, { anchor })
    anchors.add(anchor)
  }
}

/** The list as it is signed, 51 bytes a lock, in its own order. @throws TallyError LOCKS_REFUSED as `checkLocks`, MALFORMED */
export function packLocks(locks: readonly Lock[]): Uint8Array {
  checkLocks(locks)
  const writer = new ByteWriter(locks.length * LOCK_BYTES)
  for (const { anchor, unit, steps, expiry } of locks) writeHash32(writer, anchor).u96(unit).u16(steps).u40(expiry)
  return writer.finish()
}

/** The list behind 51 bytes a lock. @throws TallyError MALFORMED for part of a lock, LOCKS_REFUSED as `checkLocks` */
export function readLocks(reader: ByteReader, count: number): Lock[] {
  if (count > MAX_LOCKS) throw refused(`${count} locks in a promise of at most ${MAX_LOCKS}`, { locks: count })
  const locks: Lock[] = []
  for (let i = 0; i < count; i++) {
    locks.push({ anchor: readHash32(reader), unit: readAmount(reader), steps: reader.u16(), expiry: readSeconds(reader) })
  }
  checkLocks(locks)
  return locks
}

/** The hash that a promise carries for its locks: zero for none. Not to be changed. @throws TallyError as `packLocks` */
export function locksHash(locks: readonly Lock[]): Uint8Array {
  return locks.length === 0 ? NO_LOCKS : keccak256(packLocks(locks))
}

const NO_LOCKS = new Uint8Array(32)

/**
 * Hashes a word k times; k = 0 gives a copy of the word.
 *
 * @throws TallyError MALFORMED, before anything is hashed, for a word that has not 32 bytes or k outside 0 to 1,024
 */
export function walk(word: Uint8Array, k: number): Uint8Array {
  if (word.length !== WORD_BYTES) throw new TallyError('MALFORMED', { message: `a word of ${word.length} bytes` })
  if (!Number.isInteger(k) || k < 0 || k > MAX_STEPS)
    throw new TallyError('MALFORMED', { message: `a walk of ${k} steps`, fields: { k } })
  return keccakTimes(word, k)
}

/** Whether the word opens k steps of the lock. Never throws: k beyond the lock's steps, or a word of another length, opens nothing. */
export function opens(lock: Lock, { word, k }: Reveal): boolean {
  return k <= lock.steps && leadsTo(word, k, hash32ToBytes(lock.anchor))
}

/** Whether the word hashes k times to this one of 32 bytes. Never throws: k outside 0 to 1,024, or a word of another length, leads nowhere. */
export function leadsTo(word: Uint8Array, k: number, to: Uint8Array): boolean {
  return word.length === WORD_BYTES && Number.isInteger(k) && k >= 0 && k <= MAX_STEPS && keccakLeads(word, k, to)
}

/**
 * Locks with what was revealed of each, in the order of the list; a lock without an entry shows its anchor.
 *
 * @throws TallyError LOCKS_REFUSED when a word does not open its lock, or a word belongs to no lock
 */
export function showLocks(locks: readonly Lock[], reveals: ReadonlyMap<Hash32, Reveal>): ShownLock[] {
  const shown = locks.map((lock) => {
    const reveal = reveals.get(lock.anchor) ?? { word: hash32ToBytes(lock.anchor), k: 0 }
    if (!opens(lock, reveal))
      throw refused(`the word does not open ${reveal.k} steps of the lock ${lock.anchor}`, { anchor: lock.anchor })
    return { lock, word: reveal.word, k: reveal.k }
  })
  for (const anchor of reveals.keys()) {
    if (!locks.some((lock) => lock.anchor === anchor))
      throw refused(`the promise has no lock with the anchor ${anchor}`, { anchor })
  }
  return shown
}

/** The list as the ledger reads it, 53 bytes a lock, every lock of the promise in its order. @throws TallyError as `checkLocks`, MALFORMED */
export function packShownLocks(shown: readonly ShownLock[]): Uint8Array {
  checkLocks(shown.map(({ lock }) => lock))
  const writer = new ByteWriter(shown.length * SHOWN_LOCK_BYTES)
  for (const { lock, word, k } of shown) writer.bytes(word, WORD_BYTES).u16(k).u96(lock.unit).u16(lock.steps).u40(lock.expiry)
  return writer.finish()
}

/** Whether the ledger counts the lock at this time (its block time, unix seconds). */
export function isLive(lock: Lock, now: Seconds): boolean {
  return lock.expiry === 0 || lock.expiry > now
}

/** What the shown steps of all live locks are worth, base units; may exceed any deposit. */
export function shownValue(shown: readonly ShownLock[], now: Seconds): bigint {
  let value = 0n
  for (const { lock, k } of shown) if (isLive(lock, now)) value += BigInt(k) * lock.unit
  return value
}

/** What the live locks are worth if every step is shown: what a payee must keep covered. Base units; may exceed any deposit. */
export function fullValue(locks: readonly Lock[], now: Seconds): bigint {
  let value = 0n
  for (const lock of locks) if (isLive(lock, now)) value += BigInt(lock.steps) * lock.unit
  return value
}

/** Whether two lists say the same, lock by lock. */
export function sameLocks(a: readonly Lock[], b: readonly Lock[]): boolean {
  return a.length === b.length && (a.length === 0 || equalBytes(packLocks(a), packLocks(b)))
}
