/**
 * The payee's judging of a promise with links. What it takes is worth no less than what it held, for every set of words and at every time: the
 * ledger pays the largest promise only, so that is what lets its claims add up.
 * @see protocols/clearing/SPEC.md K1, K2, K3, K4, K5, K7, K8
 */
import { equalBytes, toHex } from '../bytes.ts'
import type { ErrorCode } from '../errors.ts'
import { type Hash32, hash32ToBytes, type Seconds } from '../ids.ts'
import { type Lock, MAX_LOCKS, MAX_STEPS, walk } from '../lock.ts'
import type { SignedPromise } from '../promise.ts'
import { amountOf, type Hop, type HopLink, isOver, mostOf, newLink, wordAt } from './hop.ts'

export interface HopRules {
  /** the later of the node's clock and the chain's newest block */
  readonly nowS: Seconds
  /** time of the newest confirmed block whose logs are known */
  readonly chainS: Seconds
  readonly marginS: number
  /** the longest that a new lock may still have to run */
  readonly longestS: number
  /** the payee forwards: all locks of a promise have one expiry */
  readonly forwards: boolean
  readonly verify: (promise: SignedPromise) => boolean
  /** an anchor that ever stood in a lock that this payee took, on any channel */
  readonly isAnchorUsed: (anchor: Hash32) => boolean
}

/** The hop with the promise; 'same': nothing new, to be answered again; or the rule that is broken. */
export type UpdateVerdict = Hop | 'same' | ErrorCode

/**
 * What a payee makes of the next promise of a hop. `adds`: it came as a link, and its amount rises by at least that rent, base units; undefined: as
 * a fold.
 */
export function judgeUpdate(hop: Hop, promise: SignedPromise, adds: bigint | undefined, rules: HopRules): UpdateVerdict {
  if (hop.promise !== undefined && equalBytes(hop.promise.signature, promise.signature)) return 'same'
  const { locks } = promise
  if (!areLocksSound(locks)) return 'LOCKS_REFUSED'
  if (!rules.verify(promise)) return 'SIGNER_WRONG'
  const fresh = adds === undefined ? undefined : locks.at(-1)
  if (adds !== undefined && (fresh === undefined || fresh.unit === 0n || rules.isAnchorUsed(fresh.anchor))) return 'LOCKS_REFUSED'
  const carried = carryOn(hop, promise.amount, fresh === undefined ? locks : locks.slice(0, -1), rules.chainS)
  if (carried === undefined) return 'LOCKS_REFUSED'
  const { links, rise } = carried
  const least = amountOf(hop) + rise
  // whoever had it settled: what the ledger has paid would shadow whatever the new lock earns
  const base = links.length === 0 && hop.facts.settled > least ? hop.facts.settled : least
  if (promise.amount < base) return 'AMOUNT_TOO_LOW'
  if (adds !== undefined && promise.amount < base + adds) return 'FEE_TOO_LOW'
  const timely = judgeExpiries(hop, locks, fresh, rules)
  if (timely !== undefined) return timely
  if (mostOf(promise) > hop.facts.deposit) return 'AMOUNT_OVER_DEPOSIT'
  return { ...hop, promise, links: fresh === undefined ? links : [...links, newLink(fresh)] }
}

/** K1: what `checkLocks` would refuse, without throwing. */
function areLocksSound(locks: readonly Lock[]): boolean {
  const anchors = new Set(locks.map(({ anchor }) => anchor))
  return (
    locks.length <= MAX_LOCKS && anchors.size === locks.length && locks.every(({ steps }) => steps >= 1 && steps <= MAX_STEPS)
  )
}

interface CarriedOn {
  readonly links: readonly HopLink[]
  /** by how much the amount has to rise at least */
  readonly rise: bigint
}

/** K2 and K3: each link goes on in its order, folded as far as its lock says, or is left out and paid. Undefined: there is a lock too many. */
function carryOn(hop: Hop, amount: bigint, locks: readonly Lock[], chainS: Seconds): CarriedOn | undefined {
  const links: HopLink[] = []
  let rise = 0n
  for (const [i, link] of hop.links.entries()) {
    const lock = locks[links.length]
    const room = amount - amountOf(hop) - rise
    const next = lock === undefined ? undefined : goOn(link, lock, hop.promise?.locks[i], room)
    if (next !== undefined) links.push(next)
    rise += BigInt((next?.folded ?? paidWhenLeftOut(hop, link, chainS)) - link.folded) * link.unit
  }
  return links.length === locks.length ? { links, rise } : undefined
}

/**
 * The link as the lock says it goes on; undefined: the lock is not a rest of it. The anchor of a rest is itself a word of the link, one that the
 * payee knows or learns by it. It is hashed only if the amount has `room` for what it would fold: hashes that are asked for are paid for.
 */
function goOn(link: HopLink, lock: Lock, before: Lock | undefined, room: bigint): HopLink | undefined {
  const folded = link.steps - lock.steps
  if (lock.unit !== link.unit || lock.expiry < link.expiry || folded < link.folded) return undefined
  const next = { ...link, folded, expiry: lock.expiry }
  if (folded === link.folded) return lock.anchor === before?.anchor ? next : undefined
  if (BigInt(folded - link.folded) * link.unit > room) return undefined
  if (folded <= link.known) return toHex(wordAt(link, folded)) === lock.anchor ? next : undefined
  const word = hash32ToBytes(lock.anchor)
  return equalBytes(walk(word, folded - link.known), link.word) ? { ...next, known: folded, word } : undefined
}

/** How many steps must be in the amount when the link is left out: all of them, unless nothing more can be claimed. */
function paidWhenLeftOut(hop: Hop, link: HopLink, chainS: Seconds): number {
  if (link.freed) return link.known
  if (!isOver(link, chainS)) return link.steps
  // what nobody claimed in time is worth nothing, and the payer need not know of it; what was claimed shadows what others earn
  return hop.facts.settled > amountOf(hop) ? link.known : link.folded
}

/** K5 and K8. */
function judgeExpiries(
  hop: Hop,
  locks: readonly Lock[],
  fresh: Lock | undefined,
  { nowS, marginS, longestS, forwards }: HopRules,
): ErrorCode | undefined {
  if (locks.some(({ expiry }) => expiry === 0 || expiry + marginS > hop.facts.expiry)) return 'EXPIRY_REFUSED'
  if (forwards && locks.some(({ expiry }) => expiry !== locks[0]?.expiry)) return 'EXPIRY_REFUSED'
  if (fresh !== undefined && (fresh.expiry <= nowS + marginS || fresh.expiry > nowS + longestS)) return 'EXPIRY_REFUSED'
  return undefined
}
