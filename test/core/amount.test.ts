import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  AMOUNT_BYTES,
  addAmounts,
  amount,
  decodeAmount,
  encodeAmount,
  isAmount,
  MAX_AMOUNT,
  maxAmount,
  minAmount,
  readAmount,
  subAmounts,
} from '../../src/core/amount.ts'
import { ByteReader } from '../../src/core/bytes.ts'

const invalid = { name: 'TallyError', code: 'AMOUNT_INVALID' }
const malformed = { name: 'TallyError', code: 'MALFORMED' }
const any = fc.oneof(fc.constantFrom(0n, MAX_AMOUNT), fc.bigInt({ min: 0n, max: MAX_AMOUNT })).map(amount)

describe('amount', () => {
  test('is 0 <= x < 2^96 and nothing else', () => {
    for (const value of [0n, 1n, MAX_AMOUNT]) assert.equal(amount(value), value)
    for (const value of [-1n, MAX_AMOUNT + 1n, -(1n << 200n)]) {
      assert.equal(isAmount(value), false)
      assert.throws(() => amount(value), invalid)
    }
  })

  test('a sum is exact or refused', () => {
    fc.assert(
      fc.property(any, any, (a, b) => {
        if (a + b <= MAX_AMOUNT) assert.equal(addAmounts(a, b), a + b)
        else assert.throws(() => addAmounts(a, b), invalid)
      }),
    )
  })

  test('a difference never goes below zero', () => {
    fc.assert(
      fc.property(any, any, (a, b) => {
        if (a >= b) assert.equal(subAmounts(a, b), a - b)
        else assert.throws(() => subAmounts(a, b), invalid)
      }),
    )
  })

  test('the smaller and the larger of two', () => {
    fc.assert(fc.property(any, any, (a, b) => minAmount(a, b) + maxAmount(a, b) === a + b && minAmount(a, b) <= maxAmount(a, b)))
  })

  test('is 12 bytes, both ways', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: AMOUNT_BYTES, maxLength: AMOUNT_BYTES }), (bytes) => {
        assert.deepEqual(encodeAmount(decodeAmount(bytes)), bytes)
      }),
    )
    fc.assert(
      fc.property(
        any,
        (value) => decodeAmount(encodeAmount(value)) === value && readAmount(new ByteReader(encodeAmount(value))) === value,
      ),
    )
  })

  test('refuses any other number of bytes', () => {
    for (const length of [0, 11, 13]) assert.throws(() => decodeAmount(new Uint8Array(length)), malformed)
  })
})
