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

type ChunkTerms = Pick<Terms, 'price' | 'chunk'>

// Terms never change, and every payment asks what their chunk costs.
const costs = new WeakMap<ChunkTerms, Amount>()

/** What one chunk of these terms costs by itself, in base units; they are not to be changed. */
export function costOfChunk(terms: ChunkTerms): Amount {
  const known = costs.get(terms)
  if (known !== undefined) return known
  const cost = chunkCost(terms.price, terms.chunk)
  costs.set(terms, cost)
  return cost
}

/** What a payment is at least made for: the cost of a chunk, and never nothing (S3), in base units. */
export function quantumOf(terms: ChunkTerms): Amount {
  const cost = costOfChunk(terms)
  return (cost > 0n ? cost : 1n) as Amount
}
