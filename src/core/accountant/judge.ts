/**
 * The payee's judging of a promise with links. What it takes is worth no less than what it held, for every set of words and at every time: the
 * ledger pays the largest promise only, so that is what lets its claims add up.
 * @see protocols/clearing/SPEC.md K1, K2, K3, K4, K5, K7, K8
 */
import { equalBytes, toHex } from '../bytes.ts'
import type { ErrorCode } from '../errors.ts'
import type { Hash32, Seconds } from '../ids.ts'
import { type Lock, MAX_LOCKS, MAX_STEPS } from '../lock.ts'
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
  const carried = carryOn(hop, fresh === undefined ? locks : locks.slice(0, -1), rules.chainS)
  if (carried === undefined) return 'LOCKS_REFUSED'
  const least = amountOf(hop) + carried.rise
  // whoever had it settled: what the ledger has paid would shadow whatever the new lock earns
  const base = carried.links.length === 0 && hop.facts.settled > least ? hop.facts.settled : least
  if (promise.amount < base) return 'AMOUNT_TOO_LOW'
  if (adds !== undefined && promise.amount < base + adds) return 'FEE_TOO_LOW'
  const timely = judgeExpiries(hop, locks, fresh, rules)
  if (timely !== undefined) return timely
  if (mostOf(promise) > hop.facts.deposit) return 'AMOUNT_OVER_DEPOSIT'
  return { ...hop, promise, links: fresh === undefined ? carried.links : [...carried.links, newLink(fresh)] }
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

/** K2 and K3: each link goes on in its order, folded as far as its lock says, or is left out for a reason. Undefined: neither. */
function carryOn(hop: Hop, locks: readonly Lock[], chainS: Seconds): CarriedOn | undefined {
  const links: HopLink[] = []
  let rise = 0n
  let at = 0
  for (const link of hop.links) {
    const lock = locks[at]
    const begins = lock === undefined ? undefined : beginOf(link, lock)
    if (lock !== undefined && begins !== undefined) {
      links.push({ ...link, folded: begins, expiry: lock.expiry })
      rise += BigInt(begins - link.folded) * link.unit
      at++
      continue
    }
    const paidUpTo = leftOutAt(hop, link, chainS)
    if (paidUpTo === undefined) return undefined
    rise += BigInt(paidUpTo - link.folded) * link.unit
  }
  return at === locks.length ? { links, rise } : undefined
}

/** The step at which the lock takes the link up again; undefined: it is not a rest of this link. */
function beginOf(link: HopLink, lock: Lock): number | undefined {
  const begins = link.steps - lock.steps
  if (lock.unit !== link.unit || lock.expiry < link.expiry || begins < link.folded || begins > link.known) return undefined
  return toHex(wordAt(link, begins)) === lock.anchor ? begins : undefined
}

/** How many steps must be in the amount when the link is left out; undefined: it may not be. */
function leftOutAt(hop: Hop, link: HopLink, chainS: Seconds): number | undefined {
  if (link.freed || link.known === link.steps) return link.known
  if (!isOver(link, chainS)) return undefined
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
