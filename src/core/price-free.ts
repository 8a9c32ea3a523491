/** What a price gives for nothing, once for each owner. @see protocols/session/SPEC.md S11 */
import { MAX_COUNT, METER_KINDS, type Meter, type MeterKind } from './meter.ts'
import { frozenPrice, isAtMost, type Price, rateOf } from './price.ts'

/** What a price gives for nothing before its first rate of each kind: once for each owner. */
export function freeOf(price: Price): Meter {
  const of = (kind: MeterKind): bigint => rateOf(price, kind)?.from ?? 0n
  return { down: of('down'), up: of('up'), ms: of('ms'), calls: of('calls'), units: of('units') }
}

/** The same price with so much less for nothing: what an owner has had already. */
export function lessFree(price: Price, had: Meter): Price {
  const first = new Set<MeterKind>()
  const rates = price.rates.map((rate) => {
    const { from, ...rest } = rate
    if (first.has(rate.kind) || from === undefined) {
      first.add(rate.kind)
      return rate
    }
    first.add(rate.kind)
    const left = from - had[rate.kind]
    return left > 0n ? { ...rest, from: left } : rest
  })
  return frozenPrice(rates, price.unitName)
}

/** Whether terms may say this price where the offer says that one: the same, with no more for nothing. */
export function isPinned(price: Price, offered: Price): boolean {
  const [free, most] = [freeOf(price), freeOf(offered)]
  if (METER_KINDS.some((kind) => free[kind] > most[kind])) return false
  const [a, b] = [lessFree(price, MAX_METER), lessFree(offered, MAX_METER)]
  return isAtMost(a, b) && isAtMost(b, a) && a.unitName === b.unitName
}

const MAX_METER: Meter = { down: MAX_COUNT, up: MAX_COUNT, ms: MAX_COUNT, calls: MAX_COUNT, units: MAX_COUNT }
