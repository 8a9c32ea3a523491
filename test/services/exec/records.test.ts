import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { TallyError } from '../../../src/core/errors.ts'
import { type CallRecord, encodeRecord, RecordReader } from '../../../src/services/exec/records.ts'

const bytes = (...parts: Uint8Array[]): Uint8Array => Buffer.concat(parts)
const END = encodeRecord({ type: 'end', end: { how: 'exit', code: 0 } })

/** All records, when the bytes come in pieces of this size. */
function read(stream: Uint8Array, pieceBytes: number): CallRecord[] {
  const reader = new RecordReader()
  const records: CallRecord[] = []
  for (let at = 0; at < stream.length; at += pieceBytes) records.push(...reader.take(stream.subarray(at, at + pieceBytes)))
  reader.close()
  return records
}

describe('the records of a call', () => {
  test('come out as they went in, however the stream is cut into pieces', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 5 }),
        fc.option(fc.uint8Array({ minLength: 1, maxLength: 50 })),
        fc.oneof(
          fc.record({ how: fc.constant('exit' as const), code: fc.nat(255) }),
          fc.record({ how: fc.constant('signal' as const), signal: fc.integer({ min: 1, max: 127 }) }),
          fc.record({ how: fc.constant('time' as const) }),
        ),
        fc.integer({ min: 1, max: 80 }),
        (outputs, log, end, pieceBytes) => {
          const sent = outputs.map((one) => encodeRecord({ type: 'output', bytes: one }))
          if (log !== null) sent.push(encodeRecord({ type: 'log', tail: log }))
          const came = read(bytes(...sent, encodeRecord({ type: 'end', end })), pieceBytes)
          const output = came.flatMap((record) => (record.type === 'output' ? [record.bytes] : []))
          assert.deepEqual(
            [...bytes(...output)],
            outputs.flatMap((one) => [...one]),
          )
          assert.deepEqual(came.at(-1), { type: 'end', end: { ...end } })
          const tail = came.find((record) => record.type === 'log')?.tail
          assert.deepEqual(tail && [...tail], log === null ? undefined : [...log])
        },
      ),
    )
  })

  for (const [what, stream] of [
    ['a kind that there is none of', Uint8Array.of(9, 0, 0, 0, 1, 1)],
    ['output of no bytes', Uint8Array.of(1, 0, 0, 0, 0)],
    ['output of more than 1 MiB', Uint8Array.of(1, 0, 0x10, 0, 1)],
    ['a log of more than 4,096 bytes', Uint8Array.of(2, 0, 0, 0x10, 1)],
    ['two logs', bytes(Uint8Array.of(2, 0, 0, 0, 0), Uint8Array.of(2, 0, 0, 0, 0))],
    ['an end of three bytes', Uint8Array.of(3, 0, 0, 0, 3, 0, 0, 0)],
    ['an end of an unknown sort', Uint8Array.of(3, 0, 0, 0, 2, 7, 0)],
    ['the signal 0', Uint8Array.of(3, 0, 0, 0, 2, 1, 0)],
    ['something behind the end', bytes(END, Uint8Array.of(1))],
  ] as const) {
    test(`refuses ${what}`, () => {
      for (const size of [1, 100]) assert.throws(() => read(stream, size), { code: 'MALFORMED' })
    })
  }

  test('a stream without an end broke off', () => {
    assert.throws(() => read(encodeRecord({ type: 'output', bytes: Uint8Array.of(1) }), 100), { code: 'STREAM_CUT' })
    assert.throws(() => read(END.subarray(0, 6), 100), { code: 'STREAM_CUT' })
  })

  test('whatever comes, it is read or refused with a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 50 }), (stream, pieceBytes) => {
        try {
          read(stream, pieceBytes)
        } catch (thrown) {
          assert.ok(thrown instanceof TallyError && ['MALFORMED', 'STREAM_CUT'].includes(thrown.code))
        }
      }),
    )
  })
})
