import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { decodeAnswer, decodeHeader, encodeAnswer, encodeHeader, refusalError } from '../../../protocols/data/codec.ts'
import {
  HEADER_TIMEOUT_MS,
  MAX_HEADER_BYTES,
  MAX_INFO_BYTES,
  MAX_REQUEST_BYTES,
  OPEN_RATE,
} from '../../../protocols/data/protocol.ts'
import { fromHex, toHex } from '../../../src/core/bytes.ts'
import { TallyError } from '../../../src/core/errors.ts'
import { SESSION } from '../session/samples.ts'
import { plain, type Vectors } from '../session/vectors.ts'
import { dataVectors, type HeaderCase } from './vectors.ts'

const spec = readFileSync(new URL('../../../protocols/data/SPEC.md', import.meta.url), 'utf8')
const file = new URL('../../../protocols/data/vectors/headers.json', import.meta.url)
const vectors: Vectors<HeaderCase> = JSON.parse(readFileSync(file, 'utf8'))

describe('the specification of data streams', () => {
  test('says the same as the code: sizes, rate, deadline', () => {
    assert.match(spec, /The consumer sends one frame, at most 4,200 bytes:[\s\S]*request[\s\S]*4,096/)
    assert.match(spec, /The provider answers with one frame, at most 4,200 bytes:[\s\S]*info[\s\S]*4,096/)
    assert.deepEqual([MAX_HEADER_BYTES, MAX_REQUEST_BYTES, MAX_INFO_BYTES], [4200, 4096, 4096])
    assert.match(spec, /opens at most 2,000\/s/)
    assert.equal(OPEN_RATE.perSecond, 2_000)
    assert.match(spec, /within 10 s/)
    assert.equal(HEADER_TIMEOUT_MS, 10_000)
  })
})

describe('headers', () => {
  test('come back as they were, within the largest size', () => {
    const request = fc.uint8Array({ maxLength: MAX_REQUEST_BYTES })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0xffff_ffff }), request, (stream, words) => {
        const header = { session: SESSION, stream, request: words }
        const frame = encodeHeader(header)
        assert.ok(frame.length <= MAX_HEADER_BYTES)
        assert.deepEqual(decodeHeader(frame), header)
      }),
    )
  })

  test('and answers decode from hostile bytes to one value with that one encoding, or throw a TallyError with a number', () => {
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc
        .tuple(fc.uint8Array({ minLength: 3, maxLength: 3 }), fc.uint8Array({ maxLength: 9 }))
        .map(([head, info]) => Uint8Array.of(...head, 0, info.length, ...info)),
    )
    fc.assert(
      fc.property(hostile, (frame) => {
        judge(() => encodeHeader(decodeHeader(frame)), frame)
        judge(() => encodeAnswer(decodeAnswer(frame)), frame)
      }),
      { numRuns: 2000 },
    )
  })

  test('that no field can hold are not encoded', () => {
    assert.throws(() => encodeHeader({ session: SESSION, stream: 0, request: new Uint8Array(0) }), { code: 'MALFORMED' })
    assert.throws(() => encodeHeader({ session: SESSION, stream: 1, request: new Uint8Array(MAX_REQUEST_BYTES + 1) }), {
      code: 'MALFORMED',
    })
    assert.throws(() => encodeAnswer({ status: 0, free: false, info: new Uint8Array(MAX_INFO_BYTES + 1) }), { code: 'MALFORMED' })
  })

  test('a refusal is known by its number, or is PEER_REFUSED with the number', () => {
    assert.equal(refusalError({ status: 200 }).code, 'SESSION_UNKNOWN')
    const unknown = refusalError({ status: 65_535 })
    assert.deepEqual([unknown.code, unknown.fields.wire], ['PEER_REFUSED', 65_535])
  })
})

describe('vectors of data headers', () => {
  test('are what their generator makes (npm run vectors)', () => {
    assert.deepEqual(vectors, JSON.parse(JSON.stringify(dataVectors())))
  })

  for (const one of vectors.cases) {
    const raw = fromHex(one.encoded)
    if ('error' in one) {
      test(`refuse: ${one.comment}`, () => {
        assert.throws(() => (one.of === 'header' ? decodeHeader(raw) : decodeAnswer(raw)), { code: one.error })
      })
    } else if ('header' in one) {
      test(`header: ${one.comment}`, () => {
        assert.deepEqual(plain(decodeHeader(raw)), one.header)
        assert.equal(toHex(encodeHeader(decodeHeader(raw))), one.encoded)
      })
    } else {
      test(`answer: ${one.comment}`, () => {
        assert.deepEqual(plain(decodeAnswer(raw)), one.answer)
        assert.equal(toHex(encodeAnswer(decodeAnswer(raw))), one.encoded)
      })
    }
  }
})

/** Bytes that decode must be the one encoding of what they decode to; all others give a TallyError that a peer may see. */
function judge(again: () => Uint8Array, frame: Uint8Array): void {
  let encoded: Uint8Array
  try {
    encoded = again()
  } catch (thrown) {
    assert.ok(thrown instanceof TallyError, `not a TallyError: ${String(thrown)}`)
    assert.ok(thrown.wire > 1)
    return
  }
  assert.deepEqual(encoded, Uint8Array.from(frame))
}
