import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Amount } from '../../src/core/amount.ts'
import { callLimits } from '../../src/core/call-limits.ts'
import { meterOf } from '../../src/core/meter.ts'
import { due, isAtMost, priceOf, type Rate } from '../../src/core/price.ts'

const A = (units: bigint): Amount => units as Amount
const rate = (kind: Rate['kind'], amount: bigint, per = 1n, from?: bigint): Rate => ({
  kind, amount: A(amount), per, ...(from !== undefined && { from }),
}) // biome-ignore format: a record
const RISK = A(50_000n)

describe('what one call may be charged', () => {
  test('a call that counts as several costs no more than the maximum price of one', () => {
    assert.deepEqual(callLimits(priceOf([rate('calls', 1_000n)]), priceOf([rate('calls', 3_500n)]), RISK), {
      calls: 3n,
      units: undefined,
    })
  })
  test('a cheap first tier buys no dear call: the dearest rate counts, of the maximum the cheapest', () => {
    const price = priceOf([rate('calls', 1n), rate('calls', 1_000n, 1n, 1n)])
    const most = priceOf([rate('calls', 1_000n)])
    assert.ok(isAtMost(price, most))
    const { calls = 0n } = callLimits(price, most, RISK)
    assert.equal(calls, 1n)
    assert.ok(due(price, meterOf({ calls: 5n + calls })) - due(price, meterOf({ calls: 5n })) <= 1_000n)
  })
  test('without a maximum price a call costs no more than the limit at risk, and units never do', () => {
    const price = priceOf([rate('calls', 1_000n), rate('units', 1n, 10n)], 'token')
    assert.deepEqual(callLimits(price, undefined, RISK), { calls: 50n, units: 500_000n })
    assert.deepEqual(callLimits(price, price, RISK), { calls: 1n, units: 500_000n })
  })
  test('what costs nothing has no limit', () => {
    assert.deepEqual(callLimits(priceOf([rate('down', 1n)]), undefined, RISK), { calls: undefined, units: undefined })
  })
})
