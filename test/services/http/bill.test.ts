import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PaidSession } from '../../../src/ports/service.ts'
import { Bill } from '../../../src/services/http/bill.ts'
import { encodeTariff } from '../../../src/services/http/tariff.ts'

/** A session whose provider has signed this, for a buyer who lets a call count as ten and fifty units. */
const session = (calls: number, most: bigint): PaidSession => ({
  content: encodeTariff({
    chargeFailures: false,
    calls,
    routes: [{ method: 'POST', path: '/chat', calls: 1, usage: { path: '$.n', most } }],
  }),
  callLimits: { calls: 10n, units: 50n },
  open: () => assert.fail('nothing is asked for'),
})
const code = 'PRICE_TOO_HIGH'

describe('the bill of a request', () => {
  test('a request that counts as more calls than its buyer lets it is not asked for, whatever the terms say', () => {
    assert.throws(() => new Bill(session(2 ** 32 - 1, 1n), { method: 'GET', path: '/' }), { code })
    assert.ok(new Bill(session(10, 1n), { method: 'GET', path: '/' }))
  })
  test('nor one whose units may be more', () => {
    assert.throws(() => new Bill(session(1, 1n << 63n), { method: 'POST', path: '/chat' }), { code })
    assert.ok(new Bill(session(1, 50n), { method: 'POST', path: '/chat' }))
  })
})
