import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TallyError } from '../../../src/core/errors.ts'
import type { Seconds } from '../../../src/core/ids.ts'
import { meterOf } from '../../../src/core/meter.ts'
import { allowance, exposureOf, onceDurable } from '../../../src/core/session/payee.ts'
import { toyPayer } from '../../sim/toy-crypto.ts'
import { A, channelIn, facts, NOW_S, named, PAYEE, PAYER, PayeeBench, terms } from './fixture.ts'

const GRANT = { grant: A(1_000) }
const wire = (code: 'PATIENCE_OVER' | 'SHUTTING_DOWN' | 'CHANNEL_EXPIRED' | 'OFFER_EXPIRED'): number => new TallyError(code).wire
const receiptOf = (bench: PayeeBench) => {
  const { receipt } = bench.session
  assert.ok(receipt !== undefined)
  return receipt.receipt
}

describe('close', () => {
  test('C1: the payee waits until the last payment is durable, then signs', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.write(800)
    bench.slowDisk = true
    bench.ack(800)
    bench.pay(800)
    bench.close(800)
    assert.deepEqual([bench.session.status, bench.session.receipt], ['closing', undefined])
    bench.sync()
    const { total, amount, meter, reason } = receiptOf(bench)
    assert.deepEqual([total, amount, meter.down, reason], [800n, 800n, 800n, 0])
    assert.deepEqual([bench.state.owner.debt, bench.state.owner.burnt, bench.state.owner.paid], [0n, 0n, 800n])
  })
  test('S7: bytes that were not acknowledged are a loss, not a debt, and are burnt', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.write(900)
    bench.close(0)
    assert.deepEqual([bench.state.owner.debt, bench.state.owner.burnt], [0n, 900n])
  })
  test('S9: what was acknowledged and not paid is a debt', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.write(900)
    bench.close(900)
    assert.deepEqual([bench.state.owner.debt, bench.state.owner.burnt], [900n, 0n])
  })
  test('S9: arrears that were not paid off are not counted twice', () => {
    const bench = new PayeeBench({ terms: terms({ arrears: A(300) }), owner: { ...GRANT, debt: A(300) } }).live()
    bench.pay(100)
    assert.equal(bench.state.owner.debt, 200n)
    bench.close(0)
    assert.equal(bench.state.owner.debt, 200n)
  })
  test('what was prepaid and not used is neither', () => {
    const bench = new PayeeBench().live()
    bench.pay(1_000)
    bench.write(400)
    bench.close(400)
    assert.deepEqual([receiptOf(bench).total, bench.state.owner.debt, bench.state.owner.burnt], [1_000n, 0n, 0n])
  })
  test('an acknowledgement beyond what was written, or below an earlier one, is refused', () => {
    for (const bytes of [101, 49]) {
      const bench = new PayeeBench({ owner: GRANT }).live()
      bench.write(100)
      bench.ack(50)
      bench.close(bytes)
      assert.equal(receiptOf(bench).reason, new TallyError('METER_DISAGREES').wire)
    }
  })
  test('a total that is not the one that was paid is refused', () => {
    const bench = new PayeeBench().live()
    bench.give({
      type: 'close',
      message: { type: 'close', session: bench.session.id, total: A(1), acked: meterOf({}), reason: 0 },
    })
    assert.equal(receiptOf(bench).reason, new TallyError('RISE_MISMATCH').wire)
  })
  test('the end gives the credit back to the other sessions of the owner', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.write(500)
    assert.ok(named(bench.close(0)).includes('serve'))
    assert.equal(exposureOf(bench.session), 0n)
  })
  test('C2: the countersignature is stored when it is right', () => {
    const bench = new PayeeBench().live()
    bench.close(0)
    assert.deepEqual(named(bench.give({ type: 'countersign', signature: new Uint8Array(65) })), [])
    const right = toyPayer(PAYER, PAYEE).signReceipt(receiptOf(bench))
    assert.deepEqual(named(bench.give({ type: 'countersign', signature: right })), ['store'])
    assert.deepEqual(bench.session.countersignature, right)
  })
})

describe('patience', () => {
  test('S9: after patienceMs without the payment it waits for, the payee closes and cuts its streams', () => {
    const bench = new PayeeBench().live()
    bench.give({ type: 'blocked' })
    bench.nowMs = 30_000
    assert.deepEqual(named(bench.give({ type: 'clock' })), [])
    bench.nowMs = 30_001
    assert.ok(named(bench.give({ type: 'clock' })).includes('cutStreams'))
    assert.equal(receiptOf(bench).reason, wire('PATIENCE_OVER'))
  })
  test('S9: a chunk that is due and not paid is waited for too', () => {
    const bench = new PayeeBench({ owner: { grant: A(9_000) } }).live()
    bench.write(2_000)
    bench.ack(1_000)
    bench.nowMs = 30_001
    bench.give({ type: 'clock' })
    assert.deepEqual([bench.session.status, bench.state.owner.debt, bench.state.owner.burnt], ['closed', 1_000n, 1_000n])
  })
  test('every payment starts it anew', () => {
    const bench = new PayeeBench().live()
    bench.give({ type: 'blocked' })
    for (let i = 1; i <= 3; i++) {
      bench.nowMs += 25_000
      bench.pay(i * 1_000)
      bench.write(1_000)
      bench.give({ type: 'blocked' })
      bench.give({ type: 'clock' })
    }
    assert.equal(bench.session.status, 'live')
  })
  test('a payee that has nothing to write waits for nothing', () => {
    const bench = new PayeeBench().live()
    bench.nowMs = 1_000_000
    bench.give({ type: 'clock' })
    assert.equal(bench.session.status, 'live')
  })
})

describe('stopping', () => {
  test('it asks the payer to close and writes nothing more', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.give({ type: 'stop', code: 'SHUTTING_DOWN' })
    assert.deepEqual(bench.said.at(-1), { type: 'closing', session: bench.session.id, reason: wire('SHUTTING_DOWN') })
    assert.equal(allowance(bench.state, bench.context), 0n)
  })
  test('payments do not put the end off', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.give({ type: 'stop', code: 'SHUTTING_DOWN' })
    bench.nowMs = 20_000
    bench.pay(1)
    bench.ack(0)
    bench.nowMs = 30_001
    bench.give({ type: 'clock' })
    assert.equal(receiptOf(bench).reason, wire('SHUTTING_DOWN'))
  })
  test('S10: before the margin it stops serving and settles, early enough for the last payment', () => {
    const bench = new PayeeBench({ channel: { ...channelIn(), facts: facts(1_000_000n, NOW_S + 631) }, owner: GRANT }).live()
    bench.give({ type: 'clock' })
    assert.equal(bench.session.stopping, undefined)
    bench.nowS = (NOW_S + 1) as Seconds
    const effects = bench.give({ type: 'clock' })
    assert.ok(named(effects).includes('settle'))
    assert.equal(bench.session.stopping, wire('CHANNEL_EXPIRED'))
    bench.nowS = (NOW_S + 30) as Seconds
    bench.pay(10)
    assert.equal(bench.session.paid, 10n)
  })
  test('the terms hold until they expire', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.nowS = (NOW_S + 3_600) as Seconds
    bench.give({ type: 'clock' })
    assert.equal(bench.session.stopping, wire('OFFER_EXPIRED'))
  })
  test('a session that was cut is left as it is: it may be resumed after a restart', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.give({ type: 'cut' })
    bench.give({ type: 'stop', code: 'SHUTTING_DOWN' })
    assert.equal(bench.session.status, 'cut')
  })
})

describe('cut and resume', () => {
  const cut = (): PayeeBench => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.write(700)
    bench.ack(200)
    bench.give({ type: 'cut' })
    return bench
  }
  test('H5: the totals continue, and the higher acknowledgement holds', () => {
    const bench = cut()
    bench.give({ type: 'resume', acked: meterOf({ down: 300n }) })
    bench.give({ type: 'accept', signature: bench.acceptance })
    assert.deepEqual([bench.session.status, bench.session.flow.done, bench.session.flow.lost], ['live', 300n, 400n])
  })
  test('S8: what was lost on the way uses credit until the session ends, however often it is cut', () => {
    const bench = cut()
    for (let i = 0; i < 5; i++) {
      bench.give({ type: 'resume', acked: meterOf({}) })
      bench.give({ type: 'accept', signature: bench.acceptance })
      bench.give({ type: 'opened', stream: 1 })
      const most = Number(allowance(bench.state, bench.context))
      if (most > 0) bench.write(most)
      bench.give({ type: 'cut' })
    }
    assert.equal(exposureOf(bench.session), 1_000n)
  })
  test('a payer that comes back and does not accept cannot make its debt vanish', () => {
    const bench = cut()
    bench.give({ type: 'resume', acked: meterOf({}) })
    bench.give({ type: 'cut' })
    assert.deepEqual([bench.session.status, exposureOf(bench.session)], ['cut', 700n])
    bench.give({ type: 'resume', acked: meterOf({}) })
    bench.pay(0)
    assert.deepEqual([bench.session.status, bench.state.owner.debt, bench.state.owner.burnt], ['closed', 200n, 500n])
  })
  test('C3: after its time to come back the receipt is written alone, and the difference is the debt', () => {
    const bench = cut()
    bench.nowMs = 60_001
    bench.give({ type: 'clock' })
    assert.deepEqual(
      [receiptOf(bench).reason, receiptOf(bench).meter.down, bench.state.owner.debt],
      [wire('PATIENCE_OVER'), 200n, 200n],
    )
  })
  test('what was only offered is forgotten by a cut', () => {
    const bench = new PayeeBench()
    assert.deepEqual(named(bench.give({ type: 'cut' })), ['ended'])
  })
  test('a close whose last payment is on its way to the disk ends by itself', () => {
    const bench = new PayeeBench({ owner: GRANT }).live()
    bench.write(500)
    bench.slowDisk = true
    bench.ack(500)
    bench.pay(500)
    bench.close(500)
    bench.give({ type: 'cut' })
    bench.sync()
    assert.deepEqual([bench.session.status, receiptOf(bench).total, bench.state.owner.debt], ['closed', 500n, 0n])
  })
})

describe('what is stored with a payment is paid in the stored records', () => {
  test('so that a crash right after the write loses no payment', () => {
    const bench = new PayeeBench({ terms: terms({ arrears: A(300) }), owner: { ...GRANT, debt: A(300) } }).live()
    bench.slowDisk = true
    bench.pay(400)
    const { session, owner } = onceDurable(bench.session, bench.state.owner)
    assert.deepEqual([session.paid, owner.paid, owner.debt], [400n, 400n, 0n])
    bench.sync()
    assert.deepEqual([bench.session.paid, bench.state.owner], [400n, owner])
  })
})
