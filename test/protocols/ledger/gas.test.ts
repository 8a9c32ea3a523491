import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
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
const TOLD = [
  'batch_100',
  'batch_300',
  'other_key_100',
  'settle_1',
  'settle_wallet',
  'step',
  'open',
  'open_from_balance',
  'top_up',
  'reopen',
  'close',
  'reclaim',
]
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

  test('SPEC.md tells the figures of the snapshot', () => {
    const spec = readFileSync(new URL('../../../protocols/ledger/SPEC.md', import.meta.url), 'utf8')
    const gas = spec.slice(spec.indexOf('## 12.'))
    for (const id of TOLD)
      assert.ok(gas.includes(Math.round(readSnapshot()[id] ?? 0).toLocaleString('en')), `${id} is out of date`)
  })

  test('every goal is met', () => {
    for (const [id, most] of Object.entries(GOALS)) {
      const value = rows.find((row) => row.id === id)?.value
      assert.ok(value !== undefined && value <= most, `${id}: ${value} is more than ${most}`)
    }
  })
})
