/**
 * What a payee remembers of one session, and the figures that follow from it.
 * @see protocols/session/SPEC.md
 */
import { type Amount, MAX_AMOUNT } from '../amount.ts'
import type { ChannelIn } from '../channel.ts'
import { type CreditPolicy, creditLimit, type OwnerAccount } from '../credit.ts'
import type { ErrorCode } from '../errors.ts'
import type { Chain } from '../head.ts'
import type { Hash32, Seconds, SessionId } from '../ids.ts'
import { MAX_COUNT, METER_KINDS, type Meter, ZERO_METER } from '../meter.ts'
import { due, maxCountWithin, rateOf } from '../price.ts'
import type { SignedPromise } from '../promise.ts'
import type { Receipt, SignedReceipt } from '../receipt.ts'
import type { Terms } from '../terms.ts'
import { addCounts, type CountFlows, type Counts, countsOf, NO_COUNT_FLOWS, NO_COUNTS } from './counts.ts'
import { ackedOf, exposedOf, type Flow, NO_FLOW, writtenOf } from './flow.ts'
import type { Agree, Close, FromPayee, Pay, Restate, Tick } from './messages.ts'
import { costOf, worthOf } from './worth.ts'

export type PayeeStatus = 'offered' | 'live' | 'closing' | 'cut' | 'closed'

export interface PayeeSession {
  readonly id: SessionId
  readonly status: PayeeStatus
  readonly terms: Terms
  readonly termsDigest: Hash32
  readonly termsSignature: Uint8Array
  readonly payerSignature: Uint8Array | undefined
  /** this session's payments that are verified; ahead of `paid` by what is being stored */
  readonly total: Amount
  /** this session's payments that are verified and durable */
  readonly paid: Amount
  readonly flow: Flow
  /** what the service charged beside bytes and time */
  readonly counts: CountFlows
  /** what it may still charge for work that is going on: exposed, and not told */
  readonly held: Counts
  /** bytes that the service took of each stream and that were not told yet */
  readonly unsaid: ReadonlyMap<number, bigint>
  /** the payee's own clock of the session, whole milliseconds, running only while a stream is open and nothing is paused */
  readonly ms: bigint
  /** the payer's clock of the session, as acknowledged */
  readonly ackedMs: bigint
  readonly paused: boolean
  /** what the session was paused for: it goes on when this is covered */
  readonly want: Want
  /** monotonic time since which the payer's next step is waited for: its accept, a payment, its return after a cut */
  readonly waitingSince: number | undefined
  /** monotonic time of the last look at the clock */
  readonly at: number
  /** the payer was asked to close, for this reason (a registered number) */
  readonly stopping: number | undefined
  readonly closeReason: number
  readonly receipt: SignedReceipt | undefined
  readonly countersignature: Uint8Array | undefined
}

/** What something wants to expose next. */
export type Want = Partial<Meter>

/** One more byte to the consumer. */
export const BYTE: Want = { down: 1n }

/** The three records that one input may change; the shell keeps them and stores them. */
export interface PayeeState {
  readonly session: PayeeSession
  readonly channel: ChannelIn
  readonly owner: OwnerAccount
}

export interface PayeePolicy extends CreditPolicy {
  readonly marginS: number
  readonly unreserved: Amount
  /** how often the shell looks at the clock, ms: time is sold in steps of this */
  readonly clockMs: number
  /** how long a session that was cut may be resumed, ms */
  readonly resumeMs: number
}

export interface PayeeContext {
  /** monotonic, ms */
  readonly nowMs: number
  readonly nowS: Seconds
  readonly policy: PayeePolicy
  /** what the same owner's other sessions use of its credit */
  readonly otherExposure: Amount
  readonly verifyPromise: (promise: SignedPromise) => boolean
  /** an anchor that stood in an earlier lock: what was paid with its words must not be paid with them again */
  readonly isAnchorUsed: (anchor: Hash32) => boolean
  readonly verifyTerms: (signature: Uint8Array) => boolean
  readonly verifyReceipt: (receipt: Receipt, signature: Uint8Array) => boolean
  readonly signReceipt: (receipt: Receipt) => Uint8Array
}

export type PayeeInput =
  | { readonly type: 'restate'; readonly message: Restate }
  | { readonly type: 'accept'; readonly signature: Uint8Array }
  | { readonly type: 'promise'; readonly message: Pay }
  /** with `proven`, the last of a run of ticks that was walked from there */
  | { readonly type: 'tick'; readonly message: Tick; readonly proven?: Chain }
  | { readonly type: 'ack'; readonly stream: number; readonly bytes: bigint; readonly ms: bigint; readonly final: boolean }
  | { readonly type: 'agree'; readonly message: Agree }
  | { readonly type: 'close'; readonly message: Close }
  | { readonly type: 'countersign'; readonly signature: Uint8Array }
  | { readonly type: 'fault'; readonly code: number }
  /** the records of an earlier `store` are durable */
  | { readonly type: 'stored'; readonly what: 'accept' | 'payment' | 'end'; readonly total: Amount }
  | { readonly type: 'opened'; readonly stream: number }
  | { readonly type: 'wrote'; readonly stream: number; readonly bytes: number }
  /** the service takes so many bytes of a stream; `allowance` covered them */
  | { readonly type: 'took'; readonly stream: number; readonly bytes: number }
  /** the service may charge so much for what it does now; `covers` said so */
  | { readonly type: 'hold'; readonly counts: Counts }
  /** of `held` so much is charged, the rest is released; `final`: and the service is done with the stream */
  | {
      readonly type: 'settle'
      readonly stream: number
      readonly held: Counts
      readonly charged: Counts
      readonly final?: boolean
    }
  /** what was held is given away: it will never be charged */
  | { readonly type: 'forfeit'; readonly held: Counts }
  /** the service is done with a stream */
  | { readonly type: 'served'; readonly stream: number }
  /** a data stream waits for this (a byte to be written, unless it says so), which `covers` does not allow now */
  | { readonly type: 'blocked'; readonly want?: Want }
  | { readonly type: 'clock' }
  | { readonly type: 'stop'; readonly code: ErrorCode }
  | { readonly type: 'cut' }
  | { readonly type: 'resume'; readonly acked: Meter }

export type PayeeEffect =
  | { readonly type: 'send'; readonly message: FromPayee }
  /** write the three records, as `onceDurable` has them, in one synced batch; then give `then` back as an input */
  | { readonly type: 'store'; readonly then: PayeeInput | undefined }
  /** more may be written now */
  | { readonly type: 'serve' }
  /** reset the session's data streams */
  | { readonly type: 'cutStreams' }
  /** the peer broke the rules in a way that ends the whole control stream */
  | { readonly type: 'drop'; readonly code: ErrorCode }
  /** nothing more of a session that is over is looked at on this stream */
  | { readonly type: 'forget' }
  /** the channel should be settled soon, whatever the gas policy says */
  | { readonly type: 'settle' }
  | { readonly type: 'ended'; readonly code: ErrorCode | undefined }

export interface PayeeStep {
  readonly state: PayeeState
  readonly effects: readonly PayeeEffect[]
}

export function newPayeeSession(terms: Terms, termsDigest: Hash32, termsSignature: Uint8Array, nowMs: number): PayeeSession {
  return {
    id: terms.session, status: 'offered', terms, termsDigest, termsSignature, payerSignature: undefined,
    total: 0n as Amount, paid: 0n as Amount, flow: NO_FLOW, counts: NO_COUNT_FLOWS, held: NO_COUNTS, unsaid: new Map(),
    ms: 0n, ackedMs: 0n, paused: false, want: BYTE, waitingSince: nowMs, at: nowMs,
    stopping: undefined, closeReason: 0, receipt: undefined, countersignature: undefined,
  } // biome-ignore format: one noun a line would hide the shape
}

/** Whether the payer has ever accepted the terms: before that there is nothing to be paid, and nothing to be forgotten. */
export const isAgreed = (session: PayeeSession): boolean => session.payerSignature !== undefined

/** Most sessions count nothing but bytes and time: that costs them nothing. */
const meterWith = (counts: CountFlows, of: (flow: Flow) => bigint): Meter =>
  counts === NO_COUNT_FLOWS ? ZERO_METER : { ...ZERO_METER, ...countsOf(counts, of) }

/** What the payee has written that may still be acknowledged, and its own clock. */
export function writtenMeter(session: PayeeSession): Meter {
  const { flow, counts, ms } = session
  return { ...meterWith(counts, writtenOf), down: writtenOf(flow), ms }
}

/** What the payee gave away: also what was written and can no longer be acknowledged, and what it may still charge (S2). */
export function exposedMeter({ flow, counts, held, ms }: PayeeSession): Meter {
  if (counts === NO_COUNT_FLOWS && held === NO_COUNTS) return { ...ZERO_METER, down: exposedOf(flow), ms }
  return { ...addCounts(countsOf(counts, exposedOf), held), down: exposedOf(flow), ms }
}

/** The same without what is lost: what may still be acknowledged, now or when the work is done. */
function pendingMeter(session: PayeeSession): Meter {
  const written = writtenMeter(session)
  return session.held === NO_COUNTS ? written : { ...written, ...addCounts(written, session.held) }
}

/** What the payer acknowledged: the side that is due. */
export function ackedMeter(session: PayeeSession): Meter {
  const { flow, counts, ackedMs } = session
  return { ...meterWith(counts, ackedOf), down: ackedOf(flow), ms: ackedMs }
}

/** What is due for what the payer acknowledged, arrears included (S1, S2), in base units. */
export function dueOf(session: PayeeSession): Amount {
  return worthOf(session.terms, ackedMeter(session))
}

/** What the payee would lose if the payer vanished now: written but not durably paid, in base units. Arrears were lost before. */
export function exposureOf(session: PayeeSession): Amount {
  if (session.status === 'closed') return 0n as Amount
  const worth = worthOf(session.terms, exposedMeter(session))
  const covered = session.paid > session.terms.arrears ? session.paid : session.terms.arrears
  return (worth > covered ? worth - covered : 0n) as Amount
}

/** The credit this session may use right now, in base units. */
export function creditOf(state: PayeeState, context: PayeeContext): Amount {
  const limit = creditLimit(state.owner, context.policy)
  return (limit > context.otherExposure ? limit - context.otherExposure : 0n) as Amount
}

/** The credit as the payer is told it: less what was lost on the way, which uses credit until the session ends (S8). */
export function creditLeft(state: PayeeState, context: PayeeContext): Amount {
  const { session } = state
  const lost = worthOf(session.terms, exposedMeter(session)) - worthOf(session.terms, pendingMeter(session))
  const credit = creditOf(state, context)
  return (credit > lost ? credit - lost : 0n) as Amount
}

export const sellsTime = (terms: Terms): boolean => rateOf(terms.price, 'ms') !== undefined

/** What the exposure of the session may cost, arrears apart; undefined when nothing more may be exposed. */
function spendable(state: PayeeState, context: PayeeContext): Amount | undefined {
  const { session } = state
  if (session.status !== 'live' || session.stopping !== undefined) return undefined
  const sum = session.paid + creditOf(state, context) - session.terms.arrears
  if (sum < 0n) return undefined
  return (sum < MAX_AMOUNT ? sum : MAX_AMOUNT) as Amount
}

/** What is exposed. Time is sold in steps of the clock: the next step must be covered before it runs. */
function nextMeter(session: PayeeSession, context: PayeeContext): Meter {
  const exposed = exposedMeter(session)
  return sellsTime(session.terms) ? { ...exposed, ms: exposed.ms + BigInt(context.policy.clockMs) } : exposed
}

/** How many more bytes may be written, or taken, now over all streams of the session (S2); undefined = as many as one likes. */
export function allowance(state: PayeeState, context: PayeeContext, kind: 'down' | 'up' = 'down'): bigint | undefined {
  const most = spendable(state, context)
  if (most === undefined) return 0n
  const { price } = state.session.terms
  const next = nextMeter(state.session, context)
  const count = maxCountWithin(price, next, kind, most)
  if (count === undefined) return due(price, next) <= most ? undefined : 0n
  return count > next[kind] ? count - next[kind] : 0n
}

/** Whether so much more may be exposed now (S2). */
export function covers(state: PayeeState, context: PayeeContext, want: Want): boolean {
  const most = spendable(state, context)
  if (most === undefined) return false
  const meter = { ...nextMeter(state.session, context) }
  for (const kind of METER_KINDS) meter[kind] += want[kind] ?? 0n
  return METER_KINDS.every((kind) => meter[kind] <= MAX_COUNT) && costOf(state.session.terms.price, meter) <= most
}

/**
 * Session and owner as they are once everything that was given to the disk so far is on it: what is stored with a payment is paid in the
 * stored records. So a crash right after the write loses no payment.
 */
export function onceDurable(
  session: PayeeSession,
  owner: OwnerAccount,
): { readonly session: PayeeSession; readonly owner: OwnerAccount } {
  return { session: { ...session, paid: session.total }, owner: credited(owner, session, session.total) }
}

/** The owner's account after this session's durable payments rose to `paid`: arrears, or the debt the session left, are paid off first. */
export function credited(owner: OwnerAccount, session: PayeeSession, paid: Amount): OwnerAccount {
  if (paid <= session.paid) return owner
  const owed = session.status === 'closed' ? dueOf(session) : session.terms.arrears
  const towards = (sum: Amount): bigint => (sum < owed ? sum : owed)
  const off = towards(paid) - towards(session.paid)
  return { ...owner, paid: owner.paid + (paid - session.paid), debt: (owner.debt > off ? owner.debt - off : 0n) as Amount }
}
