import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  addMeters,
  decodeMeter,
  encodeMeter,
  isMonotone,
  MAX_COUNT,
  METER_BYTES,
  METER_KINDS,
  meterOf,
  ZERO_METER,
} from '../../src/core/meter.ts'

const malformed = { name: 'TallyError', code: 'MALFORMED' }
const count = fc.oneof(fc.constantFrom(0n, 1n, MAX_COUNT), fc.bigInt({ min: 0n, max: MAX_COUNT }))
const meter = fc.record({ down: count, up: count, ms: count, calls: count, units: count }, { noNullPrototype: true })

describe('meter', () => {
  test('counts that are not named are zero', () => {
    assert.deepEqual(meterOf({}), ZERO_METER)
    assert.deepEqual(meterOf({ ms: 5n }), { down: 0n, up: 0n, ms: 5n, calls: 0n, units: 0n })
  })

  test('refuses a count outside 0 <= x < 2^64', () => {
    for (const kind of METER_KINDS) {
      for (const value of [-1n, MAX_COUNT + 1n]) {
        assert.throws(() => meterOf({ [kind]: value }), malformed)
        assert.throws(() => encodeMeter({ ...ZERO_METER, [kind]: value }), malformed)
      }
    }
  })

  test('a sum is exact in every count or refused, and never below its parts', () => {
    fc.assert(
      fc.property(meter, meter, (a, b) => {
        if (METER_KINDS.some((kind) => a[kind] + b[kind] > MAX_COUNT)) return assert.throws(() => addMeters(a, b), malformed)
        const sum = addMeters(a, b)
        for (const kind of METER_KINDS) assert.equal(sum[kind], a[kind] + b[kind])
        assert.ok(isMonotone(a, sum) && isMonotone(b, sum))
      }),
    )
  })

  test('one count that falls is not monotone, whatever the others do', () => {
    fc.assert(
      fc.property(meter, fc.constantFrom(...METER_KINDS), (before, kind) => {
        fc.pre(before[kind] > 0n)
        assert.equal(
          isMonotone(before, {
            ...meterOf({ down: MAX_COUNT, up: MAX_COUNT, ms: MAX_COUNT, calls: MAX_COUNT, units: MAX_COUNT }),
            [kind]: before[kind] - 1n,
          }),
          false,
        )
        assert.equal(isMonotone(before, before), true)
      }),
    )
  })

  test('is 5 x u64 in the order down, up, ms, calls, units, both ways', () => {
    const bytes = encodeMeter({ down: 1n, up: 2n, ms: 3n, calls: 4n, units: 5n })
    assert.deepEqual(
      [...bytes].filter((_, i) => i % 8 === 7),
      [1, 2, 3, 4, 5],
    )
    fc.assert(fc.property(meter, (value) => assert.deepEqual(decodeMeter(encodeMeter(value)), value)))
    fc.assert(
      fc.property(fc.uint8Array({ minLength: METER_BYTES, maxLength: METER_BYTES }), (value) =>
        assert.deepEqual(encodeMeter(decodeMeter(value)), value),
      ),
    )
  })

  test('refuses any other number of bytes', () => {
    for (const length of [0, 39, 41]) assert.throws(() => decodeMeter(new Uint8Array(length)), malformed)
  })
})
