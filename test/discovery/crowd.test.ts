import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { pipeline } from 'node:stream'
import { after, before, describe, type TestContext, test } from 'node:test'
import { identify } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { type KadDHT, kadDHT } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { firstNodes } from '../../src/discovery/bootstrap.ts'
import { DhtPeers, dhtInit } from '../../src/discovery/dht.ts'
import { PING_STREAMS } from '../../src/node/libp2p.ts'
import type { TallyNode } from '../../src/node/node.ts'
import { addressOf, addressThrough, portOf, testNode } from '../support/libp2p.ts'
import { bytesService, readBytes, type TestNetwork, testNetwork } from '../support/network.ts'

const CROWD = 48
/** the crowd joins so many at a time: on two cores, all at once would only try the two cores */
const AT_ONCE = 8
/** and one in so many looks for its neighbours; all do in `npm run test:long`, which takes the cores some 10 s */
const LOOKING = process.env.TALLYSTICK_TEST_CROWD === 'whole' ? 1 : 4
/** what a search may take; where other work shares the cores it is only known that it ends */
const LIMIT_MS = LOOKING === 1 ? 5_000 : 30_000
/** what nobody offers is not waited for any longer */
const GONE_MS = 5_000
const JOIN_MS = 60_000

type Member = Libp2p<{ dht: KadDHT }>

/** A node of the DHT and nothing else, with the settings of ours. */
async function member(bootstrap: readonly string[], looks = true): Promise<Member> {
  const services = {
    identify: identify(),
    ping: ping(PING_STREAMS),
    dht: kadDHT({ ...dhtInit({ role: 'serves' }), ...(!looks && { initialQuerySelfInterval: 600_000 }) }),
    firstNodes: firstNodes(bootstrap),
  }
  return (await testNode({ services })) as unknown as Member
}

/** As many nodes as a small network has, all of which were told of the first one only. */
async function crowd(size: number): Promise<Member[]> {
  const signal = AbortSignal.timeout(JOIN_MS)
  const first = await member([])
  const members = [first]
  while (members.length < size) {
    const count = Math.min(AT_ONCE, size - members.length)
    const bootstrap = [addressOf(first).toString()]
    const more = await Promise.all(Array.from({ length: count }, (_, i) => member(bootstrap, i % LOOKING === 0)))
    await Promise.all(more.map((one) => new DhtPeers(one.services.dht).some(signal)))
    members.push(...more)
  }
  assert.ok(!signal.aborted, 'the crowd did not come together')
  return members
}

async function firstFound(node: TallyNode, name: string, limitMs = LIMIT_MS): Promise<string | undefined> {
  for await (const { provider } of node.find(name, { signal: AbortSignal.timeout(limitMs) })) return provider
  return undefined
}

describe('a DHT of 50 nodes', () => {
  let net: TestNetwork
  let members: Member[]
  let bootstrap: string[]
  before(async () => {
    net = await testNetwork()
    members = await crowd(CROWD)
    bootstrap = [addressOf(members[0] as Member).toString()]
  })
  after(async () => {
    await Promise.all(members.map(async (one) => await one.stop()))
    await net.stop()
  })

  const seller = async (t: TestContext, name: string): Promise<TallyNode> => {
    const node = await net.provider(t, { bootstrap })
    await node.serve({ name, service: bytesService({ total: 1_000 }), price: '0.01/MiB' })
    return node
  }

  test('a new offer is found at once by a node that knows one bootstrap address, and bought; when its provider died it is gone', async (t) => {
    const consumer = await net.consumer(t, [], { bootstrap })
    const provider = await seller(t, 'brand-new')
    const begin = performance.now()
    assert.equal(await firstFound(consumer, 'brand-new'), provider.address)
    t.diagnostic(`found after ${((performance.now() - begin) / 1e3).toFixed(2)} s`)
    // who comes later finds it as well, before it knows more than the first node
    const latecomer = await net.node(t, { bootstrap })
    assert.equal(await firstFound(latecomer, 'brand-new'), provider.address)
    await net.reserve(consumer, provider.address)
    const session = await consumer.open({ service: 'brand-new', budget: '1 token' })
    assert.equal(await readBytes(session), 1_000)
    await session.close()
    await provider.stop()
    assert.equal(await firstFound(latecomer, 'brand-new', GONE_MS), undefined)
  })

  test('a node that its first node turns away dials it again', async (t) => {
    const port = portOf(members[0] as Member)
    let visits = 0
    const door = createServer((socket) => {
      socket.on('error', () => {})
      if (++visits < 3) socket.resetAndDestroy()
      else pipeline(socket, connect(port, '127.0.0.1'), socket, () => {})
    })
    door.listen(0, '127.0.0.1')
    await once(door, 'listening')
    t.after(() => door.close())
    const late = await net.node(t, {
      bootstrap: [`${addressThrough((door.address() as AddressInfo).port, members[0] as Member)}`],
    })
    const provider = await seller(t, 'behind-a-door')
    assert.equal(await firstFound(late, 'behind-a-door'), provider.address)
    assert.equal(visits, 3)
  })
})
