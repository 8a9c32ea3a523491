import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Amount } from '../../src/core/amount.ts'
import type { ChannelIn } from '../../src/core/channel.ts'
import type { Address, ChannelId, Seconds } from '../../src/core/ids.ts'
import { Attempts } from '../../src/settlement/attempts.ts'

const NOW = 1_800_000_000 as Seconds
const someone = `0x${'11'.repeat(20)}` as Address

function channel(amount: bigint, expiresIn = 1_000_000, settled = 0n): ChannelIn {
  return {
    id: `0x${'22'.repeat(32)}` as ChannelId,
    parties: { owner: someone, signer: someone, target: someone, token: someone },
    facts: { deposit: 1_000n as Amount, settled: settled as Amount, expiry: (NOW + expiresIn) as Seconds, epoch: 0 },
    best: { promise: { amount: amount as Amount, locks: [], signature: new Uint8Array(65) } },
    frozen: undefined,
  }
}

describe('when a settlement that did not work is tried again', () => {
  test('every failure doubles the pause, up to five minutes', () => {
    const attempts = new Attempts()
    const pauses: number[] = []
    for (let i = 0; i < 10; i++) {
      attempts.failed(channel(5n), 'CHAIN_UNREACHABLE', 1_000, NOW)
      pauses.push(attempts.nextAt(channel(5n)) - 1_000)
    }
    assert.deepEqual(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300, 300].map((s) => s * 1000)) // biome-ignore format: a row
  })

  test('a promise that the ledger refused four times is not tried again until the channel changes', () => {
    const attempts = new Attempts()
    for (let i = 0; i < 4; i++) {
      assert.ok(attempts.mayTry(channel(5n), i * 1e6))
      attempts.failed(channel(5n), 'TX_REVERTED', i * 1e6, NOW)
    }
    assert.equal(attempts.mayTry(channel(5n), 1e12), false)
    assert.equal(attempts.mayTry(channel(6n), 1e12), true)
    assert.equal(attempts.mayTry(channel(5n, 1_000_000, 1n), 1e12), true)
  })

  test('payments that go on coming do not shorten the pause', () => {
    const attempts = new Attempts()
    for (let i = 1; i <= 6; i++) attempts.failed(channel(BigInt(i)), 'TX_REVERTED', 0, NOW)
    assert.equal(attempts.mayTry(channel(7n), 100_000), false)
    assert.equal(attempts.mayTry(channel(7n), 160_000), true)
  })

  test('a row that paid nothing is left out until its channel changes', () => {
    const attempts = new Attempts()
    attempts.wasInVain(channel(5n), 0)
    assert.equal(attempts.mayTry(channel(5n), 1e12), false)
    assert.equal(attempts.mayTry(channel(6n), 0), false)
    assert.equal(attempts.mayTry(channel(6n), 1e6), true)
  })

  test('the nearer the expiry, the shorter the pause', () => {
    const attempts = new Attempts()
    for (let i = 0; i < 9; i++) attempts.failed(channel(5n, 400), 'CHAIN_UNREACHABLE', 0, NOW)
    assert.equal(attempts.nextAt(channel(5n, 400)), 100_000)
    attempts.failed(channel(5n, -10), 'CHAIN_UNREACHABLE', 0, NOW)
    assert.equal(attempts.nextAt(channel(5n, -10)), 5_000)
  })

  test('a settlement that worked forgets what failed before', () => {
    const attempts = new Attempts()
    for (let i = 0; i < 5; i++) attempts.failed(channel(5n), 'TX_REVERTED', 0, NOW)
    attempts.succeeded(channel(5n))
    assert.equal(attempts.mayTry(channel(5n), 0), true)
  })
})
