import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { TallyNode } from '../../src/node/node.ts'
import type { NodeOptions } from '../../src/node/options.ts'
import { addressOf, bytesService, readBytes, type TestNetwork, testNetwork } from '../support/network.ts'

const LIMIT_MS = 15_000
const MULTICAST_MS = 1_000

/** Whether this computer hears what it says to its network, as mDNS needs it. */
async function multicastWorks(): Promise<boolean> {
  const group = '239.255.7.1'
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  try {
    socket.bind(0)
    await once(socket, 'listening')
    socket.addMembership(group)
    socket.send('hello', socket.address().port, group)
    await once(socket, 'message', { signal: AbortSignal.timeout(MULTICAST_MS) })
    return true
  } catch {
    return false
  } finally {
    socket.close()
  }
}

describe('a provider that nobody can dial', () => {
  let net: TestNetwork
  before(async () => {
    net = await testNetwork()
  })
  after(() => net.stop())

  const relay = async (t: TestContext, options: NodeOptions['reach'] = {}): Promise<TallyNode> =>
    await net.provider(t, { reach: { relay: 'on', ...options } })

  /** It listens on nothing but the relay. */
  async function hidden(t: TestContext, hub: TallyNode, total: number): Promise<TallyNode> {
    const provider = await net.provider(t, { listen: [`${addressOf(hub)}/p2p-circuit`], bootstrap: hub.addresses })
    await provider.serve({ name: 'hidden', service: bytesService({ total }), price: '0.01/MiB' })
    return provider
  }

  async function found(consumer: TallyNode, name: string) {
    for await (const one of consumer.find(name, { signal: AbortSignal.timeout(LIMIT_MS) })) return one
    return assert.fail(`${name} was not found`)
  }

  test('is found and paid through a relay', async (t) => {
    const hub = await relay(t)
    const provider = await hidden(t, hub, 1_000_000)
    assert.ok(provider.addresses.length > 0 && provider.addresses.every((address) => address.includes('/p2p-circuit/')))
    const consumer = await net.consumer(t, [provider], { bootstrap: hub.addresses })
    const offer = await found(consumer, 'hidden')
    const session = await consumer.open({ service: offer, budget: '1 token' })
    assert.equal(await readBytes(session), 1_000_000)
    const { code, figures } = await session.close()
    assert.equal(code, undefined)
    assert.equal(figures.signed, 9_537n)
  })

  test('goes on with a session where the limit of the relay cut it', async (t) => {
    const hub = await relay(t, { relayMib: 1 })
    const provider = await hidden(t, hub, 1_500_000)
    const consumer = await net.consumer(t, [provider], { bootstrap: hub.addresses })
    const offer = await found(consumer, 'hidden')
    let session = await consumer.open({ service: offer, budget: '1 token' })
    let bytes = 0
    const read = async (): Promise<void> => {
      try {
        for await (const piece of await session.open(new TextEncoder().encode(String(bytes)))) bytes += piece.length
      } catch {
        // the session says why
      }
    }
    await read()
    assert.ok(bytes > 500_000 && bytes < 1_500_000, `${bytes} bytes came before the cut`)
    assert.equal((await session.ended).code, 'STREAM_CUT')
    session = await consumer.resume(session.id, offer, { usedBytes: BigInt(bytes) })
    await read()
    assert.equal(bytes, 1_500_000)
    assert.equal((await session.close()).code, undefined)
  })

  test('is not served by a node that is no relay', async (t) => {
    const hub = await net.provider(t)
    await assert.rejects(hidden(t, hub, 1_000))
  })
})

describe('ways to a provider', () => {
  let net: TestNetwork
  before(async () => {
    net = await testNetwork()
  })
  after(() => net.stop())

  test('a websocket serves as well as TCP', async (t) => {
    const provider = await net.provider(t, { listen: ['/ip4/127.0.0.1/tcp/0/ws'] })
    await provider.serve({ name: 'web', service: bytesService({ total: 300_000 }), price: '0.01/MiB' })
    const consumer = await net.consumer(t, [provider], { bootstrap: provider.addresses })
    const session = await consumer.open({ service: 'web', provider: addressOf(provider), budget: '1 token' })
    assert.equal(await readBytes(session), 300_000)
    await session.close()
  })

  test('two nodes in one local network meet by mDNS, without any address', async (t) => {
    if (!(await multicastWorks())) return t.skip('multicast does not come back here')
    const name = `mdns-${randomBytes(4).toString('hex')}`
    const reach = { mdns: 'on' } as const
    const provider = await net.provider(t, { reach })
    await provider.serve({ name, service: bytesService({ total: 1 }), price: '0.01/MiB' })
    const consumer = await net.node(t, { reach })
    const signal = AbortSignal.timeout(LIMIT_MS)
    let seller: string | undefined
    while (seller === undefined && !signal.aborted)
      for await (const { provider: one } of consumer.find(name, { signal })) seller = one
    assert.equal(seller, provider.address)
  })

  test('what is announced is told to others, beside what is listened on', async (t) => {
    const announce = ['/dns4/shop.example/tcp/443/wss']
    const provider = await net.provider(t, { announce })
    const { offer } = await provider.serve({ name: 'told', service: bytesService({ total: 1 }), price: '0.01/MiB' })
    assert.ok(offer.addresses.some((address) => address.startsWith('/dns4/shop.example/tcp/443/')))
    assert.ok(offer.addresses.some((address) => address.startsWith('/ip4/127.0.0.1/')))
  })
})
