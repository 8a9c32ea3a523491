/**
 * A promise together with what was revealed of its chain: what a payee holds, stores, settles and shows as the head of a channel.
 *
 * A promise of a direct channel carries at most one lock, the chain: its words are ticks. It never expires, because payer and payee need no
 * time limit between them: the payer simply stops revealing.
 * @see protocols/session/SPEC.md section Ticks
 */
import type { Amount } from './amount.ts'
import type { ByteReader, ByteWriter } from './bytes.ts'
import { TallyError } from './errors.ts'
import { type Hash32, hash32ToBytes } from './ids.ts'
import { type Lock, opens, type Reveal, sameLocks, WORD_BYTES } from './lock.ts'
import { readPromise, type SignedPromise, writePromise } from './promise.ts'

/** Bytes of the salt that the words of a chain are derived with. */
export const SALT_BYTES = 32

/** The deepest word of a chain that was revealed; k = 0: its anchor. */
export interface Chain extends Reveal {
  /** 32 random bytes of the payer: with its key they give all words of the chain */
  readonly salt: Uint8Array
}

/** The words of a chain as its payer has them. */
export interface WordChain {
  readonly anchor: Hash32
  readonly steps: number
  /** The word that hashes `k` times to the anchor, 0 <= k <= steps. Not to be changed. */
  word(k: number): Uint8Array
}

export interface Head {
  readonly promise: SignedPromise
  /** there exactly when the promise has a lock */
  readonly chain?: Chain | undefined
}

/** The lock whose words are ticks; undefined when the promise has none. */
export function chainLock({ promise }: Head): Lock | undefined {
  return promise.locks[0]
}

/** What the head is worth, base units: the amount and all ticks. Below 2^113; a payee counts it only up to the deposit. */
export function headWorth(head: Head | undefined): Amount {
  if (head === undefined) return 0n as Amount
  const lock = chainLock(head)
  const { amount } = head.promise
  return lock === undefined || head.chain === undefined ? amount : ((amount + BigInt(head.chain.k) * lock.unit) as Amount)
}

/** A promise of which nothing was revealed yet. */
export function freshHead(promise: SignedPromise, salt: Uint8Array | undefined): Head {
  const [lock] = promise.locks
  return {
    promise,
    chain: lock === undefined || salt === undefined ? undefined : { salt, k: 0, word: hash32ToBytes(lock.anchor) },
  }
}

/** The promise with the chain of the one before it where it carries the same lock on, else with nothing revealed. */
export function headAfter(before: Head | undefined, promise: SignedPromise, salt: Uint8Array | undefined): Head {
  return carriesOn(before, promise) ? { promise, chain: before?.chain } : freshHead(promise, salt)
}

/** Whether the promise goes on with the very chain of the head. */
export function carriesOn(before: Head | undefined, promise: SignedPromise): boolean {
  return before !== undefined && promise.locks.length > 0 && sameLocks(before.promise.locks, promise.locks)
}

/** Whether what was revealed opens the lock, and nothing is there that belongs to no lock. */
export function isWhole(head: Head): boolean {
  const { locks } = head.promise
  const [lock] = locks
  if (lock === undefined || locks.length > 1) return locks.length === 0 && head.chain === undefined
  return head.chain !== undefined && head.chain.salt.length === SALT_BYTES && opens(lock, head.chain)
}

/** What was revealed, as a settlement shows it. */
export function revealed(head: Head): ReadonlyMap<Hash32, Reveal> {
  const lock = chainLock(head)
  return new Map(lock === undefined || head.chain === undefined ? [] : [[lock.anchor, head.chain]])
}

/** What tells two settlements of a channel apart: worth as much, one with a chain can be harder to settle than one without. */
export function settlementOf(head: Head | undefined): string {
  return `${headWorth(head)}${head?.chain === undefined ? '' : `+${head.chain.k}`}`
}

/** Appends a head: promise | when it has a lock: salt 32 | k u16 | word 32. @throws TallyError MALFORMED, LOCKS_REFUSED */
export function writeHead(writer: ByteWriter, { promise, chain }: Head): ByteWriter {
  writePromise(writer, promise)
  if ((chain === undefined) !== (promise.locks.length === 0))
    throw new TallyError('MALFORMED', { message: 'a chain goes with a lock, and a lock with its chain' })
  return chain === undefined ? writer : writer.bytes(chain.salt, SALT_BYTES).u16(chain.k).bytes(chain.word, WORD_BYTES)
}

/** The next bytes as a head; neither signature nor word is checked. @throws TallyError MALFORMED, LOCKS_REFUSED */
export function readHead(reader: ByteReader): Head {
  const promise = readPromise(reader)
  if (promise.locks.length === 0) return { promise }
  return { promise, chain: { salt: reader.bytes(SALT_BYTES), k: reader.u16(), word: reader.bytes(WORD_BYTES) } }
}
