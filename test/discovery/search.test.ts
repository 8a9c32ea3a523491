import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { amount } from '../../src/core/amount.ts'
import { parsePrice } from '../../src/core/price-text.ts'
import { whyFirst } from '../../src/core/ranking.ts'
import type { RegisteredService } from '../../src/core/registered-service.ts'
import type { TallyNode } from '../../src/node/node.ts'
import type { NodeOptions } from '../../src/node/options.ts'
import { newSalt, newService, registryOn } from '../chain/support/registry.ts'
import { addressOf, bytesService, PURSE, readBytes, type TestNetwork, testNetwork } from '../support/network.ts'

const LIMIT_MS = 20_000

describe('searching for the best offer', () => {
  let net: TestNetwork
  let chain: NodeOptions['chain']
  before(async () => {
    net = await testNetwork()
    chain = { ...net.chain, registry: net.dev.registry }
  })
  after(() => net.stop())

  const seller = async (t: TestContext, name: string, price: string, options: Partial<NodeOptions> = {}): Promise<TallyNode> => {
    const node = await net.provider(t, options)
    await node.serve({ name, service: bytesService({ total: 1_000 }), price: `${price}/MiB` })
    return node
  }

  /** Registers the node's service at a price, under its own address. */
  async function register(t: TestContext, node: TallyNode, name: string, price: string, of: Partial<RegisteredService> = {}) {
    await net.dev.fund(node.address, { tokens: PURSE })
    const registry = registryOn(t, net.dev, node.chain)
    const service = newService(net.dev.token, {
      name, kind: 'bytes', address: addressOf(node), price: parsePrice(`${price}/MiB`, node.token), chunk: { kind: 'down', size: 65_536n },
      minReservation: amount(10_000n), minTimeToExpiry: 3_600, ...of,
    }) // biome-ignore format: a record
    const { job } = await registry.register(newSalt(), service)
    await node.chain.transactions.wait(job)
  }

  /** Searches until so many offers are there. */
  async function search(node: TallyNode, name: string, count: number, what: 'service' | 'any' = 'service') {
    const signal = AbortSignal.timeout(LIMIT_MS)
    for (;;) {
      const ranked = await node.search(what, name, { signal })
      if (ranked.length >= count || signal.aborted) {
        assert.equal(ranked.length, count)
        return ranked
      }
    }
  }

  test('a stake decides between like offers, and an offer that is dearer than its registration comes last', async (t) => {
    const hub = await net.provider(t)
    const bootstrap = hub.addresses
    const plain = await seller(t, 'staked', '0.01', { bootstrap })
    const staked = await seller(t, 'staked', '0.01', { bootstrap })
    const liar = await seller(t, 'staked', '0.005', { bootstrap })
    await register(t, staked, 'staked', '0.01')
    await register(t, liar, 'staked', '0.001')
    const consumer = await net.consumer(t, [], { bootstrap, chain })
    const ranked = await search(consumer, 'staked', 3)
    assert.deepEqual(
      ranked.map(({ candidate }) => [candidate.found.provider, candidate.stake]),
      [
        [staked.address, 'kept'],
        [plain.address, 'none'],
        [liar.address, 'breaks'],
      ],
    )
    assert.match(whyFirst(ranked), /more at stake on chain/)
  })

  test('a provider that only the registry names is asked for its signed offer', async (t) => {
    const provider = await seller(t, 'listed-only', '0.01')
    await register(t, provider, 'listed-only', '0.01')
    const consumer = await net.consumer(t, [], { chain })
    const [one] = await search(consumer, 'listed-only', 1)
    assert.equal(one?.candidate.found.provider, provider.address)
    assert.equal(one?.candidate.stake, 'kept')
  })

  test('a name and a kind are found by the same word, and sessions that went well count for their provider', async (t) => {
    const hub = await net.provider(t)
    const bootstrap = hub.addresses
    const known = await seller(t, 'word', '0.01', { bootstrap })
    const consumer = await net.consumer(t, [known], { bootstrap })
    assert.equal((await search(consumer, 'word', 1, 'any'))[0]?.candidate.record.completed, 0)
    const session = await consumer.open({ service: 'word', provider: addressOf(known), budget: '1 token' })
    await readBytes(session)
    await session.close()
    const [one] = await search(consumer, 'bytes', 1, 'any')
    assert.equal(one?.candidate.found.provider, known.address)
    assert.equal(one?.candidate.record.completed, 1)
    assert.ok((one?.candidate.record.paid ?? 0n) > 0n)
    assert.ok((one?.candidate.free ?? 0n) > 0n)
  })

  test('an offer is gone as soon as its provider is, though the DHT still names it', async (t) => {
    const hub = await net.provider(t)
    const provider = await seller(t, 'brief', '0.01', { bootstrap: hub.addresses })
    const consumer = await net.consumer(t, [], { bootstrap: hub.addresses })
    await search(consumer, 'brief', 1)
    await provider.stop()
    assert.deepEqual(await Array.fromAsync(consumer.find('brief')), [])
  })
})
