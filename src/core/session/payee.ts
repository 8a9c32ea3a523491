/**
 * The payee's (provider's) side of one session as a pure function. The shell gives it what happened, stores what it says, and only
 * then does what it says.
 * @see protocols/session/SPEC.md
 */
import type { Amount } from '../amount.ts'
import { type ChannelIn, judgePromise } from '../channel.ts'
import { type CreditPolicy, creditLimit, type OwnerAccount } from '../credit.ts'
import { codeOfWire, type ErrorCode, TallyError } from '../errors.ts'
import type { Hash32, Seconds, SessionId } from '../ids.ts'
import { addMeters, type Meter, ZERO_METER } from '../meter.ts'
import { chunkCost, due, maxCountWithin } from '../price.ts'
import type { SignedPromise } from '../promise.ts'
import type { Receipt, SignedReceipt } from '../receipt.ts'
import type { Terms } from '../terms.ts'
import { acknowledge, ackedOf, type Flow, foldAll, NO_FLOW, openStream, writtenOf, wrote } from './flow.ts'
import type { Close, FromPayee, Pay, Restate } from './messages.ts'

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
  /** the payee's own clock of the session, whole milliseconds, running only while a stream is open and nothing is paused */
  readonly ms: bigint
  /** the payer's clock of the session, as acknowledged */
  readonly ackedMs: bigint
  readonly paused: boolean
  /** monotonic time since which a payment is waited for */
  readonly waitingSince: number | undefined
  /** monotonic time of the last look at the clock */
  readonly at: number
  /** the payer was asked to close, for this reason (a registered number) */
  readonly stopping: number | undefined
  readonly closeReason: number
  readonly receipt: SignedReceipt | undefined
  readonly countersignature: Uint8Array | undefined
}

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
  readonly verifyTerms: (signature: Uint8Array) => boolean
  readonly verifyReceipt: (receipt: Receipt, signature: Uint8Array) => boolean
  readonly signReceipt: (receipt: Receipt) => Uint8Array
}

export type PayeeInput =
  | { readonly type: 'restate'; readonly message: Restate }
  | { readonly type: 'accept'; readonly signature: Uint8Array }
  | { readonly type: 'promise'; readonly message: Pay }
  | { readonly type: 'ack'; readonly stream: number; readonly bytes: bigint; readonly ms: bigint; readonly final: boolean }
  | { readonly type: 'close'; readonly message: Close }
  | { readonly type: 'countersign'; readonly signature: Uint8Array }
  | { readonly type: 'fault'; readonly code: number }
  /** the records of an earlier `store` are durable */
  | { readonly type: 'stored'; readonly what: 'accept' | 'payment' | 'restate'; readonly total: Amount }
  | { readonly type: 'opened'; readonly stream: number }
  | { readonly type: 'wrote'; readonly stream: number; readonly bytes: number }
  /** a data stream wants to write and `allowance` is zero */
  | { readonly type: 'blocked' }
  | { readonly type: 'clock' }
  | { readonly type: 'stop'; readonly code: ErrorCode }
  | { readonly type: 'cut' }
  | { readonly type: 'resume'; readonly acked: Meter }

export type PayeeEffect =
  | { readonly type: 'send'; readonly message: FromPayee }
  /** write the three records in one synced batch, then give `then` back as an input */
  | { readonly type: 'store'; readonly then: PayeeInput | undefined }
  /** more may be written now */
  | { readonly type: 'serve' }
  /** reset the session's data streams */
  | { readonly type: 'cutStreams' }
  /** the peer broke the rules in a way that ends the whole control stream */
  | { readonly type: 'drop'; readonly code: ErrorCode }
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
    total: 0n as Amount, paid: 0n as Amount, flow: NO_FLOW, ms: 0n, ackedMs: 0n, paused: false, waitingSince: undefined, at: nowMs,
    stopping: undefined, closeReason: 0, receipt: undefined, countersignature: undefined,
  } // biome-ignore format: one noun a line would hide the shape
}

/** What the payee has written and its own clock: the exposure side of the meter. */
export function writtenMeter(session: PayeeSession): Meter {
  return { ...ZERO_METER, down: writtenOf(session.flow), ms: session.ms }
}

/** What the payer acknowledged: the side that is due. */
export function ackedMeter(session: PayeeSession): Meter {
  return { ...ZERO_METER, down: ackedOf(session.flow), ms: session.ackedMs }
}

/** What is due for what the payer acknowledged, arrears included (S1, S2), in base units. */
export function dueOf(session: PayeeSession): Amount {
  return (session.terms.arrears + due(session.terms.price, ackedMeter(session))) as Amount
}

/** What the payee would lose if the payer vanished now: written but not durably paid, in base units. Arrears were lost before. */
export function exposureOf(session: PayeeSession): Amount {
  if (session.status === 'closed') return 0n as Amount
  const worth = session.terms.arrears + due(session.terms.price, writtenMeter(session))
  const covered = session.paid > session.terms.arrears ? session.paid : session.terms.arrears
  return (worth > covered ? worth - covered : 0n) as Amount
}

/** The credit this session may use right now, in base units. */
export function creditOf(state: PayeeState, context: PayeeContext): Amount {
  const limit = creditLimit(state.owner, context.policy)
  return (limit > context.otherExposure ? limit - context.otherExposure : 0n) as Amount
}

/** How many more bytes may be written now, over all streams of the session (S2); undefined = as many as one likes. */
export function allowance(state: PayeeState, context: PayeeContext): bigint | undefined {
  const { session } = state
  if (session.status !== 'live' || session.stopping !== undefined) return 0n
  const spendable = session.paid + creditOf(state, context) - session.terms.arrears
  if (spendable < 0n) return 0n
  const { price } = session.terms
  const written = writtenMeter(session)
  // time is sold in steps of the clock: the next step must be covered before it runs
  const next = price.rates.some((rate) => rate.kind === 'ms') ? { ...written, ms: written.ms + BigInt(context.policy.clockMs) } : written
  const most = maxCountWithin(price, next, 'down', spendable as Amount)
  if (most === undefined) return due(price, next) <= spendable ? undefined : 0n
  return most > written.down ? most - written.down : 0n
}

const send = (message: FromPayee): PayeeEffect => ({ type: 'send', message })
const keep = (state: PayeeState, ...effects: PayeeEffect[]): PayeeStep => ({ state, effects })
const change = (state: PayeeState, session: Partial<PayeeSession>): PayeeState => ({ ...state, session: { ...state.session, ...session } })

function report(state: PayeeState, context: PayeeContext): PayeeEffect {
  const { session } = state
  const { id, paid, paused } = session
  return send({ type: 'meter', session: id, written: writtenMeter(session), paid, credit: creditOf(state, context), paused })
}

/**
 * One input of one session. Never throws on anything a peer can cause; a broken rule becomes a fault and ends the session.
 * Every input is stamped with `context.nowMs`; time must not go back.
 */
export function stepPayee(before: PayeeState, input: PayeeInput, context: PayeeContext): PayeeStep {
  const state = advance(before, context)
  if (state.session.status === 'closed') return stepClosed(state, input, context)
  switch (input.type) {
    case 'restate': return onRestate(state, input.message, context)
    case 'accept': return onAccept(state, input.signature, context)
    case 'promise': return onPromise(state, input.message, context)
    case 'ack': return onAck(state, input, context)
    case 'close': return onClose(state, input.message, context)
    case 'countersign': return refuse(state, 'WRONG_STATE', context)
    case 'fault': return giveUp(state, codeOfWire(input.code) ?? 'PEER_REFUSED', context)
    case 'stored': return onStored(state, input, context)
    case 'opened': return state.session.status === 'live' ? keep(change(state, { flow: openStream(state.session.flow, input.stream) })) : keep(state)
    case 'wrote': return keep(change(state, { flow: wrote(state.session.flow, input.stream, BigInt(input.bytes)) }))
    case 'blocked': return onBlocked(state, context)
    case 'clock': return onClock(state, context)
    case 'stop': return onStop(state, input.code, context)
    case 'cut': return onCut(state, context)
    case 'resume': return onResume(state, input.acked, context)
    default: return input satisfies never
  } // biome-ignore format: a table
}

/** Lets the session's clock run (S6): only live, only with a stream open, never while paused. */
function advance(state: PayeeState, context: PayeeContext): PayeeState {
  const { session } = state
  const passed = Math.max(0, Math.floor(context.nowMs - session.at))
  if (passed === 0) return state
  const runs = session.status === 'live' && !session.paused && session.flow.open.size > 0
  return change(state, { at: session.at + passed, ms: runs ? session.ms + BigInt(passed) : session.ms })
}

function onRestate(state: PayeeState, message: Restate, context: PayeeContext): PayeeStep {
  if (state.session.status !== 'offered') return refuse(state, 'WRONG_STATE', context)
  const verdict = judge(state, message.promise, context)
  if (verdict === 'same') return keep(state)
  if (verdict !== 'better') return refuse(state, verdict, context)
  const channel = { ...state.channel, best: message.promise }
  return keep({ ...state, channel }, { type: 'store', then: { type: 'stored', what: 'restate', total: state.session.total } })
}

function onAccept(state: PayeeState, signature: Uint8Array, context: PayeeContext): PayeeStep {
  if (state.session.status !== 'offered') return refuse(state, 'WRONG_STATE', context)
  if (!context.verifyTerms(signature)) return refuse(state, 'SIGNER_WRONG', context)
  const next = change(state, { status: 'live', payerSignature: signature, waitingSince: undefined, paused: false })
  return keep(next, { type: 'store', then: { type: 'stored', what: 'accept', total: state.session.total } })
}

const judge = (state: PayeeState, promise: SignedPromise, context: PayeeContext): ReturnType<typeof judgePromise> =>
  judgePromise(state.channel, promise, {
    now: context.nowS,
    marginS: context.policy.marginS,
    unreserved: context.policy.unreserved,
    verify: context.verifyPromise,
  })

function onPromise(state: PayeeState, message: Pay, context: PayeeContext): PayeeStep {
  const { session, channel } = state
  if (session.status !== 'live' && session.status !== 'closing') return refuse(state, 'WRONG_STATE', context)
  const verdict = judge(state, message.promise, context)
  const rise = message.promise.amount - (channel.best?.amount ?? 0n)
  if (verdict === 'same' && message.total === session.total) return keep(state, report(state, context))
  if (verdict !== 'same' && verdict !== 'better') return refuse(state, verdict, context)
  if (rise !== message.total - session.total) return refuse(state, 'RISE_MISMATCH', context)
  const next = { ...change(state, { total: message.total }), channel: { ...channel, best: message.promise } }
  return keep(next, { type: 'store', then: { type: 'stored', what: 'payment', total: message.total } })
}

function onStored(state: PayeeState, input: PayeeInput & { type: 'stored' }, context: PayeeContext): PayeeStep {
  const { session } = state
  if (input.what === 'restate') return keep(state)
  if (input.what === 'accept') {
    if (session.status !== 'live') return keep(state)
    return keep(state, send({ type: 'ready', session: session.id, credit: creditOf(state, context) }))
  }
  if (input.total <= session.paid) return keep(state)
  const paidState = { ...change(state, { paid: input.total }), owner: credited(state, input.total) }
  if (session.status === 'closing' && input.total === session.total) return finish(paidState, session.closeReason, context)
  const freed = settleWaiting(paidState, context, true)
  return keep(freed, report(freed, context), { type: 'serve' })
}

/** The owner's account after this session's durable payments rose to `paid`: arrears are paid off first. */
function credited(state: PayeeState, paid: Amount): OwnerAccount {
  const { owner, session } = state
  const towards = (sum: Amount): bigint => (sum < session.terms.arrears ? sum : session.terms.arrears)
  const off = towards(paid) - towards(session.paid)
  return { ...owner, paid: owner.paid + (paid - session.paid), debt: (owner.debt > off ? owner.debt - off : 0n) as Amount }
}

/**
 * Whether the payer is late: it must pay when a chunk is due, or at once while the session is paused (S3, S4). Its patience starts anew
 * with every payment (`progress`), but not once it was asked to close.
 */
function settleWaiting(state: PayeeState, context: PayeeContext, progress: boolean): PayeeState {
  const { session } = state
  const paused = session.paused && allowance(state, context) === 0n
  const late = dueOf(session) - session.paid >= minimum(chunkCost(session.terms.price, session.terms.chunk))
  const since = progress && session.stopping === undefined ? context.nowMs : (session.waitingSince ?? context.nowMs)
  return change(state, { paused, waitingSince: paused || late ? since : undefined })
}

const minimum = (cost: Amount): bigint => (cost > 0n ? cost : 1n)

function onAck(state: PayeeState, ack: PayeeInput & { type: 'ack' }, context: PayeeContext): PayeeStep {
  const { session } = state
  if (session.status !== 'live' && session.status !== 'closing') return refuse(state, 'WRONG_STATE', context)
  const flow = acknowledge(session.flow, ack.stream, ack.bytes, ack.final)
  if (flow === undefined || !clocksAgree(session.ms, ack.ms)) return refuse(state, 'METER_DISAGREES', context)
  const ackedMs = ack.ms > session.ackedMs ? ack.ms : session.ackedMs
  const next = settleWaiting(change(state, { flow, ackedMs }), context, false)
  // a stream that ended frees what it had written beyond its acknowledgement
  return keep(next, ...(ack.final ? [{ type: 'serve' } as const] : []))
}

/** S6: 1 % + 1 s. */
function clocksAgree(own: bigint, theirs: bigint): boolean {
  const apart = own > theirs ? own - theirs : theirs - own
  return apart <= own / 100n + 1000n
}

function onBlocked(state: PayeeState, context: PayeeContext): PayeeStep {
  const { session } = state
  if (session.status !== 'live' || session.paused) return keep(state)
  if (allowance(state, context) !== 0n) return keep(state, { type: 'serve' })
  const next = change(state, { paused: true, waitingSince: context.nowMs })
  return keep(next, report(next, context))
}

function onClock(state: PayeeState, context: PayeeContext): PayeeStep {
  const { session, channel } = state
  const waited = session.waitingSince === undefined ? 0 : context.nowMs - session.waitingSince
  if (session.status === 'cut') return waited > context.policy.resumeMs ? giveUp(state, 'STREAM_CUT', context) : keep(state)
  if (waited > session.terms.patienceMs) return giveUp(state, session.stopping === undefined ? 'PATIENCE_OVER' : (codeOfWire(session.stopping) ?? 'PATIENCE_OVER'), context)
  if (session.status !== 'live') return keep(state)
  if (context.nowS >= channel.facts.expiry - context.policy.marginS) return onStop(state, 'CHANNEL_EXPIRED', context)
  const overTime = session.flow.open.size > 0 && !session.paused && allowance(state, context) === 0n
  return overTime ? onBlocked(state, context) : keep(state)
}

/** Asks the payer to close; nothing more is written. If it does not within its patience, the clock ends the session. */
function onStop(state: PayeeState, code: ErrorCode, context: PayeeContext): PayeeStep {
  const { session } = state
  if (session.status === 'offered' || session.status === 'cut') return giveUp(state, code, context)
  if (session.status !== 'live' || session.stopping !== undefined) return keep(state)
  const reason = wireOf(code)
  const next = change(state, { stopping: reason, waitingSince: context.nowMs, paused: true })
  const effects: PayeeEffect[] = [send({ type: 'closing', session: session.id, reason })]
  if (code === 'CHANNEL_EXPIRED') effects.push({ type: 'settle' })
  return keep(next, ...effects)
}

const wireOf = (code: ErrorCode): number => new TallyError(code).wire

function onClose(state: PayeeState, message: Close, context: PayeeContext): PayeeStep {
  const { session } = state
  if (session.status !== 'live') return refuse(state, 'WRONG_STATE', context)
  if (message.total !== session.total) return refuse(state, 'RISE_MISMATCH', context)
  const written = writtenMeter(session)
  if (message.acked.down > written.down || message.acked.down < ackedOf(session.flow) || !clocksAgree(session.ms, message.acked.ms)) {
    return refuse(state, 'METER_DISAGREES', context)
  }
  const flow = foldAll(session.flow, message.acked.down)
  const ackedMs = message.acked.ms > session.ackedMs ? message.acked.ms : session.ackedMs
  const burnt = burnOf(session, { ...session, flow, ackedMs })
  const owner = { ...state.owner, burnt: (state.owner.burnt + burnt) as Amount }
  const next = { ...change(state, { status: 'closing', flow, ackedMs, closeReason: message.reason, waitingSince: context.nowMs }), owner }
  const done = session.paid === session.total
  if (!done) return keep(next, { type: 'cutStreams' })
  const end = finish(next, message.reason, context)
  return keep(end.state, { type: 'cutStreams' }, ...end.effects)
}

/** What was written on credit and is now known never to be paid: counted against the owner's credit (S8), not as a debt (S7). */
function burnOf(before: PayeeSession, after: PayeeSession): Amount {
  const worth = before.terms.arrears + due(before.terms.price, writtenMeter(before))
  const dueAfter = dueOf(after)
  const covered = dueAfter > after.total ? dueAfter : after.total
  return (worth > covered ? worth - covered : 0n) as Amount
}

function onCut(state: PayeeState, context: PayeeContext): PayeeStep {
  const { session } = state
  if (session.status === 'offered') return keep(change(state, { status: 'closed' }), { type: 'ended', code: 'STREAM_CUT' })
  if (session.status === 'closing' && session.paid < session.total) return keep(change(state, { status: 'cut', waitingSince: context.nowMs }))
  if (session.status !== 'live') return keep(state)
  const next = change(state, { status: 'cut', paused: false, waitingSince: context.nowMs })
  return keep(next, { type: 'cutStreams' }, { type: 'store', then: undefined })
}

function onResume(state: PayeeState, acked: Meter, context: PayeeContext): PayeeStep {
  const { session } = state
  if (session.status !== 'cut') return refuse(state, 'WRONG_STATE', context)
  const flow = foldAll(session.flow, acked.down)
  const ackedMs = acked.ms > session.ackedMs ? acked.ms : session.ackedMs
  const burnt = burnOf(session, { ...session, flow, ackedMs })
  const ms = session.ms > ackedMs ? session.ms : ackedMs
  const owner = { ...state.owner, burnt: (state.owner.burnt + burnt) as Amount }
  return keep({ ...change(state, { status: 'offered', flow, ackedMs, ms, at: context.nowMs, waitingSince: undefined, stopping: undefined }), owner })
}

function receiptOf(state: PayeeState, reason: number, context: PayeeContext): Receipt {
  const { session, channel } = state
  return {
    session: session.id, terms: session.termsDigest, channel: channel.id, total: session.paid,
    amount: channel.best?.amount ?? (0n as Amount), meter: ackedMeter(session), closed: context.nowS, reason,
  } // biome-ignore format: a record
}

/** Everything that was promised is durable: the receipt, and what stays owed. */
function finish(state: PayeeState, reason: number, context: PayeeContext): PayeeStep {
  const { session, owner } = state
  const owed = dueOf(session) - session.paid
  // arrears that this session did not pay off are in the owner's debt already
  const known = session.terms.arrears > session.paid ? session.terms.arrears - session.paid : 0n
  const fresh = owed > known ? owed - known : 0n
  const body = receiptOf(state, reason, context)
  const receipt: SignedReceipt = { receipt: body, signature: context.signReceipt(body) }
  const next = { ...change(state, { status: 'closed', receipt, closeReason: reason }), owner: { ...owner, debt: (owner.debt + fresh) as Amount } }
  return keep(
    next,
    { type: 'store', then: undefined },
    send({ type: 'receipt', session: session.id, receipt }),
    { type: 'ended', code: reason === 0 ? undefined : (codeOfWire(reason) ?? 'PEER_REFUSED') },
  )
}

/** Ends the session without the payer's help (C3): streams cut, debt written down, receipt alone. */
function giveUp(state: PayeeState, code: ErrorCode, context: PayeeContext): PayeeStep {
  const { session } = state
  if (session.status === 'offered') return keep(change(state, { status: 'closed' }), { type: 'ended', code })
  const flow = foldAll(session.flow)
  const burnt = burnOf(session, { ...session, flow })
  const owner = { ...state.owner, burnt: (state.owner.burnt + burnt) as Amount }
  const end = finish({ ...change(state, { flow }), owner }, wireOf(code), context)
  return keep(end.state, { type: 'cutStreams' }, send({ type: 'fault', session: session.id, code: wireOf(code) }), ...end.effects)
}

function refuse(state: PayeeState, code: ErrorCode, context: PayeeContext): PayeeStep {
  const drop: PayeeEffect[] = code === 'SIGNER_WRONG' ? [{ type: 'drop', code }] : []
  const fault = send({ type: 'fault', session: state.session.id, code: wireOf(code) })
  if (state.session.status === 'offered') {
    return keep(change(state, { status: 'closed' }), fault, { type: 'ended', code }, ...drop)
  }
  const end = giveUp(state, code, context)
  return keep(end.state, ...end.effects, ...drop)
}

function stepClosed(state: PayeeState, input: PayeeInput, context: PayeeContext): PayeeStep {
  const { session } = state
  if (input.type === 'stored' && input.what === 'payment' && input.total > session.paid) {
    // the payment became durable after the session had ended: it is the owner's all the same
    const rise = input.total - session.paid
    const debt = (state.owner.debt > rise ? state.owner.debt - rise : 0n) as Amount
    const owner = { ...state.owner, paid: state.owner.paid + rise, debt }
    return keep({ ...change(state, { paid: input.total }), owner }, { type: 'store', then: undefined })
  }
  if (input.type !== 'countersign' || session.receipt === undefined || session.countersignature !== undefined) return keep(state)
  if (!context.verifyReceipt(session.receipt.receipt, input.signature)) return keep(state)
  return keep(change(state, { countersignature: input.signature }), { type: 'store', then: undefined })
}

/** The receipt side of the meter, exported for the books. */
export const deliveredMeter = (session: PayeeSession): Meter => addMeters(ZERO_METER, ackedMeter(session))
