import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex } from '../../../src/core/bytes.ts'
import { asTallyError } from '../../../src/core/errors.ts'
import { decodeAnswer, decodeRequest, encodeAnswer, encodeRequest } from '../../../src/services/http/codec.ts'
import { carried, type RequestHead } from '../../../src/services/http/head.ts'
import { decodeTariff, encodeTariff, type Tariff } from '../../../src/services/http/tariff.ts'
import { type HeadCase, plain } from './vectors.ts'

const file = join(import.meta.dirname, '../../../protocols/http/vectors/heads.json')
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: HeadCase[] }

const DECODERS = { request: decodeRequest, answer: decodeAnswer, content: decodeTariff } as const

describe('the vectors of heads', () => {
  for (const one of cases) {
    test(one.comment, () => {
      const bytes = fromHex(one.encoded, (one.encoded.length - 2) / 2)
      const decode = DECODERS[one.of]
      if ('error' in one) {
        assert.throws(() => decode(bytes), (thrown) => asTallyError(thrown).code === one.error) // biome-ignore format: one thought
        return
      }
      const head = decode(bytes)
      assert.deepEqual(plain(head), one.fields)
      const again =
        one.of === 'request'
          ? encodeRequest(head as RequestHead)
          : one.of === 'answer'
            ? encodeAnswer(head as never)
            : encodeTariff(head as Tariff)
      assert.equal(toHex(again), one.encoded)
    })
  }
})

describe('a decoder of hostile bytes', () => {
  test('gives what can be encoded again to the same bytes, or one of its own codes', () => {
    const seeds = cases.map(({ encoded }) => fromHex(encoded, (encoded.length - 2) / 2))
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.tuple(fc.constantFrom(...seeds), fc.nat(), fc.nat(255)).map(([seed, at, value]) => {
        const copy = Uint8Array.from(seed)
        if (copy.length > 0) copy[at % copy.length] = value
        return copy
      }),
    )
    const holds = <T>(
      decode: (bytes: Uint8Array) => T,
      encode: (value: T) => Uint8Array,
      code: string,
      input: Uint8Array,
    ): void => {
      let value: T
      try {
        value = decode(input)
      } catch (thrown) {
        return assert.equal(asTallyError(thrown).code, code)
      }
      assert.deepEqual(encode(value), input)
    }
    fc.assert(
      fc.property(bytes, (input) => {
        holds(decodeRequest, encodeRequest, 'REQUEST_INVALID', input)
        holds(decodeAnswer, encodeAnswer, 'CONTENT_WRONG', input)
        holds(decodeTariff, encodeTariff, 'CONTENT_WRONG', input)
      }),
      { numRuns: 3_000 },
    )
  })

  test('never lets a value end a line, nor a name of one hop or of our own pass', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 40, unit: 'binary' }), fc.string({ maxLength: 40, unit: 'binary' }), (name, value) => {
        const head: RequestHead = { method: 'GET', path: '/', headers: [[name, value]], body: undefined, upgrade: false }
        try {
          encodeRequest(head)
        } catch {
          return
        }
        assert.doesNotMatch(name + value, /[\r\n\0]/)
        assert.doesNotMatch(name, /^(connection|upgrade|te|transfer-encoding|content-length|tallystick-.*|x-forwarded-.*)$/i)
      }),
      { numRuns: 3_000 },
    )
  })
})

test('headers of one hop, those that Connection names, and our own are left out', () => {
  const headers: [string, string][] = [
    ['Accept', ' text/html '], ['Connection', 'close, X-Secret'], ['X-Secret', '1'], ['Transfer-Encoding', 'chunked'], ['Tallystick-Error', 'x'],
    ['Via', '1.1 me'], ['X-Forwarded-For', '1'], ['Cookie', 'a=b'],
  ] // biome-ignore format: pairs
  assert.deepEqual(carried(headers, 'request'), [['accept', 'text/html'], ['cookie', 'a=b']]) // biome-ignore format: pairs
  assert.deepEqual(carried(headers, 'answer').map(([name]) => name), ['accept', 'via', 'x-forwarded-for', 'cookie']) // biome-ignore format: a line
})
