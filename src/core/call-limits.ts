/**
 * What one call may be charged at most. A provider says in its terms as how many calls, and up to how many units, a call counts: so a maximum
 * price for one says nothing by itself.
 */
import type { Amount } from './amount.ts'
import type { MeterKind } from './meter.ts'
import type { Price, Rate } from './price.ts'

export interface CallLimits {
  /** undefined: calls cost nothing */
  readonly calls: bigint | undefined
  /** undefined: units cost nothing */
  readonly units: bigint | undefined
}

/**
 * A call costs no more than the maximum price of a call, where there is one, else than the limit at risk; its units no more than the limit at
 * risk. By the dearest rate of the price and the cheapest of the maximum: nobody knows which tier a call is in. Base units.
 */
export function callLimits(price: Price, maxPrice: Price | undefined, limitAtRisk: Amount): CallLimits {
  const [call, unit] = [extreme(price, 'calls', 1n), extreme(price, 'units', 1n)]
  const most = maxPrice === undefined ? undefined : extreme(maxPrice, 'calls', -1n)
  const within = (rate: Rate): bigint => (limitAtRisk * rate.per) / rate.amount
  return {
    calls:
      call === undefined ? undefined : most === undefined ? within(call) : (most.amount * call.per) / (most.per * call.amount),
    units: unit === undefined ? undefined : within(unit),
  }
}

/** The dearest rate of a kind (`sign` 1), or the cheapest (-1). */
function extreme({ rates }: Price, kind: MeterKind, sign: bigint): Rate | undefined {
  return rates
    .filter((rate) => rate.kind === kind)
    .reduce<Rate | undefined>(
      (best, rate) => (best === undefined || sign * (rate.amount * best.per - best.amount * rate.per) > 0n ? rate : best),
      undefined,
    )
}
