import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Amount } from '../../src/core/amount.ts'
import { Pace } from '../../src/node/pace.ts'

const A = (value: number): Amount => BigInt(value) as Amount

test('a pace goes by the last seconds, and by none before there was one', () => {
  const pace = new Pace()
  assert.equal(pace.within(1_000), 0n)
  pace.paid(A(100), 0)
  pace.paid(A(900), 999)
  assert.equal(pace.within(1_000), 0n)
  pace.paid(A(1_100), 1_000)
  assert.equal(pace.within(2_000), 2_000n)
  // it stands still for long: what was spent in the beginning counts no more
  for (let atMs = 11_000; atMs <= 41_000; atMs += 10_000) pace.paid(A(1_100), atMs)
  assert.equal(pace.within(2_000), 0n)
})
