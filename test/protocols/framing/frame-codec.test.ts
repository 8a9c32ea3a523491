import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Uint8ArrayList } from 'uint8arraylist'
import { ByteQueue } from '../../../protocols/framing/byte-queue.ts'
import { cutInsideFrame, encodeFrame, FrameDecoder, takeFrame } from '../../../protocols/framing/frame-codec.ts'
import { ERRORS, type ErrorCode, TallyError } from '../../../src/core/errors.ts'

interface Vector {
  readonly comment: string
  readonly max_frame_bytes: number
  readonly encoded: string
  readonly frames: readonly string[]
  readonly error?: ErrorCode
  readonly error_number?: number | null
}
interface Vectors {
  readonly valid: readonly Vector[]
  readonly must_fail: readonly Vector[]
}

const file = new URL('../../../protocols/framing/vectors/frames.json', import.meta.url)
const vectors: Vectors = JSON.parse(readFileSync(file, 'utf8'))
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const code = (thrown: unknown): string => (thrown instanceof TallyError ? thrown.code : `not typed: ${thrown}`)

/** All frames of a stream and the code of its refusal, as a receiver that reads one frame at a time sees them. */
function receive(chunks: readonly Uint8Array[], maxFrameBytes: number): { frames: string[]; error: string | undefined } {
  const queue = new ByteQueue()
  const frames: string[] = []
  try {
    for (const chunk of chunks) {
      queue.push(chunk)
      for (let frame = takeFrame(queue, maxFrameBytes); frame; frame = takeFrame(queue, maxFrameBytes)) frames.push(hex(frame))
    }
    if (queue.byteLength > 0) throw cutInsideFrame()
  } catch (thrown) {
    return { frames, error: code(thrown) }
  }
  return { frames, error: undefined }
}

/** `bytes` cut at the given places. */
function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.byteLength + 1)))].sort((a, b) => a - b)
  const chunks: Uint8Array[] = []
  let from = 0
  for (const to of [...at, bytes.byteLength]) {
    chunks.push(bytes.slice(from, to))
    from = to
  }
  return chunks
}

describe('frame vectors', () => {
  for (const vector of vectors.valid) {
    test(`valid: ${vector.comment}`, () => {
      const bytes = Buffer.from(vector.encoded, 'hex')
      assert.deepEqual(receive([bytes], vector.max_frame_bytes), { frames: vector.frames, error: undefined })
      const single = [...bytes].map((byte) => Uint8Array.of(byte))
      assert.deepEqual(receive(single, vector.max_frame_bytes), { frames: vector.frames, error: undefined })
      const encoded = vector.frames.map((frame) => hex(encodeFrame(Buffer.from(frame, 'hex'), vector.max_frame_bytes))).join('')
      assert.equal(encoded, vector.encoded)
    })
  }
  for (const vector of vectors.must_fail) {
    test(`must fail: ${vector.comment}`, () => {
      const bytes = Buffer.from(vector.encoded, 'hex')
      const expected = { frames: vector.frames, error: vector.error }
      assert.deepEqual(receive([bytes], vector.max_frame_bytes), expected)
      const single = [...bytes].map((byte) => Uint8Array.of(byte))
      assert.deepEqual(receive(single, vector.max_frame_bytes), expected)
      const kind = ERRORS[vector.error ?? 'INTERNAL']
      assert.equal('wire' in kind ? kind.wire : null, vector.error_number)
    })
  }
})

describe('frame decoder', () => {
  const payload = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 20 }),
    fc.uint8Array({ minLength: 1, maxLength: 5000, size: 'max' }),
  )
  const cuts = fc.array(fc.nat(), { maxLength: 40, size: 'max' })

  test('any split of any frames gives the same frames', () => {
    fc.assert(
      fc.property(fc.array(payload, { maxLength: 12 }), cuts, fc.boolean(), (payloads, places, asList) => {
        const decoder = new FrameDecoder(5000)
        const bytes = Buffer.concat(payloads.map((one) => encodeFrame(one, 5000)))
        const chunks = split(bytes, places)
        const frames = asList ? decoder.push(new Uint8ArrayList(...chunks)) : chunks.flatMap((chunk) => decoder.push(chunk))
        decoder.end()
        assert.deepEqual(frames.map(hex), payloads.map(hex))
      }),
      { numRuns: 300 },
    )
  })

  test('frames that nobody takes for a while come out the same, whatever the size of the runs', () => {
    fc.assert(
      fc.property(fc.array(payload, { maxLength: 12 }), cuts, (payloads, places) => {
        const queue = new ByteQueue()
        const bytes = Buffer.concat(payloads.map((one) => encodeFrame(one, 5000)))
        for (const chunk of split(bytes, places)) queue.push(chunk)
        assert.equal(queue.byteLength, bytes.byteLength)
        const frames: string[] = []
        for (let frame = takeFrame(queue, 5000); frame; frame = takeFrame(queue, 5000)) frames.push(hex(frame))
        assert.deepEqual(frames, payloads.map(hex))
        assert.equal(queue.byteLength, 0)
      }),
      { numRuns: 300 },
    )
  })

  test('any bytes give frames or a typed refusal, never another error', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat({ max: 255 })), { maxLength: 200, size: 'max' }),
        cuts,
        fc.integer({ min: 1, max: 300 }),
        (numbers, places, max) => {
          const bytes = Uint8Array.from(numbers)
          const { frames, error } = receive(split(bytes, places), max)
          for (const frame of frames) assert.ok(frame.length > 0 && frame.length / 2 <= max)
          assert.ok([undefined, 'MALFORMED', 'FRAME_TOO_LARGE', 'STREAM_CUT'].includes(error), String(error))
          assert.deepEqual(receive([bytes], max), { frames, error })
        },
      ),
      { numRuns: 1000 },
    )
  })

  test('a refused frame is refused again by every later call', () => {
    const decoder = new FrameDecoder(10)
    assert.throws(() => decoder.push(Uint8Array.of(0, 0, 0, 0)), { code: 'MALFORMED' })
    assert.throws(() => decoder.push(Uint8Array.of(0, 0, 0, 1, 7)), { code: 'MALFORMED' })
  })

  test('an oversized frame is refused at its fourth byte, before its body', () => {
    const decoder = new FrameDecoder(10)
    assert.deepEqual(decoder.push(Uint8Array.of(0, 0, 0)), [])
    assert.throws(() => decoder.push(Uint8Array.of(11)), { code: 'FRAME_TOO_LARGE' })
    assert.equal(decoder.pendingBytes, 4)
  })

  test('a sender refuses an empty and an oversized payload', () => {
    assert.throws(() => encodeFrame(new Uint8Array(0), 10), { code: 'MALFORMED' })
    assert.throws(() => encodeFrame(new Uint8Array(11), 10), { code: 'FRAME_TOO_LARGE' })
  })
})

describe('byte queue', () => {
  test('packs single bytes instead of keeping one view for each', () => {
    const queue = new ByteQueue()
    for (let n = 0; n < 10_000; n++) queue.push(Uint8Array.of(n))
    let runs = 0
    let bytes = 0
    for (let run = queue.takeRun(); run; run = queue.takeRun()) {
      runs += 1
      for (const byte of run) assert.equal(byte, bytes++ % 256)
    }
    assert.equal(bytes, 10_000)
    assert.ok(runs <= 4, `${runs} runs`)
  })

  test('passes large runs on without a copy', () => {
    const queue = new ByteQueue()
    const first = new Uint8Array(5000)
    const second = new Uint8Array(6000)
    queue.push(first)
    queue.push(second)
    assert.equal(queue.takeRun()?.buffer, first.buffer)
    queue.skip(10)
    assert.equal(queue.take(20).buffer, second.buffer)
    assert.equal(queue.takeRun()?.byteLength, 5970)
    assert.equal(queue.takeRun(), undefined)
  })

  test('a taken view is not changed by bytes that come later', () => {
    const queue = new ByteQueue()
    queue.push(Uint8Array.of(1))
    queue.push(Uint8Array.of(2))
    queue.skip(1)
    const view = queue.take(1)
    queue.push(Uint8Array.of(9))
    queue.push(Uint8Array.of(9))
    assert.deepEqual([...view], [2])
  })
})
