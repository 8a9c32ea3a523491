import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { bestAmount, type ChannelIn, reachOf } from '../../src/core/channel.ts'
import { newOwner } from '../../src/core/credit.ts'
import { factsAhead, lookBack, type Trust, trustSeen } from '../../src/core/unconfirmed.ts'
import { A, channelIn, PAYER, TOKEN } from './session/fixture.ts'

const policy = { unconfirmedCredit: A(100), poolPerHour: A(250), unreserved: A(0) }
const none = (deposit = 0): ChannelIn => {
  const channel = channelIn()
  return { ...channel, facts: { ...channel.facts, deposit: A(deposit) } }
}
const trust = (of: Partial<Trust> = {}): Trust => ({
  pool: { hour: 0, left: policy.poolPerHour },
  owner: newOwner(PAYER, TOKEN),
  channel: none(),
  ...of,
})
/** The channel after a promise of that worth was taken. */
const promised = (channel: ChannelIn, amount: bigint): ChannelIn => ({
  ...channel,
  best: { promise: { amount: A(amount), signature: new Uint8Array(65), locks: [] } },
})
const confirmed = (channel: ChannelIn, deposit: number): ChannelIn => ({
  ...channel,
  facts: { ...channel.facts, deposit: A(deposit) },
})

describe('S12: what counts of a deposit that is not confirmed', () => {
  test('is what the provider gives, never more than stands in the block, out of the pool', () => {
    const much = trustSeen(trust(), A(1_000), policy, 0)
    assert.deepEqual([reachOf(much.channel), much.pool.left], [100n, 150n])
    assert.equal(reachOf(trustSeen(trust(), A(30), policy, 0).channel), 30n)
    assert.equal(reachOf(trustSeen(trust({ channel: none(500) }), A(1_000), policy, 0).channel), 600n)
  })
  test('is given once for a channel, however often it is looked at', () => {
    const once = trustSeen(trust(), A(1_000), policy, 0)
    assert.deepEqual(trustSeen(once, A(1_000), policy, 0), once)
  })
  test('is nothing while the pool has not all of it, or the owner owes', () => {
    assert.equal(reachOf(trustSeen(trust({ pool: { hour: 0, left: A(99) } }), A(1_000), policy, 0).channel), 0n)
    const owner = { ...newOwner(PAYER, TOKEN), debt: A(1) }
    assert.equal(reachOf(trustSeen(trust({ owner }), A(1_000), policy, 0).channel), 0n)
  })
  test('is over when the deposit is confirmed', () => {
    const given = trustSeen(trust(), A(1_000), policy, 0)
    const after = lookBack({ ...given, channel: confirmed(promised(given.channel, 90n), 1_000) }, A(1_000), policy)
    assert.deepEqual([after.channel.pending, after.channel.uncovered, after.owner.debt], [undefined, undefined, 0n])
  })
  test('is a debt when a reorganisation takes the deposit back, until one covers the promise after all', () => {
    const given = trustSeen(trust(), A(1_000), policy, 0)
    const owner = { ...given.owner, paid: 90n }
    const back = lookBack({ ...given, owner, channel: promised(given.channel, 90n) }, A(0), policy)
    assert.deepEqual([reachOf(back.channel), back.channel.uncovered, back.owner.debt, back.owner.paid], [0n, 90n, 90n, 0n])
    assert.deepEqual(lookBack(back, A(0), policy), back)
    assert.equal(reachOf(trustSeen(back, A(1_000), policy, 0).channel), 0n)
    const again = lookBack({ ...back, channel: confirmed(back.channel, 1_000) }, A(1_000), policy)
    assert.deepEqual([again.channel.uncovered, again.owner.debt, again.owner.paid], [undefined, 0n, 90n])
  })
  test('leaves a channel alone on which nothing was given, whatever it lost', () => {
    const before = trust({ channel: promised(none(50), 90n) })
    assert.deepEqual(lookBack(before, A(0), policy), before)
  })
  test('goes by the expiry of the newest block, and by the confirmed deposit', () => {
    const { facts } = none(500)
    const ahead = factsAhead(facts, { ...facts, deposit: A(900), expiry: (facts.expiry + 5) as typeof facts.expiry })
    assert.deepEqual([ahead.deposit, ahead.expiry], [500n, facts.expiry + 5])
    assert.equal(factsAhead(undefined, facts).deposit, 0n)
  })

  type Event = { what: 'seen' | 'confirm' | 'back' | 'pay'; value: number }
  const events = fc.array(
    fc.record({ what: fc.constantFrom('seen', 'confirm', 'back', 'pay'), value: fc.integer({ min: 0, max: 400 }) }),
    { maxLength: 40 },
  ) as fc.Arbitrary<Event[]>

  test('property: all channels of an hour lose no more than the pool, and what is covered in the end is owed by nobody', () => {
    fc.assert(
      fc.property(fc.array(events, { minLength: 1, maxLength: 5 }), (histories) => {
        let pool = { hour: 0, left: policy.poolPerHour }
        let debts = 0n
        for (const history of histories) {
          let state = trust({ pool })
          let seen = 0
          for (const { what, value } of history) {
            const { channel } = state
            if (what === 'pay') {
              const amount = bestAmount(channel) + BigInt(value)
              // as the rules do: no promise counts beyond its reach
              if (amount > reachOf(channel)) continue
              state = {
                ...state,
                channel: promised(channel, amount),
                owner: { ...state.owner, paid: state.owner.paid + BigInt(value) },
              }
              continue
            }
            const deposit = Number(channel.facts.deposit)
            if (what === 'seen') seen = Math.max(seen, deposit) + value
            if (what === 'back') seen = deposit
            if (what === 'confirm') seen = Math.max(seen, deposit)
            const looked = what === 'confirm' ? confirmed(channel, seen) : channel
            state = trustSeen(lookBack({ ...state, channel: looked }, A(seen), policy), A(seen), policy, 0)
            const bare = bestAmount(state.channel) - reachOf(state.channel)
            assert.equal(state.channel.uncovered ?? 0n, bare > 0n ? bare : 0n)
            assert.equal(state.owner.debt, state.channel.uncovered ?? 0n)
          }
          debts += state.owner.debt
          pool = state.pool
          const all = Number(bestAmount(state.channel))
          const end = lookBack({ ...state, channel: confirmed(state.channel, all) }, A(all), policy)
          assert.deepEqual([end.owner.debt, end.channel.uncovered, end.owner.paid], [0n, undefined, bestAmount(state.channel)])
        }
        assert.ok(debts <= policy.poolPerHour && pool.left >= 0n)
      }),
    )
  })
})
