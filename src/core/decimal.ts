/**
 * Exact decimal numbers as people write them. Every figure with a unit (amounts, prices, sizes, durations) starts with one, so
 * there is one rule for what a number looks like.
 */

/** The value is `digits / 10^scale`. */
export interface Decimal {
  readonly digits: bigint
  /** digits after the point as written, trailing zeros included */
  readonly scale: number
}

/** The longest text that is looked at at all: numbers longer than this mean nothing and cost time. */
const MAX_TEXT = 256

const QUANTITY = /^(\d+(?:_\d+)*)(?:\.(\d+))?(?:\s*([^\s\d.,_].*))?$/s
const HEX = /^0x/i
const EXPONENT = /^[\d_.]+e[+-]?\d/i

/** A number and what is written behind it. */
export interface Quantity {
  readonly value: Decimal
  /** the rest, without spaces around it; empty for a bare number */
  readonly rest: string
}

/**
 * Splits '0.5 USDC' into its number and the rest; `_` may group whole digits. A text that does not begin with such a number gives
 * the reason as a sentence without its end point.
 */
export function splitQuantity(text: string): Quantity | string {
  if (text.length > MAX_TEXT) return `a text of ${text.length} characters is too long to be one`
  const trimmed = text.trim()
  if (trimmed === '') return 'it is empty'
  if (trimmed.startsWith('-')) return 'it cannot be negative'
  if (HEX.test(trimmed)) return 'hexadecimal numbers are not understood'
  if (EXPONENT.test(trimmed)) return 'numbers with an exponent are not understood'
  const match = QUANTITY.exec(trimmed)
  if (match === null) return 'it must begin with a number such as 0.5 or 1_000'
  const [, whole = '', fraction = '', rest = ''] = match
  return { value: { digits: BigInt(whole.replaceAll('_', '') + fraction), scale: fraction.length }, rest }
}

/** A number as numerator and denominator, not reduced. */
export interface Ratio {
  readonly num: bigint
  readonly den: bigint
}

/** Exactly `value * 10^shift`. */
export function ratioOf({ digits, scale }: Decimal, shift = 0): Ratio {
  const power = shift - scale
  return power >= 0 ? { num: digits * 10n ** BigInt(power), den: 1n } : { num: digits, den: 10n ** BigInt(-power) }
}

/** A unit of measure: its name, and how many of the smallest one it holds. */
export type UnitTable = readonly (readonly [name: string, size: bigint])[]

/** The largest unit of the table that divides `count`, and how often; the table ends with its unit of size 1. */
export function inLargestUnit(count: bigint, table: UnitTable): { readonly times: bigint; readonly unit: string } {
  const [unit, size] = table.find(([, held]) => count !== 0n && count % held === 0n) ?? table.at(-1) ?? ['', 1n]
  return { times: count / size, unit }
}

/**
 * `units / 10^decimals` in the fewest digits, with at least `minFraction` after the point (never more than needed plus zeros).
 */
export function formatDecimal(units: bigint, decimals: number, minFraction = 0): string {
  const padded = units.toString().padStart(decimals + 1, '0')
  const whole = padded.slice(0, padded.length - decimals)
  const fraction = padded
    .slice(padded.length - decimals)
    .replace(/0+$/, '')
    .padEnd(minFraction, '0')
  return fraction === '' ? whole : `${whole}.${fraction}`
}

/** At most `limit` characters of a text in quotes, for use in a sentence; whatever could confuse a terminal becomes `?`. */
export function quoted(text: string, limit = 80): string {
  const start = text.length > limit ? `${text.slice(0, limit)}...` : text
  return `"${start.replace(/[^ -~]/g, '?')}"`
}
