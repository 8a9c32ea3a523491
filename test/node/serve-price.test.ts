import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Amount } from '../../src/core/amount.ts'
import { type Price, priceOf } from '../../src/core/price.ts'
import { bytesService, failure, type TestNetwork, testNetwork } from '../support/network.ts'

describe('a price', () => {
  let net: TestNetwork
  before(async () => {
    net = await testNetwork()
  })
  after(() => net.stop())

  const unmetered: (string | Price)[] = [
    '0.001/call',
    '0.01/up:MiB',
    '2/unit:page',
    '0.0001/call+0.01/MiB',
    priceOf([{ kind: 'calls', amount: 1n as Amount, per: 1n }]),
  ]
  test('for what the service does not meter is refused with PRICE_INVALID, and nothing is on sale', async (t) => {
    const provider = await net.provider(t)
    for (const price of unmetered) {
      const error = await failure(() => provider.serve({ name: 'bytes', service: bytesService(), price }))
      assert.equal(error.code, 'PRICE_INVALID')
      assert.match(error.message, /^a service of kind bytes does not meter .*: nothing would ever be paid for them$/)
      assert.match(error.hint ?? '', /0\.01\/MiB/)
    }
    assert.deepEqual(provider.offers, [])
  })

  test('with a chunk that is less than what a buyer can use together is refused with PRICE_INVALID', async (t) => {
    const provider = await net.provider(t)
    const service = { ...bytesService(), leastChunkBytes: 65_536 }
    const error = await failure(() => provider.serve({ name: 'bytes', service, price: '0.01/MiB', chunk: '32 KiB' }))
    assert.equal(error.code, 'PRICE_INVALID')
    assert.match(error.message, /32 KiB is too early.* 64 KiB at a time/)
    await provider.serve({ name: 'bytes', service, price: '0.01/MiB', chunk: '64 KiB' })
    await provider.serve({ name: 'bytes', service, price: '0.001/s', chunk: '200 ms' })
  })

  test('for delivered bytes, for time, for both or for nothing is taken', async (t) => {
    const provider = await net.provider(t)
    for (const [price, chunk] of [
      ['0.01/MiB', 'down'],
      ['0.001/s', 'ms'],
      ['0.1/GiB+0.0001/s', 'down'],
      ['free', 'down'],
    ] as const) {
      const { offer } = await provider.serve({ name: 'bytes', service: bytesService(), price })
      assert.equal(offer.chunk.kind, chunk)
    }
  })
})
