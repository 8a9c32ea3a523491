import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { decodeOffers, decodeRequest, encodeOffers, encodeRequest } from '../../../protocols/offer/codec.ts'
import * as protocol from '../../../protocols/offer/protocol.ts'
import { TallyError } from '../../../src/core/errors.ts'
import { MAX_OFFER_BYTES } from '../../../src/core/offer.ts'
import { largest, signedOffer } from './samples.ts'

const spec = readFileSync(new URL('../../../protocols/offer/SPEC.md', import.meta.url), 'utf8')

describe('the specification of offers', () => {
  test('says the same as the code', () => {
    assert.match(spec, /at most 66 bytes: `service str8 \(64\)`/)
    assert.match(spec, /at most 65,536 bytes: `count u8 \(0-16\) \| offer bytes16 \(3,900 each\)`/)
    assert.match(spec, /at most 20 requests\/s per peer, in bursts of at most 20, and at most 8 at once/)
    assert.match(spec, /within 10 s/)
    const { MAX_REQUEST_BYTES, MAX_SERVICE_BYTES, MAX_ANSWER_BYTES, MAX_OFFERS, REQUEST_RATE, MAX_AT_ONCE, EXCHANGE_TIMEOUT_MS } =
      protocol
    assert.deepEqual(
      [MAX_REQUEST_BYTES, MAX_SERVICE_BYTES, MAX_ANSWER_BYTES, MAX_OFFERS, MAX_OFFER_BYTES],
      [66, 64, 65_536, 16, 3900],
    )
    assert.deepEqual([REQUEST_RATE.perSecond, MAX_AT_ONCE, EXCHANGE_TIMEOUT_MS], [20, 8, 10_000])
  })
})

describe('codec of requests and answers', () => {
  test('requests come back as they were; empty asks for all', () => {
    for (const service of ['', 'files', 'z'.repeat(64)]) {
      const frame = encodeRequest(service)
      assert.ok(frame.length <= protocol.MAX_REQUEST_BYTES)
      assert.equal(decodeRequest(frame), service)
    }
  })

  test('what is no service name is MALFORMED, from either end', () => {
    for (const service of ['Files', 'a b', 'z'.repeat(65), 'ü'])
      assert.throws(() => encodeRequest(service), { code: 'MALFORMED' })
    assert.throws(() => decodeRequest(Uint8Array.of(1, 0x41)), { code: 'MALFORMED' })
    assert.throws(() => decodeRequest(Uint8Array.of(1, 0x61, 0)), { code: 'MALFORMED' })
    assert.throws(() => decodeRequest(new Uint8Array(67)), { code: 'FRAME_TOO_LARGE' })
  })

  test('sixteen of the largest offers fit an answer; a seventeenth, or a longer one, is refused', () => {
    const offers = Array.from({ length: 16 }, (_, i) => largest(`s${i}`))
    const frame = encodeOffers(offers)
    assert.ok(frame.length <= protocol.MAX_ANSWER_BYTES)
    assert.deepEqual(decodeOffers(frame), offers)
    assert.throws(() => encodeOffers([...offers, signedOffer('x')]), { code: 'MALFORMED' })
    assert.throws(() => decodeOffers(Uint8Array.of(17)), { code: 'MALFORMED' })
    assert.throws(() => decodeOffers(Uint8Array.of(1, 0x0f, 0x3d, ...new Uint8Array(3901))), { code: 'MALFORMED' })
    assert.throws(() => decodeOffers(new Uint8Array(protocol.MAX_ANSWER_BYTES + 1)), { code: 'FRAME_TOO_LARGE' })
  })

  test('hostile bytes give a TallyError that a peer may see, or decode to what has that one encoding', () => {
    const sample = encodeOffers([signedOffer('files'), signedOffer('clock', 'ticks')])
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.tuple(fc.nat(sample.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, change]) => {
        const copy = Uint8Array.from(sample)
        copy[at] = (copy[at] ?? 0) ^ change
        return copy
      }),
    )
    fc.assert(
      fc.property(hostile, (frame) => {
        let again: Uint8Array
        try {
          again = encodeOffers(decodeOffers(frame))
        } catch (thrown) {
          assert.ok(thrown instanceof TallyError && thrown.wire > 1, String(thrown))
          return
        }
        assert.deepEqual(again, Uint8Array.from(frame))
      }),
      { numRuns: 2000 },
    )
  })
})
