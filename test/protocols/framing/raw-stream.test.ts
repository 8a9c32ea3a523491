import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Stream } from '@libp2p/interface'
import { pipe } from 'it-pipe'
import { Uint8ArrayList } from 'uint8arraylist'
import { encodeFrame } from '../../../protocols/framing/frame-codec.ts'
import { packBytes } from '../../../protocols/framing/packer.ts'
import { type RawChunk, type RawOptions, type RawStream, rawStream } from '../../../protocols/framing/raw-stream.ts'
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

/** A raw stream, both ends, through the proxy. */
async function open(options: RawOptions = {}): Promise<{ near: RawStream; far: RawStream }> {
  const { near, far } = await openHostile(options)
  return { near: rawStream(near, options), far }
}

async function openHostile(options: RawOptions = {}): Promise<{ near: Stream; far: RawStream }> {
  let far: RawStream | undefined
  const ends = await nodes.open({
    address: addressThrough(proxy.port, nodes.listener),
    onFar: (stream) => {
      far = rawStream(stream, options)
    },
  })
  assert.ok(far)
  return { near: ends.near, far }
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await turn()
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Bytes that tell where they are from. */
function pattern(size: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(size)
  for (let at = 0; at < size; at++) bytes[at] = (at * 31 + (at >>> 8) * 7 + seed) & 255
  return bytes
}

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size)
}

describe('raw stream', () => {
  test('header frames first, then raw bytes, in both directions and without loss', async () => {
    const { near, far } = await open()
    const up = pattern(700_000, 1)
    const down = pattern(500_000, 2)
    const nearSide = (async () => {
      await near.writeFrame(Buffer.from('open'))
      await near.write(up.subarray(0, 10))
      assert.equal(Buffer.from((await near.readFrame()) ?? []).toString(), 'ok')
      const back = collect(near)
      for await (const chunk of inChunks(up.subarray(10), 65_536)) await near.write(chunk)
      await near.closeWrite()
      assert.ok((await back).equals(down))
    })()
    assert.equal(Buffer.from((await far.readFrame()) ?? []).toString(), 'open')
    await far.writeFrame(Buffer.from('ok'))
    for await (const chunk of inChunks(down, 50_000)) await far.write(chunk)
    await far.closeWrite()
    assert.ok((await collect(far)).equals(up))
    await nearSide
    assert.deepEqual([near.bytesWritten, near.bytesRead], [700_000, 500_000])
    assert.deepEqual([far.bytesWritten, far.bytesRead], [500_000, 700_000])
    await until(() => near.stream.status === 'closed' && far.stream.status === 'closed')
  })

  test('header and raw bytes that arrive in one run, or in single bytes, are told apart', async () => {
    const bytes = Buffer.concat([
      encodeFrame(Buffer.from('one'), 99),
      encodeFrame(Buffer.from('two'), 99),
      Buffer.from('raw bytes'),
    ])
    for (const size of [bytes.byteLength, 1]) {
      const { near, far } = await openHostile()
      for await (const chunk of inChunks(bytes, size)) near.send(chunk)
      await near.close()
      assert.equal(Buffer.from((await far.readFrame()) ?? []).toString(), 'one')
      assert.equal(Buffer.from((await far.readFrame()) ?? []).toString(), 'two')
      assert.equal((await collect(far)).toString(), 'raw bytes')
      assert.equal(far.bytesRead, 9)
      await far.close()
    }
  })

  test('a bad header aborts the stream; an end inside a header is STREAM_CUT', async () => {
    for (const [bytes, code] of [
      ['00000000', 'MALFORMED'],
      ['00001001', 'FRAME_TOO_LARGE'],
      ['00000002aa', 'STREAM_CUT'],
    ] as const) {
      const { near, far } = await openHostile()
      near.send(Buffer.from(bytes, 'hex'))
      await near.close()
      await assert.rejects(far.readFrame(), { code })
      if (code !== 'STREAM_CUT') assert.equal(far.stream.status, 'aborted')
      far.abort(new Error('done'))
    }
  })

  test('trap: drain works on every write, so unsent bytes never pile up', async () => {
    const { near, far } = await open()
    const received = (async () => {
      let count = 0
      for (;;) {
        const run = await far.read()
        if (run === undefined) return count
        count += run.byteLength
        await turn()
      }
    })()
    const chunk = Buffer.alloc(65_536)
    for (let n = 0; n < 400; n++) {
      await near.write(chunk)
      assert.ok(near.stream.writeBufferLength < 65_536 + 1, `${near.stream.writeBufferLength} bytes unsent`)
    }
    await near.closeWrite()
    assert.equal(await received, 400 * 65_536)
    await far.close()
  })

  test('trap: a reader that stops holds bounded memory while the writer waits', async () => {
    const { near, far } = await open()
    let written = 0
    const writing = (async () => {
      for (let n = 0; n < 200; n++) {
        await near.write(Buffer.alloc(65_536, n))
        written += 65_536
      }
      await near.closeWrite()
    })()
    await until(() => far.stream.readStatus === 'paused' && near.stream.writableNeedsDrain)
    assert.ok(written < 4 << 20, `${written} bytes written`)
    assert.ok(far.unreadBytes <= 3.25 * (1 << 20), `${far.unreadBytes} bytes unread`)
    assert.equal(far.bytesRead, 0)
    let at = 0
    for await (const run of far) {
      for (let index = 0; index < run.byteLength; index += 997) assert.equal(run[index], ((at + index) >>> 16) & 255)
      at += run.byteLength
    }
    await writing
    assert.equal(at, 200 * 65_536)
    await far.close()
  })

  test('writes leave in packs of full noise messages; what does not fill one leaves in the next turn of the loop', async () => {
    const { near, far } = await open()
    const sizes: number[] = []
    const send = near.stream.send.bind(near.stream)
    near.stream.send = (bytes) => {
      sizes.push(bytes.byteLength)
      return send(bytes)
    }
    const received = collect(far)
    await near.write(Buffer.from('a'))
    await near.write(Buffer.from('bc'))
    assert.deepEqual(sizes, [], 'not yet')
    await turn()
    assert.deepEqual(sizes, [3])
    for (let n = 0; n < 64; n++) await near.write(pattern(65_536, n))
    await near.closeWrite()
    assert.equal((await received).byteLength, 3 + (64 << 16))
    assert.equal(sizes.slice(1).filter((size) => size === packBytes(4)).length, 16)
    assert.ok(sizes.length <= 19, `${sizes.length} sends`)
    await far.close()
  })

  test('bytes of a writer that gave up leave when the transport takes more, without a further call', async () => {
    const { near, far } = await open()
    const stop = new AbortController()
    const filling = assert.rejects(
      (async () => {
        for (;;) await near.write(Buffer.alloc(1_000_000), { signal: stop.signal })
      })(),
      { code: 'ABORTED' },
    )
    await until(() => near.stream.writableNeedsDrain && far.unreadBytes > 1 << 20)
    stop.abort()
    await filling
    let got = 0
    while (got < near.bytesWritten) got += (await far.read())?.byteLength ?? Number.NaN
    assert.equal(got, near.bytesWritten)
    await Promise.all([near.close(), far.close()])
  })

  test('a write that waits is told of the cut', async () => {
    const { near, far } = await open()
    const writing = (async () => {
      for (;;) await near.write(Buffer.alloc(65_536))
    })()
    const failed = assert.rejects(writing, { code: 'STREAM_CUT' })
    await until(() => near.stream.writableNeedsDrain && far.unreadBytes > 0)
    proxy.reset()
    await failed
    const { bytesWritten } = near
    await assert.rejects(near.write(Buffer.alloc(1)), { code: 'STREAM_CUT' })
    assert.equal(near.bytesWritten, bytesWritten)
    await assert.rejects(collect(far), { code: 'STREAM_CUT' })
    assert.ok(far.bytesRead > 0, 'what came before the cut was delivered')
  })

  test('who ends its side waits for a slow reader as long as it was told, and not only as long as a close usually takes', async () => {
    const { near, far } = await open({ closeTimeoutMs: 20 })
    const aborted = AbortSignal.abort()
    // until the far end takes no more
    while (near.stream.writeStatus === 'writable' && !near.stream.writableNeedsDrain)
      await near.write(new Uint8Array(65_536), { signal: aborted }).catch(() => undefined)
    const closing = near.closeWrite({ timeoutMs: 60_000 })
    await new Promise((resolve) => setTimeout(resolve, 100))
    assert.equal((await collect(far)).length, near.bytesWritten)
    await closing
  })

  test('an aborted write keeps its count and cannot pile bytes up; an aborted read loses nothing', async () => {
    const { near, far } = await open()
    const stop = new AbortController()
    const filling = (async () => {
      for (;;) await near.write(Buffer.alloc(65_536), { signal: stop.signal })
    })()
    await until(() => near.stream.writableNeedsDrain && far.unreadBytes > 1 << 20)
    stop.abort()
    await assert.rejects(filling, { code: 'ABORTED' })
    const { bytesWritten } = near
    await assert.rejects(near.write(Buffer.alloc(10), { signal: stop.signal }), { code: 'ABORTED' })
    assert.equal(near.bytesWritten, bytesWritten)
    await assert.rejects(near.read({ signal: AbortSignal.abort() }), { code: 'ABORTED' })
    const rest = collect(far)
    await near.closeWrite()
    assert.equal((await rest).byteLength, bytesWritten)
    await far.close()
  })

  test('one reader and one writer at a time', async () => {
    const { near, far } = await open()
    const reading = near.read()
    await assert.rejects(near.read(), { code: 'INTERNAL' })
    await far.write(Buffer.from('x'))
    assert.equal((await reading)?.byteLength, 1)
    const writes = (async () => {
      while (!near.stream.writableNeedsDrain) await Promise.race([near.write(Buffer.alloc(65_536)), turn()])
    })()
    await writes
    await assert.rejects(near.write(Buffer.from('y')), { code: 'INTERNAL' })
    near.abort(new Error('done'))
    await until(() => far.stream.status !== 'open')
  })
})

describe('raw stream in it-pipe', () => {
  test('trap: it-pipe joins two raw streams, which it cannot do with libp2p streams', async () => {
    const first = await open()
    const second = await open()
    const up = pattern(3_000_000, 3)
    const down = pattern(2_000_000, 4)
    const joint = Promise.all([pipe(first.far, second.near), pipe(second.near, first.far)])
    const sending = Promise.all([pipe(inChunks(up, 65_536), first.near), pipe(inChunks(down, 10_000), second.far)])
    const [gotUp, gotDown] = await Promise.all([collect(second.far.source), collect(first.near.source)])
    assert.ok(gotUp.equals(up))
    assert.ok(gotDown.equals(down))
    await Promise.all([joint, sending])
    assert.equal(first.far.bytesRead, 3_000_000)
    assert.equal(second.near.bytesWritten, 3_000_000)
    assert.equal(first.far.bytesWritten, 2_000_000)
  })

  test('a stream can stand at the start, in the middle and at the end of a pipe', async () => {
    const { near, far } = await open()
    const echo = pipe(far, far)
    const answer = await pipe(
      [Buffer.from('there '), new Uint8ArrayList(Buffer.from('and '), Buffer.from('back'))],
      near,
      (source) => {
        return collect(source as AsyncIterable<Uint8Array>)
      },
    )
    await echo
    assert.equal(answer.toString(), 'there and back')
  })

  test('a source that fails cuts the stream: the part is never taken for the whole', async () => {
    const { near, far } = await open()
    async function* failing(): AsyncGenerator<RawChunk> {
      yield Buffer.from('part')
      await until(() => far.unreadBytes > 0)
      throw new Error('disk broke')
    }
    await assert.rejects(pipe(failing(), near), /disk broke/)
    await assert.rejects(collect(far), { code: 'STREAM_CUT' })
    assert.equal(far.bytesRead, 4)
  })

  test('a cut ends a pipe whose source is silent, and lets the source clean up', async () => {
    const { near, far } = await open()
    let cleaned = false
    const silent: AsyncIterable<RawChunk> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return: async () => {
          cleaned = true
          return { done: true, value: undefined }
        },
      }),
    }
    const piping = assert.rejects(pipe(silent, near), { code: 'STREAM_CUT' })
    far.abort(new Error('gone'))
    await piping
    await until(() => cleaned)
  })

  test('stopping a source early loses nothing: the rest can be read', async () => {
    const { near, far } = await open()
    await near.write(Buffer.from('first'))
    for await (const run of far) {
      assert.equal(Buffer.from(run).toString(), 'first')
      break
    }
    await near.write(Buffer.from('second'))
    await near.closeWrite()
    assert.equal((await collect(far)).toString(), 'second')
    await far.close()
  })
})
