/**
 * What a payee charges beside bytes and time: the bytes that its service takes, calls and units.
 * @see protocols/session/SPEC.md M1, M2, M3, M6
 */
import { chunkCost } from '../price.ts'
import { addCounts, agreeCounts, type Counts, chargeCounts, endCounts, lessCounts, NO_COUNTS, someCount } from './counts.ts'
import { isOpen } from './flow.ts'
import type { Agree } from './messages.ts'
import { refuse } from './payee-end.ts'
import type { PayeeContext, PayeeInput, PayeeSession, PayeeState, PayeeStep } from './payee-state.ts'
import { change, keep, report, tell, tellAll, unsaidOf } from './payee-step.ts'
import { going, settleWaiting, wentOn } from './payee-waiting.ts'
import { quantumOf } from './worth.ts'

/** bytes that were taken are told when they cost this part of a chunk (M3): the payer pays before the credit is used up */
const TELL_SHARE = 4n
/** no stream has this number: what is charged to it is lost */
const NO_STREAM = 0

/** The service takes bytes of the payer. */
export function onTook(state: PayeeState, stream: number, bytes: bigint, context: PayeeContext): PayeeStep {
  const { session } = state
  const counts = chargeCounts(session.counts, stream, { ...NO_COUNTS, up: bytes })
  const unsaid = isOpen(counts.up, stream)
    ? new Map(session.unsaid).set(stream, (session.unsaid.get(stream) ?? 0n) + bytes)
    : session.unsaid
  const next = change(state, { counts, unsaid })
  const cost = chunkCost(session.terms.price, { kind: 'up', size: unsaidOf(next.session) })
  const told = cost * TELL_SHARE >= quantumOf(session.terms) ? tellAll(next) : keep(next)
  const step = wentOn(state, told.state, context)
  return keep(step.state, ...told.effects, ...step.effects)
}

/** Work begins that may cost so much (M2). */
export function onHold(state: PayeeState, counts: Counts, context: PayeeContext): PayeeStep {
  return wentOn(state, change(state, { held: addCounts(state.session.held, counts) }), context)
}

/** The work is done: it is charged, and what was kept for it is free again. */
export function onSettle(state: PayeeState, input: PayeeInput & { type: 'settle' }, context: PayeeContext): PayeeStep {
  const { session } = state
  const { stream, held, charged } = input
  const counts = someCount(charged) ? chargeCounts(session.counts, stream, charged) : session.counts
  const next = change(state, { counts, held: lessCounts(session.held, held) })
  // what is free again is free for all that the owner has here
  const freed = settleWaiting(next, context, false)
  const step = going(state, freed, context)
  const isTold = someCount(charged) && isOpen(session.flow, stream)
  const unsaid = new Map(session.unsaid)
  unsaid.delete(stream)
  if (!isTold) return keep(step.state, ...step.effects, { type: 'serve' })
  return keep(change(step.state, { unsaid }), tell(step.state.session, stream), ...step.effects, { type: 'serve' })
}

/** What was kept for work that never came to its end is lost: exposed, and never due (M2, S8). */
export function onForfeit(state: PayeeState, held: Counts, context: PayeeContext): PayeeStep {
  const { session } = state
  const counts = chargeCounts(session.counts, NO_STREAM, held)
  const next = change(state, { counts, held: lessCounts(session.held, held) })
  // it uses credit from now on: a payer that counted on it would wait as we do (S8)
  return session.paused && session.status === 'live' ? keep(next, report(next, context)) : keep(next)
}

/** The service is done with a stream: nothing more will be charged on it (M3). */
export function onServed(state: PayeeState, stream: number): PayeeStep {
  const { session } = state
  if (session.status !== 'live' || !isOpen(session.counts.calls, stream)) return keep(state)
  const unsaid = new Map(session.unsaid)
  unsaid.delete(stream)
  return keep(change(state, { unsaid }), tell(session, stream, true))
}

/** The payer's word on what was charged (M6). */
export function onAgree(state: PayeeState, message: Agree, context: PayeeContext): PayeeStep {
  const { session } = state
  if (session.status !== 'live' && session.status !== 'closing') return refuse(state, 'WRONG_STATE', context)
  const { stream, up, calls, units } = message
  const counts = agreeCounts(session.counts, stream, { up, calls, units })
  if (counts === undefined) return refuse(state, 'METER_DISAGREES', context)
  return going(state, settleWaiting(change(state, { counts }), context, false), context)
}

/** The payer is done with a stream: what it did not agree to is lost. */
export function endTold({ counts, unsaid }: PayeeSession, stream: number): Partial<PayeeSession> {
  if (!isOpen(counts.calls, stream)) return {}
  const left = new Map(unsaid)
  left.delete(stream)
  return { counts: endCounts(counts, stream), unsaid: left }
}
