/**
 * When a payer pays, and how much.
 * @see protocols/session/SPEC.md S3, S4, P1, C1
 */
import type { Amount } from '../amount.ts'
import type { MeterKind } from '../meter.ts'
import { rateOf } from '../price.ts'
import { freeOf } from '../price-free.ts'
import type { Terms } from '../terms.ts'
import { countsAt, foldCounts, sellsCounts } from './counts.ts'
import { foldAll } from './flow.ts'
import type { FromPayer } from './messages.ts'
import {
  agreement,
  also,
  awaitsDeposit,
  change,
  hasAll,
  keep,
  owedOf,
  type PayerContext,
  type PayerSession,
  type PayerState,
  type PayerStep,
  roomOf,
  send,
  shortReason,
  usedMeter,
  wireOf,
} from './payer-state.ts'
import { isToFold, nextPromise, nextTick, wholeTicks } from './payer-ticks.ts'
import { costOfChunk, quantumOf, worthOf } from './worth.ts'

/**
 * What the session will cost when all that is expected was used, where that is known: nothing beyond is prepaid by itself. Of calls and
 * units no more is expected than what may be charged on the streams that are open.
 */
function expected(session: PayerSession, { price, ...terms }: Terms): Amount | undefined {
  const { wish, most, counts, flow } = session
  const isSold = (kind: MeterKind): boolean => rateOf(price, kind) !== undefined
  if (isSold('ms') || isSold('up') || (isSold('down') && wish.expect === undefined)) return undefined
  const used = { ...usedMeter(session) }
  if (wish.expect !== undefined && wish.expect > used.down) used.down = wish.expect
  if (sellsCounts(price)) {
    for (const { stream } of flow.open) {
      const allowed = most.get(stream)
      if (allowed === undefined) return undefined
      const agreed = countsAt(counts, stream, 'acked')
      used.calls += allowed.calls - agreed.calls
      used.units += allowed.units - agreed.units
    }
  }
  return worthOf({ price, ...terms }, used)
}

/** Whether the next chunk lies in what the price gives for nothing (S11). */
function isNextFree(session: PayerSession, { price, chunk }: Terms): boolean {
  const free = freeOf(price)[chunk.kind]
  return free > 0n && usedMeter(session)[chunk.kind] + chunk.size <= free
}

/** What the session should have paid by now: all that is owed, and the chunk that a payee without credit wants first (S3, S4). */
function wanted(session: PayerSession, terms: Terms): bigint {
  const owed = owedOf(session)
  const cost = costOfChunk(terms)
  if (session.finishing !== undefined || session.credit >= cost || isNextFree(session, terms)) return owed
  const ahead = owed + (cost - session.credit)
  const most = expected(session, terms)
  return most !== undefined && ahead > most ? most : ahead
}

/** a payment waits for others to join it only while less than this part of the credit is due: the payee never waits for it */
const JOIN_SHARE = 4n
/** how long it waits at the most, ms */
export const JOIN_MS = 10

/** What is to be paid now: chunks that are due, of which several may be paid together; those without waiting; or all that is owed. */
export type Urgency = 'flow' | 'due' | 'all'

/**
 * Pays what should be paid: a chunk at a time (S3), or all of it when a pause asks for it (S4), and when finishing. Reserves durably
 * before it signs (P1). Never beyond the budget or the deposit: what they do not cover is never handed over.
 */
export function settleUp(state: PayerState, context: PayerContext, urgency: Urgency): PayerStep {
  const { session, channel } = state
  const { terms } = session
  if (terms === undefined || session.status !== 'live') return keep(state)
  const finishing = session.finishing !== undefined
  const limit = session.total + roomOf(session, channel)
  const want = wanted(session, terms)
  const rise = (want < limit ? want : limit) - session.total
  const quantum = quantumOf(terms)
  const still = session.waiting && !finishing && hasAll(session)
  if (still && rise > 0n && rise + session.credit < quantum) return trickle(state, terms, rise, context)
  const now = urgency === 'all' || finishing || session.waiting
  const joins = urgency === 'flow' && context.joins && rise * JOIN_SHARE < session.credit
  if (rise > 0n && (now || rise >= quantum)) {
    if (!now && joins) return keep(state, { type: 'join' })
    return payRise(state, (now ? rise : wholeTicks(state, rise, context)) as Amount, context)
  }
  if (finishing && rise <= 0n) return isToFold(state, context) ? payRise(state, 0n as Amount, context) : close(state)
  if (still) return standstill(state, context, false)
  return urgency === 'all' ? acknowledged(state) : keep(state)
}

/** less than this part of a chunk a payment is no progress */
const TRICKLE = 16n

/**
 * Bytes that were lost on the way used up what was prepaid, so that only a few at a time would come. A chunk more is prepaid, as far as the
 * limit at risk allows it (S4); where that is next to nothing the session ends.
 */
function trickle(state: PayerState, terms: Terms, rise: bigint, context: PayerContext): PayerStep {
  const { free, risk } = further(state, terms)
  const more = free < risk ? free : risk
  const gain = (more > rise ? more : rise) as Amount
  if (gain * TRICKLE < free) return settleUp(change(state, { finishing: wireOf('RISK_TOO_HIGH') }), context, 'all')
  return payRise(state, gain, context)
}

/** How long a buyer holds bytes without using them before it takes them for useless, ms. */
const IDLE_MS = 2_000

/** The same by the clock, which also knows of bytes that have come and cannot be used before more of them come. */
export function whenStill(state: PayerState, context: PayerContext, handed: bigint): PayerStep | undefined {
  const { session } = state
  if (!session.waiting || session.status !== 'live' || session.finishing !== undefined) return undefined
  if (!hasAll(session, handed)) return undefined
  return standstill(state, context, handed > 0n && context.nowMs - session.stirred < IDLE_MS)
}

/**
 * The payee waits, holds all that we sent, and all that it wrote is here: by the rules nothing would ever move again. So a further chunk
 * is prepaid, as far as the limit at risk allows (S4); beyond it the session ends.
 */
function standstill(state: PayerState, context: PayerContext, patient: boolean): PayerStep {
  const { session, channel } = state
  const { terms } = session
  if (terms === undefined || session.reserving !== undefined) return acknowledged(state)
  const { free, risk } = further(state, terms)
  const extra = free < risk ? free : risk
  if (extra > 0n && extra * TRICKLE >= free) return payRise(state, extra as Amount, context)
  if (patient) return acknowledged(state)
  const short = roomOf(session, channel) === 0n
  if (short && awaitsDeposit(session, channel, context)) return acknowledged(state)
  return settleUp(change(state, { finishing: !short ? wireOf('RISK_TOO_HIGH') : shortReason(session, channel) }), context, 'all')
}

/** A chunk more: how much of it budget, deposit and what is expected leave free, and how much the limit at risk. */
function further(state: PayerState, terms: Terms): { readonly free: bigint; readonly risk: bigint } {
  const { session, channel } = state
  const room = roomOf(session, channel)
  const risk = session.wish.limitAtRisk + owedOf(session) - session.total
  const most = expected(session, terms)
  const rest = most !== undefined && most > session.total ? most - session.total : room
  return { free: [quantumOf(terms), room, rest].reduce((least, one) => (one < least ? one : least)), risk }
}

/** Says what was used of every open stream, and how long. */
function acknowledged(state: PayerState): PayerStep {
  const { id, ms, flow } = state.session
  const acks = flow.open.flatMap(({ stream, acked }) => [
    ...agreement(state.session, stream),
    send({ type: 'ack', session: id, stream, bytes: acked, ms, final: false }),
  ])
  return keep(change(state, { saidMs: ms }), ...acks)
}

/** Of so many steps of a chain one tells what was used (T6): beside a tick, which costs a hash, an acknowledgement costs more than the payment. */
const ACK_STEPS = 16
const isAckDue = (before: number, k: number): boolean => Math.floor(before / ACK_STEPS) !== Math.floor(k / ACK_STEPS)

/** Pays so much more: with the next words of the chain where they come to exactly that, else with a promise. */
function payRise(state: PayerState, rise: Amount, context: PayerContext): PayerStep {
  const { session, channel } = state
  const amount = (channel.at + rise) as Amount
  if (amount > channel.reserved) return reserve(state, amount)
  const { head, message } = nextTick(state, rise, context) ?? nextPromise(state, rise, context)
  const total = (session.total + rise) as Amount
  const signed = message.type === 'promise' && message.promise.amount > (channel.last?.amount ?? -1n)
  const says = message.type !== 'tick' || session.waiting || session.paused || isAckDue(channel.head?.chain?.k ?? 0, message.k)
  const next: PayerState = {
    session: { ...session, total, waiting: false, saidMs: says ? session.ms : session.saidMs },
    channel: {
      ...channel,
      at: amount,
      head,
      last: signed ? head.promise : channel.last,
      unconfirmed: (channel.unconfirmed + rise) as Amount,
    },
  }
  const paid: PayerStep = keep(next, ...(says ? acknowledged(next).effects : []), send(message), { type: 'paid', rise })
  return session.finishing === undefined ? paid : also(close(next), ...paid.effects)
}

/**
 * Makes a mark durable that is a little above what is needed, so that a stream does not wait for the disk at every chunk. The mark is never
 * further ahead than the limit at risk, and never above the budget or the deposit.
 */
function reserve(state: PayerState, amount: Amount): PayerStep {
  const { session, channel } = state
  if (session.reserving !== undefined && session.reserving >= amount) return keep(state)
  const most = channel.at + roomOf(session, channel)
  const ahead = amount + session.wish.limitAtRisk
  const mark = (ahead < most ? ahead : most > amount ? most : amount) as Amount
  return keep(change(state, { reserving: mark }), { type: 'store', then: { type: 'reserved', mark } })
}

export function onReserved(state: PayerState, mark: Amount, context: PayerContext): PayerStep {
  const { session, channel } = state
  const reserved = mark > channel.reserved ? mark : channel.reserved
  const reserving = session.reserving !== undefined && session.reserving > mark ? session.reserving : undefined
  // it was asked for because something was to be paid
  return settleUp({ session: { ...session, reserving }, channel: { ...channel, reserved } }, context, 'all')
}

/** Everything that was used is acknowledged and paid: says so (C1). */
function close(state: PayerState): PayerStep {
  const { session } = state
  const next = change(state, { status: 'closing', flow: foldAll(session.flow), counts: foldCounts(session.counts) })
  const reason = session.finishing ?? 0
  const message: FromPayer = { type: 'close', session: session.id, total: session.total, acked: usedMeter(next.session), reason }
  return keep(next, { type: 'cutStreams' }, send(message))
}
