/**
 * The one view to which every screen sums: delivered >= billed >= signed >= settled, per channel and in all, in base units.
 * Each figure has one authority: billed = the meters of the sessions, signed = the best promise, settled = the ledger.
 */
import type { Amount } from './amount.ts'
import type { ChannelFacts } from './channel.ts'

export interface ChannelBooks {
  readonly deposit: Amount
  /** the highest promise on the channel */
  readonly signed: Amount
  readonly settled: Amount
  /** signed and not yet settled; what a settle would pay if the deposit holds it */
  readonly unsettled: Amount
  /** deposit that no promise uses */
  readonly free: Amount
}

const NONE = 0n as Amount
export const NO_BOOKS: ChannelBooks = { deposit: NONE, signed: NONE, settled: NONE, unsettled: NONE, free: NONE }

/** The books of one channel. deposit = settled + unsettled (covered) + free. */
export function channelBooks(facts: ChannelFacts, signed: Amount): ChannelBooks {
  const used = signed > facts.settled ? signed : facts.settled
  return {
    deposit: facts.deposit,
    signed,
    settled: facts.settled,
    unsettled: (used - facts.settled) as Amount,
    free: (facts.deposit > used ? facts.deposit - used : 0n) as Amount,
  }
}

/** The sum of several channels of one token. */
export function sumBooks(books: Iterable<ChannelBooks>): ChannelBooks {
  const sum = { deposit: 0n, signed: 0n, settled: 0n, unsettled: 0n, free: 0n }
  for (const one of books) for (const key of Object.keys(sum) as (keyof ChannelBooks)[]) sum[key] += one[key]
  return sum as unknown as ChannelBooks
}

/** The sum once one of its channels is as `is` says, that was as `was` says; for a new one `NO_BOOKS`. */
export function shiftBooks(sum: ChannelBooks, is: ChannelBooks, was: ChannelBooks): ChannelBooks {
  const of = (name: keyof ChannelBooks): Amount => (sum[name] + is[name] - was[name]) as Amount
  return {
    deposit: of('deposit'), signed: of('signed'), settled: of('settled'), unsettled: of('unsettled'), free: of('free'),
  } // biome-ignore format: a record
}
