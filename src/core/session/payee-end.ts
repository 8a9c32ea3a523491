/** How a payee's session ends, is cut, and comes back. */
import { codeOfWire, type ErrorCode, TallyError } from '../errors.ts'
import { METER_KINDS, type Meter } from '../meter.ts'
import { countsIn, foldCounts, isWithin, soldOf } from './counts.ts'
import { foldAll } from './flow.ts'
import type { Close } from './messages.ts'
import {
  ackedMeter,
  isAgreed,
  type PayeeContext,
  type PayeeEffect,
  type PayeeSession,
  type PayeeState,
  type PayeeStep,
  sellsTime,
  writtenMeter,
} from './payee-state.ts'
import { change, finish, keep, send } from './payee-step.ts'
import { quantumOf, worthOf } from './worth.ts'

const wireOf = (code: ErrorCode): number => new TallyError(code).wire

/** S6: 1 % + 1 s. Where no time is sold a slow network must not end a session. */
export function clocksAgree({ terms, ms: own }: PayeeSession, theirs: bigint): boolean {
  if (!sellsTime(terms)) return true
  const apart = own > theirs ? own - theirs : theirs - own
  return apart <= own / 100n + 1000n
}

/** Asks the payer to close; nothing more is written. If it does not within its patience, the clock ends the session. */
export function onStop(state: PayeeState, code: ErrorCode, context: PayeeContext): PayeeStep {
  const { session } = state
  if (session.status === 'offered') return giveUp(state, code, context)
  if (session.status !== 'live' || session.stopping !== undefined) return keep(state)
  const reason = wireOf(code)
  const next = change(state, { stopping: reason, waitingSince: context.nowMs, paused: true })
  const effects: PayeeEffect[] = [send({ type: 'closing', session: session.id, reason })]
  if (code === 'CHANNEL_EXPIRED') effects.push({ type: 'settle' })
  return keep(next, ...effects)
}

export function onClose(state: PayeeState, message: Close, context: PayeeContext): PayeeStep {
  const { session } = state
  if (session.status !== 'live') return refuse(state, 'WRONG_STATE', context)
  if (message.total !== session.total) return refuse(state, 'RISE_MISMATCH', context)
  const { down, ms } = message.acked
  const [written, acked] = [writtenMeter(session), ackedMeter(session)]
  const fits = METER_KINDS.every(
    (kind) => kind === 'ms' || (message.acked[kind] <= written[kind] && message.acked[kind] >= acked[kind]),
  )
  if (!fits || !clocksAgree(session, ms)) return refuse(state, 'METER_DISAGREES', context)
  const flow = foldAll(session.flow, down)
  const counts = foldCounts(session.counts, countsIn(message.acked))
  const ackedMs = ms > session.ackedMs ? ms : session.ackedMs
  const next = change(state, {
    status: 'closing',
    flow,
    counts,
    ackedMs,
    closeReason: message.reason,
    waitingSince: context.nowMs,
  })
  if (session.paid !== session.total) return keep(next, { type: 'cutStreams' })
  const end = finish(next, message.reason, context)
  return keep(end.state, { type: 'cutStreams' }, ...end.effects)
}

/** The control stream is gone. What was agreed on stays, and may be resumed; what was only offered is forgotten. */
export function onCut(state: PayeeState, context: PayeeContext): PayeeStep {
  const { session } = state
  if (!isAgreed(session)) return keep(change(state, { status: 'closed' }), { type: 'ended', code: 'STREAM_CUT' })
  // everything is said: the last payment is on its way to the disk, and the receipt with it
  if (session.status === 'closing' || session.status === 'cut') return keep(state)
  const next = change(state, { status: 'cut', paused: false, waitingSince: context.nowMs })
  return keep(next, { type: 'cutStreams' }, { type: 'store', then: undefined })
}

/** A crash may have cost us the count of what was written, but never of more than paid, credit and a chunk: a payer cannot have received more. */
function couldHaveCome(session: PayeeSession, acked: Meter, context: PayeeContext): boolean {
  const { terms, total } = session
  const age = BigInt(Math.max(0, context.nowS - terms.opened) + CLOCKS_APART_S) * 1000n
  const counts = METER_KINDS.filter((kind) => kind !== 'ms')
  if (acked.ms > age || counts.some((kind) => acked[kind] > MAX_BYTES)) return false
  if (!isWithin(countsIn(acked), soldOf(terms.price, countsIn(acked)))) return false
  const own = ackedMeter(session)
  if (counts.every((kind) => acked[kind] <= own[kind])) return true
  const known = terms.arrears > total ? terms.arrears : total
  return worthOf(terms, { ...acked, ms: 0n }) <= known + context.policy.max + quantumOf(terms)
}

/** how far the clock of a restarted machine may be off, seconds */
const CLOCKS_APART_S = 600
/** more bytes, calls or units than any session ever delivers */
const MAX_BYTES = 1n << 60n

/** The payer is back: the totals continue. What was written and has not arrived stays exposed until the session ends. */
export function onResume(state: PayeeState, acked: Meter, context: PayeeContext): PayeeStep {
  const { session } = state
  if (session.status !== 'cut') return refuse(state, 'WRONG_STATE', context)
  if (!couldHaveCome(session, acked, context)) return refuse(state, 'METER_DISAGREES', context)
  const flow = foldAll(session.flow, acked.down)
  const counts = foldCounts(session.counts, countsIn(acked))
  const ackedMs = acked.ms > session.ackedMs ? acked.ms : session.ackedMs
  const ms = session.ms > ackedMs ? session.ms : ackedMs
  return keep(
    change(state, {
      status: 'offered', flow, counts, unsaid: new Map(), ackedMs, ms, at: context.nowMs, waitingSince: context.nowMs, stopping: undefined,
    }), // biome-ignore format: a record
  )
}

/** Ends the session without the payer's help (C3): streams cut, debt written down, receipt alone. */
export function giveUp(state: PayeeState, code: ErrorCode, context: PayeeContext): PayeeStep {
  const { session } = state
  const fault = send({ type: 'fault', session: session.id, code: wireOf(code) })
  if (!isAgreed(session)) return keep(change(state, { status: 'closed' }), fault, { type: 'ended', code })
  const end = finish(change(state, { flow: foldAll(session.flow), counts: foldCounts(session.counts) }), wireOf(code), context)
  return keep(end.state, { type: 'cutStreams' }, fault, ...end.effects)
}

/** No honest payer ever sends it, and each costs a check: whoever does has to come again. */
const isForged = (code: ErrorCode): boolean => code === 'SIGNER_WRONG' || code === 'WORD_WRONG'

/** The payer broke a rule (P4). */
export function refuse(state: PayeeState, code: ErrorCode, context: PayeeContext): PayeeStep {
  const end = giveUp(state, code, context)
  return keep(end.state, ...end.effects, ...(isForged(code) ? [{ type: 'drop', code } as const] : []))
}

/** The end is on the disk: the receipt may be shown. */
export function onEndStored(state: PayeeState): PayeeStep {
  const { id, receipt, closeReason } = state.session
  if (receipt === undefined) return keep(state)
  const code = closeReason === 0 ? undefined : (codeOfWire(closeReason) ?? 'PEER_REFUSED')
  return keep(state, send({ type: 'receipt', session: id, receipt }), { type: 'ended', code })
}
