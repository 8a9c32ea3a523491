/**
 * What a payer remembers of one session, and the figures that follow from it.
 * @see protocols/session/SPEC.md
 */
import type { Amount } from '../amount.ts'
import type { ChannelOut } from '../channel.ts'
import { type ErrorCode, TallyError } from '../errors.ts'
import type { WordChain } from '../head.ts'
import type { Hash32, Seconds, SessionId } from '../ids.ts'
import type { Lock } from '../lock.ts'
import { type Meter, ZERO_METER } from '../meter.ts'
import { maxCountWithin } from '../price.ts'
import type { SignedPromise } from '../promise.ts'
import type { Receipt, SignedReceipt } from '../receipt.ts'
import type { Terms } from '../terms.ts'
import { COUNT_KINDS, type CountFlows, type Counts, countsAt, countsOf, NO_COUNT_FLOWS, someCount } from './counts.ts'
import { ackedOf, type Flow, NO_FLOW } from './flow.ts'
import type { Charge, FromPayer, MeterReport, Ready, TermsOffered } from './messages.ts'
import type { Wish } from './payer-terms.ts'
import { worthOf } from './worth.ts'

export type PayerStatus = 'asked' | 'starting' | 'live' | 'closing' | 'cut' | 'closed'

export interface PayerSession {
  readonly id: SessionId
  readonly status: PayerStatus
  readonly wish: Wish
  readonly terms: Terms | undefined
  readonly termsDigest: Hash32 | undefined
  readonly termsSignature: Uint8Array | undefined
  /** what was signed for this session, base units */
  readonly total: Amount
  /** what the payee says it holds durably of that */
  readonly paid: Amount
  /** what was used of each data stream (written = acked on this side) */
  readonly flow: Flow
  /** what the payee charged beside bytes and time, and what of it was agreed to */
  readonly counts: CountFlows
  /** what may be charged on each stream that is open; a stream that is not here asks its reader */
  readonly most: ReadonlyMap<number, Counts>
  readonly ms: bigint
  /** the most time that was ever acknowledged: what was said is not taken back */
  readonly saidMs: bigint
  readonly at: number
  /** the payee's last word on credit */
  readonly credit: Amount
  /** the payee's last word: nothing flows, and no time is counted */
  readonly paused: boolean
  /** the payee waits for money though it holds all that was sent */
  readonly waiting: boolean
  /** the payee's count of what it wrote and charged that may still be acknowledged */
  readonly written: Meter
  /** monotonic time of the last byte used, or of the payee's last word on money */
  readonly stirred: number
  /** loaded from a disk that may be behind what was sent: the payee may know more than we do */
  readonly stale: boolean
  /** the mark that is being made durable, if any */
  readonly reserving: Amount | undefined
  /** why the session is to end; 0 = completed */
  readonly finishing: number | undefined
  readonly receipt: SignedReceipt | undefined
  readonly failure: ErrorCode | undefined
}

export interface PayerState {
  readonly session: PayerSession
  readonly channel: ChannelOut
}

export interface PayerContext {
  readonly nowMs: number
  readonly nowS: Seconds
  /** chunks that become due shortly after each other are paid by one promise, while the payee's credit lets it go on meanwhile (S3) */
  readonly joins: boolean
  /** another session of this channel is live: its payments are on their way in front of ours */
  readonly moving: () => boolean
  /** more of the deposit is on its way: in a block that is not confirmed, or in a transaction. @default never */
  readonly isComing?: () => boolean
  /** no other session of this channel is live or cut, so that every difference must be this one's */
  readonly alone: () => boolean
  readonly digestTerms: (terms: Terms) => Hash32
  readonly verifyTerms: (terms: Terms, signature: Uint8Array) => boolean
  readonly signTerms: (terms: Terms) => Uint8Array
  /** whether our own signature is on this promise */
  readonly verifyPromise: (promise: SignedPromise) => boolean
  readonly signPromise: (amount: Amount, locks: readonly Lock[]) => SignedPromise
  /** whether ticks are wanted: never, wherever it is possible, or where they spare signatures */
  readonly ticks: 'never' | 'always' | 'auto'
  /** 32 random bytes */
  readonly newSalt: () => Uint8Array
  /** the words behind a salt; the same ones for the same salt and steps */
  readonly chain: (salt: Uint8Array, steps: number) => WordChain
  readonly verifyReceipt: (receipt: Receipt, signature: Uint8Array) => boolean
  readonly signReceipt: (receipt: Receipt) => Uint8Array
}

export type PayerInput =
  | { readonly type: 'terms'; readonly message: TermsOffered }
  | { readonly type: 'ready'; readonly message: Ready }
  | { readonly type: 'meter'; readonly message: MeterReport }
  /** with `most`: the calls and units that may be charged on it */
  | { readonly type: 'opened'; readonly stream: number; readonly most?: Counts | undefined }
  /** `sent`: bytes that were ever sent on this stream; `handed`: as for the clock */
  | { readonly type: 'charge'; readonly message: Charge; readonly sent: bigint; readonly handed: bigint }
  /** the reader of a stream takes calls and units for right, cumulative, as far as they were charged */
  | { readonly type: 'agree'; readonly stream: number; readonly upTo: Counts; readonly handed: bigint }
  /** bytes of a stream that were used: checked and kept */
  | { readonly type: 'used'; readonly stream: number; readonly bytes: number }
  | { readonly type: 'ended'; readonly stream: number }
  /** the record with this mark is durable */
  | { readonly type: 'reserved'; readonly mark: Amount }
  /** the record with the agreed terms is durable */
  | { readonly type: 'agreed' }
  /** a payment has waited for others to join it for long enough */
  | { readonly type: 'joined' }
  /** `handed`: bytes that have arrived and are not used yet */
  | { readonly type: 'clock'; readonly handed: bigint }
  | { readonly type: 'finish'; readonly code: ErrorCode | undefined }
  | { readonly type: 'closing'; readonly reason: number }
  | { readonly type: 'receipt'; readonly receipt: SignedReceipt }
  | { readonly type: 'fault'; readonly code: number }
  | { readonly type: 'cut' }

export type PayerEffect =
  | { readonly type: 'send'; readonly message: FromPayer }
  /** write channel and session in one synced batch, then give `then` back as an input */
  | { readonly type: 'store'; readonly then: PayerInput | undefined }
  /** give `joined` as an input, `JOIN_MS` from now at the latest */
  | { readonly type: 'join' }
  | { readonly type: 'live' }
  | { readonly type: 'paid'; readonly rise: Amount }
  /** this stream was charged what nobody allowed */
  | { readonly type: 'refused'; readonly stream: number }
  | { readonly type: 'cutStreams' }
  | { readonly type: 'ended'; readonly code: ErrorCode | undefined }

export interface PayerStep {
  readonly state: PayerState
  readonly effects: readonly PayerEffect[]
}

export function newPayerSession(id: SessionId, wish: Wish, nowMs: number): PayerSession {
  return {
    id, status: 'asked', wish, terms: undefined, termsDigest: undefined, termsSignature: undefined, total: 0n as Amount, paid: 0n as Amount,
    flow: NO_FLOW, counts: NO_COUNT_FLOWS, most: new Map(), ms: 0n, saidMs: 0n, at: nowMs, credit: 0n as Amount, paused: false, waiting: false, written: ZERO_METER, stirred: nowMs, stale: false,
    reserving: undefined, finishing: undefined, receipt: undefined, failure: undefined,
  } // biome-ignore format: one noun a line would hide the shape
}

/** What this end acknowledges to have received. */
export function usedMeter(session: PayerSession): Meter {
  const { up, calls, units } = countsOf(session.counts, ackedOf)
  return { down: ackedOf(session.flow), up, ms: session.ms, calls, units }
}

/** Whether all that the payee wrote and charged is here, used and agreed to; `handed` bytes are here and not used yet. */
export function hasAll(session: PayerSession, handed = 0n): boolean {
  const { written } = session
  if (ackedOf(session.flow) + handed < written.down) return false
  const agreed = countsOf(session.counts, ackedOf)
  return COUNT_KINDS.every((kind) => agreed[kind] >= written[kind])
}

/** What is due for that, arrears included (S1), in base units; zero before there are terms. */
export function owedOf(session: PayerSession): Amount {
  return session.terms === undefined ? (0n as Amount) : worthOf(session.terms, usedMeter(session))
}

/** What the payer would lose if the payee vanished now: signed for this session and not yet received, base units. */
export function atRiskOf(session: PayerSession): Amount {
  const owed = owedOf(session)
  return (session.total > owed ? session.total - owed : 0n) as Amount
}

/** How much more may be signed for this session: the budget and the deposit are both limits. */
export function roomOf(session: PayerSession, channel: ChannelOut): bigint {
  const budget = session.wish.budget - session.total
  const deposit = channel.facts.deposit - channel.at
  const room = budget < deposit ? budget : deposit
  return room > 0n ? room : 0n
}

/** Which of the two it was. */
export const shortReason = (session: PayerSession, channel: ChannelOut): number =>
  wireOf(session.wish.budget - session.total <= channel.facts.deposit - channel.at ? 'BUDGET_REACHED' : 'AMOUNT_OVER_DEPOSIT')

/** The deposit covers nothing more, and more of it is on its way: that is waited for, and nothing ends (S12). */
export const awaitsDeposit = (session: PayerSession, channel: ChannelOut, context: PayerContext): boolean =>
  context.isComing?.() === true && session.wish.budget - session.total > channel.facts.deposit - channel.at

/**
 * How many more bytes may be used, or sent, before the budget or the deposit is used up; undefined = no limit. What is beyond must not be
 * handed over, or sent: it could not be paid. `ahead` is what was handed over and sent and is not acknowledged yet.
 */
export function usableBytes(state: PayerState, kind: 'down' | 'up' = 'down', ahead: Partial<Meter> = {}): bigint | undefined {
  const { session, channel } = state
  if (session.terms === undefined) return 0n
  const spendable = session.total + roomOf(session, channel) - session.terms.arrears
  if (spendable < 0n) return 0n
  const used = usedMeter(session)
  const taken = { ...used, down: used.down + (ahead.down ?? 0n), up: used.up + (ahead.up ?? 0n) }
  const most = maxCountWithin(session.terms.price, taken, kind, spendable as Amount)
  if (most === undefined) return undefined
  return most > taken[kind] ? most - taken[kind] : 0n
}

/** What was agreed to on a stream, where anything was: it goes before the acknowledgement of its bytes (M5). */
export function agreement({ id, counts }: PayerSession, stream: number): PayerEffect[] {
  const agreed = countsAt(counts, stream, 'acked')
  return someCount(agreed) ? [send({ type: 'agree', session: id, stream, ...agreed })] : []
}

export const wireOf = (code: ErrorCode): number => new TallyError(code).wire
export const send = (message: FromPayer): PayerEffect => ({ type: 'send', message })
export const keep = (state: PayerState, ...effects: PayerEffect[]): PayerStep => ({ state, effects })
export const change = (state: PayerState, session: Partial<PayerSession>): PayerState => ({
  ...state,
  session: { ...state.session, ...session },
})
export const also = (step: PayerStep, ...before: PayerEffect[]): PayerStep => ({
  state: step.state,
  effects: [...before, ...step.effects],
})
