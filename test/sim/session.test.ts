import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ErrorCode } from '../../src/core/errors.ts'
import { Random } from './random.ts'
import { World, type WorldInit } from './world.ts'

/** TALLYSTICK_SIM_HISTORIES=20000 for a long run, TALLYSTICK_SIM_SEED=7 for one history. */
const HISTORIES = Number(process.env.TALLYSTICK_SIM_HISTORIES ?? 2_000)
const ONE_SEED = process.env.TALLYSTICK_SIM_SEED
const MAX_STEPS = 60_000

function histories(share: number, first: number, body: (world: World) => void, init: (random: Random) => WorldInit): void {
  const count = Math.max(1, Math.floor(HISTORIES * share))
  const seeds = ONE_SEED === undefined ? Array.from({ length: count }, (_, i) => first + i) : [Number(ONE_SEED)]
  for (const seed of seeds) {
    const random = new Random(seed)
    const world = new World(random, init(random))
    try {
      body(world)
    } catch (thrown) {
      const cause = thrown instanceof Error ? thrown : new Error(String(thrown))
      throw new Error(`seed ${seed}: ${cause.message}; ${world.log.join(', ')}`, { cause })
    }
  }
}

/** Why an honest pair may part: nothing else may ever happen between them. */
const HONEST: readonly (ErrorCode | undefined)[] = [undefined, 'BUDGET_REACHED', 'AMOUNT_OVER_DEPOSIT', 'RISK_TOO_HIGH', 'RESERVATION_TOO_SMALL', 'STREAM_CUT', 'SESSION_UNKNOWN', 'PATIENCE_OVER']

function honest(world: World): void {
  const done = world.run(MAX_STEPS)
  const ends = world.payers.flatMap((payer) => payer.ends.map((end) => end.code))
  for (const code of ends) assert.ok(HONEST.includes(code), `an honest pair parted with ${code}`)
  assert.ok(done, `it does not end: ${world.payers.flatMap((payer) => payer.goals.map((goal) => `${goal.state} ${goal.have}/${goal.payee.contentBytes} ${goal.session}`)).join('; ')}`)
  world.checkEnd()
}

describe('payers and payees on a bad network', () => {
  test('an honest pair always ends, and agrees on every receipt and every base unit', () => {
    histories(0.25, 1, honest, (random) => ({ payers: random.int(1, 2), payees: random.int(1, 2), cuts: 0, crashes: 0 }))
  })
  test('cuts and resumes change nothing of that', () => {
    histories(0.25, 10_001, honest, (random) => ({ payers: random.int(1, 2), payees: random.int(1, 2), cuts: random.int(1, 6), crashes: 0 }))
  })
  test('nor do crashes at any point of either side', () => {
    histories(0.25, 20_001, honest, (random) => ({ payers: random.int(1, 2), payees: random.int(1, 2), cuts: random.int(0, 3), crashes: random.int(1, 4) }))
  })
})
