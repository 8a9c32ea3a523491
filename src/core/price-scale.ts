/** A price as whole numbers over one denominator: how counts are weighed exactly, tier by tier. @see protocols/session/SPEC.md S1 */
import { METER_KINDS, type Meter, type MeterKind } from './meter.ts'

/** What of a rate is weighed. */
interface ScaledRate {
  readonly kind: MeterKind
  readonly amount: bigint
  readonly per: bigint
  readonly from?: bigint
}

/** From a count on, so much for each more, over the denominator of the price. */
export interface Tier {
  readonly from: bigint
  readonly weight: bigint
}

/**
 * A price over one denominator: count x weight, summed, / denominator = exact base units. The tiers of a kind are in rising order, none
 * for what is free; `flat`: the one weight of each kind that is not, where no rate holds from a count on.
 */
export interface Scale {
  readonly denominator: bigint
  readonly tiers: Readonly<Record<MeterKind, readonly Tier[]>>
  readonly flat: readonly { readonly kind: MeterKind; readonly weight: bigint }[] | undefined
}

const gcd = (a: bigint, b: bigint): bigint => (b === 0n ? a : gcd(b, a % b))

/** The scale of rates that are in order. */
export function scaleFor(rates: readonly ScaledRate[]): Scale {
  let denominator = 1n
  for (const { per } of rates) denominator *= per / gcd(denominator, per)
  const tiers: Record<MeterKind, Tier[]> = { down: [], up: [], ms: [], calls: [], units: [] }
  for (const { kind, amount: base, per, from = 0n } of rates) tiers[kind].push({ from, weight: base * (denominator / per) })
  const flat = rates.every(({ from }) => from === undefined)
    ? rates.map(({ kind, amount: base, per }) => ({ kind, weight: base * (denominator / per) }))
    : undefined
  return { denominator, tiers, flat }
}

/** What a count of one kind costs exactly, times the denominator: each tier for the part that is in it. */
export function weighKind(tiers: readonly Tier[], count: bigint): bigint {
  let sum = 0n
  for (const [i, { from, weight }] of tiers.entries()) {
    if (count <= from) break
    const end = tiers[i + 1]?.from ?? count
    sum += ((count < end ? count : end) - from) * weight
  }
  return sum
}

/** The largest count of one kind that costs no more than this, times the denominator; undefined when it is free. */
export function mostWithin(tiers: readonly Tier[], limit: bigint): bigint | undefined {
  let spent = 0n
  for (const [i, { from, weight }] of tiers.entries()) {
    const end = tiers[i + 1]?.from
    const whole = end === undefined ? undefined : (end - from) * weight
    if (whole === undefined || spent + whole > limit) return from + (limit - spent) / weight
    spent += whole
  }
  return undefined
}

/** The exact sum of all rates, times the denominator. */
export function weigh({ flat, tiers }: Scale, meter: Meter): bigint {
  if (flat === undefined) return METER_KINDS.reduce((sum, kind) => sum + weighKind(tiers[kind], meter[kind]), 0n)
  let sum = 0n
  for (const { kind, weight } of flat) sum += meter[kind] * weight
  return sum
}
