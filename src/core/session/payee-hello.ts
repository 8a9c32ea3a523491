/**
 * Whether a payee begins a session, and on which terms.
 * @see protocols/session/SPEC.md section hello
 */
import type { Amount } from '../amount.ts'
import { bestAmount, type ChannelIn, isFrozen, reachOf } from '../channel.ts'
import type { OwnerAccount } from '../credit.ts'
import type { ErrorCode } from '../errors.ts'
import type { Address, Seconds } from '../ids.ts'
import { MAX_COUNT, METER_KINDS, type Meter } from '../meter.ts'
import type { Offer } from '../offer.ts'
import { freeOf, lessFree } from '../price-free.ts'
import type { Terms } from '../terms.ts'
import type { Hello } from './messages.ts'

export interface HelloFacts {
  readonly offer: Offer | undefined
  /** undefined: the ledger knows no such channel */
  readonly channel: ChannelIn | undefined
  readonly live: number
  readonly maxSessions: number
  readonly banned: boolean
  readonly nowS: Seconds
  readonly marginS: number
  /** how long before the margin the payee stops serving, so that the last payment still counts; seconds */
  readonly patienceS: number
  readonly unreserved: Amount
}

/** The demands that need neither the disk nor the chain, so that a stranger costs nothing: the first that is not met, or undefined. */
export function judgeAtDoor(
  hello: Hello,
  facts: Pick<HelloFacts, 'live' | 'maxSessions' | 'banned' | 'offer'>,
): ErrorCode | undefined {
  const { offer } = facts
  if (facts.live >= facts.maxSessions) return 'BUSY'
  if (facts.banned) return 'BANNED'
  if (offer === undefined || offer.service !== hello.service) return 'SERVICE_UNKNOWN'
  return offer.token === hello.token ? undefined : 'OFFER_FOREIGN'
}

/** The first demand that is not met (in the order of the spec), or undefined. */
export function judgeHello(hello: Hello, facts: HelloFacts): ErrorCode | undefined {
  const { offer, channel } = facts
  const atDoor = judgeAtDoor(hello, facts)
  if (atDoor !== undefined) return atDoor
  if (offer === undefined) return 'SERVICE_UNKNOWN'
  if (channel === undefined) return 'CHANNEL_UNKNOWN'
  if (isFrozen(channel, facts.nowS)) return 'CHANNEL_FROZEN'
  // the payer's own record counts: what it may have signed already is not there to be spent again
  const used = hello.signed > bestAmount(channel) ? hello.signed : bestAmount(channel)
  const free = reachOf(channel) + facts.unreserved - used
  // what is not confirmed yet is reserved all the same
  const seen = channel.pending?.deposit ?? channel.facts.deposit
  const reserved = seen > channel.facts.deposit ? seen + facts.unreserved - used : free
  if (!hello.resume && (free <= 0n || reserved < offer.minReservation)) return 'RESERVATION_TOO_SMALL'
  const left = channel.facts.expiry - facts.nowS
  if (left <= (hello.resume ? facts.marginS : facts.marginS + facts.patienceS)) return 'CHANNEL_EXPIRED'
  if (!hello.resume && left < offer.minTimeToExpiry) return 'CHANNEL_EXPIRED'
  return undefined
}

/** The terms of a new session: the current offer, pinned, less what the owner has had for nothing (S11); what it owes from before comes first. */
export function termsFor(
  hello: Hello,
  offer: Offer,
  owner: OwnerAccount,
  made: {
    signer: Address
    content: Uint8Array
    patienceMs: number
    nowS: Seconds
    lastS: number
    arrearsTaken: boolean
    open: readonly Terms[]
  },
): Terms {
  // what its other sessions may still have is taken
  const had = made.open.reduce((sum, { price }) => cappedSum(sum, freeOf(price)), owner.had)
  return {
    session: hello.session, owner: hello.owner, signer: made.signer, provider: offer.provider, token: hello.token, service: offer.service,
    offerSequence: offer.sequence, price: lessFree(offer.price, had), chunk: offer.chunk, arrears: made.arrearsTaken ? (0n as Amount) : owner.debt,
    patienceMs: made.patienceMs, opened: made.nowS, expiry: (made.nowS + made.lastS) as Seconds, content: made.content,
  } // biome-ignore format: a record
}

function cappedSum(a: Meter, b: Meter): Meter {
  const sum = { ...a }
  for (const kind of METER_KINDS) sum[kind] = a[kind] + b[kind] < MAX_COUNT ? a[kind] + b[kind] : MAX_COUNT
  return sum
}
