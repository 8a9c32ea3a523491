/** What every rule of the payee is put together from: a step, a report, and the end of a session. */
import type { Amount } from '../amount.ts'
import { MAX_AMOUNT } from '../amount.ts'
import { bestAmount } from '../channel.ts'
import type { OwnerAccount } from '../credit.ts'
import { MAX_COUNT, METER_KINDS, type Meter } from '../meter.ts'
import { freeOf } from '../price-free.ts'
import type { Receipt, SignedReceipt } from '../receipt.ts'
import { countsAt } from './counts.ts'
import type { FromPayee } from './messages.ts'
import {
  ackedMeter,
  creditLeft,
  dueOf,
  exposedMeter,
  type PayeeContext,
  type PayeeEffect,
  type PayeeSession,
  type PayeeState,
  type PayeeStep,
  writtenMeter,
} from './payee-state.ts'
import { worthOf } from './worth.ts'

export const send = (message: FromPayee): PayeeEffect => ({ type: 'send', message })
export const keep = (state: PayeeState, ...effects: PayeeEffect[]): PayeeStep => ({ state, effects })
export const change = (state: PayeeState, session: Partial<PayeeSession>): PayeeState => ({
  ...state,
  session: { ...state.session, ...session },
})

/** What the payer was told: it cannot agree to what it has not heard of. */
function toldMeter(session: PayeeSession): Meter {
  const written = writtenMeter(session)
  return session.unsaid.size === 0 ? written : { ...written, up: written.up - unsaidOf(session) }
}

/** Bytes of all streams that the service took and that were not told yet. */
export const unsaidOf = ({ unsaid }: PayeeSession): bigint => [...unsaid.values()].reduce((sum, bytes) => sum + bytes, 0n)

/** Tells what was charged on one stream that is open. */
export function tell(session: PayeeSession, stream: number, final = false): PayeeEffect {
  const { up, calls, units } = countsAt(session.counts, stream, 'written')
  return send({ type: 'charge', session: session.id, stream, up, calls, units, final })
}

/** Tells what was taken of every stream and not told yet (M3). */
export function tellAll(state: PayeeState): PayeeStep {
  const { session } = state
  if (session.unsaid.size === 0) return keep(state)
  const effects = [...session.unsaid.keys()].map((stream) => tell(session, stream))
  return keep(change(state, { unsaid: NOTHING_UNSAID }), ...effects)
}

const NOTHING_UNSAID: ReadonlyMap<number, bigint> = new Map()

/** The payee's meter, what it holds durably, and whether it waits for money. */
export function report(state: PayeeState, context: PayeeContext): PayeeEffect {
  const { session } = state
  const { id, paid, paused } = session
  return send({ type: 'meter', session: id, written: toldMeter(session), paid, credit: creditLeft(state, context), paused })
}

const atMost = (sum: bigint): Amount => (sum < MAX_AMOUNT ? sum : MAX_AMOUNT) as Amount

/**
 * The session is over: the receipt, what stays owed, and what was delivered and will never be paid. The receipt leaves when all that is
 * durable.
 */
export function finish(state: PayeeState, reason: number, context: PayeeContext): PayeeStep {
  const { session, owner } = state
  const worth = worthOf(session.terms, exposedMeter(session))
  const owed = dueOf(session) - session.paid
  // arrears that this session did not pay off are in the owner's debt already
  const known = session.terms.arrears > session.paid ? session.terms.arrears - session.paid : 0n
  const fresh = owed > known ? owed - known : 0n
  const payable = dueOf(session) > session.total ? dueOf(session) : session.total
  const burnt = worth > payable ? worth - payable : 0n
  const body = receiptOf(state, reason, context)
  const receipt: SignedReceipt = { receipt: body, signature: context.signReceipt(body) }
  const next = {
    ...change(state, { status: 'closed', receipt, closeReason: reason }),
    owner: { ...owner, debt: atMost(owner.debt + fresh), burnt: atMost(owner.burnt + burnt), had: hadAfter(session, owner) },
  }
  // what it used of the owner's credit is free for the owner's other sessions
  return keep(next, { type: 'store', then: { type: 'stored', what: 'end', total: session.total } }, { type: 'serve' })
}

/** What the owner has had for nothing, once for all its sessions: as much of the free part of this one as was given (S11). */
function hadAfter(session: PayeeSession, { had }: OwnerAccount): Meter {
  const [free, exposed] = [freeOf(session.terms.price), exposedMeter(session)]
  const sum = { ...had }
  for (const kind of METER_KINDS) {
    const more = had[kind] + (exposed[kind] < free[kind] ? exposed[kind] : free[kind])
    sum[kind] = more < MAX_COUNT ? more : MAX_COUNT
  }
  return sum
}

function receiptOf(state: PayeeState, reason: number, context: PayeeContext): Receipt {
  const { session, channel } = state
  return {
    session: session.id, terms: session.termsDigest, channel: channel.id, total: session.paid,
    amount: bestAmount(channel), meter: ackedMeter(session), closed: context.nowS, reason,
  } // biome-ignore format: a record
}
