// Accounts that have never had any of the gas coin, on a real chain, with a real relay.
import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { Devnet } from '../../src/chain/devnet.ts'
import type { Address } from '../../src/core/ids.ts'
import type { TallyNode } from '../../src/node/node.ts'
import type { NodeOptions } from '../../src/node/options.ts'
import { ANY_PORT, addressOf, bytesService, PURSE, readBytes, type TestNetwork, testNetwork } from '../support/network.ts'

const COIN_PRICE = '200 tUSDC'

async function untouched(dev: Devnet, account: Address): Promise<void> {
  assert.equal(await dev.rpc('eth_getBalance', [account, 'latest']), '0x0', 'it has no coin')
  assert.equal(await dev.rpc('eth_getTransactionCount', [account, 'latest']), '0x0', 'it has sent no transaction')
}

describe('without the gas coin', () => {
  let net: TestNetwork
  before(async () => {
    net = await testNetwork()
  })
  after(() => net.stop())

  const relayNode = (t: TestContext, options: Partial<NodeOptions> = {}): Promise<TallyNode> =>
    net.provider(t, { relay: { coinPrice: COIN_PRICE }, ...options })

  test('a consumer that owns only tokens on an exchange buys, and its provider settles and withdraws: all by a relay that earns its fees', async (t) => {
    const { dev } = net
    const relay = await relayNode(t)
    const relays = { peers: [addressOf(relay)], maxFee: '0.5 token' }
    const provider = await net.node(t, { listen: [ANY_PORT], relays })
    const consumer = await net.node(t, { relays })
    await provider.serve({ name: 'bytes', service: bytesService({ total: 1 << 20 }), price: '0.1/MiB' })

    await dev.payOut(await consumer.money.depositAddress(), PURSE)
    const [found] = [await consumer.offerOf(addressOf(provider), 'bytes')]
    const session = await consumer.open({ service: found, budget: '1 tUSDC', limitAtRisk: '1 tUSDC', reserve: 'auto' })
    const stream = await session.open(new Uint8Array(0))
    assert.equal(await readBytes(stream), 1 << 20)
    await session.close()

    const [settled] = await provider.money.settle('all')
    assert.equal(settled?.state, 'confirmed')
    assert.equal(settled?.relay?.account, relay.address)
    const { ledger } = await provider.money.balances()
    assert.equal(ledger, 100_000n - (settled?.relay?.fee ?? 0n))
    assert.equal(relay.relaying?.done, 2)

    await untouched(dev, consumer.address)
    await untouched(dev, provider.address)
    const fees = [...consumer.chain.transactions.list(), ...provider.chain.transactions.list()].map(
      ({ relay: by }) => by?.fee ?? 0n,
    )
    const earned = await relay.chain.ledgerBalance(dev.token, relay.address)
    assert.equal(
      earned,
      fees.reduce((sum: bigint, fee) => sum + fee, 0n),
    )
    assert.equal(relay.relaying?.fees.get(dev.token), earned)
  })
})
