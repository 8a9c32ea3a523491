import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { formatDuration, parseDuration } from '../../src/core/duration.ts'
import { TallyError } from '../../src/core/errors.ts'

const usage = { name: 'TallyError', code: 'USAGE' }

describe('durations', () => {
  test('are exact milliseconds', () => {
    const read: Record<string, number> = {
      '10s': 10_000,
      '24 h': 86_400_000,
      '1 d': 86_400_000,
      '1.5 min': 90_000,
      '250 ms': 250,
      '0 s': 0,
      '0.001 s': 1,
    }
    for (const [text, ms] of Object.entries(read)) assert.equal(parseDuration(text), ms, text)
  })

  test('a duration that is printed reads back to the same number', () => {
    fc.assert(fc.property(fc.maxSafeNat(), (ms) => parseDuration(formatDuration(ms)) === ms))
    fc.assert(
      fc.property(
        fc.nat(10_000),
        fc.constantFrom(1000, 60_000, 3_600_000),
        (n, unit) => parseDuration(formatDuration(n * unit)) === n * unit,
      ),
    )
    assert.equal(formatDuration(10_000), '10 s')
    assert.equal(formatDuration(5_400_000), '90 min')
    assert.equal(formatDuration(0), '0 ms')
  })

  test('bare numbers, other units, parts of a millisecond, signs and 2^53 are refused', () => {
    for (const text of [
      '',
      '10',
      '10 m',
      '10 S',
      '10 sec',
      '1 h 30 min',
      '0.5 ms',
      '-1 s',
      '1e3 s',
      '0x10 s',
      '9007199254740992 ms',
      '1/2 h',
    ]) {
      assert.throws(() => parseDuration(text), usage, text)
    }
    assert.equal(parseDuration('9007199254740991 ms'), Number.MAX_SAFE_INTEGER)
  })

  test('any text gives a duration or USAGE', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        try {
          parseDuration(text)
        } catch (error) {
          assert.ok(error instanceof TallyError && error.code === 'USAGE')
        }
      }),
    )
  })
})
