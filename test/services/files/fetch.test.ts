import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { PaidStream } from '../../../src/ports/service.ts'
import { fetchFile, fetchIndex, filesService } from '../../../src/services/files/index.ts'
import { paidTwin, type Twin, type TwinOptions } from '../paid-twin.ts'
import { tempDir } from '../temp-dir.ts'

const CHUNK = 16
const sample = (size: number) => Buffer.from(Array.from({ length: size }, (_, i) => (i * 31 + (i >> 4)) % 256))

function shop(t: TestContext, size: number) {
  const root = tempDir(t)
  const bytes = sample(size)
  writeFileSync(join(root, 'f'), bytes)
  const service = filesService({ root, chunkBytes: CHUNK })
  return { root, bytes, service, twin: (options: TwinOptions = {}) => paidTwin(service, 'f', options) }
}

async function all(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of source) pieces.push(piece)
  return Buffer.concat(pieces)
}

const flipBit = (at: number) => (piece: Uint8Array, start: number) => {
  const place = (at >> 3) - start
  if (place < 0 || place >= piece.length) return piece
  return Object.assign(piece.slice(), { [place]: (piece[place] ?? 0) ^ (1 << (at & 7)) })
}

describe('fetching a file', () => {
  test('gives the file, and acknowledges every byte of it once', async (t) => {
    for (const size of [0, 1, 15, 16, 17, 32, 1000]) {
      const { twin, bytes } = shop(t, size)
      const session = await twin({ pieceBytes: 7 })
      const range = await fetchFile(session, { path: 'f' })
      assert.deepEqual([range.offset, range.length, range.file.size], [0, size, size])
      assert.deepEqual(await all(range), bytes)
      assert.equal(session.acknowledged(), size)
      assert.equal(session.openStreams(), 0)
    }
  })

  test('gives exactly the bytes of any range, and pays for the whole chunks that it touches', async (t) => {
    const { twin, bytes } = shop(t, 250)
    await fc.assert(
      fc.asyncProperty(fc.nat(250), fc.nat(300), fc.integer({ min: 1, max: 40 }), async (offset, length, pieceBytes) => {
        const session = await twin({ pieceBytes })
        assert.deepEqual(
          await all(await fetchFile(session, { path: 'f', offset, length })),
          bytes.subarray(offset, offset + length),
        )
        const end = Math.min(offset + length, 250)
        const whole = Math.min(Math.ceil(end / CHUNK) * CHUNK, 250) - Math.floor(offset / CHUNK) * CHUNK
        assert.equal(session.acknowledged(), end === offset ? 0 : whole)
      }),
      { numRuns: 60 },
    )
  })

  test('needs no more credit than one chunk', async (t) => {
    const { twin, bytes } = shop(t, 1000)
    const session = await twin({ creditBytes: CHUNK, pieceBytes: 5 })
    assert.deepEqual(await all(await fetchFile(session, { path: 'f' })), bytes)
  })

  test('acknowledges a chunk only when the next one is asked for, and never one that the caller broke off at', async (t) => {
    const { twin } = shop(t, 100)
    const session = await twin()
    const pieces = (await fetchFile(session, { path: 'f' }))[Symbol.asyncIterator]()
    await pieces.next()
    assert.equal(session.acknowledged(), 0)
    await pieces.next()
    assert.equal(session.acknowledged(), CHUNK)
    await pieces.return?.()
    assert.equal(session.acknowledged(), CHUNK)
    assert.equal(session.openStreams(), 0)
  })

  test('any flipped bit in any chunk is noticed before the chunk is handed out or paid', async (t) => {
    const { twin, bytes } = shop(t, 200)
    await fc.assert(
      fc.asyncProperty(fc.nat(200 * 8 - 1), async (bit) => {
        const session = await twin({ tamper: flipBit(bit), pieceBytes: 9 })
        const chunk = Math.floor(bit / 8 / CHUNK)
        const got: Uint8Array[] = []
        await assert.rejects(
          async () => {
            for await (const piece of await fetchFile(session, { path: 'f' })) got.push(piece)
          },
          (error: { code: string; fields: { chunk: number } }) => error.code === 'CONTENT_WRONG' && error.fields.chunk === chunk,
        )
        assert.deepEqual(Buffer.concat(got), bytes.subarray(0, chunk * CHUNK))
        assert.equal(session.acknowledged(), chunk * CHUNK)
        assert.equal(session.aborted().length, 1)
      }),
      { numRuns: 60 },
    )
  })

  test('any flipped bit in the manifest is noticed before anything is paid', async (t) => {
    const { twin } = shop(t, 200)
    await fc.assert(
      fc.asyncProperty(fc.nat(13 * 32 * 8 - 1), async (bit) => {
        const session = await twin({ tamperFree: (piece) => flipBit(bit)(piece, 0) })
        await assert.rejects(fetchFile(session, { path: 'f' }), { code: 'CONTENT_WRONG' })
        assert.equal(session.delivered(), 0)
      }),
      { numRuns: 40 },
    )
  })

  test('refuses a provider that keeps its word about the wrong file: the buyer brings the root', async (t) => {
    const { twin } = shop(t, 50)
    const right = (await fetchFile(await twin(), { path: 'f' })).file.root
    await fetchFile(await twin(), { path: 'f', root: right })
    const session = await twin()
    const wrong = Object.assign(right.slice(), { 0: (right[0] ?? 0) ^ 1 })
    await assert.rejects(fetchFile(session, { path: 'f', root: wrong }), { code: 'CONTENT_WRONG' })
    assert.equal(session.openStreams(), 0)
  })

  test('refuses terms for another path, for an index, or that do not decode', async (t) => {
    const { twin, service } = shop(t, 50)
    await assert.rejects(fetchFile(await twin(), { path: 'g' }), { code: 'CONTENT_WRONG' })
    await assert.rejects(fetchFile(await paidTwin(service, ''), { path: '' }), { code: 'CONTENT_WRONG' })
    await assert.rejects(fetchFile(await twin({ content: () => new Uint8Array(9) }), { path: 'f' }), { code: 'CONTENT_WRONG' })
    await assert.rejects(fetchIndex(await twin()), { code: 'CONTENT_WRONG' })
    const { files } = await fetchIndex(await paidTwin(service, ''))
    assert.deepEqual(
      files.map(({ path, size }) => [path, size]),
      [['f', 50]],
    )
  })

  test('a manifest that is too long or too short, or that costs money, is refused', async (t) => {
    const { twin } = shop(t, 50)
    const twice = await twin({ tamperFree: (piece) => Buffer.concat([piece, piece]) })
    await assert.rejects(fetchFile(twice, { path: 'f' }), { code: 'CONTENT_WRONG' })
    const half = await twin({ tamperFree: (piece) => piece.subarray(1) })
    await assert.rejects(fetchFile(half, { path: 'f' }), { code: 'CONTENT_WRONG' })
    const greedy = overStream(await twin(), (stream) => ({ ...stream, free: false }))
    await assert.rejects(fetchFile(greedy, { path: 'f' }), { code: 'CONTENT_WRONG' })
  })

  test('a stream that ends too early is CONTENT_WRONG, with nothing of the cut chunk paid', async (t) => {
    const { twin } = shop(t, 100)
    const session = await twin({ tamper: (piece, at) => piece.subarray(0, Math.max(0, 40 - at)), pieceBytes: 10 })
    await assert.rejects(all(await fetchFile(session, { path: 'f' })), { code: 'CONTENT_WRONG' })
    assert.equal(session.acknowledged(), 32)
  })

  test('bytes beyond the range are neither handed out nor paid', async (t) => {
    const { twin, bytes } = shop(t, 64)
    const session = await twin({ tamper: (piece) => Buffer.concat([piece, Buffer.from('more')]) })
    assert.deepEqual(await all(await fetchFile(session, { path: 'f' })), bytes)
    assert.equal(session.acknowledged(), 64)
  })

  test('an abort ends it at once, also while the provider says nothing', async (t) => {
    const { twin } = shop(t, 100)
    const abort = new AbortController()
    const silent = overStream(await twin(), (stream) =>
      stream.free
        ? stream
        : { ...stream, unacknowledged: { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) } },
    )
    const pieces = (await fetchFile(silent, { path: 'f' }, { signal: abort.signal }))[Symbol.asyncIterator]()
    const next = pieces.next()
    abort.abort()
    await assert.rejects(next, { code: 'ABORTED' })
    await assert.rejects(fetchFile(await twin(), { path: 'f' }, { signal: abort.signal }), { code: 'ABORTED' })
  })

  test('a provider that has sent everything and does not end its stream is cut off, and everything is there and paid', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { twin, bytes } = shop(t, 100)
    const session = await twin()
    const lingering = overStream(session, (stream) =>
      stream.free ? stream : { ...stream, unacknowledged: neverEnding(stream.unacknowledged, () => t.mock.timers.tick(60_000)) },
    )
    assert.deepEqual(await all(await fetchFile(lingering, { path: 'f' })), bytes)
    assert.equal(session.acknowledged(), 100)
    assert.equal(session.aborted().length, 1)
  })

  test('an offset beyond the end or a negative length is refused', async (t) => {
    const { twin } = shop(t, 100)
    for (const wrong of [{ offset: 101 }, { offset: -1 }, { offset: 0.5 }, { length: -1 }, { length: Number.NaN }]) {
      await assert.rejects(fetchFile(await twin(), { path: 'f', ...wrong }), { code: 'REQUEST_INVALID' })
    }
    assert.equal((await all(await fetchFile(await twin(), { path: 'f', offset: 100 }))).length, 0)
  })
})

/** The same pieces, but where they end it says nothing more; `onSilence` is called then, a turn later. */
async function* neverEnding(pieces: AsyncIterable<Uint8Array>, onSilence: () => void): AsyncGenerator<Uint8Array> {
  yield* pieces
  setImmediate(onSilence)
  await new Promise<never>(() => {})
}

function overStream(session: Twin, change: (stream: PaidStream) => PaidStream): Twin {
  return { ...session, open: async (request, options) => change(await session.open(request, options)) }
}
