import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  ackedOf,
  acknowledge,
  endStream,
  exposedOf,
  type Flow,
  foldAll,
  NO_FLOW,
  openStream,
  use,
  writtenOf,
  wrote,
} from '../../../src/core/session/flow.ts'

const flowOf = (written: bigint, acked = 0n): Flow => ({ ...NO_FLOW, written, acked, open: [{ stream: 1, written, acked }] })

describe('byte counts of a session', () => {
  test('S2: written and acknowledged are counted over all streams', () => {
    const flow = wrote(openStream(wrote(openStream(NO_FLOW, 1), 1, 10n), 2), 2, 5n)
    assert.deepEqual([writtenOf(flow), ackedOf(acknowledge(flow, 2, 3n, false) as Flow)], [15n, 3n])
  })
  test('an acknowledgement that does not grow changes nothing', () => {
    const flow = flowOf(10n, 4n)
    assert.equal(acknowledge(flow, 1, 4n, false), flow)
    assert.equal(acknowledge(flow, 1, 1n, false), flow)
    assert.equal(acknowledge(flow, 9, 1n, false), flow)
  })
  test('an acknowledgement beyond what was written is refused', () => {
    assert.equal(acknowledge(flowOf(10n), 1, 11n, false), undefined)
    assert.equal(acknowledge(flowOf(10n), 1, 11n, true), undefined)
  })
  test('D4: what is written beyond the last word on a stream is lost, also what is written after it', () => {
    const ended = acknowledge(flowOf(10n), 1, 4n, true) as Flow
    assert.deepEqual([ended.done, ended.lost, ended.open.length], [4n, 6n, 0])
    const after = wrote(ended, 1, 100n)
    assert.deepEqual([writtenOf(after), exposedOf(after)], [4n, 110n])
  })
  test('D4: a final acknowledgement below an earlier one takes nothing back', () => {
    assert.equal((acknowledge(flowOf(10n, 8n), 1, 2n, true) as Flow).done, 8n)
  })
  test("H5: on a resume the receiver's higher figure holds", () => {
    assert.deepEqual(foldAll(flowOf(10n, 2n), 7n), { ...NO_FLOW, done: 7n, lost: 3n })
    assert.deepEqual(foldAll(flowOf(10n, 2n), 1n), { ...NO_FLOW, done: 2n, lost: 8n })
    assert.deepEqual(foldAll(flowOf(10n, 2n), 12n), { ...NO_FLOW, done: 12n, lost: 0n })
  })
  test("the receiver's own count of a stream that it reads", () => {
    const flow = endStream(use(use(openStream(NO_FLOW, 1), 1, 3n), 1, 4n), 1)
    assert.deepEqual(flow, { ...NO_FLOW, done: 7n, lost: 0n })
    assert.equal(use(flow, 1, 1n), flow)
  })
  test('property: nothing that was ever written leaves the exposure, and acknowledged <= written', () => {
    const op = fc.oneof(
      fc.record({ do: fc.constant('open' as const), stream: fc.nat(3) }),
      fc.record({ do: fc.constant('write' as const), stream: fc.nat(3), bytes: fc.nat(100) }),
      fc.record({ do: fc.constant('ack' as const), stream: fc.nat(3), bytes: fc.nat(200), final: fc.boolean() }),
      fc.record({ do: fc.constant('fold' as const) }),
    )
    fc.assert(
      fc.property(fc.array(op, { maxLength: 40 }), (ops) => {
        let flow: Flow = NO_FLOW
        let ever = 0n
        for (const one of ops) {
          if (one.do === 'open') flow = openStream(flow, one.stream)
          else if (one.do === 'fold') flow = foldAll(flow)
          else if (one.do === 'ack') flow = acknowledge(flow, one.stream, BigInt(one.bytes), one.final) ?? flow
          else {
            flow = wrote(flow, one.stream, BigInt(one.bytes))
            ever += BigInt(one.bytes)
          }
          assert.equal(exposedOf(flow), ever)
          assert.ok(ackedOf(flow) <= writtenOf(flow))
        }
      }),
    )
  })
})

describe('the sums that a flow carries along', () => {
  test('are those of its open streams, whatever happened', () => {
    const number = fc.integer({ min: 1, max: 4 })
    const bytes = fc.bigInt({ min: 0n, max: 50n })
    const step = fc.oneof(
      number.map((stream) => (flow: Flow) => openStream(flow, stream)),
      fc.tuple(number, bytes).map(
        ([stream, count]) =>
          (flow: Flow) =>
            wrote(flow, stream, count),
      ),
      fc.tuple(number, bytes).map(
        ([stream, count]) =>
          (flow: Flow) =>
            use(flow, stream, count),
      ),
      fc.tuple(number, bytes, fc.boolean()).map(
        ([stream, count, final]) =>
          (flow: Flow) =>
            acknowledge(flow, stream, count, final) ?? flow,
      ),
      number.map((stream) => (flow: Flow) => endStream(flow, stream)),
      bytes.map((count) => (flow: Flow) => foldAll(flow, count)),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const flow = steps.reduce((before, next) => next(before), NO_FLOW)
        const sum = (of: 'written' | 'acked'): bigint => flow.open.reduce((total, count) => total + count[of], 0n)
        assert.deepEqual([flow.written, flow.acked], [sum('written'), sum('acked')])
        assert.equal(new Set(flow.open.map(({ stream }) => stream)).size, flow.open.length)
      }),
    )
  })
})
