import { ByteReader, ByteWriter } from './bytes.ts'
import { TallyError } from './errors.ts'

declare const brand: unique symbol

/**
 * Money: base units of one token, a whole number in 0 <= x < 2^96. Which token it is of is said by its context.
 *
 * The brand keeps counts and amounts apart. Make one with `amount()`; after your own arithmetic either prove the range or call it
 * again.
 */
export type Amount = bigint & { readonly [brand]: 'Amount' }

/** The largest amount, 2^96 - 1 base units: what an EIP-712 `uint96` of a promise can hold. */
export const MAX_AMOUNT = ((1n << 96n) - 1n) as Amount

/** Bytes of an amount in every encoding: unsigned, big-endian. */
export const AMOUNT_BYTES = 12

/** Whether `value` base units are an amount. */
export function isAmount(value: bigint): value is Amount {
  return value >= 0n && value <= MAX_AMOUNT
}

/**
 * `value` base units as an amount.
 *
 * @throws TallyError AMOUNT_INVALID when negative or above 2^96 - 1
 */
export function amount(value: bigint): Amount {
  if (isAmount(value)) return value
  throw new TallyError('AMOUNT_INVALID', {
    message: value < 0n ? `an amount cannot be negative: ${value} base units` : 'an amount cannot exceed 2^96 - 1 base units',
    fields: { value },
  })
}

/**
 * The exact sum.
 *
 * @throws TallyError AMOUNT_INVALID above 2^96 - 1
 */
export function addAmounts(a: Amount, b: Amount): Amount {
  return amount(a + b)
}

/**
 * The exact difference `a - b`.
 *
 * @throws TallyError AMOUNT_INVALID when `b` is more than `a`
 */
export function subAmounts(a: Amount, b: Amount): Amount {
  return amount(a - b)
}

export function minAmount(a: Amount, b: Amount): Amount {
  return a < b ? a : b
}

export function maxAmount(a: Amount, b: Amount): Amount {
  return a > b ? a : b
}

/**
 * The next 12 bytes as an amount; every pattern is one.
 *
 * @throws TallyError MALFORMED when there are fewer
 */
export function readAmount(reader: ByteReader): Amount {
  return reader.u96() as Amount
}

/** The amount as 12 bytes. @throws TallyError MALFORMED when a cast hid a value out of range */
export function encodeAmount(value: Amount): Uint8Array {
  return new ByteWriter(AMOUNT_BYTES).u96(value).finish()
}

/** The amount in exactly 12 bytes. @throws TallyError MALFORMED for any other length */
export function decodeAmount(bytes: Uint8Array): Amount {
  const reader = new ByteReader(bytes)
  const value = readAmount(reader)
  reader.end()
  return value
}
