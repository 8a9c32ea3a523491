/** A session of either side as a report counts it. */
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
