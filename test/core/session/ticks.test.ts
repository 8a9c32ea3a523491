import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { bestAmount, judgePromise, judgeTick, type PromiseRules, type Verdict } from '../../../src/core/channel.ts'
import { codeOfWire } from '../../../src/core/errors.ts'
import { type Head, headWorth } from '../../../src/core/head.ts'
import type { Seconds } from '../../../src/core/ids.ts'
import type { Lock } from '../../../src/core/lock.ts'
import type { Pay, Tick } from '../../../src/core/session/messages.ts'
import { Hoard } from '../../sim/hoard.ts'
import { toyChain, toyPayee, toyPromise } from '../../sim/toy-crypto.ts'
import { A, channelIn, facts, NOW_S, named, PAYEE, PAYER, PayeeBench, PayerBench, SESSION, terms } from './fixture.ts'

const UNIT = 10n
const STEPS = 20
const saltOf = (n: number): Uint8Array => new Uint8Array(32).fill(n)
const wordsOf = (n: number, steps = STEPS) => toyChain(PAYER, PAYEE, saltOf(n), steps)
const lockOf = (n: number, steps = STEPS): Lock => ({
  anchor: wordsOf(n, steps).anchor,
  unit: A(UNIT),
  steps,
  expiry: 0 as Seconds,
})
const rules = (of: Partial<PromiseRules> = {}): PromiseRules => ({
  now: NOW_S,
  marginS: 600,
  unreserved: A(0),
  verify: toyPayee(PAYEE, PAYER, terms()).verifyPromise,
  ...of,
})
const promised = (amount: number, ...locks: Lock[]) => toyPromise(PAYER, PAYEE, A(amount), locks)
/** A channel whose promise of 100 has chain 1, k steps revealed. */
const chained = (k: number) => {
  const best: Head = { promise: promised(100, lockOf(1)), chain: { salt: saltOf(1), k, word: wordsOf(1).word(k) } }
  return { ...channelIn(), best }
}
const worth = (verdict: Verdict): bigint | string => (typeof verdict === 'string' ? verdict : headWorth(verdict))
const tick = (k: number, of = wordsOf(1)) => ({ k, word: of.word(k) })

describe('T2: which promise replaces which', () => {
  const judged = (k: number, amount: number, locks: Lock[], salt?: number): bigint | string =>
    worth(judgePromise(chained(k), promised(amount, ...locks), salt === undefined ? undefined : saltOf(salt), rules()))

  test('one without a chain must have what was revealed folded in: nothing is counted twice, and nothing is lost', () => {
    assert.equal(judged(3, 129, []), 'AMOUNT_TOO_LOW')
    assert.equal(judged(3, 130, []), 130n)
  })
  test('one with another chain, too', () => {
    assert.equal(judged(3, 129, [lockOf(2)], 2), 'AMOUNT_TOO_LOW')
    assert.equal(judged(3, 131, [lockOf(2)], 2), 131n)
  })
  test('one that carries the very same lock on keeps what was revealed of it', () => {
    assert.equal(judged(3, 105, [lockOf(1)], 1), 135n)
    assert.equal(judged(3, 99, [lockOf(1)], 1), 'AMOUNT_TOO_LOW')
  })
  test('an anchor in a lock of other terms, or with another salt, is refused', () => {
    assert.equal(judged(0, 200, [{ ...lockOf(1), steps: STEPS - 1 }], 1), 'LOCKS_REFUSED')
    assert.equal(judged(0, 200, [{ ...lockOf(1), unit: A(11) }], 1), 'LOCKS_REFUSED')
    assert.equal(judged(3, 200, [lockOf(1)], 2), 'LOCKS_REFUSED')
  })
  test('what was not revealed is nobody’s: it need not be carried on', () => {
    assert.equal(judged(0, 100, []), 100n)
  })
})

describe('T4: a tick is judged', () => {
  const judged = (k: number, next: { k: number; word: Uint8Array }, of: Partial<PromiseRules> = {}) =>
    worth(judgeTick(chained(k), next, rules(of)))

  test('the next word is worth a unit more, and words may be skipped', () => {
    assert.equal(judged(0, tick(1)), 110n)
    assert.equal(judged(4, tick(5)), 150n)
    assert.equal(judged(4, tick(STEPS)), 300n)
  })
  test('an older word is harmless, whatever it is', () => {
    assert.equal(judged(4, tick(4)), 'same')
    assert.equal(judged(4, { k: 3, word: new Uint8Array(32) }), 'same')
  })
  test('a word that does not hash to the last one is WORD_WRONG, and so is one of another step', () => {
    assert.equal(judged(4, { k: 5, word: wordsOf(1).word(6) }), 'WORD_WRONG')
    assert.equal(judged(4, { k: 6, word: wordsOf(1).word(5) }), 'WORD_WRONG')
    assert.equal(judged(4, tick(5, wordsOf(2))), 'WORD_WRONG')
  })
  test('a step beyond the chain is refused before anything is hashed', () => {
    // a word of another length would make the walk throw
    assert.equal(judged(4, { k: STEPS + 1, word: new Uint8Array(0) }), 'WORD_WRONG')
    assert.equal(judged(4, { k: 65_535, word: new Uint8Array(0) }), 'WORD_WRONG')
  })
  test('without a chain there are no ticks', () => {
    assert.equal(judgeTick(channelIn(10), tick(1), rules()), 'WRONG_STATE')
    assert.equal(judgeTick(channelIn(), tick(1), rules()), 'WRONG_STATE')
  })
  test('cover, freeze and margin hold as for a promise', () => {
    const poor = { ...chained(0), facts: facts(119n) }
    assert.equal(worth(judgeTick(poor, tick(1), rules())), 110n)
    assert.equal(judgeTick(poor, tick(2), rules()), 'AMOUNT_OVER_DEPOSIT')
    assert.equal(judgeTick({ ...chained(0), facts: facts(1_000n, NOW_S + 600) }, tick(1), rules()), 'CHANNEL_EXPIRED')
    assert.equal(judgeTick({ ...chained(0), frozen: { until: NOW_S, epoch: 0 } }, tick(1), rules()), 'CHANNEL_FROZEN')
  })
})

const payments = (bench: PayerBench): (Pay | Tick)[] =>
  bench.said.filter((message) => message.type === 'promise' || message.type === 'tick')
const kinds = (bench: PayerBench): string[] =>
  payments(bench).map((pay) =>
    pay.type === 'tick' ? `tick ${pay.k}` : `promise ${pay.promise.amount} +${pay.promise.locks[0]?.steps ?? 0}`,
  )

function ticking(init: ConstructorParameters<typeof PayerBench>[0] = {}): PayerBench {
  const bench = new PayerBench({ credit: 50_000, ...init })
  bench.ticks = 'always'
  return bench.live()
}

describe('T3: how a payer pays with ticks', () => {
  test('a promise begins the chain, and every further chunk is a word', () => {
    const bench = ticking()
    for (let i = 0; i < 4; i++) bench.use(1_000)
    assert.deepEqual(kinds(bench), ['promise 1000 +99', 'tick 1', 'tick 2', 'tick 3'])
    assert.deepEqual([bench.session.total, bench.state.channel.at, bench.signed.length], [4_000n, 4_000n, 1])
  })
  test('what is below a unit is within credit; chunks that come together are one word', () => {
    const bench = ticking()
    bench.use(1_000)
    bench.use(2_700)
    assert.deepEqual(kinds(bench).slice(1), ['tick 2'])
    bench.use(300)
    assert.deepEqual([kinds(bench).slice(2), bench.session.total], [['tick 3'], 4_000n])
  })
  test('a pause is answered at once, by a promise that carries the chain on', () => {
    const bench = ticking()
    bench.use(2_000)
    bench.use(1_000)
    bench.use(300)
    bench.meter({ paused: true, written: 3_300 })
    assert.deepEqual(kinds(bench), ['promise 2000 +98', 'tick 1', 'promise 2300 +98'])
    bench.use(1_000)
    assert.deepEqual([kinds(bench).at(-1), bench.session.total], ['tick 2', 4_300n])
  })
  test('a chain that is used up is folded by the promise that begins the next one', () => {
    const bench = ticking({ wish: { budget: A(1_000_000) } })
    for (let i = 0; i < 260; i++) bench.use(1_000)
    assert.deepEqual(kinds(bench).slice(255, 260), ['tick 255', 'tick 256', 'promise 258000 +256', 'tick 1', 'tick 2'])
    assert.equal(bench.signed.length, 2)
    const [first, second] = payments(bench).flatMap((pay) => (pay.type === 'promise' ? [pay] : []))
    assert.notDeepEqual(first?.salt, second?.salt)
  })
  test('T5: at the end one promise without a chain folds it', () => {
    const bench = ticking()
    for (let i = 0; i < 3; i++) bench.use(1_000)
    bench.give({ type: 'finish', code: undefined })
    assert.deepEqual(kinds(bench).at(-1), 'promise 3000 +0')
    assert.equal(bench.said.at(-1)?.type, 'close')
  })
  test('while another session of the channel is live its chain is carried on, also at the end', () => {
    const bench = ticking()
    for (let i = 0; i < 3; i++) bench.use(1_000)
    bench.isMoving = true
    bench.use(100)
    bench.give({ type: 'finish', code: undefined })
    assert.deepEqual(kinds(bench).at(-1), 'promise 1100 +99')
    assert.equal(bench.state.channel.at, 3_100n)
  })
  test('P1: no word is revealed beyond the durable mark', () => {
    const bench = ticking({ wish: { limitAtRisk: A(1_500) } })
    bench.use(1_000)
    bench.slowDisk = true
    bench.use(1_000)
    bench.use(1_000)
    assert.deepEqual(kinds(bench), ['promise 1000 +99', 'tick 1'])
    bench.sync()
    assert.deepEqual(kinds(bench).slice(2), ['tick 2'])
  })
  test('a session of few chunks signs them: a chain would spare nothing', () => {
    const bench = new PayerBench({ credit: 50_000, wish: { expect: 15_000n } })
    bench.ticks = 'auto'
    bench.live()
    for (let i = 0; i < 15; i++) bench.use(1_000)
    assert.ok(kinds(bench).every((kind) => kind.endsWith('+0')))
  })
  for (const [lost, next] of [
    [0, 'tick 3'],
    [1, 'promise 3000 +97'],
  ] as const) {
    test(`after a cut the chain goes on where the payee holds all words of it, else it is folded: ${lost} lost`, () => {
      const bench = ticking()
      for (let i = 0; i < 3; i++) bench.use(1_000)
      const { head } = bench.state.channel
      assert.ok(head?.chain !== undefined)
      const { salt } = head.chain
      const words = toyChain(PAYER, PAYEE, salt, head.promise.locks[0]?.steps ?? 0)
      bench.give({ type: 'cut' })
      const held: Head = { promise: head.promise, chain: { salt, k: 2 - lost, word: words.word(2 - lost) } }
      bench.resumed(held, 3_000 - lost * 1_000, 3_000 - lost * 1_000)
      bench.use(1_000)
      assert.deepEqual([kinds(bench)[3], bench.session.total], [next, 4_000n])
    })
  }
})

describe('T3: a payee that lies about the head gets no more than was meant for it', () => {
  const hoardOf = (...benches: PayerBench[]): bigint => {
    const hoard = new Hoard()
    for (const pay of benches.flatMap(payments)) pay.type === 'promise' ? hoard.promise(pay.promise) : hoard.word(pay.word)
    return hoard.worth
  }
  const anchorHead = ({ promise, salt }: Pay): Head => {
    const steps = promise.locks[0]?.steps ?? 1
    return { promise, chain: { salt: salt as Uint8Array, k: 0, word: toyChain(PAYER, PAYEE, salt as Uint8Array, steps).word(0) } }
  }
  const signed = (bench: PayerBench): Pay[] => payments(bench).flatMap((pay) => (pay.type === 'promise' ? [pay] : []))

  test('by showing the salt of another chain: words of no other chain are revealed', () => {
    const first = ticking({ wish: { budget: A(1_000_000) } })
    for (let i = 0; i < 3; i++) first.use(1_000)
    first.meter()
    first.give({ type: 'finish', code: undefined })
    first.receipt()
    const second = new PayerBench({
      credit: 50_000,
      wish: { budget: A(1_000_000), expect: 20_000n },
      channel: first.state.channel,
    })
    second.ticks = 'always'
    second.offer({ head: 3_000 })
    second.ready()
    for (let i = 0; i < 2; i++) second.use(1_000)
    second.meter()
    const { head } = second.state.channel
    assert.ok(head?.chain !== undefined)
    second.give({ type: 'cut' })
    second.resumed({ promise: head.promise, chain: { ...head.chain, salt: signed(first)[0]?.salt as Uint8Array } }, 2_000, 2_000)
    for (let i = 0; i < 3; i++) second.use(1_000)
    assert.equal(second.session.status, 'live')
    assert.ok(hoardOf(first, second) <= second.state.channel.at)
  })
  test('by hiding a promise that carried the same chain on: words are never worth something to two promises', () => {
    const bench = ticking({ wish: { budget: A(300_000), limitAtRisk: A(3_000) } })
    bench.use(1_000)
    for (let i = 1; i <= 100; i++) {
      bench.use(900)
      bench.meter({ paused: true, written: 1_000 + 900 * i + 1, paid: 1_000n })
    }
    const before = hoardOf(bench)
    bench.give({ type: 'cut' })
    bench.resumed(anchorHead(signed(bench)[0] as Pay), 1_000, 91_000)
    for (let i = 0; i < 20; i++) bench.use(1_000)
    assert.equal(bench.session.status, 'live')
    assert.ok(hoardOf(bench) <= bench.state.channel.reserved && before <= bench.state.channel.reserved)
  })
  test('by hiding words: a promise that carries the chain on is not worth them twice', () => {
    const bench = ticking({ wish: { budget: A(300_000), limitAtRisk: A(3_000) } })
    for (let i = 0; i < 4; i++) bench.use(1_000)
    const held = hoardOf(bench)
    bench.give({ type: 'cut' })
    bench.resumed(anchorHead(signed(bench)[0] as Pay), 1_000, 4_000)
    bench.meter({ paused: true, written: 4_300, paid: 1_000n })
    bench.use(300)
    assert.equal(held, 4_000n)
    assert.ok(hoardOf(bench) <= bench.state.channel.at)
  })
  test('to a process that was restarted: it folds, whatever it is shown', () => {
    const before = ticking()
    for (let i = 0; i < 3; i++) before.use(1_000)
    before.meter()
    const { head } = before.state.channel
    assert.ok(head !== undefined)
    before.give({ type: 'cut' })
    const after = new PayerBench({ credit: 50_000 })
    after.ticks = 'always'
    after.state = { session: before.session, channel: { ...before.state.channel, head: undefined } }
    after.resumed(head, 3_000, 3_000)
    after.use(1_000)
    assert.match(kinds(after)[0] ?? '', /^promise 4000 \+/)
    assert.notEqual(signed(after)[0]?.promise.locks[0]?.anchor, head.promise.locks[0]?.anchor)
  })
  test('a chain that cannot pay a rise any more is folded: joined payments use it up, too', () => {
    const bench = ticking({ wish: { budget: A(1_000_000), limitAtRisk: A(100_000) } })
    for (let i = 0; i < 300; i++) bench.use(3_000)
    assert.ok(bench.signed.length <= 8, `${bench.signed.length} signatures for 300 payments`)
    assert.equal(hoardOf(bench), bench.state.channel.at)
  })
})

describe('the payee of a session that is paid with ticks', () => {
  const chunk = (bench: PayeeBench, amount: number, total: number, ...locks: Lock[]) =>
    bench.give({
      type: 'promise',
      message: {
        type: 'promise',
        session: SESSION,
        total: A(total),
        promise: promised(amount, ...locks),
        ...(locks.length > 0 && { salt: saltOf(1) }),
      },
    })
  const word = (bench: PayeeBench, k: number, of = wordsOf(1)) =>
    bench.give({ type: 'tick', message: { type: 'tick', session: SESSION, ...tick(k, of) } })
  const fault = (bench: PayeeBench): string | undefined => {
    const said = bench.said.findLast((message) => message.type === 'fault')
    return said?.type === 'fault' ? codeOfWire(said.code) : undefined
  }

  test('counts each word when it is durable', () => {
    const bench = new PayeeBench().live()
    chunk(bench, 10, 10, lockOf(1))
    bench.slowDisk = true
    word(bench, 1)
    word(bench, 3)
    assert.deepEqual([bench.session.total, bench.session.paid], [40n, 10n])
    bench.sync()
    assert.deepEqual([bench.session.paid, bestAmount(bench.state.channel)], [40n, 40n])
    assert.equal(bench.state.owner.paid, 40n)
  })
  test('is not disturbed by a word that it has', () => {
    const bench = new PayeeBench().live()
    chunk(bench, 10, 10, lockOf(1))
    word(bench, 2)
    const before = bench.state
    word(bench, 1)
    word(bench, 2)
    assert.deepEqual(bench.state, before)
    assert.equal(bench.said.at(-1)?.type, 'meter')
  })
  test('ends the session at a wrong word, and keeps what was paid', () => {
    const bench = new PayeeBench().live()
    chunk(bench, 10, 10, lockOf(1))
    word(bench, 2)
    assert.ok(named(word(bench, 3, wordsOf(2))).includes('drop'))
    assert.deepEqual([fault(bench), bench.session.status, bench.session.paid], ['WORD_WRONG', 'closed', 30n])
    // what was on its way when the session ended still counts
    word(bench, 3)
    assert.equal(bench.session.paid, 40n)
  })
  test('after the end looks at no payment any more once one has broken a rule', () => {
    const bench = new PayeeBench().live()
    chunk(bench, 10, 10, lockOf(1))
    word(bench, 1, wordsOf(2))
    assert.deepEqual(named(word(bench, 2, wordsOf(2))), ['forget'])
    assert.deepEqual(named(chunk(bench, 5, 5)), ['forget'])
  })
  test('T1: refuses a chain that pays nothing', () => {
    const bench = new PayeeBench().live()
    chunk(bench, 0, 0, lockOf(1))
    assert.deepEqual([fault(bench), bench.session.status], ['LOCKS_REFUSED', 'closed'])
  })
  test('T1: refuses an anchor that was used before', () => {
    const bench = new PayeeBench().live()
    bench.usedAnchors.add(lockOf(1).anchor)
    chunk(bench, 10, 10, lockOf(1))
    assert.deepEqual([fault(bench), bench.session.status], ['LOCKS_REFUSED', 'closed'])
  })
  test('property: whatever is used, both ends hold the same totals, and words are worth what was due', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(3_000), { maxLength: 80 }),
        fc.constantFrom('always', 'auto', 'never'),
        fc.boolean(),
        (uses, ticks, pauses) => {
          const payer = new PayerBench({ credit: 9_000, wish: { budget: A(1_000_000) } })
          payer.ticks = ticks
          payer.live()
          const payee = new PayeeBench().live()
          let heard = 0
          const deliver = (): void => {
            for (const message of payments(payer).slice(heard))
              payee.give({ type: message.type, message } as Parameters<PayeeBench['give']>[0])
            heard = payments(payer).length
          }
          for (const [i, bytes] of uses.entries()) {
            payer.use(bytes)
            if (pauses && i % 7 === 3) payer.meter({ paused: true, written: uses.slice(0, i + 1).reduce((a, b) => a + b, 0) })
            deliver()
            assert.equal(fault(payee), undefined)
            assert.equal(payee.session.total, payer.session.total)
            assert.equal(bestAmount(payee.state.channel), payer.state.channel.at)
          }
          payer.give({ type: 'finish', code: undefined })
          deliver()
          const used = BigInt(uses.reduce((a, b) => a + b, 0))
          assert.equal(payee.session.paid, payer.session.total)
          // a payee that waits though all is paid is prepaid a chunk (S4)
          assert.ok(pauses ? payee.session.paid >= used : payee.session.paid === used)
          assert.equal(payee.state.channel.best?.chain?.k ?? 0, 0)
        },
      ),
      { numRuns: 200 },
    )
  })
})
