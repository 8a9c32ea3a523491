import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { creditLimit, newOwner, type OwnerAccount, type Pool, takeGrant } from '../../src/core/credit.ts'
import { A, PAYER, TOKEN } from './session/fixture.ts'

const policy = { sharePpm: 100_000n, max: A(1_000), poolPerHour: A(250) }
const account = (of: Partial<OwnerAccount> = {}): OwnerAccount => ({ ...newOwner(PAYER, TOKEN), ...of })
const pool = (left: number, hour = 0): Pool => ({ hour, left: A(left) })

describe('S8: credit of an owner', () => {
  test('is grant + share of what was paid - burnt', () => {
    assert.equal(creditLimit(account({ grant: A(100), paid: 2_000n, burnt: A(50) }), policy), 250n)
  })
  test('is never below zero and never above the maximum of the provider', () => {
    assert.equal(creditLimit(account({ grant: A(100), burnt: A(101) }), policy), 0n)
    assert.equal(creditLimit(account({ paid: 1_000_000n }), policy), 1_000n)
  })
  test('is zero while it owes from before', () => {
    assert.equal(creditLimit(account({ grant: A(100), paid: 1_000_000n, debt: A(1) }), policy), 0n)
  })
  test('property: it grows by at most the share of what was paid', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 10_000n), fc.bigInt(0n, 10_000n), fc.bigInt(0n, 500n), (paid, more, burnt) => {
        const before = creditLimit(account({ paid, burnt: A(burnt) }), policy)
        const after = creditLimit(account({ paid: paid + more, burnt: A(burnt) }), policy)
        assert.ok(after >= before && (after - before) * 1_000_000n <= more * policy.sharePpm + 1_000_000n)
      }),
    )
  })
})

describe("S8: the newcomers' pool", () => {
  test('gives a newcomer the credit of one chunk', () => {
    const taken = takeGrant(pool(250), account(), A(100), policy, 0)
    assert.deepEqual([taken.pool.left, taken.account.grant], [150n, 100n])
  })
  test('gives it once: a second session, or one after all was burnt, gets no more', () => {
    const burnt = account({ grant: A(100), burnt: A(100) })
    assert.deepEqual(takeGrant(pool(250), burnt, A(100), policy, 0).account, burnt)
  })
  test('gives only what is missing when a dearer chunk is wanted', () => {
    const taken = takeGrant(pool(250), account({ grant: A(60) }), A(100), policy, 0)
    assert.deepEqual([taken.pool.left, taken.account.grant], [210n, 100n])
  })
  test('gives nothing when it is empty, and nothing in part', () => {
    assert.equal(takeGrant(pool(99), account(), A(100), policy, 0).account.grant, 0n)
  })
  test('gives nothing to an owner that owes, or whose record already allows a chunk', () => {
    assert.equal(takeGrant(pool(250), account({ debt: A(1) }), A(100), policy, 0).account.grant, 0n)
    assert.equal(takeGrant(pool(250), account({ paid: 1_000n }), A(100), policy, 0).account.grant, 0n)
  })
  test('is refilled every hour, and never beyond that', () => {
    assert.equal(takeGrant(pool(0, 0), account(), A(100), policy, 3_600).pool.left, 150n)
    assert.equal(takeGrant(pool(250, 0), account(), A(100), policy, 7_200).pool.left, 150n)
  })
  test('property: all owners of an hour together never get more than the pool', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 20 }), (wants) => {
        let current = pool(0, -1)
        let given = 0n
        for (const want of wants) {
          const taken = takeGrant(current, account(), A(want), policy, 10)
          current = taken.pool
          given += taken.account.grant
        }
        assert.ok(given <= policy.poolPerHour)
      }),
    )
  })
})
