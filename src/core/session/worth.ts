/** What a meter costs under a session's terms. */
import { type Amount, MAX_AMOUNT } from '../amount.ts'
import type { Meter } from '../meter.ts'
import { chunkCost, due, type Price } from '../price.ts'
import type { Terms } from '../terms.ts'

/**
 * The price of the counts plus the arrears (S1), in base units. A hostile count may cost more than any amount can hold: then it is the
 * largest amount, so that no message of a peer can make the rules throw.
 */
export function worthOf(terms: Terms, meter: Meter): Amount {
  const sum = terms.arrears + costOf(terms.price, meter)
  return (sum < MAX_AMOUNT ? sum : MAX_AMOUNT) as Amount
}

/** The price of the counts alone; more than any amount where it is that. */
export function costOf(price: Price, meter: Meter): bigint {
  try {
    return due(price, meter)
  } catch {
    // due() refuses 2^96 and more, and nothing else
    return MAX_AMOUNT + 1n
  }
}

/** What a payment is at least made for: the cost of a chunk, and never nothing (S3), in base units. */
export function quantumOf(terms: Pick<Terms, 'price' | 'chunk'>): Amount {
  const cost = chunkCost(terms.price, terms.chunk)
  return (cost > 0n ? cost : 1n) as Amount
}
