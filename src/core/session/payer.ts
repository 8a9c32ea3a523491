/**
 * The payer's (consumer's) side of one session as a pure function: it decides when to pay, how much, and when to stop.
 * @see protocols/session/SPEC.md
 */
import type { Amount } from '../amount.ts'
import { agreeOnHead, type ChannelOut } from '../channel.ts'
import { codeOfWire, type ErrorCode, TallyError } from '../errors.ts'
import type { Hash32, Seconds, SessionId } from '../ids.ts'
import { type Meter, ZERO_METER } from '../meter.ts'
import { chunkCost, due, maxCountWithin } from '../price.ts'
import type { SignedPromise } from '../promise.ts'
import type { Receipt, SignedReceipt } from '../receipt.ts'
import type { Terms } from '../terms.ts'
import { ackedOf, type Flow, foldAll, NO_FLOW, openStream } from './flow.ts'
import type { FromPayer, MeterReport, Ready, TermsOffered } from './messages.ts'
import { checkTerms, type Wish } from './payer-terms.ts'

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
  readonly ms: bigint
  readonly at: number
  /** the payee's last word on credit */
  readonly credit: Amount
  /** the payee waits for money */
  readonly paused: boolean
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
  /** other sessions that were cut may still account for a difference between the two heads */
  readonly mayRestate: boolean
  /** no other session uses this channel, so that every difference must be this one's */
  readonly alone: boolean
  readonly digestTerms: (terms: Terms) => Hash32
  readonly verifyTerms: (terms: Terms, signature: Uint8Array) => boolean
  readonly signTerms: (terms: Terms) => Uint8Array
  /** whether our own signature is on this promise */
  readonly verifyPromise: (promise: SignedPromise) => boolean
  readonly signPromise: (amount: Amount) => SignedPromise
  readonly verifyReceipt: (receipt: Receipt, signature: Uint8Array) => boolean
  readonly signReceipt: (receipt: Receipt) => Uint8Array
}

export type PayerInput =
  | { readonly type: 'terms'; readonly message: TermsOffered }
  | { readonly type: 'ready'; readonly message: Ready }
  | { readonly type: 'meter'; readonly message: MeterReport }
  | { readonly type: 'opened'; readonly stream: number }
  /** bytes of a stream that were used: checked and kept */
  | { readonly type: 'used'; readonly stream: number; readonly bytes: number }
  | { readonly type: 'ended'; readonly stream: number }
  /** the record with this mark is durable */
  | { readonly type: 'reserved'; readonly mark: Amount }
  /** the record with the agreed terms is durable */
  | { readonly type: 'agreed' }
  | { readonly type: 'clock' }
  | { readonly type: 'finish'; readonly code: ErrorCode | undefined }
  | { readonly type: 'closing'; readonly reason: number }
  | { readonly type: 'receipt'; readonly receipt: SignedReceipt }
  | { readonly type: 'fault'; readonly code: number }
  | { readonly type: 'cut' }

export type PayerEffect =
  | { readonly type: 'send'; readonly message: FromPayer }
  /** write channel and session in one synced batch, then give `then` back as an input */
  | { readonly type: 'store'; readonly then: PayerInput | undefined }
  | { readonly type: 'live' }
  | { readonly type: 'paid'; readonly rise: Amount }
  | { readonly type: 'cutStreams' }
  | { readonly type: 'ended'; readonly code: ErrorCode | undefined }

export interface PayerStep {
  readonly state: PayerState
  readonly effects: readonly PayerEffect[]
}

export function newPayerSession(id: SessionId, wish: Wish, nowMs: number): PayerSession {
  return {
    id, status: 'asked', wish, terms: undefined, termsDigest: undefined, termsSignature: undefined, total: 0n as Amount, paid: 0n as Amount,
    flow: NO_FLOW, ms: 0n, at: nowMs, credit: 0n as Amount, paused: false, reserving: undefined, finishing: undefined, receipt: undefined,
    failure: undefined,
  } // biome-ignore format: one noun a line would hide the shape
}

/** What this end acknowledges to have received. */
export function usedMeter(session: PayerSession): Meter {
  return { ...ZERO_METER, down: ackedOf(session.flow), ms: session.ms }
}

/** What is due for that, arrears included (S1), in base units; zero before there are terms. */
export function owedOf(session: PayerSession): Amount {
  if (session.terms === undefined) return 0n as Amount
  return (session.terms.arrears + due(session.terms.price, usedMeter(session))) as Amount
}

/** What the payer would lose if the payee vanished now: signed for this session and not yet received, base units. */
export function atRiskOf(session: PayerSession): Amount {
  const owed = owedOf(session)
  return (session.total > owed ? session.total - owed : 0n) as Amount
}

const send = (message: FromPayer): PayerEffect => ({ type: 'send', message })
const keep = (state: PayerState, ...effects: PayerEffect[]): PayerStep => ({ state, effects })
const change = (state: PayerState, session: Partial<PayerSession>): PayerState => ({ ...state, session: { ...state.session, ...session } })
const also = (step: PayerStep, ...before: PayerEffect[]): PayerStep => ({ state: step.state, effects: [...before, ...step.effects] })
const wireOf = (code: ErrorCode): number => new TallyError(code).wire

/** One input of one session. Never throws on anything a peer can cause. */
export function stepPayer(before: PayerState, input: PayerInput, context: PayerContext): PayerStep {
  const state = advance(before, context)
  const { session } = state
  if (session.status === 'closed') return input.type === 'receipt' ? onLateReceipt(state, input.receipt, context) : keep(state)
  switch (input.type) {
    case 'terms': return onTerms(state, input.message, context)
    case 'agreed': return onAgreed(state, context)
    case 'ready': return onReady(state, input.message, context)
    case 'meter': return onMeter(state, input.message, context)
    case 'opened': return keep(change(state, { flow: openStream(session.flow, input.stream) }))
    case 'used': return settleUp(change(state, { flow: use(session.flow, input.stream, input.bytes) }), context, false)
    case 'ended': return onEnded(state, input.stream, context)
    case 'reserved': return onReserved(state, input.mark, context)
    case 'clock': return onClock(state, context)
    case 'finish': return onFinish(state, input.code === undefined ? 0 : wireOf(input.code), context)
    case 'closing': return onFinish(state, input.reason, context)
    case 'receipt': return onReceipt(state, input.receipt, context)
    case 'fault': return end(state, codeOfWire(input.code) ?? 'PEER_REFUSED')
    case 'cut': return onCut(state)
    default: return input satisfies never
  } // biome-ignore format: a table
}

function advance(state: PayerState, context: PayerContext): PayerState {
  const { session } = state
  const passed = Math.max(0, Math.floor(context.nowMs - session.at))
  if (passed === 0) return state
  const runs = session.status === 'live' && !session.paused && session.flow.open.size > 0
  return change(state, { at: session.at + passed, ms: runs ? session.ms + BigInt(passed) : session.ms })
}

function use(flow: Flow, stream: number, bytes: number): Flow {
  const count = flow.open.get(stream)
  if (count === undefined) return flow
  const sum = count.acked + BigInt(bytes)
  return { ...flow, open: new Map(flow.open).set(stream, { written: sum, acked: sum }) }
}

function end(state: PayerState, code: ErrorCode): PayerStep {
  const next = change(state, { status: 'closed', failure: code })
  return keep(next, { type: 'cutStreams' }, { type: 'store', then: undefined }, { type: 'ended', code })
}

function refuse(state: PayerState, code: ErrorCode): PayerStep {
  const fault = send({ type: 'fault', session: state.session.id, code: wireOf(code) })
  return also(end(state, code), fault)
}

function onTerms(state: PayerState, message: TermsOffered, context: PayerContext): PayerStep {
  const { session } = state
  if (session.status !== 'asked' && session.status !== 'cut') return refuse(state, 'WRONG_STATE')
  if (!context.verifyTerms(message.terms, message.signature)) return refuse(state, 'SIGNER_WRONG')
  const broken = checkTerms(session, message, context.nowS)
  if (broken !== undefined) return refuse(state, broken)
  const agreed = agreeOnHead(state.channel, message.head, context.verifyPromise, context.mayRestate && session.terms === undefined)
  if (agreed === 'HEAD_DISAGREES' || !totalsAgree(session, message, agreed.gap, agreed.surplus, context.alone)) return refuse(state, 'HEAD_DISAGREES')
  const acked = message.acked.down > ackedOf(session.flow) ? message.acked.down : ackedOf(session.flow)
  const next: PayerState = {
    channel: agreed.channel,
    session: {
      ...session, status: 'starting', terms: message.terms, termsDigest: context.digestTerms(message.terms), termsSignature: message.signature,
      total: message.total, paid: message.total, flow: foldAll(session.flow, acked), ms: message.acked.ms > session.ms ? message.acked.ms : session.ms,
      credit: message.credit, paused: false, reserving: undefined, finishing: undefined,
    },
  } // biome-ignore format: a record
  const restate = agreed.restate === undefined ? [] : [send({ type: 'restate', session: session.id, promise: agreed.restate })]
  return keep(next, ...restate, { type: 'store', then: { type: 'agreed' } })
}

/**
 * H5: on resume the payee's total must be what we know was paid, give or take exactly what the two heads differ by. A payee
 * that holds less than we sent gets the rest again; one that claims to hold less than its own head shows is refused.
 */
function totalsAgree(session: PayerSession, message: TermsOffered, gap: Amount, surplus: Amount, alone: boolean): boolean {
  if (session.terms === undefined) return message.total === 0n
  const missing = session.total - message.total
  const worth = message.terms.arrears + due(message.terms.price, message.acked)
  const cost = chunkCost(message.terms.price, message.terms.chunk)
  if (message.acked.down > ackedOf(session.flow) && worth > message.total + cost) return false
  if (missing > 0n) return missing <= gap
  return !alone || -missing === surplus
}

function onAgreed(state: PayerState, context: PayerContext): PayerStep {
  const { session } = state
  if (session.status !== 'starting' || session.terms === undefined) return keep(state)
  return keep(state, send({ type: 'accept', session: session.id, signature: context.signTerms(session.terms) }))
}

function onReady(state: PayerState, message: Ready, context: PayerContext): PayerStep {
  if (state.session.status !== 'starting') return refuse(state, 'WRONG_STATE')
  const next = change(state, { status: 'live', credit: message.credit, at: context.nowMs })
  return also(settleUp(next, context, false), { type: 'live' })
}

function onMeter(state: PayerState, message: MeterReport, context: PayerContext): PayerStep {
  const { session } = state
  if (session.status !== 'live' && session.status !== 'closing') return keep(state)
  if (message.paid > session.total) return refuse(state, 'METER_DISAGREES')
  const paid = message.paid > session.paid ? message.paid : session.paid
  // a pause that was overtaken by a payment on its way is over by the time that payment is counted
  const paused = message.paused && message.paid >= session.total
  return settleUp(change(state, { paid, credit: message.credit, paused }), context, message.paused)
}

/** Time is bought in steps: a step that the budget does not cover is not used. */
function onClock(state: PayerState, context: PayerContext): PayerStep {
  const { session, channel } = state
  const { terms } = session
  if (terms === undefined || session.status !== 'live' || session.flow.open.size === 0) return settleUp(state, context, false)
  const soon = terms.arrears + due(terms.price, { ...usedMeter(session), ms: session.ms + STEP_MS })
  if (soon > owedOf(session) && soon - session.total > roomOf(session, channel)) return onFinish(state, shortReason(session, channel), context)
  return settleUp(state, context, false)
}

/** how far ahead a buyer of time looks for the end of its budget, ms */
const STEP_MS = 500n

function onCut(state: PayerState): PayerStep {
  if (state.session.terms === undefined) return end(state, 'STREAM_CUT')
  const next = change(state, { status: 'cut', reserving: undefined, flow: foldAll(state.session.flow) })
  return keep(next, { type: 'cutStreams' }, { type: 'store', then: undefined })
}

/**
 * How many more bytes may be used before the budget or the deposit is used up; undefined = no limit. What is beyond must not be
 * handed over: it could not be paid.
 */
export function usableBytes(state: PayerState): bigint | undefined {
  const { session, channel } = state
  if (session.terms === undefined) return 0n
  const spendable = session.total + roomOf(session, channel) - session.terms.arrears
  if (spendable < 0n) return 0n
  const used = usedMeter(session)
  const most = maxCountWithin(session.terms.price, used, 'down', spendable as Amount)
  if (most === undefined) return undefined
  return most > used.down ? most - used.down : 0n
}

function onEnded(state: PayerState, stream: number, context: PayerContext): PayerStep {
  const { session } = state
  const count = session.flow.open.get(stream)
  if (count === undefined) return keep(state)
  const open = new Map(session.flow.open)
  open.delete(stream)
  const next = change(state, { flow: { done: session.flow.done + count.acked, open } })
  const ack = send({ type: 'ack', session: session.id, stream, bytes: count.acked, ms: session.ms, final: true })
  return also(settleUp(next, context, false), ack)
}

function acks(session: PayerSession): PayerEffect[] {
  return [...session.flow.open].map(([stream, count]) => send({ type: 'ack', session: session.id, stream, bytes: count.acked, ms: session.ms, final: false }))
}

/** What the session should have paid by now: all that is owed, and the chunk that a payee without credit wants first (S3, S4). */
function wanted(session: PayerSession, terms: Terms): { readonly owed: Amount; readonly want: Amount } {
  const owed = owedOf(session)
  const cost = chunkCost(terms.price, terms.chunk)
  if (session.finishing !== undefined || session.credit >= cost) return { owed, want: owed }
  const most = session.wish.expect === undefined ? undefined : terms.arrears + due(terms.price, { ...usedMeter(session), down: session.wish.expect })
  const ahead = owed + (cost - session.credit)
  const capped = most !== undefined && ahead > most ? (most > owed ? most : owed) : ahead
  return { owed, want: capped as Amount }
}

/**
 * Pays what should be paid: a chunk at a time, or all of it when `force`d by a pause, and when finishing. Reserves durably before it
 * signs (P1). Ends the session instead when the budget or the deposit does not reach.
 */
function settleUp(state: PayerState, context: PayerContext, force: boolean): PayerStep {
  const { session, channel } = state
  const { terms } = session
  if (terms === undefined || session.status !== 'live') return keep(state)
  const { owed, want } = wanted(session, terms)
  const room = roomOf(session, channel)
  const short = want - session.total > room
  const target = short ? session.total + (owed - session.total < room ? owed - session.total : room) : want
  const rise = target - session.total
  const cost = chunkCost(terms.price, terms.chunk)
  const finishing = session.finishing !== undefined
  const ready = rise > 0n && (force || finishing || session.paused || short || rise >= cost)
  if (ready) return payRise(state, rise as Amount, context)
  const ending = finishing || short ? close(short && !finishing ? change(state, { finishing: shortReason(session, channel) }) : state) : undefined
  if (ending !== undefined) return ending
  const unacked = force && rise <= 0n ? acks(session) : []
  return keep(state, ...unacked)
}

/** How much more may be signed for this session: the budget and the deposit are both limits. */
function roomOf(session: PayerSession, channel: ChannelOut): bigint {
  const budget = session.wish.budget - session.total
  const deposit = channel.facts.deposit - channel.at
  const room = budget < deposit ? budget : deposit
  return room > 0n ? room : 0n
}

const shortReason = (session: PayerSession, channel: ChannelOut): number =>
  wireOf(session.wish.budget - session.total <= channel.facts.deposit - channel.at ? 'BUDGET_REACHED' : 'AMOUNT_OVER_DEPOSIT')

function payRise(state: PayerState, rise: Amount, context: PayerContext): PayerStep {
  const { session, channel } = state
  const amount = (channel.at + rise) as Amount
  if (amount > channel.reserved) return reserve(state, amount)
  const promise = context.signPromise(amount)
  const total = (session.total + rise) as Amount
  const last = channel.last === undefined || amount > channel.last.amount ? promise : channel.last
  const next: PayerState = { session: { ...session, total, paused: false }, channel: { ...channel, at: amount, last } }
  const pay = send({ type: 'promise', session: session.id, total, promise })
  const paid: PayerStep = keep(next, ...acks(next.session), pay, { type: 'paid', rise })
  if (session.finishing === undefined) return paid
  const closing = close(next)
  return also(closing, ...paid.effects)
}

/**
 * Makes a mark durable that is a little above what is needed, so that a stream does not wait for the disk at every chunk. The mark is never
 * above the limit at risk, the budget, or the deposit.
 */
function reserve(state: PayerState, amount: Amount): PayerStep {
  const { session, channel } = state
  if (session.reserving !== undefined && session.reserving >= amount) return keep(state)
  const ahead = session.wish.limitAtRisk
  const most = channel.at + roomOf(session, channel)
  const mark = (amount + ahead < most ? amount + ahead : most > amount ? most : amount) as Amount
  return keep(change(state, { reserving: mark }), { type: 'store', then: { type: 'reserved', mark } })
}

function onReserved(state: PayerState, mark: Amount, context: PayerContext): PayerStep {
  const { session, channel } = state
  const reserved = mark > channel.reserved ? mark : channel.reserved
  const reserving = session.reserving !== undefined && session.reserving > mark ? session.reserving : undefined
  return settleUp({ session: { ...session, reserving }, channel: { ...channel, reserved } }, context, session.paused)
}

function onFinish(state: PayerState, reason: number, context: PayerContext): PayerStep {
  const { session } = state
  if (session.status === 'asked' || session.status === 'starting') return end(state, codeOfWire(reason) ?? 'ABORTED')
  if (session.status !== 'live' || session.finishing !== undefined) return keep(state)
  return settleUp(change(state, { finishing: reason, ms: session.ms }), context, true)
}

/** Everything that was used is acknowledged and paid: says so. */
function close(state: PayerState): PayerStep {
  const { session } = state
  const flow = foldAll(session.flow)
  const next = change(state, { status: 'closing', flow })
  const message: FromPayer = { type: 'close', session: session.id, total: session.total, acked: usedMeter(next.session), reason: session.finishing ?? 0 }
  return keep(next, { type: 'cutStreams' }, send(message))
}

function onReceipt(state: PayerState, signed: SignedReceipt, context: PayerContext): PayerStep {
  const { session, channel } = state
  const { receipt, signature } = signed
  const right = receipt.session === session.id && receipt.terms === session.termsDigest && receipt.channel === channel.id
  const used = usedMeter(session)
  const ended = session.status === 'closing' || session.status === 'cut'
  const fair = ended && receipt.total === session.total && receipt.meter.down === used.down && receipt.meter.ms <= used.ms
  if (!right || !context.verifyReceipt(receipt, signature)) return end(state, 'RECEIPT_WRONG')
  if (!fair) return end(change(state, { receipt: signed }), receipt.reason === 0 ? 'RECEIPT_WRONG' : (codeOfWire(receipt.reason) ?? 'PEER_REFUSED'))
  const next = change(state, { status: 'closed', receipt: signed })
  const countersign = send({ type: 'countersign', session: session.id, signature: context.signReceipt(receipt) })
  const code = session.finishing === undefined || session.finishing === 0 ? undefined : (codeOfWire(session.finishing) ?? 'PEER_REFUSED')
  return keep(next, { type: 'store', then: undefined }, countersign, { type: 'ended', code })
}

/** The receipt that follows a fault: kept as the payee's word, countersigned only if it says what we know. */
function onLateReceipt(state: PayerState, signed: SignedReceipt, context: PayerContext): PayerStep {
  const { session } = state
  if (session.receipt !== undefined || signed.receipt.terms !== session.termsDigest) return keep(state)
  if (!context.verifyReceipt(signed.receipt, signed.signature)) return keep(state)
  return keep(change(state, { receipt: signed }), { type: 'store', then: undefined })
}
