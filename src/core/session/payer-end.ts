/** How a payer's session ends, and what its receipt must say. @see protocols/session/SPEC.md C2 */
import type { Amount } from '../amount.ts'
import { moveTotal } from '../channel.ts'
import { codeOfWire, type ErrorCode } from '../errors.ts'
import { METER_KINDS } from '../meter.ts'
import type { Receipt, SignedReceipt } from '../receipt.ts'
import { countsIn, foldCounts } from './counts.ts'
import { foldAll } from './flow.ts'
import {
  also,
  change,
  keep,
  owedOf,
  type PayerContext,
  type PayerState,
  type PayerStep,
  send,
  usedMeter,
  wireOf,
} from './payer-state.ts'
import { quantumOf, worthOf } from './worth.ts'

export function end(state: PayerState, code: ErrorCode): PayerStep {
  const { channel, session } = state
  const next = change(
    { session, channel: session.stale ? { ...channel, abandoned: true } : channel },
    { status: 'closed', failure: code },
  )
  return keep(next, { type: 'cutStreams' }, { type: 'store', then: undefined }, { type: 'ended', code })
}

export function refuse(state: PayerState, code: ErrorCode): PayerStep {
  return also(end(state, code), send({ type: 'fault', session: state.session.id, code: wireOf(code) }))
}

/** The payee says that it holds this much of the session durably. */
export function confirm(state: PayerState, paid: Amount): PayerState {
  const rise = paid - state.session.paid
  if (rise <= 0n) return state
  const { channel } = state
  const unconfirmed = (channel.unconfirmed > rise ? channel.unconfirmed - rise : 0n) as Amount
  return { session: { ...state.session, paid }, channel: { ...channel, unconfirmed } }
}

/** A record that may be behind takes the receipt's figures over, as far as it would have on a resume (H5). */
function believe(state: PayerState, receipt: Receipt): PayerState {
  const { session, channel } = state
  const { terms } = session
  if (!session.stale || terms === undefined || receipt.total < session.total) return state
  const known = owedOf(session) > receipt.total ? owedOf(session) : receipt.total
  if (worthOf(terms, receipt.meter) > known + session.wish.limitAtRisk + quantumOf(terms)) return state
  const moved = moveTotal(channel, receipt.total - session.total, false)
  if (moved === 'HEAD_DISAGREES') return state
  const ms = receipt.meter.ms > session.ms ? receipt.meter.ms : session.ms
  const [flow, counts] = [foldAll(session.flow, receipt.meter.down), foldCounts(session.counts, countsIn(receipt.meter))]
  const next = change(state, { total: receipt.total, flow, counts, ms, stale: false })
  return { ...next, channel: moved }
}

export function onReceipt(before: PayerState, signed: SignedReceipt, context: PayerContext): PayerStep {
  const { receipt, signature } = signed
  const right =
    receipt.session === before.session.id && receipt.terms === before.session.termsDigest && receipt.channel === before.channel.id
  if (!right || !context.verifyReceipt(receipt, signature)) return end(before, 'RECEIPT_WRONG')
  const state = believe(before, receipt)
  const { session, channel } = state
  const ended = session.status === 'closing' || session.status === 'cut'
  const used = usedMeter(session)
  const meter = METER_KINDS.every((kind) => (kind === 'ms' ? receipt.meter.ms <= used.ms : receipt.meter[kind] === used[kind]))
  const same = receipt.total === session.total && meter
  if (!ended || !same || receipt.amount > channel.reserved) {
    return end(
      change(state, { receipt: signed }),
      receipt.reason === 0 ? 'RECEIPT_WRONG' : (codeOfWire(receipt.reason) ?? 'PEER_REFUSED'),
    )
  }
  const next = change(confirm(state, receipt.total), { status: 'closed', receipt: signed, failure: undefined })
  const countersign = send({ type: 'countersign', session: session.id, signature: context.signReceipt(receipt) })
  // a payee that gave up while we were away says why; one that closed repeats what we said
  const reason = session.status === 'closing' ? (session.finishing ?? 0) : receipt.reason
  const code = reason === 0 ? undefined : (codeOfWire(reason) ?? 'PEER_REFUSED')
  return keep(next, { type: 'store', then: undefined }, countersign, { type: 'ended', code })
}

/** The receipt that follows a fault: kept as the payee's word, not countersigned. */
export function onLateReceipt(state: PayerState, signed: SignedReceipt, context: PayerContext): PayerStep {
  const { session } = state
  if (session.receipt !== undefined || signed.receipt.terms !== session.termsDigest) return keep(state)
  if (!context.verifyReceipt(signed.receipt, signed.signature)) return keep(state)
  return keep(change(state, { receipt: signed }), { type: 'store', then: undefined })
}
