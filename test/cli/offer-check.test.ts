// What a provider is told of how others see it, by real processes: itself, and strangers that the command makes.
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { World } from './harness.ts'

interface Check {
  readonly visible: boolean
  readonly addresses: readonly { address: string; scope: string; reached: boolean; failure?: string }[]
  readonly services: readonly { service: string; found_after_ms?: number; expires?: number }[]
  readonly next: readonly string[]
}

describe('offer check', () => {
  const world = new World()
  let provider = ''

  before(async () => {
    await world.dev()
    provider = await world.home('provider')
    mkdirSync(world.path('films'))
    writeFileSync(world.path('films', 'one.txt'), 'a film')
  })
  after(() => world.end())

  test('tells a node that sells nothing how to begin', async () => {
    const { code, stderr } = await world.run(['offer', 'check'], { home: provider })
    assert.notEqual(code, 0)
    assert.match(stderr, /sells nothing now/)
    assert.match(stderr, /tallystick serve/)
  })

  test('strangers find what is sold, reach every address, and get the offer; an address where nobody answers is named', async () => {
    const dead = '/ip4/127.0.0.1/tcp/9'
    const args = [
      'serve',
      'files',
      world.path('films'),
      '--name',
      'films',
      '--price',
      '0.01/MiB',
      '--listen',
      '/ip4/127.0.0.1/tcp/0',
    ]
    const good = await world.start(args, /reach|try:/, { home: provider })
    const check = await world.json<Check>(['offer', 'check'], { home: provider })
    assert.equal(check.visible, true)
    assert.ok(check.addresses.length > 0 && check.addresses.every(({ reached, scope }) => reached && scope === 'local'))
    assert.deepEqual(check.services.map(({ service }) => service), ['films']) // biome-ignore format: a list
    assert.ok((check.services[0]?.found_after_ms ?? -1) >= 0)
    assert.ok((check.services[0]?.expires ?? 0) > Date.now() / 1000)
    const other = await world.run(['offer', 'check', 'songs'], { home: provider })
    assert.match(other.stderr, /does not sell "songs" now/)
    await good.stop()

    await world.start(args, /reach|try:/, { home: provider, env: { TALLYSTICK_ANNOUNCE: dead } })
    const { code, stdout } = await world.run(['offer', 'check', 'films', '--json', '--timeout', '5s'], { home: provider })
    assert.equal(code, 1)
    const closed = JSON.parse(stdout) as Check
    assert.equal(closed.visible, false)
    const failed = closed.addresses.filter(({ reached }) => !reached)
    assert.equal(failed.length, 1)
    assert.ok(failed[0]?.address.startsWith(dead))
    assert.equal(failed[0]?.failure, 'PEER_UNREACHABLE')
    assert.equal(closed.next.length, 1)
  })
})
