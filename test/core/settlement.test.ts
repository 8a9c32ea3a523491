import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Seconds } from '../../src/core/ids.ts'
import { payable, settleReason } from '../../src/core/settlement.ts'
import { A, channelIn, facts, NOW_S } from './session/fixture.ts'

const policy = { settleAt: A(500), onClose: false, marginS: 600 }

describe('when a channel is settled', () => {
  test('never when nothing is unsettled', () => {
    const settled = { ...channelIn(500), facts: { ...facts(), settled: A(500) } }
    assert.equal(settleReason(settled, { ...policy, onClose: true }, (NOW_S + 100_000) as Seconds, true), undefined)
  })
  test('when the unsettled amount reaches the threshold', () => {
    assert.equal(settleReason(channelIn(499), policy, NOW_S, false), undefined)
    assert.equal(settleReason(channelIn(500), policy, NOW_S, false), 'amount')
  })
  test('after a session has closed, if that is wished', () => {
    assert.equal(settleReason(channelIn(1), policy, NOW_S, true), undefined)
    assert.equal(settleReason(channelIn(1), { ...policy, onClose: true }, NOW_S, true), 'close')
  })
  test('S10: any amount at the margin before the expiry, whatever the policy says', () => {
    const channel = { ...channelIn(1), facts: facts(1_000n, NOW_S + 600) }
    assert.equal(settleReason(channel, policy, NOW_S, false), 'expiry')
  })
  test('not while a Close that was signed may still be mined, but at the margin all the same: the payer may never send it', () => {
    const frozen = { ...channelIn(500), frozen: { until: (NOW_S + 50) as Seconds, epoch: 0 } }
    assert.equal(settleReason(frozen, policy, NOW_S, false), undefined)
    assert.equal(settleReason({ ...frozen, facts: facts(1_000n, NOW_S + 600) }, policy, NOW_S, false), 'expiry')
  })
  test('what would be paid is never more than the deposit holds', () => {
    assert.equal(payable({ ...channelIn(500), facts: { ...facts(300n), settled: A(100) } }), 200n)
  })
})
