import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { World } from '../cli/harness.ts'
import { HUB_IP, namespacesMissing, startInternet } from '../support/namespaces.ts'

const RPC_PORT = 8545
const P2P_PORT = 4001
const SIZE = 3_000_000

const missing = namespacesMissing()

describe('two homes behind routers, and a relay between them', { skip: missing ?? false }, () => {
  test('a consumer behind a NAT finds a provider behind another NAT from one bootstrap address, fetches a file and pays for it', async (t) => {
    const internet = startInternet(2)
    const world = new World()
    t.after(async () => {
      await world.end()
      internet.stop()
    })
    const [sellersHome = '', buyersHome = ''] = internet.homes
    const hub = { netns: internet.hub }

    await world.start(['dev', '--port', String(RPC_PORT)], /^network /, hub)
    internet.forward(RPC_PORT)
    const profile = JSON.parse(readFileSync(world.path('networks', 'dev.json'), 'utf8'))
    const relayHome = await world.home('relay')
    // it has a public address, and so is a relay without being asked
    const relay = await world.start(['up', '--listen', `/ip4/${HUB_IP}/tcp/${P2P_PORT}`], /join:/, { ...hub, home: relayHome })
    const bootstrap = /--bootstrap (\S+)/.exec(relay.first)?.[1]
    assert.ok(bootstrap?.startsWith(`/ip4/${HUB_IP}/tcp/${P2P_PORT}/`), relay.first)
    // what the rest of the world is told: the chain, and one node
    const rest = { ...profile, rpcUrl: `http://${HUB_IP}:${RPC_PORT}`, bootstrap: [bootstrap] }
    const network = world.path('internet.json')
    writeFileSync(network, JSON.stringify(rest))
    const env = { TALLYSTICK_NETWORK: network }

    mkdirSync(world.path('films'))
    const film = randomBytes(SIZE)
    writeFileSync(world.path('films', 'film.bin'), film)
    const [seller, buyer] = await Promise.all([world.home('seller'), world.home('buyer')])
    for (const home of [seller, buyer]) await world.json(['dev', 'fund'], { ...hub, home })

    await world.start(
      ['serve', 'files', world.path('films'), '--name', 'films', '--price', '0.01/MiB'],
      /try:/,
      { home: seller, env, netns: sellersHome }, // biome-ignore format: one command
    )
    const at = { home: buyer, env, netns: buyersHome }
    const { offers } = await world.json<{ offers: { addresses: string[] }[] }>(['find', 'films', '--timeout', '20s'], at)
    assert.ok(
      offers[0]?.addresses.some((address) => address.includes('/p2p-circuit')),
      JSON.stringify(offers),
    )
    const got = world.path('got.bin')
    const { paid } = await world.json<{ paid: string }>(['get', 'films/film.bin', '-o', got, '--budget', '1 tUSDC', '--yes'], at)
    assert.equal(hash(readFileSync(got)), hash(film))
    assert.equal(paid, '0.028611 tUSDC')
  })
})

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
