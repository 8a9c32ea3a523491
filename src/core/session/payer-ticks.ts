/**
 * With what a payer pays: ticks, which cost a hash, as long as a chain goes on; a promise where it begins, ends or does not fit.
 * @see protocols/session/SPEC.md section Ticks
 */
import type { Amount } from '../amount.ts'
import { chainLock, type Head, headAfter } from '../head.ts'
import type { Seconds } from '../ids.ts'
import type { Lock } from '../lock.ts'
import type { Pay, Tick } from './messages.ts'
import { type PayerContext, type PayerState, roomOf, usedMeter } from './payer-state.ts'
import { quantumOf, worthOf } from './worth.ts'

/** What is sent, and the head that the payee holds once it has come. */
interface Next<M> {
  readonly head: Head
  readonly message: M
}

/** Steps of a chain: so many payments between two signatures, and so many hashes more in a settlement in mid-session. */
const CHAIN_STEPS = 256
/** a chain of fewer steps spares no signature worth speaking of */
const FEWEST_STEPS = { always: 2, auto: 16 } as const

/** The part of a rise that the chain can pay, where it is the session's own; what is below a tick is left for later (T3). */
export function wholeTicks({ channel, session }: PayerState, rise: bigint, { ticks }: PayerContext): bigint {
  if (ticks === 'never' || session.terms === undefined) return rise
  const unit = channel.head === undefined ? undefined : chainLock(channel.head)?.unit
  return unit === undefined || unit > rise || unit !== quantumOf(session.terms) ? rise : rise - (rise % unit)
}

/** The tick that pays exactly this rise; undefined when only a promise can. */
export function nextTick({ session, channel }: PayerState, rise: bigint, context: PayerContext): Next<Tick> | undefined {
  const { head } = channel
  const lock = head === undefined ? undefined : chainLock(head)
  if (context.ticks === 'never' || session.finishing !== undefined) return undefined
  if (head?.chain === undefined || lock === undefined || rise === 0n || rise % lock.unit !== 0n) return undefined
  const steps = rise / lock.unit
  if (steps > BigInt(lock.steps - head.chain.k)) return undefined
  const { salt } = head.chain
  const k = head.chain.k + Number(steps)
  const word = context.chain(salt, lock.steps).word(k)
  return { head: { promise: head.promise, chain: { salt, k, word } }, message: { type: 'tick', session: session.id, k, word } }
}

/** The promise that pays this rise: it carries a chain on that goes on, else folds what was revealed, and begins another where that is wanted. */
export function nextPromise(state: PayerState, rise: bigint, context: PayerContext): Next<Pay> {
  const { session, channel } = state
  const { lock, salt, folded } = lockAfter(state, rise, context)
  const amount = (channel.at + rise - folded) as Amount
  const promise = context.signPromise(amount, lock === undefined ? [] : [lock])
  const total = (session.total + rise) as Amount
  return {
    head: headAfter(channel.head, promise, salt),
    message: { type: 'promise', session: session.id, total, promise, salt },
  }
}

/** Whether the session leaves a chain behind that it alone uses: one promise without it is cheaper to settle. */
export function isToFold({ channel }: PayerState, context: PayerContext): boolean {
  return (channel.head?.chain?.k ?? 0) > 0 && !context.moving()
}

interface LockAfter {
  readonly lock: Lock | undefined
  readonly salt: Uint8Array | undefined
  /** what the words that were revealed of it are worth: the amount must not pay that again */
  readonly folded: bigint
}
const NO_LOCK: LockAfter = { lock: undefined, salt: undefined, folded: 0n }

function lockAfter(state: PayerState, rise: bigint, context: PayerContext): LockAfter {
  const { session, channel } = state
  const { head } = channel
  const lock = head === undefined ? undefined : chainLock(head)
  const others = context.moving()
  if (head?.chain !== undefined && lock !== undefined && head.chain.k < lock.steps) {
    const { salt, k } = head.chain
    const isOwn = session.terms !== undefined && lock.unit === quantumOf(session.terms) && context.ticks !== 'never'
    const isUsedUp = rise / lock.unit > BigInt(lock.steps - k)
    const goesOn = isOwn && session.finishing === undefined ? !isUsedUp : others
    if (goesOn) return { lock, salt, folded: BigInt(k) * lock.unit }
  }
  if (context.ticks === 'never' || session.finishing !== undefined || session.terms === undefined) return NO_LOCK
  const unit = quantumOf(session.terms)
  const steps = stepsFor(state, rise, unit)
  if (steps < FEWEST_STEPS[context.ticks]) return NO_LOCK
  const salt = context.newSalt()
  return { lock: { anchor: context.chain(salt, steps).anchor, unit, steps, expiry: 0 as Seconds }, salt, folded: 0n }
}

/** No more than will be paid: budget, deposit and what is expected are limits. */
function stepsFor({ session, channel }: PayerState, rise: bigint, unit: bigint): number {
  const { terms, wish } = session
  let left = roomOf(session, channel) - rise
  if (terms !== undefined && wish.expect !== undefined) {
    const used = usedMeter(session)
    const most = worthOf(terms, { ...used, down: wish.expect > used.down ? wish.expect : used.down }) - session.total - rise
    if (most < left) left = most
  }
  const steps = left / unit
  return steps <= 0n ? 0 : steps < BigInt(CHAIN_STEPS) ? Number(steps) : CHAIN_STEPS
}
