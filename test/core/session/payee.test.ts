import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { TallyError } from '../../../src/core/errors.ts'
import { meterOf } from '../../../src/core/meter.ts'
import { FREE, priceOf } from '../../../src/core/price.ts'
import type { MeterReport } from '../../../src/core/session/messages.ts'
import { allowance, dueOf, exposureOf, writtenMeter } from '../../../src/core/session/payee.ts'
import {
  A,
  badSignature,
  CHUNK,
  channelIn,
  down,
  facts,
  NOW_S,
  named,
  PayeeBench,
  promise,
  SESSION,
  terms,
  time,
} from './fixture.ts'

const GRANT = { grant: A(1_000) }
const allowed = (bench: PayeeBench): bigint | undefined => allowance(bench.state, bench.context)
const lastReport = (bench: PayeeBench): MeterReport => {
  const found = bench.said.findLast((message) => message.type === 'meter')
  assert.ok(found?.type === 'meter')
  return found
}
const faults = (bench: PayeeBench): (string | undefined)[] =>
  bench.said.flatMap((message) =>
    message.type === 'fault' ? [message.code === new TallyError('INTERNAL').wire ? 'INTERNAL' : nameOf(message.code)] : [],
  )
function nameOf(wire: number): string {
  const names = [
    'WRONG_STATE',
    'SIGNER_WRONG',
    'RISE_MISMATCH',
    'METER_DISAGREES',
    'AMOUNT_OVER_DEPOSIT',
    'AMOUNT_TOO_LOW',
    'CHANNEL_EXPIRED',
    'CHANNEL_FROZEN',
    'PATIENCE_OVER',
    'SHUTTING_DOWN',
  ] as const
  return names.find((name) => new TallyError(name).wire === wire) ?? String(wire)
}

describe('what is due and how far is written', () => {
  test('S1: due is the arrears plus one rounding over the exact sum, cumulative', () => {
    const bench = new PayeeBench({
      terms: terms({ price: down(1, 1_000), arrears: A(7) }),
      owner: { ...GRANT, debt: A(7) },
    }).live()
    bench.pay(17)
    for (let i = 1; i <= 10; i++) {
      bench.write(1)
      bench.ack(i)
    }
    assert.equal(dueOf(bench.session), 8n)
  })
  test('S2: due counts what was acknowledged, exposure what was written', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.write(600)
    bench.ack(200)
    assert.deepEqual([dueOf(bench.session), exposureOf(bench.session)], [200n, 600n])
  })
  test('S2: nothing is written past paid + credit', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    assert.equal(allowed(bench), 1_000n)
    bench.write(1_000)
    assert.equal(allowed(bench), 0n)
    bench.pay(300)
    assert.equal(allowed(bench), 300n)
  })
  test('S8: without credit nothing is written before it is paid', () => {
    const bench = new PayeeBench().live()
    assert.equal(allowed(bench), 0n)
    bench.pay(500)
    assert.equal(allowed(bench), 500n)
  })
  test('S8: the other sessions of the owner use the same credit', () => {
    const bench = new PayeeBench({ owner: GRANT, otherExposure: 900n }).live()
    assert.equal(allowed(bench), 100n)
    bench.otherExposure = A(5_000)
    assert.equal(allowed(bench), 0n)
  })
  test('S8: while the owner owes, the arrears are paid before anything is written', () => {
    const bench = new PayeeBench({ terms: terms({ arrears: A(500) }), owner: { ...GRANT, debt: A(500) } }).live()
    assert.equal(allowed(bench), 0n)
    bench.pay(500)
    assert.equal(bench.state.owner.debt, 0n)
    assert.equal(allowed(bench), 1_000n)
  })
  test('a free service has no limit, once arrears are paid', () => {
    assert.equal(allowed(new PayeeBench({ terms: terms({ price: FREE }) }).live()), undefined)
    assert.equal(allowed(new PayeeBench({ terms: terms({ price: FREE, arrears: A(1) }), owner: { debt: A(1) } }).live()), 0n)
  })
  test('a price of several chunks a base unit lets all of them through for one', () => {
    const bench = new PayeeBench({ terms: terms({ price: down(1, 5_000) }) }).live()
    bench.pay(1)
    assert.equal(allowed(bench), 5_000n)
  })
  test('S6: time is covered a step ahead', () => {
    const bench = new PayeeBench({ terms: terms({ price: time(1), chunk: { kind: 'ms', size: 1_000n } }) }).live()
    bench.pay(499)
    assert.equal(allowed(bench), 0n)
    bench.pay(500)
    assert.equal(allowed(bench), undefined)
  })
  test('D4, S8: bytes that are never acknowledged stay exposed, however the stream ends', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.write(1_000)
    bench.ack(0, { final: true })
    assert.equal(allowed(bench), 0n)
    bench.write(1_000)
    assert.equal(exposureOf(bench.session), 2_000n)
  })
  test('property: whatever the payer says, exposure never exceeds the credit', () => {
    const op = fc.oneof(
      fc.record({ do: fc.constant('write' as const), most: fc.integer({ min: 1, max: 2_000 }) }),
      fc.record({ do: fc.constant('ack' as const), bytes: fc.nat(5_000), final: fc.boolean() }),
      fc.record({ do: fc.constant('pay' as const), rise: fc.integer({ min: 1, max: 2_000 }) }),
      fc.record({ do: fc.constant('back' as const), acked: fc.nat(5_000) }),
    )
    fc.assert(
      fc.property(fc.array(op, { maxLength: 40 }), fc.nat(3_000), (ops, grant) => {
        const bench = new PayeeBench({ owner: { grant: A(grant) } }).live()
        let stream = 1
        for (const one of ops) {
          if (one.do === 'write') {
            const most = Number(allowed(bench) ?? 0n)
            if (most > 0) bench.write(Math.min(most, one.most), stream)
          } else if (one.do === 'pay') bench.pay(Number(bench.session.total) + one.rise)
          else if (one.do === 'ack') bench.ack(one.bytes, { stream, final: one.final })
          else {
            bench.give({ type: 'cut' })
            bench.give({ type: 'resume', acked: meterOf({ down: BigInt(one.acked) % (writtenMeter(bench.session).down + 1n) }) })
            bench.give({ type: 'accept', signature: bench.acceptance })
            bench.give({ type: 'opened', stream: ++stream })
          }
          assert.ok(exposureOf(bench.session) <= BigInt(grant))
          const { burnt, debt } = bench.state.owner
          assert.ok(burnt + debt <= BigInt(grant))
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('pausing', () => {
  test('S4: a payee that must stop says so', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.write(1_000)
    bench.give({ type: 'blocked' })
    const { paused, written, paid, credit } = lastReport(bench)
    assert.deepEqual([paused, written.down, paid, credit], [true, 1_000n, 0n, 1_000n])
  })
  test('S4: and says it once, however many streams wait', () => {
    const bench = new PayeeBench().live()
    for (let i = 0; i < 5; i++) bench.give({ type: 'blocked' })
    assert.equal(bench.said.filter((message) => message.type === 'meter').length, 1)
  })
  test('S5: a payment lets it go on when it is durable, and not before', () => {
    const bench = new PayeeBench().live()
    bench.give({ type: 'blocked' })
    bench.slowDisk = true
    assert.deepEqual(named(bench.pay(1_000)), ['store'])
    assert.deepEqual([bench.session.total, bench.session.paid, allowed(bench)], [1_000n, 0n, 0n])
    assert.ok(named(bench.sync()).includes('serve'))
    assert.deepEqual([bench.session.paid, allowed(bench), bench.session.paused], [1_000n, 1_000n, false])
  })
  test('a session that goes on because another of the owner gave credit back says so', () => {
    const bench = new PayeeBench({ owner: GRANT, otherExposure: 1_000n }).live()
    bench.give({ type: 'blocked' })
    bench.otherExposure = A(0)
    bench.write(10)
    assert.deepEqual([bench.session.paused, lastReport(bench).paused], [false, false])
    bench.write(990)
    bench.give({ type: 'blocked' })
    assert.equal(lastReport(bench).paused, true)
  })
  test('S8: the credit that is told is less what was lost on the way', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.write(400)
    bench.ack(0, { final: true })
    bench.give({ type: 'opened', stream: 2 })
    bench.write(600, 2)
    bench.give({ type: 'blocked' })
    assert.deepEqual([lastReport(bench).credit, lastReport(bench).written.down], [600n, 600n])
  })
  test('S8: a payer that waits for a paused payee is told when a last word on a stream turns what it counted on into a loss', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.write(1_000)
    bench.give({ type: 'blocked' })
    assert.deepEqual([lastReport(bench).paused, lastReport(bench).credit, lastReport(bench).written.down], [true, 1_000n, 1_000n])
    bench.ack(300, { final: true })
    assert.deepEqual([lastReport(bench).paused, lastReport(bench).credit, lastReport(bench).written.down], [true, 300n, 300n])
  })
  test('S6: time counts only with a stream open and while the session is not paused', () => {
    const bench = new PayeeBench({ terms: terms({ price: time(1) }), owner: { grant: A(2_000) } })
    bench.give({ type: 'accept', signature: bench.acceptance })
    bench.nowMs = 1_000
    bench.give({ type: 'opened', stream: 1 })
    bench.nowMs = 2_600
    bench.give({ type: 'clock' })
    assert.deepEqual([bench.session.ms, bench.session.paused], [1_600n, true])
    bench.nowMs = 9_000
    bench.give({ type: 'clock' })
    assert.equal(bench.session.ms, 1_600n)
  })
  test('S6: a clock that differs by more than 1 % + 1 s closes a session that sells time', () => {
    const timed = new PayeeBench({ terms: terms({ price: time(1) }), owner: { grant: A(9_000) } }).live()
    timed.nowMs = 2_000
    timed.ack(0, { ms: 3_020n })
    assert.equal(timed.session.status, 'live')
    timed.ack(0, { ms: 3_021n })
    assert.deepEqual(faults(timed), ['METER_DISAGREES'])
  })
  test('S6: where no time is sold a slow network ends nothing', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.ack(0, { ms: 999_999n })
    assert.equal(bench.session.status, 'live')
  })
})

describe('P2: payments', () => {
  test('the rise on the channel must be the rise in the session', () => {
    const bench = new PayeeBench({ channel: channelIn(500) }).live()
    bench.give({ type: 'promise', message: { type: 'promise', session: SESSION, total: A(11), promise: promise(510) } })
    assert.deepEqual(
      [faults(bench), bench.session.status, bench.state.channel.best?.promise.amount],
      [['RISE_MISMATCH'], 'closed', 500n],
    )
  })
  test('H4: only what is above the head pays for the session', () => {
    const bench = new PayeeBench({ channel: channelIn(500) }).live()
    bench.pay(10)
    assert.deepEqual([bench.session.paid, bench.state.channel.best?.promise.amount], [10n, 510n])
  })
  test('P3: the same promise again changes nothing and is answered with meter', () => {
    const bench = new PayeeBench().live()
    bench.pay(10)
    const before = bench.state
    assert.deepEqual(named(bench.pay(10)), ['send'])
    assert.deepEqual(bench.state, before)
  })
  test('P4: a wrong signature ends the whole stream', () => {
    const bench = new PayeeBench().live()
    const forged = { ...promise(10), signature: badSignature }
    const effects = bench.give({ type: 'promise', message: { type: 'promise', session: SESSION, total: A(10), promise: forged } })
    assert.ok(named(effects).includes('drop') && bench.session.status === 'closed')
  })
  for (const [what, amount, of, code] of [
    ['beyond the deposit', 1_000_001, {}, 'AMOUNT_OVER_DEPOSIT'],
    ['within the margin', 10, { channel: { ...channelIn(), facts: facts(1_000_000n, NOW_S + 600) } }, 'CHANNEL_EXPIRED'],
    ['on a frozen channel', 10, { channel: { ...channelIn(), frozen: { until: NOW_S, epoch: 0 } } }, 'CHANNEL_FROZEN'],
  ] as const) {
    test(`P4: a promise ${what} is answered with ${code} and ends the session`, () => {
      const bench = new PayeeBench(of).live()
      bench.pay(amount)
      assert.deepEqual([faults(bench), bench.session.status], [[code], 'closed'])
    })
  }
  test('a promise that was on its way when the session ended still counts, towards the debt first', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.write(1_000)
    bench.ack(1_000)
    bench.nowMs = 30_001
    bench.give({ type: 'clock' })
    assert.deepEqual([faults(bench), bench.state.owner.debt], [['PATIENCE_OVER'], 1_000n])
    bench.pay(1_000)
    assert.deepEqual(
      [bench.state.owner.debt, bench.state.channel.best?.promise.amount, bench.session.total],
      [0n, 1_000n, 1_000n],
    )
  })
  test('no count a peer can send makes the rules throw', () => {
    const bench = new PayeeBench({ terms: terms({ price: priceOf([{ kind: 'down', amount: A(2n ** 90n), per: 1n }]) }) }).live()
    bench.give({ type: 'cut' })
    bench.give({ type: 'resume', acked: meterOf({ down: 2n ** 64n - 1n }) })
    bench.give({ type: 'accept', signature: bench.acceptance })
    bench.give({ type: 'stop', code: 'SHUTTING_DOWN' })
    bench.nowMs = 40_000
    bench.give({ type: 'clock' })
    assert.equal(bench.session.status, 'closed')
  })
})

describe('order of writing', () => {
  test('ready is said when the accepted session is durable', () => {
    const bench = new PayeeBench()
    bench.slowDisk = true
    assert.deepEqual(named(bench.give({ type: 'accept', signature: bench.acceptance })), ['store'])
    bench.sync()
    assert.deepEqual(
      bench.said.map((message) => message.type),
      ['ready'],
    )
  })
  test('the receipt is shown when the end is durable', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.slowDisk = true
    const effects = bench.close(0)
    assert.ok(!bench.said.some((message) => message.type === 'receipt') && !named(effects).includes('ended'))
    assert.deepEqual(named(bench.sync()), ['send', 'ended'])
    assert.equal(bench.said.at(-1)?.type, 'receipt')
  })
  test('an accept with a wrong signature is refused', () => {
    const bench = new PayeeBench()
    assert.ok(named(bench.give({ type: 'accept', signature: badSignature })).includes('drop'))
    assert.deepEqual(faults(bench), ['SIGNER_WRONG'])
  })
  test('H3: a restated promise is stored and pays for nothing', () => {
    const bench = new PayeeBench()
    assert.deepEqual(
      named(bench.give({ type: 'restate', message: { type: 'restate', session: SESSION, promise: promise(700) } })),
      ['store'],
    )
    assert.deepEqual([bench.state.channel.best?.promise.amount, bench.session.total, bench.state.owner.paid], [700n, 0n, 0n])
  })
})

describe('states', () => {
  const inputs = {
    restate: { type: 'restate', message: { type: 'restate', session: SESSION, promise: promise(5) } },
    promise: { type: 'promise', message: { type: 'promise', session: SESSION, total: A(5), promise: promise(5) } },
    ack: { type: 'ack', stream: 1, bytes: 0n, ms: 0n, final: false },
    close: { type: 'close', message: { type: 'close', session: SESSION, total: A(0), acked: meterOf({}), reason: 0 } },
    countersign: { type: 'countersign', signature: badSignature },
  } as const
  test('before accept only restate, accept and fault are allowed', () => {
    for (const name of ['promise', 'ack', 'close', 'countersign'] as const) {
      const bench = new PayeeBench()
      bench.give(inputs[name])
      assert.deepEqual([name, bench.session.status, faults(bench)], [name, 'closed', ['WRONG_STATE']])
    }
  })
  test('when live, restate, accept and countersign are not', () => {
    for (const input of [inputs.restate, inputs.countersign, { type: 'accept', signature: badSignature } as const]) {
      const bench = new PayeeBench().live()
      bench.give(input)
      assert.deepEqual([bench.session.status, faults(bench)], ['closed', ['WRONG_STATE']])
    }
  })
  test('an offer that is not accepted in time is withdrawn', () => {
    const bench = new PayeeBench()
    bench.nowMs = 30_001
    const effects = bench.give({ type: 'clock' })
    assert.deepEqual([faults(bench), named(effects).at(-1)], [['PATIENCE_OVER'], 'ended'])
  })
  test('the chunk of a price decides nothing when it is free: a payment is due at one base unit', () => {
    const bench = new PayeeBench({ terms: terms({ price: time(1), chunk: CHUNK }), owner: GRANT }).live()
    bench.nowMs = 400
    bench.give({ type: 'clock' })
    bench.ack(0)
    assert.equal(bench.session.waitingSince, 400)
  })
})
