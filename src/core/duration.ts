import { inLargestUnit, quoted, ratioOf, splitQuantity, type UnitTable } from './decimal.ts'
import { TallyError } from './errors.ts'

/** Milliseconds of each unit, largest first. */
export const DURATION_UNITS: UnitTable = [
  ['d', 86_400_000n],
  ['h', 3_600_000n],
  ['min', 60_000n],
  ['s', 1000n],
  ['ms', 1n],
]

function refuse(text: string, why: string): TallyError {
  return new TallyError('USAGE', {
    message: `${quoted(text)} is not a duration: ${why}`,
    hint: 'write it like `10s` or `24 h`; the units are ms, s, min, h, d',
    fields: { text: quoted(text) },
  })
}

/**
 * Milliseconds of a duration such as '10s', '24 h' or '1.5 min'; exact, 0 <= x < 2^53.
 *
 * @throws TallyError USAGE for a bare number, another unit, parts of a millisecond, or 2^53 and above
 */
export function parseDuration(text: string): number {
  const quantity = splitQuantity(text)
  if (typeof quantity === 'string') throw refuse(text, quantity)
  const unit = DURATION_UNITS.find(([name]) => name === quantity.rest)
  if (unit === undefined) throw refuse(text, quantity.rest === '' ? 'it has no unit' : 'its unit is not known')
  const { num, den } = ratioOf(quantity.value)
  const ms = num * unit[1]
  if (ms % den !== 0n) throw refuse(text, 'it is not a whole number of milliseconds')
  if (ms / den > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse(text, 'it is longer than any clock here can count')
  return Number(ms / den)
}

/** The duration in the largest unit that divides it: '10 s', '90 min'. Exact, reads back to the same number. */
export function formatDuration(ms: number): string {
  const { times, unit } = inLargestUnit(BigInt(ms), DURATION_UNITS)
  return `${times} ${unit}`
}
