import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { codeOfWire, TallyError } from '../../../src/core/errors.ts'
import { FREE, priceOf } from '../../../src/core/price.ts'
import { atRiskOf, owedOf, usableBytes } from '../../../src/core/session/payer.ts'
import { A, CHUNK, channelOut, down, facts, named, PayerBench, terms, time } from './fixture.ts'

const ended = (effects: readonly { type: string; code?: unknown }[]): unknown => {
  const end = effects.find((effect) => effect.type === 'ended')
  return end === undefined ? 'goes on' : end.code
}
const closing = (bench: PayerBench): string | undefined => {
  const close = bench.said.findLast((message) => message.type === 'close')
  return close?.type === 'close' ? (close.reason === 0 ? 'completed' : codeOfWire(close.reason)) : undefined
}
const totals = (bench: PayerBench): bigint[] =>
  bench.said.flatMap((message) => (message.type === 'promise' ? [message.total] : []))

describe('when a payer pays', () => {
  test('S3: when a chunk is due, and not before', () => {
    const bench = new PayerBench({ credit: 5_000 }).live()
    bench.use(999)
    assert.deepEqual(totals(bench), [])
    bench.use(1)
    assert.deepEqual(totals(bench), [1_000n])
  })
  test('S3: chunks that become due together are paid by one promise, while less than a quarter of the credit is due', () => {
    const bench = new PayerBench({ credit: 12_001 })
    bench.joins = true
    bench.live()
    assert.deepEqual(named(bench.use(1_000)), ['join'])
    bench.use(1_000)
    assert.deepEqual(totals(bench), [])
    bench.give({ type: 'joined' })
    bench.give({ type: 'joined' })
    assert.deepEqual(totals(bench), [2_000n])
    bench.use(3_000)
    bench.use(1)
    assert.deepEqual(totals(bench), [2_000n, 5_001n])
  })
  test('S3: what is less than a chunk waits for its chunk, also when others have waited for it', () => {
    const bench = new PayerBench({ credit: 12_000 })
    bench.joins = true
    bench.live()
    bench.use(999)
    bench.give({ type: 'joined' })
    assert.deepEqual(totals(bench), [])
  })
  test('S4: a pause waits for nothing', () => {
    const bench = new PayerBench({ credit: 12_000 })
    bench.joins = true
    bench.live()
    bench.use(1_200)
    bench.meter({ paused: true, written: 1_200 })
    assert.deepEqual(totals(bench), [1_200n])
  })
  test('S4: when the payee pauses, at once, for what it has received, chunk full or not', () => {
    const bench = new PayerBench({ credit: 5_000 }).live()
    bench.use(10)
    bench.meter({ paused: true, written: 10 })
    assert.deepEqual(totals(bench), [10n])
  })
  test('S4: and while it waits, for everything that is used', () => {
    const bench = new PayerBench({ credit: 5_000 }).live()
    bench.meter({ paused: true, written: 30 })
    bench.use(30)
    assert.deepEqual(totals(bench), [30n])
  })
  test('S4: without credit a chunk is paid first', () => {
    const bench = new PayerBench().live()
    assert.deepEqual([totals(bench), atRiskOf(bench.session)], [[1_000n], 1_000n])
  })
  test('S4: with less credit than a chunk, the difference', () => {
    const bench = new PayerBench({ credit: 400 }).live()
    bench.meter({ paused: true, written: 0 })
    assert.deepEqual(totals(bench), [600n])
  })
  test('S4: nothing beyond what is expected is prepaid', () => {
    const bench = new PayerBench({ wish: { expect: 1_500n } }).live()
    bench.use(1_000)
    bench.meter({ paused: true, written: 1_000 })
    assert.deepEqual(totals(bench), [1_000n, 1_500n])
    bench.use(500)
    bench.give({ type: 'finish', code: undefined })
    assert.deepEqual([totals(bench).at(-1), closing(bench)], [1_500n, 'completed'])
  })
  test('S9: arrears are paid first', () => {
    const bench = new PayerBench({ terms: terms({ arrears: A(700) }), wish: { owed: A(700) }, credit: 0 }).live()
    assert.deepEqual([totals(bench), atRiskOf(bench.session)], [[1_700n], 1_000n])
  })
  test('a free service is never paid for', () => {
    const bench = new PayerBench({ terms: terms({ price: FREE }), wish: { limitAtRisk: A(0) } }).live()
    bench.use(1_000_000)
    bench.meter({ paused: true, written: 1_000_000 })
    assert.deepEqual(totals(bench), [])
  })
  test('a price of several chunks a base unit is paid a unit at a time', () => {
    const bench = new PayerBench({ terms: terms({ price: down(1, 5_000) }), credit: 10 }).live()
    for (let i = 0; i < 10; i++) bench.use(1_000)
    assert.deepEqual(totals(bench), [1n, 2n])
  })
  test('S5: a pause that was overtaken by a payment on its way asks for nothing more than what is owed', () => {
    const bench = new PayerBench().live()
    bench.meter({ paused: true, written: 0, paid: 0n })
    assert.deepEqual([totals(bench), bench.session.waiting], [[1_000n], false])
  })
  test('P1: the amount is reserved durably before it is signed', () => {
    const bench = new PayerBench()
    bench.offer()
    bench.slowDisk = true
    bench.ready()
    assert.deepEqual([bench.signed, bench.stored], [[], [{ type: 'reserved', mark: 4_000n }]])
    bench.use(10)
    assert.deepEqual(bench.signed, [])
    bench.sync()
    assert.deepEqual([bench.signed, bench.state.channel.reserved], [[1_010n], 4_000n])
  })
  test('P1: the mark is never further ahead than the limit at risk, and never above budget or deposit', () => {
    const bench = new PayerBench({ wish: { budget: A(1_200) } }).live()
    assert.equal(bench.state.channel.reserved, 1_200n)
    const poor = new PayerBench({ channel: { ...channelOut(), facts: facts(1_100n) } }).live()
    assert.equal(poor.state.channel.reserved, 1_100n)
  })
  test('H4: payments rise from the common head', () => {
    const bench = new PayerBench({ channel: channelOut(500) }).live()
    assert.deepEqual([totals(bench), bench.signed], [[1_000n], [1_500n]])
  })
  test('property: at risk is never above the limit, signed never above reserved, budget or deposit, whatever the payee says', () => {
    const op = fc.oneof(
      fc.record({ do: fc.constant('use' as const), bytes: fc.nat(1_500) }),
      fc.record({
        do: fc.constant('meter' as const),
        paused: fc.boolean(),
        written: fc.nat(5_000),
        credit: fc.nat(3_000),
        paid: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      fc.record({ do: fc.constant('clock' as const), handed: fc.nat(2_000) }),
    )
    fc.assert(
      fc.property(
        fc.array(op, { maxLength: 40 }),
        fc.integer({ min: 1_000, max: 5_000 }),
        fc.nat(9_000),
        (ops, limit, budget) => {
          const bench = new PayerBench({
            wish: { limitAtRisk: A(limit), budget: A(budget) },
            channel: { ...channelOut(100), facts: facts(6_000n) },
          }).live()
          for (const one of ops) {
            bench.nowMs += 200
            const usable = Number(usableBytes(bench.state) ?? 0n)
            if (one.do === 'use') bench.use(Math.min(usable, one.bytes))
            else if (one.do === 'clock') bench.give({ type: 'clock', handed: BigInt(one.handed) })
            else bench.meter({ ...one, paid: BigInt(Math.floor(Number(bench.session.total) * one.paid)) })
            const { session, channel } = bench.state
            assert.ok(atRiskOf(session) <= BigInt(limit))
            assert.ok(session.total <= BigInt(budget) && channel.at <= 6_000n && channel.at <= channel.reserved)
            assert.ok(owedOf(session) <= BigInt(budget), 'what cannot be paid is not used')
            assert.equal(channel.at, 100n + session.total)
          }
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('nothing stands still between honest ends', () => {
  test('a payee that waits, and holds and has sent all, gets a further chunk', () => {
    const bench = new PayerBench().live()
    bench.use(1_000)
    bench.meter({ paused: true, written: 1_000, paid: 2_000n })
    assert.deepEqual(totals(bench), [1_000n, 2_000n, 3_000n])
  })
  test('but not while bytes are on their way', () => {
    const bench = new PayerBench().live()
    bench.meter({ paused: true, written: 500 })
    assert.deepEqual(totals(bench), [1_000n])
  })
  test('bytes that have come and cannot be used before more of them come count as here', () => {
    const bench = new PayerBench().live()
    bench.meter({ paused: true, written: 500 })
    bench.give({ type: 'clock', handed: 500n })
    assert.deepEqual(totals(bench), [1_000n, 2_000n])
  })
  test('at the limit at risk the session ends', () => {
    const bench = new PayerBench({ wish: { limitAtRisk: A(1_000) } }).live()
    bench.meter({ paused: true, written: 0 })
    assert.equal(closing(bench), 'RISK_TOO_HIGH')
  })
  test('but not at once when somebody still holds bytes that were not used', () => {
    const bench = new PayerBench({ wish: { limitAtRisk: A(1_000) } }).live()
    bench.meter({ paused: true, written: 500 })
    bench.give({ type: 'clock', handed: 500n })
    assert.equal(closing(bench), undefined)
    bench.nowMs += 2_000
    bench.give({ type: 'clock', handed: 500n })
    assert.equal(closing(bench), 'RISK_TOO_HIGH')
  })
  test('a chunk whose kind is free is no measure: the payee gets what it needs, a base unit at a time', () => {
    const bench = new PayerBench({ terms: terms({ price: time(1), chunk: CHUNK }) }).live()
    bench.meter({ paused: true, written: 0 })
    assert.deepEqual(totals(bench), [1n])
  })
  test('a price of bytes and time: a chunk of bytes alone would not let time run', () => {
    const price = priceOf([
      { kind: 'down', amount: A(1), per: 1_000n },
      { kind: 'ms', amount: A(1), per: 1n },
    ])
    const bench = new PayerBench({ terms: terms({ price }), wish: { limitAtRisk: A(700), expect: 10n } }).live()
    for (let i = 0; i < 3; i++) bench.meter({ paused: true })
    assert.deepEqual(totals(bench), [1n, 2n, 3n, 4n])
  })
  test('a few bytes that were lost on the way do not make it pay a few bytes at a time', () => {
    const bench = new PayerBench().live()
    bench.use(2)
    bench.meter({ paused: true, written: 2 })
    assert.deepEqual(totals(bench), [1_000n, 2_000n])
  })
})

describe('budget and deposit', () => {
  test('exactly what the budget covers can be used', () => {
    const bench = new PayerBench({ terms: terms({ price: down(1, 100) }), wish: { budget: A(15), limitAtRisk: A(10) } }).live()
    assert.equal(usableBytes(bench.state), 1_500n)
    bench.use(1_000)
    bench.meter({ paused: true, written: 1_000 })
    bench.use(500)
    assert.deepEqual([usableBytes(bench.state), totals(bench).at(-1), closing(bench)], [0n, 15n, undefined])
  })
  test('the last part of the budget is prepaid too, and used before the session ends', () => {
    const bench = new PayerBench({ wish: { budget: A(2_500) } }).live()
    bench.use(1_000)
    bench.use(1_000)
    bench.meter({ paused: true, written: 2_000 })
    assert.deepEqual([totals(bench), closing(bench)], [[1_000n, 2_000n, 2_500n], undefined])
    bench.use(500)
    bench.meter({ paused: true, written: 2_500 })
    assert.deepEqual([closing(bench), owedOf(bench.session)], ['BUDGET_REACHED', 2_500n])
  })
  test('a content that ends with the budget is complete', () => {
    const bench = new PayerBench({ wish: { budget: A(1_000) } }).live()
    bench.use(1_000)
    bench.give({ type: 'ended', stream: 1 })
    bench.give({ type: 'finish', code: undefined })
    assert.equal(closing(bench), 'completed')
  })
  test('a budget smaller than a chunk is used up to its last byte', () => {
    const bench = new PayerBench({ wish: { budget: A(10) } }).live()
    bench.meter({ paused: true })
    assert.deepEqual([totals(bench), usableBytes(bench.state)], [[10n], 10n])
    bench.use(10)
    bench.meter({ paused: true, written: 10 })
    assert.equal(closing(bench), 'BUDGET_REACHED')
  })
  test('the deposit is a limit like the budget, with its own name', () => {
    const bench = new PayerBench({ channel: { ...channelOut(), facts: facts(1_000n) } }).live()
    bench.use(1_000)
    bench.meter({ paused: true, written: 1_000 })
    assert.equal(closing(bench), 'AMOUNT_OVER_DEPOSIT')
  })
  test('time that the budget does not cover is not bought', () => {
    const bench = new PayerBench({
      terms: terms({ price: time(1), chunk: { kind: 'ms', size: 1_000n } }),
      wish: { budget: A(1_400) },
    }).live()
    for (; bench.nowMs < 2_000 && closing(bench) === undefined; bench.nowMs += 200) bench.give({ type: 'clock', handed: 0n })
    assert.equal(closing(bench), 'BUDGET_REACHED')
    assert.ok(owedOf(bench.session) <= 1_400n && owedOf(bench.session) >= 900n)
  })
})

describe('S6: time', () => {
  const timed = (): PayerBench =>
    new PayerBench({
      terms: terms({ price: time(1), chunk: { kind: 'ms', size: 1_000n } }),
      wish: { limitAtRisk: A(1_000) },
      credit: 5_000,
    }).live()
  test('counts only with a stream open, and stands still while the payee is paused, until it says that it goes on', () => {
    const bench = timed()
    bench.nowMs = 500
    bench.meter({ paused: true, ms: 500n })
    bench.nowMs = 1_500
    bench.give({ type: 'clock', handed: 0n })
    assert.equal(bench.session.ms, 500n)
    bench.meter()
    bench.nowMs = 1_600
    bench.give({ type: 'ended', stream: 1 })
    bench.nowMs = 3_000
    bench.give({ type: 'clock', handed: 0n })
    assert.equal(bench.session.ms, 600n)
  })
  test('that ran on while the pause was on its way is taken back, as far as it was not acknowledged', () => {
    const bench = timed()
    bench.nowMs = 800
    bench.meter({ paused: true, ms: 300n })
    assert.equal(bench.session.ms, 300n)
    bench.meter({ paused: true, ms: 100n })
    assert.equal(bench.session.ms, 300n)
  })
  test('during which the machine slept is not bought', () => {
    const bench = timed()
    bench.nowMs = 3_600_000
    bench.give({ type: 'clock', handed: 0n })
    assert.equal(bench.session.ms, 2_000n)
  })
  test('stands still while the payee is silent: no more than the limit at risk and a chunk goes unconfirmed', () => {
    const bench = timed()
    for (; bench.nowMs < 60_000; bench.nowMs += 200) bench.give({ type: 'clock', handed: 0n })
    assert.ok(bench.session.total <= 3_000n)
  })
})

describe('terms', () => {
  const outcome = (bench: PayerBench, of: Parameters<PayerBench['offer']>[0]): unknown => ended(bench.offer(of))
  test('S4: refuses terms whose chunk costs more than the limit at risk', () => {
    assert.equal(outcome(new PayerBench({ wish: { limitAtRisk: A(999) } }), {}), 'RISK_TOO_HIGH')
  })
  test('refuses another price, chunk, service, provider, token or session than was asked for', () => {
    const others = [
      { price: down(2) },
      { chunk: { kind: 'down', size: 999n } as const },
      { service: 'other' },
      { provider: terms().owner },
      { token: terms().owner },
      { owner: terms().provider },
      { expiry: terms().opened },
      { patienceMs: 999 },
    ]
    for (const other of others) {
      const code = outcome(new PayerBench(), { terms: terms(other) })
      assert.ok(code === 'TERMS_REFUSED' || code === 'SIGNER_WRONG', `${Object.keys(other)}: ${code}`)
    }
  })
  test('refuses a price above the maximum', () => {
    assert.equal(outcome(new PayerBench({ wish: { maxPrice: down(1, 2) } }), {}), 'PRICE_TOO_HIGH')
  })
  test('S9: refuses arrears that it does not know of', () => {
    assert.equal(outcome(new PayerBench({ wish: { owed: A(5) } }), { terms: terms({ arrears: A(6) }) }), 'DEBT_DISPUTED')
    assert.equal(outcome(new PayerBench({ wish: { owed: A(5) } }), { terms: terms({ arrears: A(5) }) }), 'goes on')
  })
  test('S9: but payments that were lost on the way may be asked for again, once', () => {
    const lost = { ...channelOut(100), unconfirmed: A(40) }
    const bench = new PayerBench({ channel: lost })
    assert.equal(outcome(bench, { head: 60, terms: terms({ arrears: A(40) }) }), 'goes on')
    assert.deepEqual([bench.state.channel.at, bench.state.channel.drift], [60n, 0n])
    assert.equal(outcome(new PayerBench({ channel: lost }), { head: 60, terms: terms({ arrears: A(41) }) }), 'DEBT_DISPUTED')
  })
  test('H1: refuses a head that does not carry its signature, and a session that begins above zero', () => {
    assert.equal(outcome(new PayerBench(), { total: 1 }), 'HEAD_DISAGREES')
    assert.equal(outcome(new PayerBench(), { acked: 1 }), 'HEAD_DISAGREES')
  })
  test('H3: restates what the payee had confirmed, before accept', () => {
    const bench = new PayerBench({ channel: channelOut(100) })
    bench.offer({ head: 60 })
    assert.deepEqual([bench.said.map((message) => message.type), bench.signed], [['restate', 'accept'], [100n]])
  })
  test('accepts when its record of the terms is durable', () => {
    const bench = new PayerBench()
    bench.slowDisk = true
    bench.offer()
    assert.equal(bench.said.length, 0)
    bench.sync()
    assert.deepEqual(
      bench.said.map((message) => message.type),
      ['accept'],
    )
  })
  test('a refusal is told to the payee', () => {
    const bench = new PayerBench({ wish: { limitAtRisk: A(1) } })
    bench.offer()
    assert.deepEqual(
      bench.said.map((message) => message.type),
      ['fault'],
    )
  })
})

describe('H5: resume', () => {
  const cut = (stale = false): PayerBench => {
    const bench = new PayerBench({ credit: 5_000 }).live()
    bench.use(2_000)
    bench.meter({ paid: 1_000n })
    bench.give({ type: 'cut' })
    bench.state = { ...bench.state, session: { ...bench.session, stale } }
    return bench
  }
  test('what was sent and not held is paid again, from the head', () => {
    const bench = cut()
    bench.offer({ total: 1_000, acked: 1_000, head: 1_000 })
    bench.ready()
    assert.deepEqual([bench.signed, bench.session.total, bench.state.channel.drift], [[2_000n, 2_000n], 2_000n, 0n])
  })
  test('refuses a total below what it knows to be held', () => {
    assert.equal(ended(cut().offer({ total: 999, acked: 1_000, head: 999 })), 'HEAD_DISAGREES')
  })
  test('refuses a total that is lower than the head explains', () => {
    assert.equal(ended(cut().offer({ total: 1_000, acked: 1_000, head: 2_000 })), 'HEAD_DISAGREES')
  })
  test('refuses figures above its own, unless its own record may be behind', () => {
    assert.equal(ended(cut().offer({ total: 2_000, acked: 2_001, head: 2_000 })), 'HEAD_DISAGREES')
    const behind = cut(true)
    assert.equal(ended(behind.offer({ total: 2_000, acked: 2_500, head: 2_000 })), 'goes on')
    assert.equal(behind.session.flow.done, 2_500n)
    assert.equal(ended(cut(true).offer({ total: 2_000, acked: 9_000, head: 2_000 })), 'HEAD_DISAGREES')
  })
  test('the terms stay word for word', () => {
    assert.equal(ended(cut().offer({ terms: terms({ arrears: A(1) }), total: 2_000, head: 2_000 })), 'TERMS_REFUSED')
  })
  test('a provider that cannot take it up now leaves it as it was', () => {
    const bench = cut()
    assert.equal(ended(bench.give({ type: 'fault', code: new TallyError('BUSY').wire })), 'goes on')
    assert.deepEqual([bench.session.status, bench.session.failure], ['cut', 'BUSY'])
    assert.equal(ended(bench.give({ type: 'fault', code: new TallyError('SESSION_UNKNOWN').wire })), 'SESSION_UNKNOWN')
  })
  test('a caller that does not wait for the answer leaves it as it was', () => {
    const bench = cut()
    bench.give({ type: 'finish', code: 'ABORTED' })
    assert.equal(bench.session.status, 'cut')
  })
  test('a ready that comes twice is one', () => {
    const bench = new PayerBench().live()
    bench.ready()
    assert.equal(bench.session.status, 'live')
  })
})

describe('the end', () => {
  const close = (): PayerBench => {
    const bench = new PayerBench({ credit: 5_000 }).live()
    bench.use(700)
    bench.give({ type: 'finish', code: undefined })
    return bench
  }
  test('C1: pays exactly what is due for all it acknowledges, then says close', () => {
    const bench = close()
    assert.deepEqual(
      bench.said.slice(1).map((message) => message.type),
      ['ack', 'promise', 'close'],
    )
    const last = bench.said.at(-1)
    assert.ok(last?.type === 'close')
    assert.deepEqual([last.total, last.acked.down], [700n, 700n])
  })
  test('C2: countersigns a receipt that says what happened', () => {
    const bench = close()
    const effects = bench.receipt()
    assert.deepEqual([named(effects), ended(effects)], [['store', 'send', 'ended'], undefined])
    assert.deepEqual([bench.said.at(-1)?.type, bench.session.paid, bench.state.channel.unconfirmed], ['countersign', 700n, 0n])
  })
  test('C3: a payee that gave up while the payer was away says why, though the figures agree', () => {
    const bench = close()
    bench.give({ type: 'cut' })
    assert.equal(ended(bench.receipt({ reason: new TallyError('PATIENCE_OVER').wire })), 'PATIENCE_OVER')
  })
  test('C2: refuses one that does not', () => {
    for (const wrong of [{ total: 699n }, { down: 701n }, { ms: 1n }, { amount: 10_000n }]) {
      const bench = close()
      assert.equal(ended(bench.receipt(wrong)), 'RECEIPT_WRONG', Object.keys(wrong)[0])
      assert.notEqual(bench.said.at(-1)?.type, 'countersign')
    }
  })
  test('C3: the receipt of a payee that gave up is kept and not countersigned', () => {
    const bench = new PayerBench({ credit: 5_000 }).live()
    bench.use(700)
    assert.equal(ended(bench.give({ type: 'fault', code: new TallyError('PATIENCE_OVER').wire })), 'PATIENCE_OVER')
    bench.receipt({ total: 0n, down: 0n, reason: new TallyError('PATIENCE_OVER').wire })
    assert.equal(bench.session.receipt?.receipt.total, 0n)
    assert.ok(!bench.said.some((message) => message.type === 'countersign'))
  })
  test('closing is asked for by the payee: the payer pays and closes with its reason', () => {
    const bench = new PayerBench({ credit: 5_000 }).live()
    bench.use(300)
    bench.give({ type: 'closing', reason: new TallyError('SHUTTING_DOWN').wire })
    assert.deepEqual([totals(bench), closing(bench)], [[300n], 'SHUTTING_DOWN'])
  })
  test('a session that is given up before it was agreed on is told so', () => {
    const bench = new PayerBench()
    assert.equal(ended(bench.give({ type: 'finish', code: 'ABORTED' })), 'ABORTED')
    assert.equal(bench.said.at(-1)?.type, 'fault')
  })
  test('after a crash the receipt of a session that had been closed is believed, up to the limit at risk', () => {
    const behind = (): PayerBench => {
      const bench = new PayerBench({ credit: 5_000, channel: { ...channelOut(), reserved: A(4_000) } }).live()
      bench.give({ type: 'cut' })
      bench.state = { session: { ...bench.session, stale: true }, channel: { ...bench.state.channel, forgotten: A(4_000) } }
      return bench
    }
    const bench = behind()
    assert.equal(ended(bench.receipt({ total: 700n, down: 700n, amount: 700n })), undefined)
    assert.deepEqual([bench.session.total, bench.session.flow.done], [700n, 700n])
    assert.equal(ended(behind().receipt({ total: 9_000n, down: 9_000n, amount: 9_000n })), 'RECEIPT_WRONG')
  })
})
