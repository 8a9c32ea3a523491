/**
 * What each end knows of one channel, and the rules by which a promise on it is judged.
 *
 * Authority: deposit, settled, expiry and epoch are the ledger's (facts, copied here after confirmation); what was promised is said
 * by the highest promise that carries the signer's signature.
 * @see protocols/session/SPEC.md sections Head, promise
 */
import type { Amount } from './amount.ts'
import { equalBytes } from './bytes.ts'
import type { ErrorCode } from './errors.ts'
import { type Chain, carriesOn, chainLock, type Head, headAfter, headWorth, isWhole } from './head.ts'
import type { ChannelId, Seconds } from './ids.ts'
import { leadsTo, sameLocks } from './lock.ts'
import type { ChannelParties, SignedPromise } from './promise.ts'

/** A channel as the ledger has it. `deposit` and `settled` are cumulative over the channel's life, in base units. */
export interface ChannelFacts {
  readonly deposit: Amount
  readonly settled: Amount
  /** unix seconds; 0 = no reservation */
  readonly expiry: Seconds
  /** how often the channel was closed or reclaimed */
  readonly epoch: number
}

export const NO_CHANNEL: ChannelFacts = { deposit: 0n as Amount, settled: 0n as Amount, expiry: 0 as Seconds, epoch: 0 }

/** The payee's record of a channel. Lives for ever: amounts are cumulative. */
export interface ChannelIn {
  readonly id: ChannelId
  readonly parties: ChannelParties
  /** confirmed facts only */
  readonly facts: ChannelFacts
  /** the promise that is worth most, with its ticks; it may be ahead of the disk by what is being stored */
  readonly best: Head | undefined
  /** a Close was signed at this epoch: no promise is accepted while the ledger still shows the epoch, until this time */
  readonly frozen: { readonly until: Seconds; readonly epoch: number } | undefined
  /**
   * A deposit that stands in a block above the confirmed one (`deposit`, cumulative): promises count up to `credit` above the confirmed
   * one. Left out: none is known.
   */
  readonly pending?: { readonly credit: Amount; readonly deposit: Amount }
  /** what counted so and is a debt of the owner, because the deposit was taken back. @default 0 */
  readonly uncovered?: Amount
}

/** Up to where promises count, base units: the confirmed deposit, and what is given on one that is not confirmed. */
export function reachOf({ facts, pending }: Pick<ChannelIn, 'facts' | 'pending'>): Amount {
  return (facts.deposit + (pending?.credit ?? 0n)) as Amount
}

/** The payer's record of a channel. */
export interface ChannelOut {
  readonly id: ChannelId
  readonly parties: ChannelParties
  readonly facts: ChannelFacts
  /** nothing above this was ever signed: written durably before each signature. `free = deposit - reserved` */
  readonly reserved: Amount
  /** the highest promise this node knows it signed (or that the payee showed with our signature on it) */
  readonly last: SignedPromise | undefined
  /** where the next rise starts: the head that both ends agree on, plus what was sent since */
  readonly at: Amount
  /** that head itself, worth `at`; known from the first agreement of a process on, and not stored: the payee shows it again */
  readonly head: Head | undefined
  /** how much of `at` the payee has not confirmed to hold durably */
  readonly unconfirmed: Amount
  /**
   * `at` less what the sessions' totals account for. Below zero: payments were lost on the way, and the sessions they were for will have
   * to pay them again. Above zero: the payee holds payments that this node's disk forgot.
   */
  readonly drift: bigint
  /** the most that may have been signed and not be in our record, because the process ended before it was stored */
  readonly forgotten: Amount
  /** a session that may have forgotten payments was given up: what it paid will never be explained */
  readonly abandoned: boolean
}

/** The payer's record of a channel on which it has never signed anything. */
export function newChannelOut(id: ChannelId, parties: ChannelParties, facts: ChannelFacts): ChannelOut {
  const none = 0n as Amount
  return {
    id,
    parties,
    facts,
    reserved: none,
    last: undefined,
    at: none,
    head: undefined,
    unconfirmed: none,
    drift: 0n,
    forgotten: none,
    abandoned: false,
  }
}

export function bestAmount(channel: ChannelIn): Amount {
  return headWorth(channel.best)
}

/** The most that this node knows it promised on the channel, ticks included, in base units. */
export function signedOf(channel: ChannelOut): Amount {
  const last = channel.last?.amount ?? (0n as Amount)
  return last > channel.at ? last : channel.at
}

export function isFrozen(channel: ChannelIn, now: Seconds): boolean {
  return channel.frozen !== undefined && channel.frozen.epoch === channel.facts.epoch && now <= channel.frozen.until
}

/** What the payee could still be paid from the ledger for its best promise, in base units. */
export function unsettled(channel: ChannelIn): Amount {
  const best = bestAmount(channel)
  return (best > channel.facts.settled ? best - channel.facts.settled : 0n) as Amount
}

/** The deposit that no promise has used yet, in base units; what a payer may still sign. Counts every promise it may have signed. */
export function freeOf(channel: ChannelOut): Amount {
  const used = channel.reserved > channel.facts.settled ? channel.reserved : channel.facts.settled
  return (channel.facts.deposit > used ? channel.facts.deposit - used : 0n) as Amount
}

export interface PromiseRules {
  readonly now: Seconds
  /** the payee stops counting promises this long before the expiry */
  readonly marginS: number
  /** how far above the deposit a promise may go, at the payee's own risk; 0 by default */
  readonly unreserved: Amount
  readonly verify: (promise: SignedPromise) => boolean
}

/** The head that a message brings, 'same' = nothing new, harmless, or the code of the rule that it breaks (P2, T2 of the spec). */
export type Verdict = Head | 'same' | ErrorCode

/**
 * A promise replaces the one before it only if it is worth no less: what was revealed of a chain is folded into its amount, or the very same
 * lock goes on. What was not revealed is nobody's: the payer simply stops. Other locks than one chain are refused.
 */
export function judgePromise(
  channel: ChannelIn,
  promise: SignedPromise,
  salt: Uint8Array | undefined,
  rules: PromiseRules,
): Verdict {
  const { best } = channel
  if (best !== undefined && promise.amount === best.promise.amount && sameSignature(best.promise, promise)) return 'same'
  if (!rules.verify(promise)) return 'SIGNER_WRONG'
  if (!isChainAllowed(best, promise, salt)) return 'LOCKS_REFUSED'
  const head = headAfter(best, promise, salt)
  const [before, after] = [headWorth(best), headWorth(head)]
  if (after < before) return 'AMOUNT_TOO_LOW'
  // a chain that pays nothing would cost a record for nothing
  if (after === before && promise.locks.length > 0 && !carriesOn(best, promise)) return 'LOCKS_REFUSED'
  const broken = coverage(channel, after, rules)
  if (broken !== undefined) return broken
  // of two that are worth the same the one with another chain may be the easier to settle
  return after === before && best !== undefined && sameLocksOf(best, promise) ? 'same' : head
}

/**
 * The next tick of the chain: `word` hashes k times to its anchor. An older word is harmless; the jump is at most the chain. `proven`: what was
 * revealed when a run of ticks began of which this is the last (`TickRun`); where that still stands nothing is hashed again.
 */
export function judgeTick(
  channel: ChannelIn,
  { k, word }: { readonly k: number; readonly word: Uint8Array },
  rules: PromiseRules,
  proven?: Chain,
): Verdict {
  const { best } = channel
  const lock = best === undefined ? undefined : chainLock(best)
  if (best?.chain === undefined || lock === undefined) return 'WRONG_STATE'
  if (k <= best.chain.k) return 'same'
  // before anything is hashed: a walk is never longer than the chain
  if (k > lock.steps) return 'WORD_WRONG'
  if (best.chain !== proven && !leadsTo(word, k - best.chain.k, best.chain.word)) return 'WORD_WRONG'
  const head: Head = { promise: best.promise, chain: { salt: best.chain.salt, k, word } }
  return coverage(channel, headWorth(head), rules) ?? head
}

/** Whether a promise of this worth counts (S5, S10). */
function coverage(channel: ChannelIn, value: Amount, rules: PromiseRules): ErrorCode | undefined {
  if (isFrozen(channel, rules.now)) return 'CHANNEL_FROZEN'
  if (value > reachOf(channel) + rules.unreserved) return 'AMOUNT_OVER_DEPOSIT'
  return rules.now >= channel.facts.expiry - rules.marginS ? 'CHANNEL_EXPIRED' : undefined
}

/** One lock that never expires, with a salt; and an anchor of old only in the very same lock. */
function isChainAllowed(best: Head | undefined, promise: SignedPromise, salt: Uint8Array | undefined): boolean {
  const [lock, other] = promise.locks
  if (lock === undefined) return salt === undefined
  if (other !== undefined || lock.expiry !== 0 || lock.unit === 0n || salt === undefined) return false
  if (carriesOn(best, promise)) return best?.chain !== undefined && equalBytes(best.chain.salt, salt)
  return best === undefined || chainLock(best)?.anchor !== lock.anchor
}

const sameLocksOf = (best: Head, promise: SignedPromise): boolean =>
  carriesOn(best, promise) || (best.promise.locks.length === 0 && promise.locks.length === 0)

function sameSignature(a: SignedPromise, b: SignedPromise): boolean {
  return equalBytes(a.signature, b.signature)
}

export interface HeadAgreement {
  readonly channel: ChannelOut
  /** the amount to be promised once more before accept, because the payee has lost what it had confirmed (H3) */
  readonly restate: Amount | undefined
}

/** Why a head cannot be agreed on is one code for all reasons: the two records do not fit. */
type Disagreement = 'HEAD_DISAGREES'

/**
 * The common head of both ends (H1 to H4). While other sessions of the channel are live (`moving`) their payments are on their way in front
 * of whatever is said now, so that a head below our own record tells nothing.
 *
 * Paying again what the payee says it does not hold costs nothing: two promises never add up.
 */
export function agreeOnHead(
  channel: ChannelOut,
  head: Head | undefined,
  verify: (promise: SignedPromise) => boolean,
  moving: boolean,
): HeadAgreement | Disagreement {
  if (head !== undefined && !(isWhole(head) && verify(head.promise))) return 'HEAD_DISAGREES'
  const theirs = headWorth(head)
  if (moving) return theirs > channel.at ? 'HEAD_DISAGREES' : { channel, restate: undefined }
  const confirmed = (channel.at - channel.unconfirmed) as Amount
  const at = theirs >= confirmed ? theirs : confirmed
  const ours = channel.last?.amount ?? (0n as Amount)
  const last = head !== undefined && head.promise.amount >= ours ? head.promise : channel.last
  const reserved = at > channel.reserved ? at : channel.reserved
  const drift = channel.drift + (at - channel.at)
  // below what it had confirmed it gets one promise for all of it, without a chain
  const goesOn = at > theirs ? undefined : ownHead(channel.head, head)
  const agreed = { ...channel, last, reserved, at, head: goesOn, drift, unconfirmed: 0n as Amount }
  return { channel: agreed, restate: at > theirs ? at : undefined }
}

/**
 * The head that may be gone on with: our own, if the payee shows the very promise that this process sent last, with every word of it. Words of
 * any other chain are not revealed: an older promise, or one that a restarted process has forgotten, may be worth more by them; and a payee
 * that could name the salt could choose whose words it gets.
 */
function ownHead(own: Head | undefined, shown: Head | undefined): Head | undefined {
  if (own === undefined || shown === undefined || !sameSignature(own.promise, shown.promise)) return undefined
  // with fewer words than were revealed, a promise that carries the chain on would be worth more than it says
  return sameLocks(own.promise.locks, shown.promise.locks) && own.chain?.k === shown.chain?.k ? own : undefined
}

/** What was sent on the channel and never reached the payee, by its own head; it may be asked for again, base units. */
export function gapOf(channel: ChannelOut): Amount {
  return (channel.drift < 0n ? -channel.drift : 0n) as Amount
}

/**
 * The channel after a resumed session's total was moved by `change` to what the payee says it holds (H5). It must explain what the two
 * records differ by: less only by what was lost on the way, more only by what this node may have signed and forgotten.
 */
export function moveTotal(channel: ChannelOut, change: bigint, alone: boolean): ChannelOut | Disagreement {
  const drift = channel.drift - change
  // what another session may have forgotten can hide what this one lost
  if (change < 0n && drift > channel.forgotten) return 'HEAD_DISAGREES'
  if (change > channel.forgotten) return 'HEAD_DISAGREES'
  // with no other session to account for it, everything that the head holds beyond our record is this session's
  if (alone && !channel.abandoned && drift > 0n) return 'HEAD_DISAGREES'
  return { ...channel, drift, forgotten: (change > 0n ? channel.forgotten - change : channel.forgotten) as Amount }
}
