import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Libp2p } from '@libp2p/interface'
import { type DataHeader, encodeHeader } from '../../../protocols/data/codec.ts'
import type { IncomingData } from '../../../protocols/data/incoming.ts'
import { DATA_PROTOCOL, MAX_HEADER_BYTES } from '../../../protocols/data/protocol.ts'
import { type DataService, type DataServiceInit, dataService } from '../../../protocols/data/service.ts'
import { type RawStream, rawStream } from '../../../protocols/framing/raw-stream.ts'
import { libp2pKey } from '../../../protocols/peer-identity.ts'
import { addressOfKey } from '../../../src/core/crypto/secp256k1.ts'
import { TallyError } from '../../../src/core/errors.ts'
import type * as port from '../../../src/ports/link.ts'
import { addressOf, testNode } from '../../support/libp2p.ts'
import { PAYEE_KEY, PAYER_KEY } from '../session/nodes.ts'
import { bytes, SESSION } from '../session/samples.ts'

interface Pair {
  readonly server: Libp2p<{ data: DataService }>
  readonly client: Libp2p<{ data: DataService }>
  open(header?: Partial<DataHeader>, signal?: AbortSignal): ReturnType<DataService['openData']>
  /** a data stream without the service: a consumer that may send whatever it likes */
  rogue(): Promise<RawStream>
  stop(): Promise<void>
}

async function dataPair(
  init: DataServiceInit,
  asking: DataServiceInit = {},
  key: 'secp256k1' | 'ed25519' = 'secp256k1',
): Promise<Pair> {
  const server = await testNode<{ data: DataService }>({
    privateKey: libp2pKey(PAYEE_KEY),
    services: { data: dataService(init) },
  })
  const client = await testNode<{ data: DataService }>({
    listen: false,
    services: { data: dataService(asking) },
    ...(key === 'ed25519' ? {} : { privateKey: libp2pKey(PAYER_KEY) }),
  })
  const target = addressOf(server)
  return {
    server,
    client,
    open: (header = {}, signal) =>
      client.services.data.openData(target, { session: SESSION, stream: 1, request: bytes(3), ...header }, { signal }),
    async rogue() {
      const connection = await client.dial(target)
      return rawStream(await connection.newStream(DATA_PROTOCOL), { maxFrameBytes: MAX_HEADER_BYTES })
    },
    async stop() {
      await client.stop()
      await server.stop()
    },
  }
}

/** All bytes of a stream until its clean end. */
async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const runs: Uint8Array[] = []
  for await (const run of stream) runs.push(run)
  return Uint8Array.from(Buffer.concat(runs))
}

const answer = (status: number): Uint8Array => Uint8Array.of(status >> 8, status & 0xff, 0, 0, 0)

describe('data stream', () => {
  let pair: Pair
  let serve: (incoming: IncomingData) => void | Promise<void> = () => {}
  // One clock for all tests here: it runs a second with each look, so the rate is never reached.
  let nowMs = 0
  before(async () => {
    pair = await dataPair({
      onStream: (incoming) => serve(incoming),
      nowMs: () => {
        nowMs += 1000
        return nowMs
      },
    })
  })
  after(() => pair.stop())

  test('gives the provider the header and who sent it, the consumer the answer, and both the raw bytes', async () => {
    serve = async (incoming) => {
      const asPort: port.IncomingData = incoming
      assert.equal(asPort.address, addressOfKey(PAYER_KEY))
      assert.ok(incoming.peer.equals(pair.client.peerId))
      assert.deepEqual(incoming.header, { session: SESSION, stream: 9, request: bytes(300) })
      const raw = await incoming.accept({ free: true, info: bytes(20) })
      await raw.write(await readAll(raw))
      await raw.closeWrite()
    }
    const opened = await pair.open({ stream: 9, request: bytes(300) })
    const asPort: port.OpenedData = opened
    assert.deepEqual([asPort.free, asPort.info], [true, bytes(20)])
    await opened.bytes.write(bytes(100_000))
    await opened.bytes.closeWrite()
    assert.deepEqual(await readAll(opened.bytes), bytes(100_000))
    assert.deepEqual([opened.bytes.bytesRead, opened.bytes.bytesWritten], [100_000, 100_000])
  })

  test('is metered and without info unless the provider says otherwise', async () => {
    serve = async (incoming) => (await incoming.accept()).closeWrite()
    const { free, info, bytes: raw } = await pair.open()
    assert.deepEqual([free, info], [false, new Uint8Array(0)])
    assert.equal(await raw.read(), undefined)
    await raw.close()
  })

  test('bytes that the provider sends right behind its answer are not lost', async () => {
    serve = async (incoming) => {
      const raw = await incoming.accept()
      await raw.write(bytes(10))
      await raw.closeWrite()
    }
    const { bytes: raw } = await pair.open()
    assert.deepEqual(await readAll(raw), bytes(10))
    await raw.close()
  })

  test('that is refused gives the consumer the code of the refusal, and no text', async () => {
    serve = (incoming) => {
      incoming.refuse(new TallyError('SESSION_UNKNOWN', { message: 'secret words' }))
      incoming.refuse(new TallyError('BANNED'))
    }
    await assert.rejects(
      pair.open(),
      (thrown: TallyError) => thrown.code === 'SESSION_UNKNOWN' && !thrown.message.includes('secret'),
    )
  })

  test('is refused with the code of what the service throws, INTERNAL for what is no TallyError', async () => {
    serve = () => Promise.reject(new TallyError('NOT_FOUND'))
    await assert.rejects(pair.open(), { code: 'NOT_FOUND' })
    serve = () => {
      throw new Error('secret words')
    }
    await assert.rejects(pair.open(), { code: 'INTERNAL' })
  })

  test('is reset when the service throws after it has accepted', async () => {
    serve = async (incoming) => {
      await incoming.accept()
      throw new Error('a bug')
    }
    const { bytes: raw } = await pair.open()
    await assert.rejects(raw.read(), { code: 'STREAM_CUT' })
  })

  test('is answered once', async () => {
    const second = Promise.withResolvers<unknown>()
    serve = async (incoming) => {
      const raw = await incoming.accept()
      await incoming.accept().catch(second.resolve)
      await raw.closeWrite()
    }
    const { bytes: raw } = await pair.open()
    assert.equal(((await second.promise) as TallyError).code, 'WRONG_STATE')
    await raw.close()
  })

  test('with a broken header is refused with MALFORMED before the service hears of it', async () => {
    serve = () => assert.fail('must not be asked')
    const rogue = await pair.rogue()
    await rogue.writeFrame(encodeHeader({ session: SESSION, stream: 1, request: bytes(2) }).subarray(0, -1))
    assert.deepEqual(await rogue.readFrame(), answer(3))
    await rogue.close()
  })

  test('with a header above 4,200 bytes is reset before its body is there', async () => {
    serve = () => assert.fail('must not be asked')
    const rogue = await pair.rogue()
    await rogue.write(Uint8Array.of(0, 0, 0x10, 0x69))
    await assert.rejects(rogue.readFrame(), { code: 'STREAM_CUT' })
  })

  test('that ends before its header is forgotten', async () => {
    serve = () => assert.fail('must not be asked')
    const rogue = await pair.rogue()
    await rogue.closeWrite()
    await assert.rejects(rogue.readFrame(), { code: 'STREAM_CUT' })
  })

  test('that no longer interests the caller is ABORTED', async () => {
    const asked = Promise.withResolvers<void>()
    serve = () => asked.resolve()
    const controller = new AbortController()
    const opening = pair.open({}, controller.signal)
    await asked.promise
    controller.abort()
    await assert.rejects(opening, { code: 'ABORTED' })
  })

  test('is not opened for a header that has no encoding', async () => {
    await assert.rejects(pair.open({ stream: 0 }), { code: 'MALFORMED' })
  })
})

describe('limits of data streams', () => {
  test('a header that is late is not waited for: the stream is reset', async () => {
    const pair = await dataPair({ headerTimeoutMs: 20, onStream: () => assert.fail('must not be asked') })
    try {
      const rogue = await pair.rogue()
      await assert.rejects(rogue.readFrame(), { code: 'STREAM_CUT' })
    } finally {
      await pair.stop()
    }
  })

  test('an answer that does not come in time is PEER_UNREACHABLE', async () => {
    const pair = await dataPair({ onStream: () => {} }, { answerTimeoutMs: 20 })
    try {
      await assert.rejects(pair.open(), { code: 'PEER_UNREACHABLE' })
    } finally {
      await pair.stop()
    }
  })

  test('a provider that closes the stream without an answer is STREAM_CUT, one that answers nonsense is MALFORMED', async () => {
    const pair = await dataPair({})
    try {
      await pair.server.handle(DATA_PROTOCOL, (stream) => void stream.close().catch(() => {}))
      await assert.rejects(pair.open(), { code: 'STREAM_CUT' })
      await pair.server.unhandle(DATA_PROTOCOL)
      await pair.server.handle(DATA_PROTOCOL, (stream) => void stream.send(Uint8Array.of(0, 0, 0, 5, 0, 0, 128, 0, 0)))
      await assert.rejects(pair.open(), { code: 'MALFORMED' })
    } finally {
      await pair.stop()
    }
  })

  test('a peer opens so many streams a second, over all its sessions; the next one is refused with RATE_EXCEEDED', async () => {
    const openRate = { perSecond: 50, burst: 50 }
    const onStream = (incoming: IncomingData): void => incoming.refuse(new TallyError('NOT_FOUND'))
    const pair = await dataPair({ nowMs: () => 0, openRate, onStream })
    try {
      for (let i = 1; i <= openRate.burst; i++) await assert.rejects(pair.open({ stream: i }), { code: 'NOT_FOUND' })
      await assert.rejects(pair.open({ stream: 99 }), { code: 'RATE_EXCEEDED' })
    } finally {
      await pair.stop()
    }
  })

  test('an ed25519 consumer is refused with UNSUPPORTED', async () => {
    const pair = await dataPair({ onStream: () => assert.fail('must not be asked') }, {}, 'ed25519')
    try {
      await assert.rejects(pair.open(), { code: 'UNSUPPORTED' })
    } finally {
      await pair.stop()
    }
  })

  test('a node that sells nothing does not speak the protocol: UNSUPPORTED', async () => {
    const pair = await dataPair({})
    try {
      await assert.rejects(pair.open(), { code: 'UNSUPPORTED' })
    } finally {
      await pair.stop()
    }
  })
})
