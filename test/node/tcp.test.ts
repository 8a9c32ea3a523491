import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { TallyNode } from '../../src/node/node.ts'
import { duplexOf, type TcpInit, tcpService } from '../../src/services/tcp/index.ts'
import { addressOf, failure, type TestNetwork, testNetwork } from '../support/network.ts'

const MIB = 1 << 20
const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A program that listens on a port of its own, and all its sockets gone at the end. */
async function target(t: TestContext, onSocket: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    onSocket(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { server, port: (server.address() as AddressInfo).port }
}

async function all(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of stream) pieces.push(piece)
  return Buffer.concat(pieces)
}

describe('a TCP port that is sold', () => {
  let net: TestNetwork
  before(async () => {
    net = await testNetwork()
  })
  after(() => net.stop())

  async function pair(t: TestContext, port: number, options: { price?: string; chunk?: string; init?: Partial<TcpInit> } = {}) {
    const provider = await net.provider(t)
    const service = tcpService({ target: { host: '127.0.0.1', port }, ...options.init })
    await provider.serve({
      name: 'port',
      service,
      price: options.price ?? '0.01/MiB',
      ...(options.chunk && { chunk: options.chunk }),
    })
    const consumer = await net.consumer(t, [provider])
    const connect = (budget = '5 token') => consumer.connect('port', { provider: addressOf(provider), budget })
    return { provider, consumer, connect }
  }
  const owedTo = ({ money }: TallyNode): bigint => money.sums.earned.signed + money.sums.spent.signed

  test('32 MiB go up and come back down, byte for byte, and are paid', async (t) => {
    const { port } = await target(t, (socket) => socket.pipe(socket))
    const { connect } = await pair(t, port, { price: '0.01/MiB+0.005/up:MiB', chunk: '1 MiB' })
    const sent = randomBytes(32 * MIB)
    const connection = await connect()
    connection.end(sent)
    const came = await all(connection)
    assert.equal(sha(came), sha(sent))
    const { code, receipt } = await connection.session.close()
    assert.equal(code, undefined)
    assert.equal(receipt?.receipt.meter.down, BigInt(sent.length))
    assert.equal(receipt?.receipt.meter.up, BigInt(sent.length))
    assert.equal(receipt?.receipt.total, 480_000n)
  })

  test('the consumer ends its side, and the target answers after that', async (t) => {
    const { port } = await target(t, (socket) => {
      void all(socket).then((came) => socket.end(sha(came)))
    })
    const { connect } = await pair(t, port)
    const sent = randomBytes(3 * MIB)
    const connection = await connect()
    connection.end(sent)
    assert.equal((await all(connection)).toString(), sha(sent))
  })

  test('20 connections live in one session at once', async (t) => {
    const { port } = await target(t, (socket) => socket.pipe(socket))
    const { provider, consumer } = await pair(t, port)
    const session = await consumer.open({ service: 'port', provider: addressOf(provider), budget: '5 token' })
    const connections = await Promise.all(Array.from({ length: 20 }, async () => duplexOf(await session.open())))
    const sent = connections.map(() => randomBytes(100_000))
    // all are open, and each has answered, before any of them ends
    await Promise.all(
      connections.map(async (connection) => {
        connection.write('x')
        assert.equal(String(await once(connection, 'data')), 'x')
        connection.pause()
      }),
    )
    const came = await Promise.all(
      connections.map(async (connection, i) => {
        connection.end(sent[i])
        return await all(connection)
      }),
    )
    assert.deepEqual(came.map(sha), sent.map(sha))
    assert.equal((await session.close()).code, undefined)
  })

  test('the end of the target is the end of the connection, after all that it said', async (t) => {
    const { port } = await target(t, (socket) => socket.end('goodbye'))
    const { connect } = await pair(t, port)
    const connection = await connect()
    assert.equal((await all(connection)).toString(), 'goodbye')
    if (!connection.closed) await once(connection, 'close')
    assert.equal((await connection.session.close()).code, undefined)
  })

  test('a reset of the target is an error of the connection, and no end', async (t) => {
    const { port } = await target(t, (socket) => {
      socket.write('half')
      socket.once('data', () => socket.resetAndDestroy())
    })
    const { connect } = await pair(t, port)
    const connection = await connect()
    assert.equal(String(await once(connection, 'data')), 'half')
    connection.write('go')
    const [error] = await once(connection, 'error')
    assert.equal(error.code, 'STREAM_CUT')
  })

  test('a consumer that hangs up resets the connection to the target', async (t) => {
    const seen = Promise.withResolvers<NodeJS.ErrnoException>()
    const { port } = await target(t, (socket) => {
      socket.on('error', seen.resolve)
      socket.pipe(socket)
    })
    const { connect } = await pair(t, port)
    const connection = await connect()
    connection.write('x')
    await once(connection, 'data')
    connection.destroy()
    assert.equal((await seen.promise).code, 'ECONNRESET')
  })

  test('a target that is down is SERVICE_FAILED and costs nothing; the session lives on', async (t) => {
    const { server, port } = await target(t, (socket) => socket.end('up'))
    const { provider, consumer } = await pair(t, port, { price: '0.01/call' })
    const session = await consumer.open({ service: 'port', provider: addressOf(provider), budget: '1 token' })
    server.close()
    await once(server, 'close')
    const most = { calls: 1 }
    assert.equal((await failure(() => session.open(undefined, { most }))).code, 'SERVICE_FAILED')
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    assert.equal((await all(await session.open(undefined, { most }))).toString(), 'up')
    const { receipt } = await session.close()
    assert.equal(receipt?.receipt.meter.calls, 1n)
    assert.equal(receipt?.receipt.total, 10_000n)
  })

  test('a target that does not accept in time is SERVICE_FAILED', async (t) => {
    const { provider, consumer } = await pair(t, 9, {
      // packets to this network go nowhere
      init: { target: { host: '192.0.2.1', port: 9 }, connectTimeoutMs: 50 },
    })
    const session = await consumer.open({ service: 'port', provider: addressOf(provider), budget: '1 token' })
    assert.equal((await failure(() => session.open())).code, 'SERVICE_FAILED')
    await session.close()
  })

  test('nobody reaches anything but the target: a word of the consumer is refused', async (t) => {
    const { port } = await target(t, (socket) => socket.end('x'))
    const { provider, consumer } = await pair(t, port)
    const words = new TextEncoder().encode('127.0.0.1:22')
    const open = (inputs: string) => consumer.open({ service: 'port', provider: addressOf(provider), inputs, budget: '1 token' })
    assert.equal((await failure(() => open('127.0.0.1:22'))).code, 'REQUEST_INVALID')
    const session = await open('')
    assert.equal((await failure(() => session.open(words))).code, 'REQUEST_INVALID')
    await session.close()
  })

  test('no more connections than allowed: BUSY', async (t) => {
    const { port } = await target(t, (socket) => socket.pipe(socket))
    const { provider, consumer } = await pair(t, port, { init: { maxConnections: 1 } })
    const session = await consumer.open({ service: 'port', provider: addressOf(provider), budget: '1 token' })
    const first = duplexOf(await session.open())
    first.write('x')
    await once(first, 'data')
    assert.equal((await failure(() => session.open())).code, 'BUSY')
    first.destroy()
    await session.close()
  })

  test('a connection on which nothing moves is reset after the idle time', async (t) => {
    const { port } = await target(t, (socket) => socket.pipe(socket))
    const { connect } = await pair(t, port, { init: { idleTimeoutMs: 50 } })
    const connection = await connect()
    connection.resume()
    const [error] = await once(connection, 'error')
    assert.equal(error.code, 'STREAM_CUT')
  })

  for (const [direction, price] of [
    ['down', '0.01/MiB'],
    ['up', '0.01/up:MiB'],
  ] as const) {
    test(`the end of the budget ends the connection with an error, and not one unit more is signed (${direction})`, async (t) => {
      const { port } = await target(t, (socket) => socket.pipe(socket))
      const { consumer, connect } = await pair(t, port, { price })
      const connection = await connect('0.02 token')
      connection.resume()
      const failed = once(connection, 'error')
      const pump = (): void => {
        while (!connection.destroyed && connection.write(Buffer.alloc(65_536)));
      }
      connection.on('drain', pump)
      pump()
      const [error] = await failed
      assert.equal(error.code, 'BUDGET_REACHED')
      const { code } = await connection.session.ended
      assert.equal(code, 'BUDGET_REACHED')
      // what was sent and not taken yet is not paid
      const least = direction === 'down' ? 10_000n : 0n
      assert.ok(owedTo(consumer) > least && owedTo(consumer) <= 20_000n, `${owedTo(consumer)}`)
    })
  }
})
