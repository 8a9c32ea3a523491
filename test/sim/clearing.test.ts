import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { World, type WorldInit } from './clearing-world.ts'
import { Random } from './random.ts'

/** TALLYSTICK_SIM_CLEARING=10000 for a long run, TALLYSTICK_SIM_SEED=7 for one history. */
const HISTORIES = Number(process.env.TALLYSTICK_SIM_CLEARING ?? 80)
const ONE_SEED = process.env.TALLYSTICK_SIM_SEED
type Cheats = WorldInit['cheats']

function histories(first: number, cheats: Cheats, more: Partial<WorldInit>, body: (world: World) => void): void {
  const count = Math.max(1, Math.floor(HISTORIES / 8))
  const seeds = ONE_SEED === undefined ? Array.from({ length: count }, (_, i) => first + i) : [Number(ONE_SEED)]
  for (const seed of seeds) {
    const random = new Random(seed)
    const world = new World(random, {
      consumers: random.int(1, 3), providers: random.int(1, 3), accountants: random.chance(0.3) ? 2 : 1,
      cheats, crashes: random.chance(0.5), away: random.chance(0.5), ...more,
    }) // biome-ignore format: a record
    try {
      world.run()
      body(world)
    } catch (thrown) {
      const cause = thrown instanceof Error ? thrown : new Error(String(thrown))
      throw new Error(`seed ${seed}: ${cause.message}; ${world.log.join(', ')}`, { cause })
    }
  }
}

/** What no history may break, whoever cheats. */
function holds(world: World): void {
  const { consumers, accountants, providers, streams } = world
  const everybody = [...consumers, ...accountants, ...providers]
  for (const { address, cheats } of accountants) {
    if (cheats) continue
    const paid = everybody.reduce((sum, other) => sum + world.settledOf(address, other.address), 0n)
    const claimed = everybody.reduce((sum, other) => sum + world.settledOf(other.address, address), 0n)
    assert.ok(paid <= claimed, `an honest accountant paid ${paid} and claimed ${claimed}`)
  }
  for (const provider of providers) {
    if (provider.cheats) continue
    const earned = [...provider.earned.values()].reduce((sum, one) => sum + one, 0n)
    const got = everybody.reduce((sum, other) => sum + world.settledOf(other.address, provider.address), 0n)
    assert.ok(got >= earned, `an honest provider was shown ${earned} and got ${got}`)
  }
  for (const consumer of consumers) {
    if (consumer.cheats) continue
    const own = streams.filter((stream) => stream.consumer === consumer)
    const owed = own.reduce((sum, { revealed, wanted }) => sum + BigInt(revealed) * wanted.lock.unit, consumer.rents)
    const paid = everybody.reduce((sum, other) => sum + world.settledOf(consumer.address, other.address), 0n)
    assert.ok(paid <= owed, `an honest consumer revealed ${owed} and paid ${paid}`)
  }
}

describe('links, whoever cheats', () => {
  test('nobody: every tick is paid once, and with its fee', () => {
    histories(1, new Set(), { crashes: false, away: false, accountants: 1 }, (world) => {
      holds(world)
      const [accountant] = world.accountants
      assert.ok(accountant !== undefined)
      for (const { address, earned } of world.providers) {
        const got = world.settledOf(accountant.address, address)
        assert.equal(
          got,
          [...earned.values()].reduce((sum, one) => sum + one, 0n),
          'a provider gets what it counted',
        )
      }
      for (const consumer of world.consumers) {
        const own = world.streams.filter((stream) => stream.consumer === consumer)
        const counted = own.reduce((sum, stream) => sum + BigInt(stream.counted) * stream.wanted.lock.unit, 0n)
        const rents = world.settledOf(consumer.address, accountant.address) - counted
        // a link that the accountant refused pays no rent
        assert.ok(rents >= 0n && rents <= consumer.rents, `fees of steps are missing, or rents were paid twice: ${rents}`)
      }
    })
  })
  test('nobody, with crashes at any effect and absences', () => histories(100_001, new Set(), {}, holds))
  test('consumers', () => histories(200_001, new Set(['consumers']), {}, holds))
  test('providers', () => histories(300_001, new Set(['providers']), {}, holds))
  test('accountants', () => histories(400_001, new Set(['accountants']), {}, holds))
  test('consumers and providers together', () => histories(500_001, new Set(['consumers', 'providers']), {}, holds))
  test('consumers and accountants together', () => histories(600_001, new Set(['consumers', 'accountants']), {}, holds))
  test('accountants and providers together', () => histories(700_001, new Set(['accountants', 'providers']), {}, holds))
})
