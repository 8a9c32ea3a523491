import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, type TestContext, test } from 'node:test'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { multiaddr } from '@multiformats/multiaddr'
import { offerService } from '../../protocols/offer/service.ts'
import { libp2pKey } from '../../protocols/peer-identity.ts'
import type { Amount } from '../../src/core/amount.ts'
import { addressOfKey, signerOf } from '../../src/core/crypto/secp256k1.ts'
import type { Domain } from '../../src/core/eip712.ts'
import type { Address, Seconds } from '../../src/core/ids.ts'
import { type Offer, signOffer } from '../../src/core/offer.ts'
import { DHT_PROTOCOL } from '../../src/discovery/dht.ts'
import type { Found } from '../../src/discovery/market.ts'
import { discoveryCid } from '../../src/discovery/service-cid.ts'

import type { TallyNode } from '../../src/node/node.ts'
import type { NodeOptions } from '../../src/node/options.ts'
import { PRICE } from '../node/rogue.ts'
import { testNode } from '../support/libp2p.ts'
import { bytesService, codeOf, readBytes, TestLog, type TestNetwork, testNetwork } from '../support/network.ts'

const LIMIT_MS = 20_000
const nowS = (): Seconds => Math.floor(Date.now() / 1000) as Seconds

/** The first offer of somebody who is wanted; searches again until there is one. */
async function firstFound(node: TallyNode, name: string, wanted: (found: Found) => boolean = () => true): Promise<Found> {
  const limit = AbortSignal.timeout(LIMIT_MS)
  while (!limit.aborted) {
    for await (const found of node.find(name, { signal: limit })) if (wanted(found)) return found
  }
  return assert.fail(`nobody sells ${name}`)
}

async function all(finding: AsyncIterable<Found>): Promise<Found[]> {
  const found: Found[] = []
  for await (const one of finding) found.push(one)
  return found
}

describe('discovery', () => {
  let net: TestNetwork
  let domain: Domain
  before(async () => {
    net = await testNetwork()
    domain = { chainId: BigInt(net.dev.chainId), ledger: net.dev.ledger }
  })
  after(() => net.stop())

  const seller = async (t: TestContext, name: string, options: Partial<NodeOptions> = {}): Promise<TallyNode> => {
    const node = await net.provider(t, options)
    await node.serve({ name, service: bytesService({ total: 1_000 }), price: '0.01/MiB' })
    return node
  }

  /** A peer in the same DHT that announces whatever the test wants, and answers with these offers. */
  async function stranger(
    t: TestContext,
    to: TallyNode,
    announces: string,
    offers: readonly Partial<Offer>[],
    signedFor = domain,
  ): Promise<Address> {
    const key = randomBytes(32)
    const address = addressOfKey(key)
    const base: Offer = {
      provider: address, sequence: 1n, expiry: (nowS() + 3600) as Seconds, token: net.dev.token, service: announces, kind: 'bytes', description: '',
      price: PRICE, chunk: { kind: 'down', size: 65_536n }, minReservation: 0n as Amount, minTimeToExpiry: 0, addresses: [], inputs: '', outputs: '',
    } // biome-ignore format: a record
    const signed = offers.map((one) => signOffer(signedFor, { ...base, ...one }, signerOf(key)))
    const node = await testNode({
      privateKey: libp2pKey(key),
      services: {
        identify: identify(),
        ping: ping(),
        offer: offerService({ offersFor: () => signed }),
        dht: kadDHT({
          protocol: DHT_PROTOCOL,
          clientMode: false,
          peerInfoMapper: passthroughMapper,
          initialQuerySelfInterval: 50,
        }),
      },
    })
    t.after(() => node.stop())
    await node.dial(to.addresses.map((one) => multiaddr(one)))
    await node.contentRouting.provide(await discoveryCid('service', announces), { signal: AbortSignal.timeout(LIMIT_MS) })
    return address
  }

  test('ten nodes that know one address find what each of them sells, and buy it', async (t) => {
    const first = await net.provider(t)
    const nodes = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const node = await net.node(t, { listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: first.addresses })
        await node.serve({ name: `name-${i}`, service: bytesService({ total: 1_000 }), price: '0.01/MiB' })
        return node
      }),
    )
    const consumer = await net.consumer(t, [], { bootstrap: first.addresses })
    const found = await Promise.all(nodes.map((_, i) => firstFound(consumer, `name-${i}`)))
    assert.deepEqual(found.map(({ provider }) => provider), nodes.map(({ address }) => address)) // biome-ignore format: one thought
    const [one] = found
    assert.ok(one !== undefined)
    await net.reserve(consumer, one.provider)
    const session = await consumer.open({ service: one, budget: '1 token' })
    assert.equal(await readBytes(session), 1_000)
    await session.close()
    // who never sold it is not found, and the search ends by itself
    assert.deepEqual(await all(consumer.find('name-99')), [])
  })

  test('a provider that announced before it had a peer is found by whoever comes later', async (t) => {
    const lonely = await seller(t, 'early')
    const consumer = await net.node(t, { bootstrap: lonely.addresses })
    assert.equal((await firstFound(consumer, 'early')).provider, lonely.address)
  })

  test('a provider that announced without a peer announces again when it has some', async (t) => {
    const lonely = await seller(t, 'early-too')
    const hub = await net.provider(t)
    await lonely.dial(hub.addresses[0] ?? '')
    const consumer = await net.node(t, { bootstrap: hub.addresses })
    assert.equal((await firstFound(consumer, 'early-too')).provider, lonely.address)
  })

  test('all providers of a kind are found, each with all its offers of that kind', async (t) => {
    const hub = await net.provider(t)
    const names = ['kind-a', 'kind-b']
    const sellers = await Promise.all(names.map((name) => seller(t, name, { bootstrap: hub.addresses })))
    const consumer = await net.node(t, { bootstrap: hub.addresses })
    for (const name of names) await firstFound(consumer, name)
    const found = new Map<Address, string>()
    const limit = AbortSignal.timeout(LIMIT_MS)
    while (found.size < 2 && !limit.aborted) {
      for await (const { provider, offer } of consumer.find('bytes', { what: 'kind', signal: limit }))
        found.set(provider, offer.service)
    }
    assert.deepEqual(sellers.map(({ address }) => found.get(address)), names) // biome-ignore format: one thought
  })

  test('a name that somebody announces without selling it, or sells for another token, ledger or key, is left out', async (t) => {
    const hub = await net.provider(t)
    const honest = await seller(t, 'wanted', { bootstrap: hub.addresses })
    const wrong = [
      { service: 'something-else' },
      { token: net.dev.forwarder },
      { provider: honest.address },
      { expiry: (nowS() - 1) as Seconds },
    ]
    const liars = [
      await stranger(t, hub, 'wanted', []),
      await stranger(t, hub, 'wanted', wrong),
      await stranger(t, hub, 'wanted', [{}], { ...domain, ledger: net.dev.forwarder }),
    ]
    const decent = await stranger(t, hub, 'wanted', [{}])
    const consumer = await net.node(t, { bootstrap: hub.addresses })
    const wanted = new Set([honest.address, decent])
    const seen = new Set<Address>()
    await firstFound(consumer, 'wanted', ({ provider }) => seen.add(provider).size === wanted.size)
    for (const { provider } of await all(consumer.find('wanted'))) seen.add(provider)
    assert.deepEqual(seen, wanted)
    assert.ok(liars.every((liar) => !seen.has(liar)))
  })

  test('an offer ends: a consumer takes none that has expired, and the provider signs it anew in time', async (t) => {
    let ahead = 0
    const clock = { nowMs: () => performance.now(), nowS: () => (nowS() + ahead) as Seconds }
    const provider = await seller(t, 'brief', { clock })
    const [address = ''] = provider.addresses
    const later = { nowMs: () => performance.now(), nowS: () => (nowS() + 25 * 3600) as Seconds }
    const consumer = await net.node(t, { bootstrap: [address], clock: later })
    assert.equal(await codeOf(() => consumer.offerOf(address, 'brief')), 'OFFER_EXPIRED')
    assert.deepEqual(await all(consumer.find('brief')), [])
    ahead = 25 * 3600
    const { offer } = await consumer.offerOf(address, 'brief')
    assert.equal(offer.sequence, 2n)
  })

  test('a search ends quietly when its signal says so, or its reader goes; nothing is said to be wrong', async (t) => {
    const log = new TestLog()
    const hub = await seller(t, 'quiet')
    const consumer = await net.node(t, { bootstrap: hub.addresses, log })
    await firstFound(consumer, 'quiet')
    assert.deepEqual(await all(consumer.find('quiet', { signal: AbortSignal.abort() })), [])
    const stop = new AbortController()
    const finding = consumer.find('quiet', { signal: stop.signal })
    await finding.next()
    stop.abort()
    assert.equal((await finding.next()).done, true)
    for await (const _ of consumer.find('quiet')) break
    // with a bootstrap address where nobody is, a search has nobody to ask and would wait for ever
    const alone = await net.node(t, { bootstrap: [`/ip4/127.0.0.1/tcp/9/p2p/${hub.peerId}`], log })
    const limit = new AbortController()
    const waiting = all(alone.find('quiet', { signal: limit.signal }))
    limit.abort()
    assert.deepEqual(await waiting, [])
    assert.doesNotMatch(log.text(), /wrong inside|searched to the end|no offer/)
  })

  test('buying by name without anybody who sells it says so', async (t) => {
    const hub = await net.provider(t)
    const consumer = await net.node(t, { bootstrap: hub.addresses })
    assert.equal(await codeOf(() => consumer.open({ service: 'nothing', budget: '1 token' })), 'OFFER_NOT_FOUND')
    assert.equal(
      await codeOf(() => consumer.open({ service: 'nothing', budget: '1 token', signal: AbortSignal.abort() })),
      'ABORTED',
    )
  })

  test('buying by name with a maximum price takes who is within it, and says when all want more', async (t) => {
    const hub = await net.provider(t)
    await seller(t, 'dear', { bootstrap: hub.addresses })
    const consumer = await net.consumer(t, [], { bootstrap: hub.addresses })
    await firstFound(consumer, 'dear')
    const open = () => consumer.open({ service: 'dear', budget: '1 token', maxPrice: '0.005/MiB' })
    assert.equal(await codeOf(open), 'PRICE_TOO_HIGH')
    const cheap = await net.provider(t, { bootstrap: hub.addresses })
    await cheap.serve({ name: 'dear', service: bytesService({ total: 1_000 }), price: '0.004/MiB' })
    await firstFound(consumer, 'dear', ({ provider }) => provider === cheap.address)
    await net.reserve(consumer, cheap.address)
    const session = await open()
    assert.equal(await readBytes(session), 1_000)
    await session.close()
  })
})
