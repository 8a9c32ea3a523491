import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { after, before, describe, test } from 'node:test'
import { faultProxy } from './fault-proxy.ts'

/** Echoes what it gets, and ends when the other side ends. */
const echo = net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => {})
  socket.pipe(socket)
})
let port = 0
before(async () => {
  echo.listen(0, '127.0.0.1')
  await once(echo, 'listening')
  const address = echo.address()
  assert.ok(address !== null && typeof address === 'object')
  port = address.port
})
after(() => echo.close())

async function roundTrip(through: number, bytes: Buffer): Promise<Buffer> {
  const socket = net.connect({ port: through, host: '127.0.0.1', allowHalfOpen: true })
  socket.end(bytes)
  const parts: Buffer[] = []
  for await (const part of socket) parts.push(part)
  return Buffer.concat(parts)
}

describe('fault proxy', () => {
  test('passes bytes and both ends through unchanged, and forgets the connection', async () => {
    const proxy = await faultProxy(port)
    const bytes = Buffer.alloc(3_000_000, 'abc')
    assert.ok((await roundTrip(proxy.port, bytes)).equals(bytes))
    assert.equal(proxy.bytesIn, 3_000_000)
    await proxy.close()
    assert.equal(proxy.connections, 0)
  })

  test('latency and bandwidth delay bytes but keep them in order and whole', async () => {
    const proxy = await faultProxy(port, { latencyMs: 5, bytesPerSecond: 20_000_000 })
    const bytes = Buffer.from(Array.from({ length: 500_000 }, (_, at) => at % 251))
    assert.ok((await roundTrip(proxy.port, bytes)).equals(bytes))
    await proxy.close()
  })

  test('flips one bit, once', async () => {
    const proxy = await faultProxy(port, { corrupt: 'up' })
    const bytes = Buffer.alloc(100)
    const first = await roundTrip(proxy.port, bytes)
    assert.equal(first.filter((byte) => byte !== 0).length, 1)
    assert.ok((await roundTrip(proxy.port, bytes)).equals(bytes))
    await proxy.close()
  })

  test('reset and refuse are seen as a TCP reset', async () => {
    const proxy = await faultProxy(port)
    const socket = net.connect(proxy.port, '127.0.0.1')
    socket.write('x')
    await once(socket, 'data')
    const failed = once(socket, 'error')
    proxy.reset()
    assert.equal((await failed)[0].code, 'ECONNRESET')
    proxy.set({ refuse: true })
    await assert.rejects(roundTrip(proxy.port, Buffer.from('x')), (error: NodeJS.ErrnoException) => {
      return error.code === 'ECONNRESET' || error.code === 'EPIPE'
    })
    await proxy.close()
  })

  test('a black hole holds everything, and heals', async () => {
    const proxy = await faultProxy(port, { blackHole: true })
    const result = roundTrip(proxy.port, Buffer.from('held'))
    while (proxy.bytesIn < 4) await new Promise((resolve) => setImmediate(resolve))
    proxy.set({ blackHole: false })
    assert.equal((await result).toString(), 'held')
    await proxy.close()
  })
})
