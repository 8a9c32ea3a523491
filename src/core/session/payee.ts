/**
 * The payee's (provider's) side of one session as a pure function. The shell gives it what happened, stores what it says, and only
 * then does what it says.
 * @see protocols/session/SPEC.md
 */

import type { Amount } from '../amount.ts'
import { bestAmount, judgePromise, judgeTick, type PromiseRules, reachOf, type Verdict } from '../channel.ts'
import { codeOfWire } from '../errors.ts'
import { carriesOn, type Head, headWorth } from '../head.ts'
import { losesMore, openCounts, sellsCounts } from './counts.ts'
import { acknowledge, openStream, wrote } from './flow.ts'
import type { Restate } from './messages.ts'
import { endTold, onAgree, onForfeit, onHold, onServed, onSettle, onTook } from './payee-counts.ts'
import { clocksAgree, giveUp, onClose, onCut, onEndStored, onResume, onStop, refuse } from './payee-end.ts'
import {
  allowance,
  BYTE,
  credited,
  creditLeft,
  type PayeeContext,
  type PayeeInput,
  type PayeeState,
  type PayeeStep,
  sellsTime,
} from './payee-state.ts'
import { change, finish, keep, report, send } from './payee-step.ts'
import { going, onBlocked, settleWaiting, wentOn } from './payee-waiting.ts'
import { quantumOf } from './worth.ts'

export {
  ackedMeter,
  allowance,
  BYTE,
  covers,
  creditLeft,
  creditOf,
  dueOf,
  exposureOf,
  newPayeeSession,
  onceDurable,
  type PayeeContext,
  type PayeeEffect,
  type PayeeInput,
  type PayeePolicy,
  type PayeeSession,
  type PayeeState,
  type PayeeStatus,
  type PayeeStep,
  type Want,
  writtenMeter,
} from './payee-state.ts'

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
    case 'promise':
    case 'tick': return onPayment(state, input, context)
    case 'ack': return onAck(state, input, context)
    case 'close': return onClose(state, input.message, context)
    case 'countersign': return refuse(state, 'WRONG_STATE', context)
    case 'fault': return giveUp(state, codeOfWire(input.code) ?? 'PEER_REFUSED', context)
    case 'stored': return onStored(state, input, context)
    case 'opened': return onOpened(state, input.stream)
    case 'wrote': return onWrote(state, input.stream, input.bytes, context)
    case 'took': return onTook(state, input.stream, BigInt(input.bytes), context)
    case 'hold': return onHold(state, input.counts, context)
    case 'settle': return onSettle(state, input, context)
    case 'forfeit': return onForfeit(state, input.held, context)
    case 'served': return onServed(state, input.stream)
    case 'agree': return onAgree(state, input.message, context)
    case 'blocked': return onBlocked(state, input.want ?? BYTE, context)
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
  const runs = session.status === 'live' && !session.paused && session.flow.open.length > 0
  return change(state, { at: session.at + passed, ms: runs ? session.ms + BigInt(passed) : session.ms })
}

function onOpened(state: PayeeState, stream: number): PayeeStep {
  const { status, terms, flow, counts } = state.session
  if (status !== 'live') return keep(state)
  return keep(
    change(state, { flow: openStream(flow, stream), counts: sellsCounts(terms.price) ? openCounts(counts, stream) : counts }),
  )
}

function onRestate(state: PayeeState, { promise }: Restate, context: PayeeContext): PayeeStep {
  if (state.session.status !== 'offered') return refuse(state, 'WRONG_STATE', context)
  const verdict = promise.locks.length > 0 ? 'LOCKS_REFUSED' : judgePromise(state.channel, promise, undefined, rulesOf(context))
  if (verdict === 'same') return keep(state)
  if (typeof verdict === 'string') return refuse(state, verdict, context)
  return keep({ ...state, channel: { ...state.channel, best: verdict } }, { type: 'store', then: undefined })
}

function onAccept(state: PayeeState, signature: Uint8Array, context: PayeeContext): PayeeStep {
  if (state.session.status !== 'offered') return refuse(state, 'WRONG_STATE', context)
  if (!context.verifyTerms(signature)) return refuse(state, 'SIGNER_WRONG', context)
  const next = change(state, { status: 'live', payerSignature: signature, waitingSince: undefined, paused: false })
  return keep(next, { type: 'store', then: { type: 'stored', what: 'accept', total: state.session.total } })
}

const rulesOf = ({ nowS, policy, verifyPromise }: PayeeContext): PromiseRules => ({
  now: nowS,
  marginS: policy.marginS,
  unreserved: policy.unreserved,
  verify: verifyPromise,
})

type Payment = PayeeInput & { readonly type: 'promise' | 'tick' }

function judge({ channel }: PayeeState, payment: Payment, context: PayeeContext): Verdict {
  if (payment.type === 'tick') return judgeTick(channel, payment.message, rulesOf(context), payment.proven)
  const { promise, salt } = payment.message
  const [lock] = promise.locks
  if (lock !== undefined && !carriesOn(channel.best, promise) && context.isAnchorUsed(lock.anchor)) return 'LOCKS_REFUSED'
  return judgePromise(channel, promise, salt, rulesOf(context))
}

function onPayment(state: PayeeState, payment: Payment, context: PayeeContext): PayeeStep {
  const { session } = state
  if (session.status !== 'live' && session.status !== 'closing') return refuse(state, 'WRONG_STATE', context)
  const verdict = judge(state, payment, context)
  const isOld = payment.type === 'tick' || payment.message.total === session.total
  if (verdict === 'same') return isOld ? keep(state, report(state, context)) : refuse(state, 'RISE_MISMATCH', context)
  if (typeof verdict === 'string') return refuse(state, verdict, context)
  return take(state, payment, verdict) ?? refuse(state, 'RISE_MISMATCH', context)
}

/** Books a head that is worth more; undefined when it did not rise on the channel by exactly what its total rose in the session. */
function take(state: PayeeState, payment: Payment, head: Head): PayeeStep | undefined {
  const { session, channel } = state
  const rise = headWorth(head) - bestAmount(channel)
  const total = (session.total + rise) as Amount
  if (payment.type === 'promise' && payment.message.total !== total) return undefined
  const next = { ...change(state, { total }), channel: { ...channel, best: head } }
  return keep(next, { type: 'store', then: { type: 'stored', what: 'payment', total } })
}

function onStored(state: PayeeState, input: PayeeInput & { type: 'stored' }, context: PayeeContext): PayeeStep {
  const { session } = state
  if (input.what === 'accept') {
    if (session.status !== 'live') return keep(state)
    return keep(state, send({ type: 'ready', session: session.id, credit: creditLeft(state, context) }))
  }
  if (input.total <= session.paid) return keep(state)
  const paidState = { ...change(state, { paid: input.total }), owner: credited(state.owner, session, input.total) }
  if (session.status === 'closing' && input.total === session.total) return finish(paidState, session.closeReason, context)
  if (session.status !== 'live') return keep(paidState)
  const freed = settleWaiting(paidState, context, true)
  return keep(freed, report(freed, context), { type: 'serve' })
}

function onAck(state: PayeeState, ack: PayeeInput & { type: 'ack' }, context: PayeeContext): PayeeStep {
  const { session } = state
  if (session.status !== 'live' && session.status !== 'closing') return refuse(state, 'WRONG_STATE', context)
  const flow = acknowledge(session.flow, ack.stream, ack.bytes, ack.final)
  if (flow === undefined || !clocksAgree(session, ack.ms)) return refuse(state, 'METER_DISAGREES', context)
  const ackedMs = ack.ms > session.ackedMs ? ack.ms : session.ackedMs
  const ended = ack.final ? endTold(session, ack.stream) : {}
  const next = settleWaiting(change(state, { flow, ackedMs, ...ended }), context, false)
  // what was lost uses credit from now on: a payer that counted on it would wait as we do (S8)
  const isLost = flow.lost > session.flow.lost || losesMore(session.counts, next.session.counts)
  const stays = session.paused && next.session.paused && isLost
  return stays ? keep(next, report(next, context)) : going(state, next, context)
}

function onWrote(state: PayeeState, stream: number, bytes: number, context: PayeeContext): PayeeStep {
  return wentOn(state, change(state, { flow: wrote(state.session.flow, stream, BigInt(bytes)) }), context)
}

function onClock(state: PayeeState, context: PayeeContext): PayeeStep {
  const { session, channel } = state
  const waited = session.waitingSince === undefined ? 0 : context.nowMs - session.waitingSince
  const patience = session.status === 'cut' ? context.policy.resumeMs : session.terms.patienceMs + confirming(state)
  if (waited > patience)
    return giveUp(state, (session.stopping === undefined ? undefined : codeOfWire(session.stopping)) ?? 'PATIENCE_OVER', context)
  if (session.status !== 'live') return keep(state)
  // the payer's last payment must still come before the margin (S10)
  const lastS = channel.facts.expiry - context.policy.marginS - Math.ceil(session.terms.patienceMs / 1000)
  if (context.nowS >= lastS) return onStop(state, 'CHANNEL_EXPIRED', context)
  if (context.nowS >= session.terms.expiry) return onStop(state, 'OFFER_EXPIRED', context)
  // bytes wait inside their stream; time would run on
  const overTime = sellsTime(session.terms) && session.flow.open.length > 0 && !session.paused && allowance(state, context) === 0n
  return overTime ? onBlocked(state, BYTE, context) : keep(state)
}

/** how long a payer whose deposit is used up is waited for beyond its patience while more of it stands in a block, ms */
const CONFIRM_MS = 600_000

/** Its money is on the way, and it may not sign for it before it is confirmed (S12). */
function confirming({ session, channel }: PayeeState): number {
  const { pending } = channel
  if (pending === undefined || session.stopping !== undefined) return 0
  return reachOf(channel) - bestAmount(channel) < quantumOf(session.terms) ? CONFIRM_MS : 0
}

/** After the end: payments that were on their way still count towards what is owed, and the receipt is exchanged. */
function stepClosed(state: PayeeState, input: PayeeInput, context: PayeeContext): PayeeStep {
  const { session, owner } = state
  switch (input.type) {
    case 'stored': {
      if (input.what === 'end') return onEndStored(state)
      if (input.what === 'accept' || input.total <= session.paid) return keep(state)
      return keep({ ...change(state, { paid: input.total }), owner: credited(owner, session, input.total) })
    }
    case 'promise':
    case 'tick': {
      const verdict = judge(state, input, context)
      if (verdict === 'same') return keep(state)
      // one that breaks a rule is the last: nothing limits what could still be sent, and each costs a check
      return typeof verdict === 'string' ? keep(state, { type: 'forget' }) : (take(state, input, verdict) ?? keep(state, { type: 'forget' }))
    }
    case 'countersign': {
      if (session.receipt === undefined || session.countersignature !== undefined) return keep(state)
      if (!context.verifyReceipt(session.receipt.receipt, input.signature)) return keep(state)
      return keep(change(state, { countersignature: input.signature }), { type: 'store', then: undefined })
    }
    default: return keep(state)
  } // biome-ignore format: a table
}
