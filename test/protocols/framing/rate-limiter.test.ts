import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { rateLimiter } from '../../../protocols/framing/rate-limiter.ts'

describe('rate limiter', () => {
  test('allows a burst at once, then the rate', () => {
    const limiter = rateLimiter({ perSecond: 10, burst: 3, nowMs: 1000 })
    assert.deepEqual(
      [1000, 1000, 1000, 1000].map((now) => limiter.take(now)),
      [true, true, true, false],
    )
    assert.equal(limiter.waitMs(1000), 100)
    assert.equal(limiter.take(1099), false)
    assert.equal(limiter.take(1100), true)
    assert.equal(limiter.take(1100), false)
  })

  test('a pause never earns more than one burst', () => {
    const limiter = rateLimiter({ perSecond: 10, burst: 3, nowMs: 0 })
    for (let n = 0; n < 3; n++) assert.equal(limiter.take(1e9), true)
    assert.equal(limiter.take(1e9), false)
  })

  test('a clock that steps back earns nothing', () => {
    const limiter = rateLimiter({ perSecond: 1, burst: 1, nowMs: 5000 })
    assert.equal(limiter.take(5000), true)
    assert.equal(limiter.take(0), false)
    assert.equal(limiter.take(5999), false)
    assert.equal(limiter.take(6000), true)
  })

  test('a cost above the burst is never allowed', () => {
    const limiter = rateLimiter({ perSecond: 1, burst: 5, nowMs: 0 })
    assert.equal(limiter.take(1e6, 6), false)
    assert.equal(limiter.waitMs(1e6, 6), Number.POSITIVE_INFINITY)
    assert.equal(limiter.take(1e6, 5), true)
  })

  test('in any window of time no more passes than the burst and the rate', () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(gaps, fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 20 }), (steps, perSecond, burst) => {
        const limiter = rateLimiter({ perSecond, burst, nowMs: 0 })
        const passed: number[] = []
        let now = 0
        for (const step of steps) {
          now += step
          if (limiter.take(now)) passed.push(now)
        }
        for (let from = 0; from < passed.length; from++) {
          for (let to = from; to < passed.length; to++) {
            const seconds = ((passed[to] ?? 0) - (passed[from] ?? 0)) / 1000
            assert.ok(to - from + 1 <= burst + seconds * perSecond + 1e-6)
          }
        }
      }),
      { numRuns: 100 },
    )
  })

  test('refuses limits that are no limits', () => {
    for (const perSecond of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => rateLimiter({ perSecond, burst: 1, nowMs: 0 }), RangeError)
    }
    assert.throws(() => rateLimiter({ perSecond: 1, burst: 0.5, nowMs: 0 }), RangeError)
  })
})
