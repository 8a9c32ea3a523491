import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Amount } from '../../src/core/amount.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import { channelId } from '../../src/core/ids.ts'
import { priceOf } from '../../src/core/price.ts'
import { Random } from './random.ts'
import { type Cheat, World, type WorldInit } from './world.ts'

/** TALLYSTICK_SIM_HISTORIES=20000 for a long run, TALLYSTICK_SIM_SEED=7 for one history. */
const HISTORIES = Number(process.env.TALLYSTICK_SIM_HISTORIES ?? 2_000)
const ONE_SEED = process.env.TALLYSTICK_SIM_SEED
const MAX_STEPS = 60_000
const CHEAT_STEPS = 4_000

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
const PLAIN: readonly (ErrorCode | undefined)[] = [undefined, 'BUDGET_REACHED', 'AMOUNT_OVER_DEPOSIT', 'RESERVATION_TOO_SMALL']
/** A cut may cost what was prepaid, and a session that was not resumed in time is given up. */
const BROKEN: readonly (ErrorCode | undefined)[] = [...PLAIN, 'RISK_TOO_HIGH', 'STREAM_CUT', 'SESSION_UNKNOWN', 'PATIENCE_OVER']

function honest(world: World, reasons: readonly (ErrorCode | undefined)[]): void {
  const done = world.run(MAX_STEPS)
  for (const { code } of world.payers.flatMap((payer) => payer.ends))
    assert.ok(reasons.includes(code), `an honest pair parted with ${code}`)
  const goals = world.payers.flatMap((payer) => payer.goals)
  assert.ok(done, `it does not end: ${goals.map((goal) => `${goal.state} ${goal.have}/${goal.payee.contentBytes}`).join('; ')}`)
  world.checkEnd()
}

const sizes = (random: Random): { payers: number; payees: number } => ({ payers: random.int(1, 2), payees: random.int(1, 2) })
const DOWN = { kind: 'down', amount: 100n as Amount, per: 1_000n } as const
const TIME = { kind: 'ms', amount: 3n as Amount, per: 10n } as const

describe('honest payers and payees on a bad network', () => {
  test('always come to an end, and agree on every receipt and every base unit', () => {
    histories(
      0.25,
      1,
      (world) => honest(world, PLAIN),
      (random) => ({ ...sizes(random), cuts: 0, crashes: 0 }),
    )
  })
  test('do so when streams are cut and sessions resumed', () => {
    histories(
      0.25,
      100_001,
      (world) => honest(world, BROKEN),
      (random) => ({ ...sizes(random), cuts: random.int(1, 6), crashes: 0 }),
    )
  })
  test('do so when either side crashes at any effect', () => {
    histories(
      0.25,
      200_001,
      (world) => honest(world, BROKEN),
      (random) => ({ ...sizes(random), cuts: random.int(0, 3), crashes: random.int(1, 4) }),
    )
  })
  test('do so when bytes in both directions, calls and units are charged', () => {
    histories(
      0.1,
      900_001,
      (world) => honest(world, PLAIN),
      (random) => ({ ...sizes(random), cuts: 0, crashes: 0, counts: true }),
    )
    histories(0.1, 910_001, (world) => honest(world, BROKEN), (random) => ({
      ...sizes(random), cuts: random.int(1, 6), crashes: 0, counts: true,
    })) // biome-ignore format: a record
    histories(0.1, 920_001, (world) => honest(world, BROKEN), (random) => ({
      ...sizes(random), cuts: random.int(0, 3), crashes: random.int(1, 4), counts: true,
    })) // biome-ignore format: a record
  })
  test('do so when time is sold, with or without bytes', () => {
    histories(0.05, 300_001, (world) => honest(world, BROKEN), (random) => ({
      ...sizes(random), cuts: random.int(0, 2), crashes: 0, brisk: true, price: priceOf(random.chance(0.5) ? [TIME] : [DOWN, TIME]),
    })) // biome-ignore format: a record
  })
})

describe('a cheat', () => {
  const against = (honestSide: 'payers' | 'payees') => (world: World) => {
    world.run(CHEAT_STEPS)
    world.checkLosses(honestSide)
    if (honestSide === 'payees') for (const { payer, payee } of world.wires) {
      const id = channelId(payer.partiesTo(payee.address))
      assert.equal(payee.totals(id), payee.best(id), 'the channel holds the sum of its sessions')
    }
  } // biome-ignore format: one loop
  const cheatingPayer =
    (payerCheats: Cheat) =>
    (random: Random): WorldInit => ({ ...sizes(random), cuts: random.int(0, 12), crashes: 0, payerCheats })
  const cheatingPayee =
    (payeeCheats: Cheat) =>
    (random: Random): WorldInit => ({ ...sizes(random), cuts: random.int(0, 12), crashes: 0, payeeCheats })

  test('who does not pay costs the payee no more than its credit', () => {
    histories(0.05, 400_001, against('payees'), cheatingPayer('pays nothing'))
  })
  test('who acknowledges nothing, however often it comes back, costs the payee no more than its credit', () => {
    histories(0.05, 500_001, against('payees'), cheatingPayer('acknowledges nothing'))
  })
  test('who agrees to nothing that is charged costs the payee no more than its credit', () => {
    histories(0.1, 930_001, against('payees'), (random) => ({ ...cheatingPayer('agrees to nothing')(random), counts: true }))
  })
  test('who pays nothing for what is charged costs the payee no more than its credit', () => {
    histories(0.05, 940_001, against('payees'), (random) => ({ ...cheatingPayer('pays nothing')(random), counts: true }))
  })
  test('who charges what it did not do, or what nobody allowed, costs the payer no more than its limit at risk', () => {
    histories(0.1, 950_001, against('payers'), (random) => ({ ...cheatingPayee('overcharges')(random), counts: true }))
  })
  test('who takes the prepayment and is silent costs the payer no more than its limit at risk', () => {
    histories(0.03, 600_001, against('payers'), cheatingPayee('is silent'))
  })
  test('who always asks for more costs the payer no more than its limit at risk', () => {
    histories(0.03, 700_001, against('payers'), cheatingPayee('begs'))
  })
  test('who shows an old head, a lower total or a debt that is none costs the payer no more than its limit at risk', () => {
    histories(0.04, 800_001, against('payers'), cheatingPayee('understates'))
  })
})
