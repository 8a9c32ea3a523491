import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type MeterKind, meterOf } from '../../../src/core/meter.ts'
import { type Price, priceOf } from '../../../src/core/price.ts'
import { type Counts, countsAt, isWithin, NO_COUNTS } from '../../../src/core/session/counts.ts'
import type { FromPayee, FromPayer } from '../../../src/core/session/messages.ts'
import { ackedMeter, allowance, covers, dueOf, exposureOf, writtenMeter } from '../../../src/core/session/payee.ts'
import { exposedMeter } from '../../../src/core/session/payee-state.ts'
import { owedOf, usedMeter } from '../../../src/core/session/payer.ts'
import type { Terms } from '../../../src/core/terms.ts'
import { A, named, PayeeBench, PayerBench, SESSION, terms } from './fixture.ts'

const priceIn = (rates: Partial<Record<MeterKind, number>>): Price =>
  priceOf(
    Object.entries(rates).map(([kind, amount]) => ({ kind: kind as MeterKind, amount: A(amount), per: 1n })),
    rates.units === undefined ? undefined : 'token',
  )
/** A chunk is 10 calls, or 1,000 base units. */
const TERMS = terms({ price: priceIn({ up: 1, calls: 100, units: 2 }), chunk: { kind: 'calls', size: 10n } })
const GRANT = { grant: A(1_000) }

const payee = (grant = GRANT): PayeeBench => new PayeeBench({ terms: TERMS, owner: grant }).live()
const payer = (of: { most?: Counts; budget?: number; credit?: number; terms?: Terms } = {}): PayerBench => {
  const bench = new PayerBench({
    terms: of.terms ?? TERMS,
    credit: of.credit ?? 1_000,
    ...(of.budget !== undefined && { wish: { budget: A(of.budget) } }),
  })
  bench.offer()
  bench.give({ type: 'ready', message: { type: 'ready', session: SESSION, credit: bench.credit } })
  bench.give({ type: 'opened', stream: 1, most: of.most })
  return bench
}

const C = (of: Partial<Counts>): Counts => ({ ...NO_COUNTS, ...of })
const agree = (bench: PayeeBench, of: Partial<Counts>, stream = 1) =>
  bench.give({ type: 'agree', message: { type: 'agree', session: SESSION, stream, ...C(of) } })
const charge = (
  bench: PayerBench,
  of: Partial<Counts>,
  more: { sent?: bigint; final?: boolean; handed?: bigint; stream?: number } = {},
) =>
  bench.give({
    type: 'charge',
    message: { type: 'charge', session: SESSION, stream: more.stream ?? 1, ...C(of), final: more.final ?? false },
    sent: more.sent ?? 0n,
    handed: more.handed ?? 0n,
  })
const work = (bench: PayeeBench, most: Partial<Counts>, cost: Partial<Counts>) => {
  bench.give({ type: 'hold', counts: C(most) })
  return bench.give({ type: 'settle', stream: 1, held: C(most), charged: C(cost) })
}
const charges = (said: readonly (FromPayee | FromPayer)[]) => said.flatMap((one) => (one.type === 'charge' ? [one] : []))
const faults = (said: readonly (FromPayee | FromPayer)[]) => said.flatMap((one) => (one.type === 'fault' ? [one.code] : []))

describe('a payee that charges', () => {
  test('S2, M2: what is reserved is exposed, and what is released is not', () => {
    const bench = payee()
    bench.give({ type: 'hold', counts: C({ calls: 2n, units: 100n }) })
    assert.equal(exposureOf(bench.session), 400n)
    assert.equal(covers(bench.state, bench.context, { calls: 6n }), true)
    assert.equal(covers(bench.state, bench.context, { calls: 6n, units: 1n }), false)
    bench.give({ type: 'settle', stream: 1, held: C({ calls: 2n, units: 100n }), charged: C({ calls: 1n }) })
    assert.equal(exposureOf(bench.session), 100n)
    assert.equal(dueOf(bench.session), 0n, 'nothing is due before it is agreed to')
  })
  test('M3: calls and units are told as they are charged, cumulative over their stream', () => {
    const bench = payee()
    work(bench, { calls: 1n }, { calls: 1n })
    work(bench, { calls: 1n, units: 50n }, { calls: 1n, units: 20n })
    assert.deepEqual(charges(bench.said).map(({ calls, units, final }) => [calls, units, final]), [[1n, 0n, false], [2n, 20n, false]]) // biome-ignore format: a table
    bench.give({ type: 'served', stream: 1 })
    assert.deepEqual(charges(bench.said).at(-1)?.final, true)
  })
  test('M3: bytes that were taken are told when a quarter of a chunk is, and before a pause', () => {
    const bench = payee()
    bench.give({ type: 'took', stream: 1, bytes: 249 })
    assert.deepEqual(charges(bench.said), [])
    assert.equal(writtenMeter(bench.session).up, 249n)
    bench.give({ type: 'took', stream: 1, bytes: 1 })
    assert.deepEqual(charges(bench.said).map(({ up }) => up), [250n]) // biome-ignore format: short
    bench.give({ type: 'took', stream: 1, bytes: 10 })
    bench.give({ type: 'blocked', want: { calls: 8n } })
    assert.deepEqual(bench.said.slice(-2).map(({ type }) => type), ['charge', 'meter']) // biome-ignore format: short
    assert.deepEqual(charges(bench.said).at(-1)?.up, 260n)
  })
  test('S2: no byte is taken past paid + credit', () => {
    const bench = payee()
    assert.equal(allowance(bench.state, bench.context, 'up'), 1_000n)
    bench.give({ type: 'took', stream: 1, bytes: 900 })
    bench.give({ type: 'hold', counts: C({ units: 30n }) })
    assert.equal(allowance(bench.state, bench.context, 'up'), 40n)
  })
  test('S4: it stays paused for one that waits for more, until that is covered; a smaller one may go on meanwhile', () => {
    const bench = payee()
    bench.give({ type: 'blocked', want: { units: 600n } })
    assert.equal(bench.session.paused, true)
    bench.give({ type: 'took', stream: 1, bytes: 10 })
    assert.equal(bench.session.paused, true)
    bench.pay(100)
    assert.equal(bench.session.paused, true)
    bench.pay(210)
    assert.equal(bench.session.paused, false)
  })
  test('what waits and is covered by now is woken, not paused', () => {
    assert.deepEqual(named(payee().give({ type: 'blocked', want: { calls: 10n } })), ['serve'])
  })
  test('M6: an agreement beyond what was charged is METER_DISAGREES; an older one changes nothing', () => {
    const bench = payee()
    work(bench, { calls: 3n }, { calls: 3n })
    agree(bench, { calls: 2n })
    assert.equal(dueOf(bench.session), 200n)
    agree(bench, { calls: 1n })
    agree(bench, { calls: 99n }, 7)
    assert.equal(dueOf(bench.session), 200n)
    assert.equal(bench.session.status, 'live')
    agree(bench, { calls: 4n })
    assert.deepEqual(faults(bench.said), [208])
  })
  test('M6, C1: a close beyond what was charged is METER_DISAGREES, and so is one below what was agreed to', () => {
    for (const calls of [1n, 4n]) {
      const bench = payee()
      work(bench, { calls: 3n }, { calls: 3n })
      agree(bench, { calls: 2n })
      const acked = meterOf({ calls })
      bench.give({ type: 'close', message: { type: 'close', session: SESSION, total: A(0), acked, reason: 0 } })
      assert.deepEqual(faults(bench.said), [208])
    }
  })
  test('S7, S8: what was charged and not agreed to at the end is the payee’s loss: burnt, not owed', () => {
    const bench = payee()
    work(bench, { calls: 3n }, { calls: 3n })
    agree(bench, { calls: 1n })
    bench.give({ type: 'hold', counts: C({ units: 50n }) })
    bench.pay(100)
    bench.give({
      type: 'close',
      message: { type: 'close', session: SESSION, total: A(100), acked: meterOf({ calls: 1n }), reason: 0 },
    })
    const { owner, session } = bench.state
    assert.deepEqual([owner.debt, owner.burnt, session.receipt?.receipt.meter.calls], [0n, 300n, 1n])
  })
  test('S9: what was agreed to and not paid is a debt', () => {
    const bench = payee()
    work(bench, { calls: 3n }, { calls: 3n })
    agree(bench, { calls: 2n })
    bench.give({ type: 'stop', code: 'PATIENCE_OVER' })
    bench.nowMs = 40_000
    bench.give({ type: 'clock' })
    assert.deepEqual([bench.state.owner.debt, bench.state.owner.burnt], [200n, 100n])
  })
  test('S8: a reservation that is given away stays exposed, and the credit that is told is less that', () => {
    const bench = payee()
    bench.give({ type: 'hold', counts: C({ calls: 4n }) })
    bench.give({ type: 'forfeit', held: C({ calls: 4n }) })
    assert.equal(exposureOf(bench.session), 400n)
    bench.give({ type: 'blocked', want: { calls: 7n } })
    const report = bench.said.at(-1)
    assert.ok(report?.type === 'meter' && report.credit === 600n && report.written.calls === 0n)
  })
  test('S8: what is given away, or not agreed to, while it waits is told: a payer that counted on that credit would wait too', () => {
    const bench = payee()
    bench.give({ type: 'hold', counts: C({ calls: 4n }) })
    work(bench, { calls: 1n }, { calls: 1n })
    bench.give({ type: 'blocked', want: { calls: 7n } })
    const credit = (): bigint | undefined => bench.said.flatMap((one) => (one.type === 'meter' ? [one.credit] : [])).at(-1)
    assert.equal(credit(), 1_000n)
    bench.give({ type: 'forfeit', held: C({ calls: 4n }) })
    assert.equal(credit(), 600n)
    bench.ack(0, { final: true })
    assert.equal(credit(), 500n)
  })
  test('M1: a resumed payer cannot have agreed to what the price does not name, nor to more than could be given', () => {
    for (const [acked, code] of [
      [{ calls: 9n }, undefined],
      [{ calls: 1n << 62n }, 208],
      [{ units: 1_000_000n }, 208],
    ] as const) {
      // biome-ignore format: a table
      const bench = payee()
      bench.give({ type: 'cut' })
      bench.give({ type: 'resume', acked: meterOf(acked) })
      assert.deepEqual(faults(bench.said), code === undefined ? [] : [code])
    }
    const plain = new PayeeBench().live()
    plain.give({ type: 'cut' })
    plain.give({ type: 'resume', acked: meterOf({ calls: 1n }) })
    assert.deepEqual(faults(plain.said), [208])
  })

  test('property: acknowledged <= charged <= exposed, nothing exposed is ever taken back but by a release, and exposure stays within paid + credit', () => {
    const small = fc.integer({ min: 0, max: 6 }).map(BigInt)
    const step = fc.oneof(
      fc.record({ type: fc.constant('work' as const), calls: small, units: small, cost: small, end: fc.constantFrom('debit', 'release', 'forfeit', 'stay') }),
      fc.record({ type: fc.constant('took' as const), bytes: fc.integer({ min: 1, max: 400 }) }),
      fc.record({ type: fc.constant('agree' as const), calls: small, units: small, up: small }),
      fc.record({ type: fc.constant('pay' as const), more: fc.integer({ min: 1, max: 300 }) }),
      fc.record({ type: fc.constant('ack' as const), final: fc.boolean() }),
      fc.record({ type: fc.constant('blocked' as const) }),
    ) // biome-ignore format: a table
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const bench = payee()
        for (const one of steps) {
          const before = exposedMeter(bench.session)
          let released = NO_COUNTS
          if (one.type === 'work') {
            const most = C({ calls: one.calls, units: one.units })
            if (covers(bench.state, bench.context, most)) {
              bench.give({ type: 'hold', counts: most })
              const cost = C({ calls: one.cost < one.calls ? one.cost : one.calls })
              if (one.end === 'debit') {
                bench.give({ type: 'settle', stream: 1, held: most, charged: cost })
              } else if (one.end === 'release') {
                bench.give({ type: 'settle', stream: 1, held: most, charged: NO_COUNTS })
              } else if (one.end === 'forfeit') bench.give({ type: 'forfeit', held: most })
              released = most
            } else bench.give({ type: 'blocked', want: most })
          } else if (one.type === 'took') {
            const allowed = allowance(bench.state, bench.context, 'up') ?? 0n
            if (allowed > 0n) bench.give({ type: 'took', stream: 1, bytes: Math.min(one.bytes, Number(allowed)) })
          } else if (one.type === 'agree') {
            const charged = countsAt(bench.session.counts, 1, 'written')
            const upTo = C({ calls: one.calls, units: one.units, up: one.up })
            if (isWithin(upTo, charged)) agree(bench, upTo)
          } else if (one.type === 'pay') bench.pay(Number(bench.session.total) + one.more)
          else if (one.type === 'ack') bench.ack(0, { final: one.final })
          else bench.give({ type: 'blocked' })
          const [acked, written, exposed] = [ackedMeter(bench.session), writtenMeter(bench.session), exposedMeter(bench.session)]
          assert.equal(bench.session.status, 'live')
          for (const kind of ['up', 'calls', 'units'] as const) {
            assert.ok(acked[kind] <= written[kind] && written[kind] <= exposed[kind])
            assert.ok(exposed[kind] + released[kind] >= before[kind])
          }
          assert.ok(exposureOf(bench.session) <= 1_000n, 'S2')
        }
      }),
    )
  })
})

describe('a payer that is charged', () => {
  test('M4: agrees to what its reader allowed, and owes it', () => {
    const bench = payer({ most: C({ calls: 2n, units: 10n }) })
    charge(bench, { calls: 2n, units: 7n })
    assert.equal(owedOf(bench.session), 214n)
  })
  test('M4: to nothing of a charge beyond that, and the stream is refused; what it agreed to before stays', () => {
    for (const beyond of [{ calls: 3n }, { calls: 1n, units: 11n }, { calls: 1n, up: 1n }] as const) {
      const bench = payer({ most: C({ calls: 2n, units: 10n }) })
      charge(bench, { calls: 1n })
      assert.deepEqual(named(charge(bench, beyond)), ['refused'])
      assert.deepEqual([owedOf(bench.session), bench.session.status], [100n, 'live'])
    }
  })
  test('M4: to no more bytes than it has sent', () => {
    const bench = payer()
    charge(bench, { up: 300n }, { sent: 300n })
    assert.equal(usedMeter(bench.session).up, 300n)
    assert.deepEqual(named(charge(bench, { up: 301n }, { sent: 300n })), ['refused'])
  })
  test('M4: to nothing of a kind that the price does not name', () => {
    const bench = new PayerBench().live()
    assert.deepEqual(named(charge(bench, { calls: 1n })), ['refused'])
    assert.equal(usedMeter(bench.session).calls, 0n)
  })
  test('M4: to nothing that the budget does not cover, bytes that its readers hold included: it closes', () => {
    const bench = payer({ most: C({ calls: 9n }), budget: 250 })
    charge(bench, { calls: 2n })
    charge(bench, { calls: 3n })
    const close = bench.said.at(-1)
    assert.ok(close?.type === 'close' && close.reason === 204 && close.acked.calls === 2n && close.total === 200n)
  })
  test('without a limit it agrees to what its reader agrees to, and no further than it was charged', () => {
    const bench = payer()
    charge(bench, { calls: 2n, units: 5n })
    assert.equal(owedOf(bench.session), 0n)
    bench.give({ type: 'agree', stream: 1, upTo: C({ calls: 9n, units: 3n }), handed: 0n })
    assert.equal(owedOf(bench.session), 206n)
    bench.give({ type: 'agree', stream: 1, upTo: NO_COUNTS, handed: 0n })
    assert.equal(owedOf(bench.session), 206n)
  })
  test('M6: a charge that does not grow, and one of a stream that has ended, change nothing', () => {
    const bench = payer({ most: C({ calls: 5n }) })
    charge(bench, { calls: 2n })
    charge(bench, { calls: 1n })
    charge(bench, { calls: 2n }, { stream: 9 })
    assert.equal(usedMeter(bench.session).calls, 2n)
    bench.give({ type: 'ended', stream: 1 })
    charge(bench, { calls: 4n })
    assert.equal(usedMeter(bench.session).calls, 2n)
  })
  test('M5: what it agreed to goes before the last word on its stream', () => {
    const bench = payer({ most: C({ calls: 5n }) })
    charge(bench, { calls: 2n })
    bench.give({ type: 'ended', stream: 1 })
    assert.deepEqual(bench.said.slice(-2).map((one) => [one.type, one.type === 'ack' && one.final]), [['agree', false], ['ack', true]]) // biome-ignore format: short
  })
  test('M5: and with each payment', () => {
    const bench = payer({ most: C({ calls: 50n }) })
    charge(bench, { calls: 10n })
    const types = bench.said.map(({ type }) => type)
    assert.deepEqual(types.slice(-3).sort(), ['ack', 'agree', 'promise'])
    assert.equal(bench.session.total, 1_000n)
  })
  test('S3: without credit what may be charged on an open stream is prepaid, and no more than that', () => {
    const called = terms({ price: priceIn({ calls: 100 }), chunk: { kind: 'calls', size: 10n } })
    const bench = payer({ most: C({ calls: 1n }), credit: 0, terms: called })
    bench.meter({ paused: true, credit: 0 })
    assert.equal(bench.session.total, 100n)
    charge(bench, { calls: 1n })
    bench.give({ type: 'ended', stream: 1 })
    bench.give({ type: 'finish', code: undefined })
    assert.equal(bench.session.total, 100n)
  })
  test('S4: it is at a standstill only when all that was charged is agreed to', () => {
    const bench = payer({ credit: 0 })
    const total = bench.session.total
    charge(bench, { calls: 1n })
    const report = (calls: bigint) =>
      bench.give({
        type: 'meter',
        message: {
          type: 'meter', session: SESSION, written: meterOf({ calls }), paid: bench.session.total, credit: A(0), paused: true,
        },
      }) // biome-ignore format: a record
    report(1n)
    assert.equal(bench.session.total, total, 'its reader has not spoken yet')
    bench.give({ type: 'agree', stream: 1, upTo: C({ calls: 1n }), handed: 0n })
    assert.ok(bench.session.total > total)
  })
  test('H5: after a cut the counts go on; a payee that claims more than was agreed to is HEAD_DISAGREES', () => {
    for (const [calls, status] of [
      [2n, 'starting'],
      [3n, 'closed'],
    ] as const) {
      // biome-ignore format: a table
      const bench = payer({ most: C({ calls: 5n }) })
      charge(bench, { calls: 2n })
      bench.give({ type: 'cut' })
      bench.give({
        type: 'terms',
        message: {
          type: 'terms', terms: TERMS, signature: bench.session.termsSignature ?? new Uint8Array(65), head: undefined, total: A(0), acked: meterOf({ calls }), credit: A(0),
        },
      }) // biome-ignore format: a record
      assert.equal(bench.session.status, status)
    }
  })
  test('a new session whose terms say that something was agreed to is HEAD_DISAGREES', () => {
    const bench = new PayerBench({ terms: TERMS })
    bench.give({
      type: 'terms',
      message: {
        type: 'terms', terms: TERMS, signature: new Uint8Array(65), head: undefined, total: A(0), acked: meterOf({ units: 1n }), credit: A(0),
      },
    }) // biome-ignore format: a record
    assert.equal(bench.session.status, 'closed')
  })

  test('property: whatever it is charged, it agrees to no more than was allowed and sent, and never signs beyond its budget', () => {
    const count = fc.oneof(fc.bigInt({ min: 0n, max: 12n }), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }))
    const hostile = fc.record({
      up: count,
      calls: count,
      units: count,
      final: fc.boolean(),
      sent: fc.bigInt({ min: 0n, max: 12n }),
    })
    fc.assert(
      fc.property(fc.array(hostile, { maxLength: 30 }), fc.integer({ min: 0, max: 2_000 }), (list, budget) => {
        const most = C({ calls: 8n, units: 9n })
        const bench = payer({ most, budget })
        let sent = 0n
        for (const one of list) {
          sent += one.sent
          charge(bench, one, { sent, final: one.final })
          const used = usedMeter(bench.session)
          assert.ok(used.calls <= 8n && used.units <= 9n && used.up <= sent)
          assert.ok(bench.session.total <= BigInt(budget) && owedOf(bench.session) <= BigInt(budget))
        }
      }),
    )
  })
})
