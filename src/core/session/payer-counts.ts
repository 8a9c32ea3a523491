/**
 * What a payer says to what it is charged beside bytes and time. It is right about every count: what it does not agree to it does not owe.
 * @see protocols/session/SPEC.md M1, M4, M5, M6
 */
import type { Price } from '../price.ts'
import {
  addCounts,
  agreeCounts,
  type Counts,
  chargeCounts,
  countsAt,
  countsIn,
  isWithin,
  lessCounts,
  mostOf,
  soldOf,
  someCount,
} from './counts.ts'
import { isOpen } from './flow.ts'
import { settleUp } from './payer-pay.ts'
import {
  change,
  keep,
  type PayerContext,
  type PayerInput,
  type PayerState,
  type PayerStep,
  roomOf,
  shortReason,
  usedMeter,
} from './payer-state.ts'
import { worthOf } from './worth.ts'

/** The payee charges a stream. What nobody allowed is not agreed to, and costs the stream (M4). */
export function onCharge(state: PayerState, input: PayerInput & { type: 'charge' }, context: PayerContext): PayerStep {
  const { session } = state
  const { message, sent, handed } = input
  const { stream } = message
  if (session.status !== 'live' || session.terms === undefined || !isOpen(session.flow, stream)) return keep(state)
  const said: Counts = { up: message.up, calls: message.calls, units: message.units }
  const most = session.most.get(stream)
  if (!isAllowed(session.terms.price, said, sent, most)) return keep(state, { type: 'refused', stream })
  const known = countsAt(session.counts, stream, 'written')
  const charged = mostOf(said, known)
  const next = change(state, { counts: chargeCounts(session.counts, stream, lessCounts(charged, known)) })
  const agreed = countsAt(session.counts, stream, 'acked')
  const upTo = most === undefined ? { ...agreed, up: charged.up } : charged
  return agreeUpTo(next, stream, upTo, handed, context)
}

function isAllowed(price: Price, said: Counts, sent: bigint, most: Counts | undefined): boolean {
  return said.up <= sent && isWithin(said, soldOf(price, said)) && (most === undefined || isWithin({ ...said, up: 0n }, most))
}

/** The reader of a stream takes calls and units for right. */
export function onAgree(state: PayerState, input: PayerInput & { type: 'agree' }, context: PayerContext): PayerStep {
  const { session } = state
  const { stream, upTo, handed } = input
  if (session.status !== 'live' || !isOpen(session.flow, stream)) return keep(state)
  const charged = countsAt(session.counts, stream, 'written')
  const least = (kind: 'calls' | 'units'): bigint => (upTo[kind] < charged[kind] ? upTo[kind] : charged[kind])
  const wanted = { up: 0n, calls: least('calls'), units: least('units') }
  return agreeUpTo(state, stream, mostOf(wanted, countsAt(session.counts, stream, 'acked')), handed, context)
}

/** Agrees, unless neither budget nor deposit covers it: then the session ends with what was agreed to before (M4). */
function agreeUpTo(state: PayerState, stream: number, upTo: Counts, handed: bigint, context: PayerContext): PayerStep {
  const { session, channel } = state
  const { terms } = session
  const counts = agreeCounts(session.counts, stream, upTo)
  if (counts === undefined || terms === undefined) return keep(state)
  const more = lessCounts(upTo, countsAt(session.counts, stream, 'acked'))
  if (!someCount(more)) return keep(state)
  const used = usedMeter(session)
  const sum = worthOf(terms, { ...addCounts(countsIn(used), more), down: used.down + handed, ms: used.ms })
  if (sum - session.total > roomOf(session, channel)) {
    const finishing = session.finishing ?? shortReason(session, channel)
    return settleUp(change(state, { finishing }), context, 'all')
  }
  return settleUp(change(state, { counts, stirred: context.nowMs }), context, 'flow')
}
