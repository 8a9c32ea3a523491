/** When a payee's session stands still, and when it goes on. */
import { BYTE, covers, dueOf, type PayeeContext, type PayeeState, type PayeeStep, type Want } from './payee-state.ts'
import { change, keep, report, tellAll } from './payee-step.ts'
import { quantumOf } from './worth.ts'

/**
 * Whether the payer is late: it must pay when a chunk is due, or at once while the session is paused (S3, S4). Its patience starts anew
 * with every payment (`progress`), but not once it was asked to close.
 */
export function settleWaiting(state: PayeeState, context: PayeeContext, progress: boolean): PayeeState {
  const { session } = state
  if (session.status !== 'live') return state
  const paused = session.paused && !covers(state, context, session.want)
  const late = session.stopping !== undefined || dueOf(session) - session.paid >= quantumOf(session.terms)
  const since = progress && session.stopping === undefined ? context.nowMs : (session.waitingSince ?? context.nowMs)
  return change(state, { paused, waitingSince: paused || late ? since : undefined })
}

/** A session that goes on says so: the payer's clock stood still with ours. */
export function going(before: PayeeState, after: PayeeState, context: PayeeContext): PayeeStep {
  const resumed = before.session.paused && !after.session.paused
  return resumed ? keep(after, report(after, context), { type: 'serve' }) : keep(after)
}

/**
 * Something was exposed. More can have been allowed while the session was paused: another session of the owner gave its credit back. It
 * stays paused for one who waits for more than a byte, until that is covered.
 */
export function wentOn(before: PayeeState, after: PayeeState, context: PayeeContext): PayeeStep {
  const { paused, stopping, want } = before.session
  if (!paused || stopping !== undefined) return keep(after)
  if (want !== BYTE && !covers(after, context, want)) return keep(after)
  return going(before, settleWaiting(change(after, { paused: false }), context, false), context)
}

/** Nothing more of what is wanted may be exposed (S4): the payer is told all that it may agree to, and that it is waited for. */
export function onBlocked(state: PayeeState, want: Want, context: PayeeContext): PayeeStep {
  const { session } = state
  if (session.status !== 'live' || session.stopping !== undefined) return keep(state)
  if (covers(state, context, want)) return keep(state, { type: 'serve' })
  if (session.paused) return keep(state)
  const told = tellAll(change(state, { paused: true, want, waitingSince: session.waitingSince ?? context.nowMs }))
  return keep(told.state, ...told.effects, report(told.state, context))
}
