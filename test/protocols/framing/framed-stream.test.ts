import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { type Stream, StreamMessageEvent } from '@libp2p/interface'
import { encodeFrame } from '../../../protocols/framing/frame-codec.ts'
import { type FramedOptions, type FramedStream, framed } from '../../../protocols/framing/framed-stream.ts'
import { TallyError } from '../../../src/core/errors.ts'
import { type NodePair, nodePair } from '../../support/libp2p.ts'

let nodes: NodePair
before(async () => {
  nodes = await nodePair()
})
after(() => nodes.stop())

const limits: FramedOptions = { maxFrameBytes: 64 << 10 }

interface Ends {
  readonly near: FramedStream
  readonly far: FramedStream
}

/** A framed stream, both ends; each end may have its own limits. */
async function open(nearLimits = limits, farLimits = limits): Promise<Ends> {
  let far: FramedStream | undefined
  const ends = await nodes.open({
    onFar: (stream) => {
      far = framed(stream, farLimits)
    },
  })
  assert.ok(far)
  return { near: framed(ends.near, nearLimits), far }
}

/** One raw stream with frames on the far end only: the near end can send what it likes. */
async function openHostile(farLimits = limits): Promise<{ near: Stream; far: FramedStream }> {
  let far: FramedStream | undefined
  const ends = await nodes.open({
    onFar: (stream) => {
      far = framed(stream, farLimits)
    },
  })
  assert.ok(far)
  return { near: ends.near, far }
}

/** Lets the loop turn until `isTrue`; the test runner's own limit ends a wait that never does. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await turn()
}

async function readAll(stream: FramedStream): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = []
  for await (const batch of stream) frames.push(...batch)
  return frames
}

const numbered = (index: number, size: number): Uint8Array => {
  const payload = Buffer.alloc(size, index)
  payload.writeUInt32BE(index)
  return payload
}

describe('framed stream', () => {
  test('delivers frames in order, in both directions, many in one batch', async () => {
    const { near, far } = await open()
    for (let index = 0; index < 5000; index++) near.send(numbered(index, 4 + (index % 200)))
    far.send(Buffer.from('hello'))
    assert.equal(Buffer.from((await near.read()) ?? []).toString(), 'hello')
    await near.closeWrite()
    let index = 0
    let batches = 0
    for await (const batch of far) {
      batches += 1
      assert.ok(batch.length > 0 && batch.length <= 1024)
      for (const frame of batch) {
        assert.deepEqual(Buffer.from(frame), numbered(index, 4 + (index % 200)))
        index += 1
      }
    }
    assert.equal(index, 5000)
    assert.ok(batches < 500, `${batches} batches`)
    assert.equal(far.framesRead, 5000)
    assert.equal(near.framesSent, 5000)
    await far.close()
  })

  test('all frames of one tick leave in one write', async () => {
    const { near, far } = await open()
    const sizes: number[] = []
    far.stream.addEventListener('message', (event) => sizes.push(event.data.byteLength))
    for (let index = 0; index < 64; index++) near.send(numbered(index, 96))
    await near.closeWrite()
    assert.equal((await readAll(far)).length, 64)
    assert.deepEqual(sizes, [6400])
    await far.close()
  })

  test('the payload is copied: the caller may reuse its buffer at once', async () => {
    const { near, far } = await open()
    const buffer = Buffer.from('first')
    near.send(buffer)
    buffer.write('other')
    assert.equal(Buffer.from((await far.read()) ?? []).toString(), 'first')
    await Promise.all([near.close(), far.close()])
  })

  test('trap: message events are arbitrary runs of bytes; any fragmentation gives the same frames', async () => {
    const { near, far } = await openHostile()
    const bytes = Buffer.concat([1, 2, 3, 500, 30_000].map((size, index) => encodeFrame(Buffer.alloc(size, index + 1), 65_536)))
    for (let at = 0, size = 1; at < bytes.byteLength; at += size, size = size < 40 ? size + 1 : size * 2) {
      near.send(bytes.subarray(at, at + size))
      await turn()
    }
    await near.close()
    const frames = await readAll(far)
    assert.deepEqual(
      frames.map((frame) => [frame.byteLength, frame[0], frame.at(-1)]),
      [1, 2, 3, 500, 30_000].map((size, index) => [size, index + 1, index + 1]),
    )
    await far.close()
  })

  test('a frame of the largest size passes even when the water marks are smaller', async () => {
    const small = { maxFrameBytes: 1 << 20, highWaterBytes: 1, lowWaterBytes: 1 }
    const { near, far } = await open(small, small)
    const frames = readAll(far)
    for (let index = 0; index < 6; index++) {
      near.send(Buffer.alloc(1 << 20, index))
      await near.ready()
    }
    await near.closeWrite()
    assert.deepEqual(
      (await frames).map((frame) => [frame.byteLength, frame.at(-1)]),
      [0, 1, 2, 3, 4, 5].map((index) => [1 << 20, index]),
    )
    await far.close()
  })

  test('trap: a slow reader stops the sender, holds bounded memory and loses nothing', async () => {
    const { near, far } = await open()
    const count = 400
    const sent = (async () => {
      for (let index = 0; index < count; index++) {
        near.send(numbered(index, 60_000))
        await near.ready()
      }
      await near.closeWrite()
    })()
    await until(() => far.stream.readStatus === 'paused' && near.stream.writableNeedsDrain && near.queuedBytes > 0)
    let index = 0
    for (;;) {
      // High mark, plus a window of 1 MiB that was already granted, plus what one event may carry.
      assert.ok(far.unreadBytes <= 3.25 * (1 << 20), `${far.unreadBytes} bytes unread`)
      assert.ok(near.queuedBytes <= 512 << 10, `${near.queuedBytes} bytes queued`)
      const frame = await far.read()
      if (frame === undefined) break
      assert.deepEqual(Buffer.from(frame), numbered(index, 60_000))
      index += 1
    }
    await sent
    assert.equal(index, count)
    await far.close()
  })

  test('trap: a pause asked for inside the delivery of resume() is not lost', async () => {
    const { near, far } = await open(limits, { ...limits, highWaterBytes: 70_000, lowWaterBytes: 65_540 })
    const sent = (async () => {
      for (let index = 0; index < 200; index++) {
        near.send(numbered(index, 60_000))
        await near.ready()
      }
    })()
    await until(() => far.stream.readStatus === 'paused' && near.stream.writableNeedsDrain)
    // Each resume() delivers more than the high mark at once, so the stream must be paused again right after it.
    while (far.framesRead < 100) {
      await far.readBatch()
      assert.ok(far.stream.readStatus === 'paused' || far.unreadBytes < 70_000)
      assert.ok(far.unreadBytes <= 3 << 20, `${far.unreadBytes} bytes unread`)
    }
    while (far.framesRead < 200) await far.readBatch()
    await sent
    await Promise.all([near.close(), far.close()])
  })

  test('trap: ready() waits for a real drain, every time', async () => {
    const { near, far } = await open()
    const received = readAll(far)
    for (let index = 0; index < 300; index++) {
      near.send(Buffer.alloc(65_536, index))
      await near.ready()
      assert.ok(near.queuedBytes < 256 << 10 && !near.stream.writableNeedsDrain)
    }
    await near.closeWrite()
    assert.equal((await received).length, 300)
    await far.close()
  })

  test('a peer that does not read cannot grow our memory: the stream is aborted above the cap', async () => {
    const { near, far } = await open({ ...limits, maxQueueBytes: 1 << 20 })
    const payload = Buffer.alloc(60_000)
    let answers = 0
    assert.throws(
      () => {
        for (;;) if (!near.send(payload)) answers += 1
      },
      (thrown) => thrown instanceof TallyError && thrown.code === 'STREAM_CUT' && Number(thrown.fields.queued_bytes) <= 1 << 20,
    )
    assert.ok(answers > 10, 'false was answered before')
    assert.equal(near.stream.status, 'aborted')
    assert.throws(() => near.send(payload), { code: 'STREAM_CUT' })
    await assert.rejects(near.ready(), { code: 'STREAM_CUT' })
    await assert.rejects(near.read(), { code: 'STREAM_CUT' })
    await assert.rejects(readAll(far), { code: 'STREAM_CUT' })
  })

  test('trap: a bad frame aborts its stream, after the good frames before it, and the process and connection live', async () => {
    for (const [bad, code] of [
      [Buffer.from('00000000', 'hex'), 'MALFORMED'],
      [Buffer.from('ffffffff', 'hex'), 'FRAME_TOO_LARGE'],
    ] as const) {
      const { near, far } = await openHostile()
      const gone = new Promise((resolve) => near.addEventListener('close', resolve))
      near.send(Buffer.concat([encodeFrame(Buffer.from('good'), 10), bad]))
      assert.deepEqual((await far.readBatch())?.map(String), [String(new Uint8Array(Buffer.from('good')))])
      await assert.rejects(far.readBatch(), { code })
      await assert.rejects(far.readBatch(), { code })
      assert.equal(far.stream.status, 'aborted')
      await gone
      assert.equal(near.status, 'reset')
    }
    const again = await open()
    again.near.send(Buffer.from('alive'))
    assert.ok(await again.far.read())
    await Promise.all([again.near.close(), again.far.close()])
  })

  test('an oversized frame is refused before its body is there', async () => {
    const { near, far } = await openHostile({ maxFrameBytes: 100 })
    near.send(Buffer.from('00000065', 'hex'))
    await assert.rejects(far.readBatch(), { code: 'FRAME_TOO_LARGE' })
    assert.equal(far.unreadBytes, 0)
  })

  test('trap: what goes wrong inside a message listener aborts the stream and never reaches the event target', async () => {
    const { near, far } = await open()
    const broken = {
      byteLength: 4,
      // biome-ignore lint/correctness/useYield: it breaks before it yields
      *[Symbol.iterator](): Generator<Uint8Array> {
        throw new Error('broken list')
      },
    }
    far.stream.dispatchEvent(new StreamMessageEvent(broken as unknown as Uint8Array))
    await assert.rejects(far.read(), { code: 'INTERNAL' })
    assert.equal(far.stream.status, 'aborted')
    await assert.rejects(near.read(), { code: 'STREAM_CUT' })
  })

  test('a reader that throws leaves the stream to its owner: nothing escapes and reading can go on', async () => {
    const { near, far } = await open()
    near.send(Buffer.from('one'))
    await assert.rejects(async () => {
      for await (const _ of far) throw new Error('handler failed')
    }, /handler failed/)
    near.send(Buffer.from('two'))
    assert.equal(Buffer.from((await far.read()) ?? []).toString(), 'two')
    await Promise.all([near.close(), far.close()])
  })

  test('an aborted read loses nothing and a second reader is refused', async () => {
    const { near, far } = await open()
    const stop = new AbortController()
    const waiting = far.read({ signal: stop.signal })
    await assert.rejects(far.read(), { code: 'INTERNAL' })
    stop.abort()
    await assert.rejects(waiting, { code: 'ABORTED' })
    await assert.rejects(far.read({ signal: AbortSignal.abort(new TallyError('PATIENCE_OVER')) }), { code: 'PATIENCE_OVER' })
    near.send(Buffer.from('late'))
    assert.equal(Buffer.from((await far.read()) ?? []).toString(), 'late')
    await Promise.all([near.close(), far.close()])
  })

  test('limits that make no sense are refused', async () => {
    const { near } = await openHostile()
    for (const maxFrameBytes of [0, -1, 1.5, Number.NaN, (1 << 20) + 1]) {
      assert.throws(() => framed(near, { maxFrameBytes }), RangeError)
    }
    near.abort(new Error('done'))
  })

  test('a sender refuses frames that the protocol does not allow, and the stream stays good', async () => {
    const { near, far } = await open({ maxFrameBytes: 10 })
    assert.throws(() => near.send(new Uint8Array(0)), { code: 'MALFORMED' })
    assert.throws(() => near.send(new Uint8Array(11)), { code: 'FRAME_TOO_LARGE' })
    near.send(new Uint8Array(10))
    assert.equal((await far.read())?.byteLength, 10)
    await Promise.all([near.close(), far.close()])
  })
})
