import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Stream } from '@libp2p/interface'
import { type FramedOptions, type FramedStream, framed } from '../../../protocols/framing/framed-stream.ts'
import { type FaultProxy, faultProxy } from '../../support/fault-proxy.ts'
import { addressThrough, type NodePair, nodePair, portOf } from '../../support/libp2p.ts'

let nodes: NodePair
let proxy: FaultProxy
before(async () => {
  nodes = await nodePair()
  proxy = await faultProxy(portOf(nodes.listener))
})
after(async () => {
  await nodes.stop()
  await proxy.close()
})

const limits: FramedOptions = { maxFrameBytes: 64 << 10 }

/** A stream through the proxy with frames on the far end. */
async function open(farLimits = limits): Promise<{ near: Stream; far: FramedStream }> {
  let far: FramedStream | undefined
  const ends = await nodes.open({
    address: addressThrough(proxy.port, nodes.listener),
    onFar: (stream) => {
      far = framed(stream, farLimits)
    },
  })
  assert.ok(far)
  return { near: ends.near, far }
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await turn()
}

/** Cuts the connection under all streams and waits until both nodes know. */
async function cut(...streams: Stream[]): Promise<void> {
  proxy.reset()
  await until(() => streams.every((stream) => stream.status !== 'open'))
}

const text = (frame: Uint8Array | undefined): string => Buffer.from(frame ?? []).toString()

describe('end of a stream', () => {
  test('trap: only the end that the peer declared is a clean one', async () => {
    const { near, far } = await open()
    const sender = framed(near, limits)
    sender.send(Buffer.from('last'))
    await sender.closeWrite()
    assert.equal(text(await far.read()), 'last')
    assert.equal(await far.read(), undefined)
    assert.equal(await far.read(), undefined)
    far.send(Buffer.from('still open in this direction'))
    await far.close()
    assert.equal(text(await sender.read()), 'still open in this direction')
    assert.equal(await sender.read(), undefined)
    await sender.close()
    assert.equal(near.status, 'closed')
  })

  test('trap: a TCP reset closes the stream without any error, and is STREAM_CUT on both sides', async () => {
    const { near, far } = await open()
    const sender = framed(near, limits)
    const waiting = [sender.read(), far.read()]
    const results = Promise.allSettled(waiting)
    await cut(near, far.stream)
    for (const result of await results) {
      assert.equal(result.status, 'rejected')
      assert.equal(result.reason.code, 'STREAM_CUT')
    }
    assert.throws(() => sender.send(Buffer.from('x')), { code: 'STREAM_CUT' })
    await assert.rejects(sender.ready(), { code: 'STREAM_CUT' })
    await assert.rejects(sender.close(), { code: 'STREAM_CUT' })
  })

  test('frames that came before a cut are still delivered, and then the cut', async () => {
    const { near, far } = await open()
    const sender = framed(near, limits)
    for (let index = 0; index < 100; index++) sender.send(Buffer.alloc(8, index))
    await until(() => far.unreadBytes === 1200)
    await cut(near, far.stream)
    const frames: Uint8Array[] = []
    await assert.rejects(
      async () => {
        for await (const batch of far) frames.push(...batch)
      },
      { code: 'STREAM_CUT' },
    )
    assert.equal(frames.length, 100)
  })

  test('bytes that libp2p held while the reader was slow are delivered after a cut', async () => {
    const { near, far } = await open({ ...limits, highWaterBytes: 1, lowWaterBytes: 1 })
    const sender = framed(near, limits)
    for (let index = 0; index < 4; index++) sender.send(Buffer.alloc(60_000, index))
    await until(() => far.unreadBytes === 4 * 60_004)
    assert.ok(far.stream.readBufferLength > 0, 'libp2p holds a part')
    await cut(near, far.stream)
    for (let index = 0; index < 4; index++) assert.equal((await far.read())?.[0], index)
    await assert.rejects(far.read(), { code: 'STREAM_CUT' })
  })

  test('bytes that libp2p held while the reader was slow are delivered before a clean end', async () => {
    const { near, far } = await open({ ...limits, highWaterBytes: 1, lowWaterBytes: 1 })
    const sender = framed(near, limits)
    for (let index = 0; index < 4; index++) sender.send(Buffer.alloc(60_000, index))
    await sender.closeWrite()
    await until(() => far.stream.remoteWriteStatus === 'closed')
    assert.ok(far.stream.readBufferLength > 0, 'libp2p holds a part')
    for (let index = 0; index < 4; index++) assert.equal((await far.read())?.[0], index)
    assert.equal(await far.read(), undefined)
    await far.close()
  })

  test('a declared end whose last bytes were then thrown away is STREAM_CUT', async () => {
    const { near, far } = await open({ ...limits, highWaterBytes: 1, lowWaterBytes: 1 })
    const sender = framed(near, limits)
    for (let index = 0; index < 4; index++) sender.send(Buffer.alloc(60_000, index))
    await sender.closeWrite()
    await until(() => far.stream.remoteWriteStatus === 'closed')
    far.stream.abort(new Error('libp2p gives up'))
    await assert.rejects(
      async () => {
        for await (const _ of far);
      },
      { code: 'STREAM_CUT' },
    )
  })

  test('frames that our own abort threw away are never taken for a clean end', async () => {
    const { near, far } = await open()
    const sender = framed(near, limits)
    sender.send(Buffer.from('unread'))
    await sender.closeWrite()
    await until(() => far.stream.readableEnded)
    await turn()
    far.abort(new Error('enough'))
    await assert.rejects(far.read(), { code: 'STREAM_CUT' })
  })

  test('a declared end inside a frame is STREAM_CUT', async () => {
    for (const part of ['0000', '00000003', '00000003aabb']) {
      const { near, far } = await open()
      near.send(Buffer.from(`00000001ee${part}`, 'hex'))
      await near.close()
      assert.deepEqual(await far.read(), Uint8Array.of(0xee))
      await assert.rejects(far.read(), { code: 'STREAM_CUT', message: 'the stream ended inside a frame' })
      far.abort(new Error('done'))
    }
  })

  test('a muxer frame that carries the end together with the last bytes loses neither', async () => {
    const { near, far } = await open()
    const yamux = near as unknown as { sendFrame(header: object, data: Uint8Array): void; streamId: number }
    const bytes = Buffer.from('00000002abcd', 'hex')
    const fin = 4
    yamux.sendFrame({ type: 0, flag: fin, streamID: yamux.streamId, length: bytes.byteLength }, bytes)
    assert.deepEqual(await far.read(), Uint8Array.of(0xab, 0xcd))
    assert.equal(await far.read(), undefined)
    near.abort(new Error('done'))
  })

  test('an abort at the other end is STREAM_CUT, and our own abort gives our own error', async () => {
    const { near, far } = await open()
    const sender = framed(near, limits)
    const waiting = assert.rejects(sender.read(), { code: 'STREAM_CUT', message: 'no more of this' })
    sender.abort(Object.assign(new Error('no more of this'), { name: 'Mine' }))
    await waiting.catch(() => {})
    await assert.rejects(far.read(), { code: 'STREAM_CUT' })
  })

  test('bytes that were corrupted on the way are STREAM_CUT, never a frame', async () => {
    const { near, far } = await open()
    const sender = framed(near, limits)
    sender.send(Buffer.from('good'))
    assert.equal(text(await far.read()), 'good')
    proxy.set({ corrupt: 'up' })
    sender.send(Buffer.from('will be flipped'))
    await assert.rejects(far.read(), { code: 'STREAM_CUT' })
    await until(() => near.status !== 'open')
  })

  test('a dead network keeps a reader waiting until its signal; what was held comes when it heals', async () => {
    const { near, far } = await open()
    const sender = framed(near, limits)
    proxy.set({ blackHole: true })
    const before = proxy.bytesIn
    sender.send(Buffer.from('held'))
    await until(() => proxy.bytesIn > before)
    const stop = new AbortController()
    const waiting = far.read({ signal: stop.signal })
    stop.abort()
    await assert.rejects(waiting, { code: 'ABORTED' })
    proxy.set({ blackHole: false })
    assert.equal(text(await far.read()), 'held')
    await Promise.all([sender.close(), far.close()])
  })
})

describe('close', () => {
  test('close flushes: every frame sent before it arrives', async () => {
    const { near, far } = await open()
    const sender = framed(near, limits)
    for (let index = 0; index < 3000; index++) sender.send(Buffer.alloc(500, index))
    const closed = sender.close()
    assert.throws(() => sender.send(Buffer.from('late')), { code: 'STREAM_CUT' })
    let count = 0
    for await (const batch of far) for (const frame of batch) assert.equal(frame[499], count++ % 256)
    assert.equal(count, 3000)
    await far.close()
    await closed
    assert.equal(near.status, 'closed')
  })

  test('trap: a failing close rejects with a typed error, not with an event', async () => {
    const { near, far } = await open()
    const sender = framed(near, { ...limits, maxQueueBytes: 8 << 20 })
    while (!near.writableNeedsDrain) sender.send(Buffer.alloc(60_000))
    const stop = new AbortController()
    await until(() => far.stream.readStatus === 'paused' || near.writeBufferLength > 0)
    for (let index = 0; index < 40; index++) sender.send(Buffer.alloc(60_000))
    const closing = sender.close({ signal: stop.signal })
    stop.abort()
    await assert.rejects(closing, { code: 'ABORTED' })
    assert.equal(near.status, 'aborted')
    await until(() => far.stream.status !== 'open')
    far.abort(new Error('done'))
  })

  test('a peer that never ends its half is aborted when the close runs out of time', async () => {
    const { near, far } = await open()
    const sender = framed(near, { ...limits, closeTimeoutMs: 20 })
    sender.send(Buffer.from('bye'))
    await sender.close()
    assert.equal(near.status, 'aborted')
    assert.equal(text(await far.read()), 'bye')
    far.abort(new Error('done'))
  })

  test('close throws away what the peer still sends, without stopping it', async () => {
    const { near, far } = await open()
    const sender = framed(near, limits)
    const flood = (async () => {
      for (let index = 0; index < 100; index++) {
        far.send(Buffer.alloc(60_000))
        await far.ready()
      }
      await far.close()
    })()
    await until(() => sender.unreadBytes > 0)
    await sender.close()
    await flood
    assert.equal(near.status, 'closed')
  })
})
