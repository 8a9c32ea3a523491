import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type ChannelIn, judgeTick, type PromiseRules } from '../../src/core/channel.ts'
import type { Head } from '../../src/core/head.ts'
import type { Seconds } from '../../src/core/ids.ts'
import { TickRun } from '../../src/core/tick-run.ts'
import { toyChain, toyPayee, toyPromise } from '../sim/toy-crypto.ts'
import { A, channelIn, facts, NOW_S, PAYEE, PAYER, terms } from './session/fixture.ts'

const UNIT = 10n
const STEPS = 20
const salt = new Uint8Array(32).fill(1)
const words = toyChain(PAYER, PAYEE, salt, STEPS)
const lock = { anchor: words.anchor, unit: A(UNIT), steps: STEPS, expiry: 0 as Seconds }
const rules = (unreserved: bigint): PromiseRules => ({
  now: NOW_S,
  marginS: 600,
  unreserved: A(unreserved),
  verify: toyPayee(PAYEE, PAYER, terms()).verifyPromise,
})
/** A channel whose promise of 100 has the chain, k steps of it revealed. */
function chained(k: number, deposit = 1_000): ChannelIn {
  const best: Head = { promise: toyPromise(PAYER, PAYEE, A(100), [lock]), chain: { salt, k, word: words.word(k) } }
  return { ...channelIn(), facts: facts(BigInt(deposit)), best }
}

interface Tick {
  readonly k: number
  readonly word: Uint8Array
}

/** What the rules come to when they hear of every tick by itself: where it ends, and what it is refused with. */
function oneByOne(channel: ChannelIn, ticks: readonly Tick[], unreserved: bigint): [Head | undefined, string | undefined] {
  let best = channel.best
  for (const tick of ticks) {
    const verdict = judgeTick({ ...channel, best }, tick, rules(unreserved))
    if (verdict === 'same') continue
    if (typeof verdict === 'string') return [best, verdict]
    best = verdict
  }
  return [best, undefined]
}

/** The same, in runs: what a run does not count ends it, and is judged by itself. */
function inRuns(channel: ChannelIn, ticks: readonly Tick[], unreserved: bigint): [Head | undefined, string | undefined] {
  let best = channel.best
  let run: TickRun | undefined
  const judge = (tick: Tick, proven?: TickRun): string | undefined => {
    const verdict = judgeTick({ ...channel, best }, tick, rules(unreserved), proven?.begun)
    if (typeof verdict === 'string') return verdict === 'same' ? undefined : verdict
    best = verdict
    return undefined
  }
  const handIn = (): string | undefined => {
    const ended = run
    run = undefined
    return ended === undefined || ended.count === 0 ? undefined : judge(ended.last, ended)
  }
  for (const tick of ticks) {
    run ??= TickRun.from({ ...channel, best }, unreserved)
    if (run?.take(tick.k, tick.word) === true) continue
    const refused = handIn() ?? judge(tick)
    if (refused !== undefined) return [best, refused]
  }
  const refused = handIn()
  return [best, refused]
}

describe('a run of ticks', () => {
  test('comes to what the ticks come to one by one: old, wrong, jumping, too many for the chain, or for the deposit', () => {
    const tick = fc.record({
      k: fc.integer({ min: 0, max: STEPS + 3 }),
      right: fc.integer({ min: 0, max: 9 }),
    })
    const rising = fc
      .uniqueArray(fc.integer({ min: 0, max: STEPS }), { maxLength: 20 })
      .map((ks) => ks.sort((a, b) => a - b).map((k) => ({ k, right: 1 })))
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(tick, { maxLength: 30 }),
          rising,
          fc.tuple(rising, fc.array(tick, { maxLength: 3 })).map(([a, b]) => [...a, ...b]),
        ),
        fc.integer({ min: 0, max: STEPS }),
        fc.integer({ min: 90, max: 400 }),
        fc.integer({ min: 0, max: 50 }),
        (script, from, deposit, unreserved) => {
          const ticks = script.map(({ k, right }) => ({
            k,
            word: right === 0 ? new Uint8Array(32).fill(k) : words.word(Math.min(k, STEPS)),
          }))
          const channel = chained(from, deposit)
          assert.deepEqual(inRuns(channel, ticks, BigInt(unreserved)), oneByOne(channel, ticks, BigInt(unreserved)))
        },
      ),
      { numRuns: 3_000 },
    )
  })

  test('counts each tick once, and none that brings nothing', () => {
    const run = TickRun.from(chained(2), 0n)
    assert.deepEqual(
      [1, 2, 3, 3, 4, 7].map((k) => run?.take(k, words.word(k))),
      [false, false, true, false, true, true],
    )
    assert.equal(run?.count, 3)
    assert.deepEqual(run?.last, { k: 7, word: words.word(7) })
  })

  test('the rules take its word for it only where the channel still stands where it began', () => {
    const before = chained(2)
    const run = TickRun.from(before, 0n)
    assert.equal(run?.take(3, words.word(3)), true)
    const forged = { k: 9, word: new Uint8Array(32) }
    assert.equal(judgeTick(chained(2), forged, rules(0n), run?.begun), 'WORD_WRONG')
    assert.equal(judgeTick(before, { k: STEPS + 1, word: words.word(3) }, rules(0n), run?.begun), 'WORD_WRONG')
  })

  test('there is none where there is no chain, or nothing of it is covered', () => {
    assert.equal(TickRun.from(channelIn(10), 0n), undefined)
    assert.equal(TickRun.from(chained(0, 109), 0n), undefined)
    assert.notEqual(TickRun.from(chained(0, 109), 1n), undefined)
    assert.equal(TickRun.from(chained(STEPS), 0n), undefined)
  })
})
