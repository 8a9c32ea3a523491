import { inLargestUnit, quoted, ratioOf, splitQuantity, type UnitTable } from './decimal.ts'
import { TallyError } from './errors.ts'

/** Bytes of each unit, largest first. Powers of 1,024 only: `MB` means two things, so it is refused. */
export const SIZE_UNITS: UnitTable = [
  ['TiB', 1n << 40n],
  ['GiB', 1n << 30n],
  ['MiB', 1n << 20n],
  ['KiB', 1n << 10n],
  ['B', 1n],
]

const MAX_SIZE = (1n << 64n) - 1n

function refuse(text: string, why: string): TallyError {
  return new TallyError('USAGE', {
    message: `${quoted(text)} is not a size: ${why}`,
    hint: 'write it like `64 KiB` or `1.5 GiB`; the units are B, KiB, MiB, GiB, TiB',
    fields: { text: quoted(text) },
  })
}

/**
 * Bytes of a size such as '64 KiB', '1.5GiB' or '0 B'; exact, 0 <= x < 2^64.
 *
 * @throws TallyError USAGE for a bare number, another unit, parts of a byte, or 2^64 and above
 */
export function parseSize(text: string): bigint {
  const quantity = splitQuantity(text)
  if (typeof quantity === 'string') throw refuse(text, quantity)
  const unit = SIZE_UNITS.find(([name]) => name === quantity.rest)
  if (unit === undefined) throw refuse(text, quantity.rest === '' ? 'it has no unit' : 'its unit is not known')
  const { num, den } = ratioOf(quantity.value)
  const bytes = num * unit[1]
  if (bytes % den !== 0n) throw refuse(text, 'it is not a whole number of bytes')
  if (bytes / den > MAX_SIZE) throw refuse(text, 'it must be less than 2^64 bytes')
  return bytes / den
}

/** The size in the largest unit that divides it: '64 KiB', '1500 B'. Exact, reads back to the same size. */
export function formatSize(bytes: bigint): string {
  const { times, unit } = inLargestUnit(bytes, SIZE_UNITS)
  return `${times} ${unit}`
}
