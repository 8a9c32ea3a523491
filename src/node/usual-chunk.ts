/** After how much a payment is due, where the seller does not say. */
import { MAX_AMOUNT } from '../core/amount.ts'
import type { MeterKind } from '../core/meter.ts'
import { type Chunk, chunkCost, type Price } from '../core/price.ts'

const STEP: Readonly<Record<Exclude<MeterKind, 'units'>, bigint>> = { down: 65_536n, up: 65_536n, ms: 1_000n, calls: 1n }

/**
 * 64 KiB, or a second where only time is priced. Where calls or units are priced, the dearest step of those that are: a call, as many
 * units as the price names, 64 KiB, a second. A chunk that costs less than a call would have the first call wait for several payments.
 */
export function usualChunk(price: Price): Chunk {
  const steps = price.rates.map(({ kind, per }): Chunk => ({ kind, size: kind === 'units' ? per : STEP[kind] }))
  const charged = steps.some(({ kind }) => kind === 'calls' || kind === 'units')
  if (!charged) return steps.find(({ kind }) => kind === 'down' || kind === 'up') ?? steps[0] ?? { kind: 'down', size: STEP.down }
  return steps.reduce((dearest, step) => (costOf(price, step) > costOf(price, dearest) ? step : dearest))
}

function costOf(price: Price, chunk: Chunk): bigint {
  try {
    return chunkCost(price, chunk)
  } catch {
    // more than any amount: an offer refuses it by itself
    return MAX_AMOUNT
  }
}
