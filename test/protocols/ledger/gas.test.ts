import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { type GasRow, measureGas } from '../../bench/gas-rows.ts'
import { readSnapshot } from '../../bench/gas-snapshot.ts'

/** What the ledger is built to cost at most. */
const GOALS: Readonly<Record<string, number>> = {
  batch_100: 11_000,
  batch_300: 10_800,
  settle_1: 40_500,
  settle_wallet: 51_500,
  step: 90,
  top_up: 40_000,
  reopen: 40_000,
}
const UPDATE = 'if the price is worth it: npm run bench:gas -- --update'

describe('ledger gas', () => {
  let rows: readonly GasRow[]
  before(async () => {
    rows = await measureGas()
  })

  test('no call costs more than the snapshot says, to the last unit', () => {
    const kept = readSnapshot()
    assert.deepEqual(
      rows.map(({ id }) => id),
      Object.keys(kept),
      `the snapshot has other rows; ${UPDATE}`,
    )
    const risen = rows.flatMap(({ id, value }) => (value > (kept[id] ?? 0) ? [`${id}: ${kept[id]} -> ${value}`] : []))
    assert.deepEqual(risen, [], `gas has risen; ${UPDATE}`)
  })

  test('every goal is met', () => {
    for (const [id, most] of Object.entries(GOALS)) {
      const value = rows.find((row) => row.id === id)?.value
      assert.ok(value !== undefined && value <= most, `${id}: ${value} is more than ${most}`)
    }
  })
})
