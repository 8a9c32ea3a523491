/** A session of either side as a report counts it. */
import type { Amount } from '../amount.ts'
import { channelId, type Seconds } from '../ids.ts'
import type { ReportEntry } from '../report.ts'
import { type Terms, termsChannel } from '../terms.ts'
import { NO_COUNTS } from './counts.ts'
import { ackedMeter, exposedMeter, isAgreed, type PayeeSession } from './payee-state.ts'
import { type PayerSession, usedMeter } from './payer-state.ts'
import { costOf } from './worth.ts'

/** Undefined before the payer has agreed: nothing can have been delivered. */
export function earningOf(session: PayeeSession): ReportEntry | undefined {
  if (!isAgreed(session)) return undefined
  const { terms, total } = session
  const meter = ackedMeter(session)
  // what it may still charge is not delivered yet
  const delivered = costOf(terms.price, exposedMeter({ ...session, held: NO_COUNTS }))
  return { ...named(terms), peer: terms.owner, meter, delivered, billed: costOf(terms.price, meter), paid: total }
}

/** Undefined before there are terms. Delivered is what came and was used: of more the payer knows nothing. */
export function spendingOf(session: PayerSession): ReportEntry | undefined {
  const { terms, total } = session
  if (terms === undefined) return undefined
  const meter = usedMeter(session)
  const billed = costOf(terms.price, meter)
  return { ...named(terms), peer: terms.provider, meter, delivered: billed, billed, paid: total }
}

const named = (terms: Terms) => ({
  token: terms.token,
  channel: channelId(termsChannel(terms)),
  offer: terms.service,
  opened: terms.opened as Seconds,
  arrears: terms.arrears,
})

/**
 * What the ledger has paid of a session, as if the payments of each had followed those of the one before; base units. Undefined where nothing
 * says when in the life of the channel this one was paid.
 */
export function settledOf(
  channel: { readonly signed: bigint; readonly settled: bigint },
  { total, receipt }: Pick<PayeeSession | PayerSession, 'total' | 'receipt'>,
): Amount | undefined {
  const { signed, settled } = channel
  if (settled >= signed) return total
  if (settled === 0n || total === 0n) return 0n as Amount
  if (receipt === undefined) return undefined
  const part = settled - (receipt.receipt.amount - total)
  return (part < 0n ? 0n : part < total ? part : total) as Amount
}
