import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  agreeOnHead,
  bestAmount,
  type ChannelOut,
  freeOf,
  gapOf,
  isFrozen,
  judgePromise,
  moveTotal,
  type PromiseRules,
  unsettled,
} from '../../src/core/channel.ts'
import type { Seconds } from '../../src/core/ids.ts'
import type { Lock } from '../../src/core/lock.ts'
import { toyPayee, toyPromise } from '../sim/toy-crypto.ts'
import { A, badSignature, channelIn, channelOut, facts, NOW_S, PAYEE, PAYER, promise, terms } from './session/fixture.ts'

const { verifyPromise } = toyPayee(PAYEE, PAYER, terms())
const rules = (of: Partial<PromiseRules> = {}): PromiseRules => ({
  now: NOW_S,
  marginS: 600,
  unreserved: A(0),
  verify: verifyPromise,
  ...of,
})

/** A verdict in a word. */
const BETTER = 'better'
function judged(...of: Parameters<typeof judgePromise>): string {
  const verdict = judgePromise(...of)
  return typeof verdict === 'string' ? verdict : BETTER
}

describe('P2: a promise is judged', () => {
  test('the first one is better than none, and a higher one better than a lower', () => {
    assert.equal(judged(channelIn(), promise(1), undefined, rules()), BETTER)
    assert.equal(judged(channelIn(10), promise(11), undefined, rules()), BETTER)
  })
  test('P3: the same again is the same, and needs no second check', () => {
    assert.equal(
      judged(channelIn(10), promise(10), undefined, rules({ verify: () => assert.fail('it was checked before') })),
      'same',
    )
  })
  test('refuses a signature of anybody else', () => {
    assert.equal(judged(channelIn(10), { ...promise(11), signature: badSignature }, undefined, rules()), 'SIGNER_WRONG')
    assert.equal(judged(channelIn(10), toyPromise(PAYEE, PAYEE, A(11)), undefined, rules()), 'SIGNER_WRONG')
    assert.equal(judged(channelIn(10), { ...promise(10), signature: badSignature }, undefined, rules()), 'SIGNER_WRONG')
  })
  test('refuses a promise whose amount falls', () => {
    assert.equal(judged(channelIn(10), promise(9), undefined, rules()), 'AMOUNT_TOO_LOW')
  })
  test('refuses locks that are no chain of ticks', () => {
    const salt = new Uint8Array(32)
    const lock = { anchor: `0x${'1'.repeat(64)}`, unit: A(1), steps: 1, expiry: 0 } as unknown as Lock
    const carrying = (...locks: Lock[]) => toyPromise(PAYER, PAYEE, A(11), locks)
    assert.equal(judged(channelIn(10), carrying(lock), salt, rules()), BETTER)
    assert.equal(judged(channelIn(10), carrying(lock), undefined, rules()), 'LOCKS_REFUSED')
    assert.equal(judged(channelIn(10), carrying(), salt, rules()), 'LOCKS_REFUSED')
    assert.equal(judged(channelIn(10), carrying({ ...lock, expiry: NOW_S }), salt, rules()), 'LOCKS_REFUSED')
    assert.equal(judged(channelIn(10), carrying({ ...lock, unit: A(0) }), salt, rules()), 'LOCKS_REFUSED')
    const other = { ...lock, anchor: `0x${'2'.repeat(64)}` } as Lock
    assert.equal(judged(channelIn(10), carrying(lock, other), salt, rules()), 'LOCKS_REFUSED')
  })
  test('S5: refuses what the confirmed deposit does not cover, unless the payee takes that risk', () => {
    assert.equal(judged(channelIn(), promise(1_000_000), undefined, rules()), BETTER)
    assert.equal(judged(channelIn(), promise(1_000_001), undefined, rules()), 'AMOUNT_OVER_DEPOSIT')
    assert.equal(judged(channelIn(), promise(1_000_001), undefined, rules({ unreserved: A(1) })), BETTER)
  })
  test('S10: a promise counts only until the margin before the expiry', () => {
    const channel = { ...channelIn(), facts: facts(1_000n, NOW_S + 600) }
    assert.equal(judged(channel, promise(1), undefined, rules({ now: (NOW_S - 1) as Seconds })), BETTER)
    assert.equal(judged(channel, promise(1), undefined, rules()), 'CHANNEL_EXPIRED')
  })
  test('release: after a Close was signed none is accepted until its deadline has passed or the ledger shows the next epoch', () => {
    const channel = { ...channelIn(10), frozen: { until: NOW_S, epoch: 0 } }
    assert.equal(judged(channel, promise(11), undefined, rules()), 'CHANNEL_FROZEN')
    assert.equal(judged(channel, promise(11), undefined, rules({ now: (NOW_S + 1) as Seconds })), BETTER)
    assert.equal(judged({ ...channel, facts: { ...channel.facts, epoch: 1 } }, promise(11), undefined, rules()), BETTER)
    assert.ok(isFrozen(channel, NOW_S) && !isFrozen(channelIn(), NOW_S))
  })
})

describe('the head', () => {
  const agree = (channel: ChannelOut, head: number | undefined, moving = false) =>
    agreeOnHead(channel, head === undefined ? undefined : { promise: promise(head) }, verifyPromise, moving)
  const agreed = (channel: ChannelOut, head: number | undefined, moving = false) => {
    const result = agree(channel, head, moving)
    assert.ok(result !== 'HEAD_DISAGREES')
    return result
  }

  test('H1: a head without our signature is refused', () => {
    assert.equal(
      agreeOnHead(channelOut(), { promise: { ...promise(5), signature: badSignature } }, verifyPromise, false),
      'HEAD_DISAGREES',
    )
  })
  test('H2: a head above our record is taken over: our disk was rolled back', () => {
    const { channel, restate } = agreed(channelOut(10), 25)
    assert.deepEqual(
      [channel.at, channel.last?.amount, channel.reserved, channel.drift, restate],
      [25n, 25n, 25n, 15n, undefined],
    )
  })
  test('H3: what the payee had confirmed and lost is promised once more', () => {
    const { channel, restate } = agreed(channelOut(30), 10)
    assert.deepEqual([channel.at, channel.drift, restate], [30n, 0n, 30n])
    assert.equal(agreed(channelOut(30), undefined).restate, 30n)
  })
  test('H3: what it never confirmed is not; it may be asked for again', () => {
    const { channel, restate } = agreed({ ...channelOut(30), unconfirmed: A(20) }, 10)
    assert.deepEqual([channel.at, restate, gapOf(channel), channel.unconfirmed], [10n, undefined, 20n, 0n])
    const lost = agreed({ ...channelOut(30), unconfirmed: A(20) }, 4)
    assert.deepEqual([lost.channel.at, lost.restate, gapOf(lost.channel)], [10n, 10n, 20n])
  })
  test('H4: while other sessions are live, a lower head is only behind what is on its way', () => {
    const channel = { ...channelOut(30), unconfirmed: A(20) }
    assert.deepEqual(agreed(channel, 10, true), { channel, restate: undefined })
    assert.equal(agree(channel, 31, true), 'HEAD_DISAGREES')
  })
  test('nothing that was signed is forgotten: the highest promise is kept', () => {
    assert.equal(agreed({ ...channelOut(30), unconfirmed: A(20) }, 10).channel.last?.amount, 30n)
  })
  test('property: a payee that hides its head never gains: the position never rises above what it shows or had confirmed', () => {
    fc.assert(
      fc.property(fc.nat(100), fc.nat(100), fc.nat(200), (at, unconfirmed, head) => {
        const channel = { ...channelOut(at), unconfirmed: A(Math.min(at, unconfirmed)) }
        const { channel: next, restate } = agreed(channel, head)
        const confirmed = channel.at - channel.unconfirmed
        assert.equal(next.at, BigInt(head) > confirmed ? BigInt(head) : confirmed)
        assert.equal(next.at - next.drift, channel.at - channel.drift)
        assert.ok(next.reserved >= next.at && (restate === undefined || restate <= channel.at))
      }),
    )
  })
})

describe('H5: a resumed total', () => {
  const lost = (gap: bigint, forgotten = 0n): ChannelOut => ({ ...channelOut(100), drift: -gap, forgotten: A(forgotten) })

  test('may be lower by what was lost on the way, and by no more', () => {
    assert.notEqual(moveTotal(lost(20n), -20n, true), 'HEAD_DISAGREES')
    assert.equal(moveTotal(lost(20n), -21n, true), 'HEAD_DISAGREES')
    assert.equal(moveTotal(channelOut(100), -1n, false), 'HEAD_DISAGREES')
  })
  test('may be higher by what this node may have signed and forgotten, and by no more', () => {
    assert.notEqual(moveTotal({ ...lost(-20n, 30n) }, 20n, true), 'HEAD_DISAGREES')
    assert.equal(moveTotal({ ...lost(-20n, 30n) }, 31n, true), 'HEAD_DISAGREES')
    assert.equal(moveTotal(channelOut(100), 1n, false), 'HEAD_DISAGREES')
  })
  test('must explain all of it when no other session can', () => {
    assert.equal(moveTotal(lost(-20n, 30n), 10n, true), 'HEAD_DISAGREES')
    assert.notEqual(moveTotal(lost(-20n, 30n), 10n, false), 'HEAD_DISAGREES')
  })
  test('what was forgotten can be claimed once', () => {
    const moved = moveTotal(lost(-20n, 20n), 20n, true)
    assert.ok(moved !== 'HEAD_DISAGREES')
    assert.deepEqual([moved.drift, moved.forgotten], [0n, 0n])
    assert.equal(moveTotal(moved, 1n, false), 'HEAD_DISAGREES')
  })
})

test('what is free counts every promise that may have been signed', () => {
  assert.equal(freeOf({ ...channelOut(10), reserved: A(400_000) }), 600_000n)
  assert.equal(freeOf({ ...channelOut(10), facts: { ...facts(), settled: A(700_000) } }), 300_000n)
  assert.equal(freeOf({ ...channelOut(10), facts: facts(5n) }), 0n)
})

test('what is unsettled is the best promise less what the ledger has paid', () => {
  assert.equal(unsettled(channelIn(10)), 10n)
  assert.equal(unsettled({ ...channelIn(10), facts: { ...facts(), settled: A(12) } }), 0n)
  assert.equal(bestAmount(channelIn()), 0n)
})
