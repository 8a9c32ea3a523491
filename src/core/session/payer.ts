/**
 * The payer's (consumer's) side of one session as a pure function: it decides when to pay, how much, and when to stop.
 * @see protocols/session/SPEC.md
 */
import type { Amount } from '../amount.ts'
import { agreeOnHead, type ChannelOut, gapOf, moveTotal } from '../channel.ts'
import { codeOfWire, ERRORS, type ErrorCode } from '../errors.ts'
import { METER_KINDS, ZERO_METER } from '../meter.ts'
import { countsIn, endCounts, foldCounts, mostOf, openCounts, sellsCounts } from './counts.ts'
import { countOf, endStream, foldAll, openStream, use } from './flow.ts'
import type { MeterReport, Ready, TermsOffered } from './messages.ts'
import { onAgree, onCharge } from './payer-counts.ts'
import { confirm, end, onLateReceipt, onReceipt, refuse } from './payer-end.ts'
import { onReserved, settleUp, whenStill } from './payer-pay.ts'
import {
  agreement,
  also,
  awaitsDeposit,
  change,
  keep,
  owedOf,
  type PayerContext,
  type PayerInput,
  type PayerSession,
  type PayerState,
  type PayerStep,
  roomOf,
  send,
  shortReason,
  usedMeter,
  wireOf,
} from './payer-state.ts'
import { checkTerms } from './payer-terms.ts'
import { quantumOf, worthOf } from './worth.ts'

export { JOIN_MS } from './payer-pay.ts'
export {
  atRiskOf,
  newPayerSession,
  owedOf,
  type PayerContext,
  type PayerEffect,
  type PayerInput,
  type PayerSession,
  type PayerState,
  type PayerStatus,
  type PayerStep,
  usableBytes,
  usedMeter,
} from './payer-state.ts'

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
    case 'opened': return onOpened(state, input, context)
    case 'charge': return onCharge(state, input, context)
    case 'agree': return onAgree(state, input, context)
    case 'used': return onUsed(state, input.stream, input.bytes, context)
    case 'ended': return onEnded(state, input.stream, context)
    case 'reserved': return onReserved(state, input.mark, context)
    case 'joined': return settleUp(state, context, 'due')
    case 'clock': return onClock(state, input.handed, context)
    case 'finish': return onFinish(state, input.code === undefined ? 0 : wireOf(input.code), context)
    case 'closing': return onFinish(state, input.reason, context)
    case 'receipt': return onReceipt(state, input.receipt, context)
    case 'fault': return onFault(state, codeOfWire(input.code) ?? 'PEER_REFUSED')
    case 'cut': return onCut(state)
    default: return input satisfies never
  } // biome-ignore format: a table
}

/** a longer gap between two looks at the clock was a machine that slept: time that nobody used is not bought, ms */
const MAX_GAP_MS = 2_000

/** Lets the session's clock run (S6). It stands still too while the payee is silent: no more than the limit at risk goes unconfirmed. */
function advance(state: PayerState, context: PayerContext): PayerState {
  const { session } = state
  const passed = Math.max(0, Math.floor(context.nowMs - session.at))
  if (passed === 0) return state
  const heard = session.total - session.paid <= session.wish.limitAtRisk
  const runs = session.status === 'live' && !session.paused && heard && session.flow.open.length > 0
  return change(state, { at: session.at + passed, ms: runs ? session.ms + BigInt(Math.min(passed, MAX_GAP_MS)) : session.ms })
}

function onTerms(state: PayerState, message: TermsOffered, context: PayerContext): PayerStep {
  const { session } = state
  if (session.status !== 'asked' && session.status !== 'cut') return refuse(state, 'WRONG_STATE')
  if (!context.verifyTerms(message.terms, message.signature)) return refuse(state, 'SIGNER_WRONG')
  const agreed = agreeOnHead(state.channel, message.head, context.verifyPromise, context.moving())
  if (agreed === 'HEAD_DISAGREES') return refuse(state, agreed)
  const broken = checkTerms(session, message, context.nowS, gapOf(agreed.channel))
  if (broken !== undefined) return refuse(state, broken)
  const channel =
    session.terms === undefined
      ? begin(agreed.channel, session, message, context)
      : goOn(agreed.channel, session, message, context)
  if (channel === 'HEAD_DISAGREES') return refuse(state, channel)
  const used = usedMeter(session)
  const counts = mostOf(countsIn(message.acked), countsIn(used))
  const acked = message.acked.down > used.down ? message.acked.down : used.down
  const next: PayerState = {
    channel,
    session: {
      ...session, status: 'starting', terms: message.terms, termsDigest: context.digestTerms(message.terms), termsSignature: message.signature,
      total: message.total, paid: message.total, flow: foldAll(session.flow, acked), counts: foldCounts(session.counts, counts), most: new Map(), ms: message.acked.ms > session.ms ? message.acked.ms : session.ms,
      saidMs: message.acked.ms > session.ms ? message.acked.ms : session.ms, credit: message.credit, paused: false, waiting: false, written: { ...ZERO_METER, ...counts, down: acked }, stale: false, reserving: undefined, finishing: undefined, failure: undefined,
    },
  } // biome-ignore format: a record
  const { restate } = agreed
  const again =
    restate === undefined ? [] : [send({ type: 'restate', session: session.id, promise: context.signPromise(restate, []) })]
  return keep(next, ...again, { type: 'store', then: { type: 'agreed' } })
}

/** A new session pays for itself, and for arrears: those that we do not know of ourselves are payments that were lost on the way. */
function begin(
  channel: ChannelOut,
  session: PayerSession,
  message: TermsOffered,
  context: PayerContext,
): ChannelOut | 'HEAD_DISAGREES' {
  if (message.total !== 0n || METER_KINDS.some((kind) => message.acked[kind] !== 0n)) return 'HEAD_DISAGREES'
  const { arrears } = message.terms
  const unknown = arrears > session.wish.owed ? arrears - session.wish.owed : 0n
  const drift = channel.drift + unknown
  // with no session left that could explain what the payee holds beyond our record, it is the past's
  return context.alone()
    ? { ...channel, drift: drift > 0n ? 0n : drift, forgotten: 0n as Amount, abandoned: false }
    : { ...channel, drift }
}

/**
 * H5: on resume the payee's figures hold where they can be right. It never holds less than it had confirmed, nor more than was sent; what
 * it says was acknowledged was acknowledged. Only a payer whose own record may be behind believes more, up to its limit at risk.
 */
function goOn(
  channel: ChannelOut,
  session: PayerSession,
  message: TermsOffered,
  context: PayerContext,
): ChannelOut | 'HEAD_DISAGREES' {
  const { terms, total, acked } = message
  if (total < session.paid) return 'HEAD_DISAGREES'
  const used = usedMeter(session)
  const more = METER_KINDS.some((kind) => acked[kind] > used[kind])
  if (!session.stale && (more || total > session.total)) return 'HEAD_DISAGREES'
  const known = owedOf(session) > total ? owedOf(session) : total
  if (more && worthOf(terms, acked) > known + session.wish.limitAtRisk + quantumOf(terms)) return 'HEAD_DISAGREES'
  return moveTotal(channel, total - session.total, context.alone())
}

function onAgreed(state: PayerState, context: PayerContext): PayerStep {
  const { session } = state
  if (session.status !== 'starting' || session.terms === undefined) return keep(state)
  return keep(state, send({ type: 'accept', session: session.id, signature: context.signTerms(session.terms) }))
}

function onReady(state: PayerState, message: Ready, context: PayerContext): PayerStep {
  const { status } = state.session
  // an accept of before a cut and the one after it can both become durable now
  if (status === 'live' || status === 'closing') return keep(state)
  if (status !== 'starting') return refuse(state, 'WRONG_STATE')
  const next = change(state, { status: 'live', credit: message.credit, at: context.nowMs, stirred: context.nowMs })
  const step = settleUp(next, context, 'flow')
  // last: whoever waits for it begins to use the session
  return keep(step.state, ...step.effects, { type: 'live' })
}

function onMeter(state: PayerState, message: MeterReport, context: PayerContext): PayerStep {
  const { session } = state
  if (session.status !== 'live' && session.status !== 'closing') return keep(state)
  if (message.paid > session.total) return refuse(state, 'METER_DISAGREES')
  // a pause that was overtaken by a payment on its way is over by the time that payment is counted
  const waiting = message.paused && message.paid >= session.total
  const heard = confirm(state, message.paid)
  // its clock stands still: what ours ran on while the word was on its way was not delivered
  const stood = message.paused && message.written.ms < session.ms ? message.written.ms : session.ms
  const ms = stood > session.saidMs ? stood : session.saidMs
  const next = change(heard, {
    ms,
    credit: message.credit,
    paused: message.paused,
    waiting,
    written: message.written,
    stirred: context.nowMs,
  })
  return settleUp(next, context, message.paused ? 'all' : 'flow')
}

function onOpened(state: PayerState, { stream, most }: PayerInput & { type: 'opened' }, context: PayerContext): PayerStep {
  const { session } = state
  const flow = openStream(session.flow, stream)
  if (session.terms === undefined || !sellsCounts(session.terms.price)) return keep(change(state, { flow }))
  const counts = openCounts(session.counts, stream)
  const next = change(state, { flow, counts, most: most === undefined ? session.most : new Map(session.most).set(stream, most) })
  // a payee that gives no credit waits for what may be charged
  return settleUp(next, context, 'flow')
}

function onUsed(state: PayerState, stream: number, bytes: number, context: PayerContext): PayerStep {
  const flow = use(state.session.flow, stream, BigInt(bytes))
  // not by `change`: nothing else is done as often
  const next = { channel: state.channel, session: { ...state.session, flow, stirred: context.nowMs } }
  return settleUp(next, context, 'flow')
}

/** how far ahead a buyer of time looks for the end of its budget, ms */
const STEP_MS = 500n

/** Time is bought in steps: a step that the budget does not cover is not used. */
function onClock(state: PayerState, handed: bigint, context: PayerContext): PayerStep {
  const { session, channel } = state
  const { terms } = session
  if (terms === undefined || session.status !== 'live' || session.finishing !== undefined) return settleUp(state, context, 'flow')
  if (session.flow.open.length > 0 && !session.paused) {
    const soon = worthOf(terms, { ...usedMeter(session), ms: session.ms + STEP_MS })
    const isShort = soon > owedOf(session) && soon - session.total > roomOf(session, channel)
    if (isShort && !awaitsDeposit(session, channel, context)) return onFinish(state, shortReason(session, channel), context)
  }
  return whenStill(state, context, handed) ?? settleUp(state, context, 'flow')
}

function onCut(state: PayerState): PayerStep {
  if (state.session.terms === undefined) return end(state, 'STREAM_CUT')
  const next = change(state, {
    status: 'cut',
    paused: false,
    waiting: false,
    reserving: undefined,
    flow: foldAll(state.session.flow),
    counts: foldCounts(state.session.counts),
    most: new Map(),
  })
  return keep(next, { type: 'cutStreams' }, { type: 'store', then: undefined })
}

function onFault(state: PayerState, code: ErrorCode): PayerStep {
  // a provider that cannot take the session up just now may do so later
  if (state.session.status === 'cut' && code !== 'SESSION_UNKNOWN' && ERRORS[code].retry)
    return onCut(change(state, { failure: code }))
  return end(state, code)
}

function onEnded(state: PayerState, stream: number, context: PayerContext): PayerStep {
  const { session } = state
  const count = countOf(session.flow, stream)
  if (count === undefined) return keep(state)
  const most = new Map(session.most)
  most.delete(stream)
  const next = change(state, {
    flow: endStream(session.flow, stream),
    counts: endCounts(session.counts, stream),
    most,
    saidMs: session.ms,
  })
  const ack = send({ type: 'ack', session: session.id, stream, bytes: count.acked, ms: session.ms, final: true })
  return also(settleUp(next, context, 'flow'), ...agreement(session, stream), ack)
}

function onFinish(state: PayerState, reason: number, context: PayerContext): PayerStep {
  const { session } = state
  if (session.status === 'asked' || session.status === 'starting') return refuse(state, codeOfWire(reason) ?? 'ABORTED')
  // nothing was answered yet: it stays what it was, and may be resumed
  if (session.status === 'cut') return onCut(state)
  if (session.status !== 'live' || session.finishing !== undefined) return keep(state)
  return settleUp(change(state, { finishing: reason }), context, 'all')
}
