import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Address } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { dialOrder, situationOf } from '../../src/discovery/reach.ts'

const HOME = [
  { address: '127.0.0.1', cidr: '127.0.0.1/8' },
  { address: '192.168.1.7', cidr: '192.168.1.7/24' },
  { address: 'fe80::1', cidr: 'fe80::1/64' },
]
const SERVER = [...HOME, { address: '45.1.2.3', cidr: '45.1.2.3/24' }]
const ID = '16Uiu2HAmKZeTB9tyk6vTYytYW2LR28X9WfaJ9mQrghzUcji8JC7M'
const EVERYWHERE = ['/ip4/0.0.0.0/tcp/0']
const FIRST = [`/ip4/45.1.2.3/tcp/4001/p2p/${ID}`]
const NONE = { listen: [], announce: [], bootstrap: [] }

describe('how a node is reached', () => {
  test('who listens on nothing only buys', () => {
    assert.equal(situationOf({ ...NONE, bootstrap: FIRST }, SERVER), 'buys')
  })

  test('a public address of its own, or one that it was told, makes it public', () => {
    assert.equal(situationOf({ ...NONE, listen: EVERYWHERE }, SERVER), 'public')
    assert.equal(situationOf({ ...NONE, listen: ['/ip4/45.1.2.3/tcp/1'] }, []), 'public')
    assert.equal(situationOf({ ...NONE, listen: EVERYWHERE, announce: ['/dns4/shop.example/tcp/443/wss'] }, HOME), 'public')
    assert.equal(situationOf({ ...NONE, listen: ['/ip4/192.168.1.7/tcp/1'] }, SERVER), 'local')
  })

  test('without one it is local among local peers, and behind a NAT when the first nodes are on the internet', () => {
    assert.equal(situationOf({ ...NONE, listen: EVERYWHERE }, HOME), 'local')
    assert.equal(situationOf({ ...NONE, listen: EVERYWHERE, bootstrap: [`/ip4/192.168.1.9/tcp/1/p2p/${ID}`] }, HOME), 'local')
    assert.equal(situationOf({ ...NONE, listen: EVERYWHERE, bootstrap: FIRST }, HOME), 'behind-nat')
    assert.equal(situationOf({ ...NONE, listen: [`${FIRST[0]}/p2p-circuit`] }, SERVER), 'behind-nat')
  })

  test('addresses are tried by how likely somebody answers: our network, the internet, this computer, relays, networks of others', () => {
    const order = [
      '/ip4/192.168.1.9/tcp/1',
      '/ip4/45.9.9.9/tcp/1',
      '/dns4/shop.example/tcp/443/wss',
      '/ip4/127.0.0.1/tcp/1',
      '/ip4/127.0.0.1/tcp/1/ws',
      `/ip4/45.1.2.3/tcp/1/p2p/${ID}/p2p-circuit`,
      '/ip4/10.0.0.9/tcp/1',
    ]
    const addresses = order.toReversed().map((text): Address => ({ multiaddr: multiaddr(text), isCertified: false }))
    const sorted = addresses.sort(dialOrder(HOME))
    assert.deepEqual(sorted.map(({ multiaddr: one }) => one.toString()), order) // biome-ignore format: one thought
  })
})
