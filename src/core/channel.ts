/**
 * What each end knows of one channel, and the rules by which a promise on it is judged.
 *
 * Authority: deposit, settled, expiry and epoch are the ledger's (facts, copied here after confirmation); what was promised is said
 * by the highest promise that carries the signer's signature.
 * @see protocols/session/SPEC.md sections Head, promise
 */
import type { Amount } from './amount.ts'
import type { ErrorCode } from './errors.ts'
import type { ChannelId, Seconds } from './ids.ts'
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
  /** the promise that is worth most; it may be ahead of the disk by what is being stored */
  readonly best: SignedPromise | undefined
  /** a Close was signed at this epoch: no promise is accepted while the ledger still shows the epoch, until this time */
  readonly frozen: { readonly until: Seconds; readonly epoch: number } | undefined
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
    unconfirmed: none,
    drift: 0n,
    forgotten: none,
    abandoned: false,
  }
}

export function bestAmount(channel: ChannelIn): Amount {
  return channel.best?.amount ?? (0n as Amount)
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

/** 'same' = nothing new, harmless; 'better' = replaces the best one; otherwise the code of the rule that it breaks (P2 of the spec). */
export function judgePromise(channel: ChannelIn, promise: SignedPromise, rules: PromiseRules): 'same' | 'better' | ErrorCode {
  const best = bestAmount(channel)
  if (promise.amount === best && channel.best !== undefined && sameSignature(channel.best, promise)) return 'same'
  if (!rules.verify(promise)) return 'SIGNER_WRONG'
  if (promise.locks.length > 0) return 'LOCKS_REFUSED'
  if (promise.amount < best) return 'AMOUNT_TOO_LOW'
  if (isFrozen(channel, rules.now)) return 'CHANNEL_FROZEN'
  if (promise.amount > channel.facts.deposit + rules.unreserved) return 'AMOUNT_OVER_DEPOSIT'
  if (rules.now >= channel.facts.expiry - rules.marginS) return 'CHANNEL_EXPIRED'
  return promise.amount === best ? 'same' : 'better'
}

function sameSignature(a: SignedPromise, b: SignedPromise): boolean {
  return a.signature.length === b.signature.length && a.signature.every((byte, i) => byte === b.signature[i])
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
  head: SignedPromise | undefined,
  verify: (promise: SignedPromise) => boolean,
  moving: boolean,
): HeadAgreement | Disagreement {
  if (head !== undefined && !verify(head)) return 'HEAD_DISAGREES'
  const theirs = head?.amount ?? (0n as Amount)
  if (moving) return theirs > channel.at ? 'HEAD_DISAGREES' : { channel, restate: undefined }
  const confirmed = (channel.at - channel.unconfirmed) as Amount
  const at = theirs >= confirmed ? theirs : confirmed
  const ours = channel.last?.amount ?? (0n as Amount)
  const last = head !== undefined && theirs >= ours ? head : channel.last
  const reserved = at > channel.reserved ? at : channel.reserved
  const drift = channel.drift + (at - channel.at)
  const agreed = { ...channel, last, reserved, at, drift, unconfirmed: 0n as Amount }
  return { channel: agreed, restate: at > theirs ? at : undefined }
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
