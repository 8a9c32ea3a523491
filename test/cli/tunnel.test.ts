import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { type Result, type Running, until, World } from './harness.ts'

const MIB = 1 << 20
const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function all(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of stream) pieces.push(piece)
  return Buffer.concat(pieces)
}

describe('connections and programs, bought and sold by processes', () => {
  const world = new World()
  const sockets = new Set<Socket>()
  let echo: Server
  let provider = ''
  let consumer = ''
  let address = ''
  let programs = ''
  let seller: Running
  const serveEcho = async (listen: string): Promise<Running> => {
    const target = `127.0.0.1:${(echo.address() as AddressInfo).port}`
    const args = ['serve', 'tcp', target, '--name', 'echo', '--price', '0.01/MiB', '--chunk', '256 KiB', '--listen', listen]
    return await world.start(args, /try:/, { home: provider })
  }

  before(async () => {
    echo = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.pipe(socket)
    })
    echo.listen(0, '127.0.0.1')
    await once(echo, 'listening')
    await world.dev()
    provider = await world.home('provider')
    consumer = await world.home('consumer')
    const second = await world.home('second')
    const accounts = [provider, consumer, second].map(
      (home) => `0x${JSON.parse(readFileSync(`${home}/keystore.json`, 'utf8')).address}`,
    )
    await Promise.all(accounts.map((account) => world.json(['dev', 'fund', account, '100 tUSDC'])))
    const listen = ['--listen', '/ip4/127.0.0.1/tcp/0']
    const script = world.path('upper.sh')
    writeFileSync(script, '#!/bin/sh\necho "a word to the buyer" >&2\ntr a-z A-Z\nexit 7\n', { mode: 0o755 })
    const [tcp, exec] = await Promise.all([
      serveEcho('/ip4/127.0.0.1/tcp/0'),
      world.start(['serve', 'exec', '--name', 'upper', '--price', '0.01/call', '--stderr', ...listen, '--', script], /try:/, {
        home: second,
      }),
    ])
    seller = tcp
    address = /reach +(\S+)/.exec(tcp.first)?.[1] ?? ''
    programs = /reach +(\S+)/.exec(exec.first)?.[1] ?? ''
    await world.json(['deposit', '10 tUSDC', '--yes'], { home: consumer })
    for (const peer of [address, programs]) await world.json(['channel', 'open', peer, '4 tUSDC', '--yes'], { home: consumer })
  })
  after(async () => {
    await world.end()
    for (const socket of sockets) socket.destroy()
    echo.close()
  })

  const buy = async (budget: string, options: string[] = []): Promise<{ running: Running; port: number; said: string[] }> => {
    const args = ['connect', `${address}/echo`, ':0', '--budget', budget, '--json', ...options]
    const running = await world.start(args, /listening/, { home: consumer })
    const said: string[] = []
    createInterface({ input: running.child.stdout as NodeJS.ReadableStream }).on('line', (line) => said.push(line))
    const port = Number(/:(\d+)$/.exec(JSON.parse(running.first).address)?.[1])
    return { running, port, said }
  }
  const last = (said: readonly string[]) => JSON.parse(said.at(-1) ?? '') as Record<string, unknown> & { receipts: string[] }

  /** Runs a command with this as its stdin. */
  async function feed(args: readonly string[], stdin: Uint8Array): Promise<Result> {
    const child = world.spawn(args, { home: consumer, stdin: 'pipe' })
    child.stdin?.end(stdin)
    child.stdin?.on('error', () => undefined)
    const [stdout, stderr] = await Promise.all([
      all(child.stdout ?? assert.fail()),
      all(child.stderr ?? assert.fail()),
      once(child, 'exit'),
    ])
    return { code: child.exitCode, stdout: stdout.toString('latin1'), stderr: stderr.toString() }
  }

  test('32 MiB both ways, 20 connections at once and 40 in a row over one local port; Ctrl-C closes with a receipt over all of it', async () => {
    const { running, port, said } = await buy('3 tUSDC')
    const sent = randomBytes(32 * MIB)
    const large = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    large.end(sent)
    assert.equal(sha(await all(large)), sha(sent))
    const many = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
        socket.write('x')
        await once(socket, 'readable')
        return socket
      }),
    )
    const small = randomBytes(MIB / 4)
    const came = await Promise.all(
      many.map(async (socket) => {
        socket.end(small)
        return await all(socket)
      }),
    )
    assert.ok(came.every((bytes) => sha(bytes) === sha(Buffer.concat([Buffer.from('x'), small]))))
    // more than a session has streams, and than a provider opens in a second: the rest waits in line
    const line = await Promise.all(
      Array.from({ length: 40 }, async () => {
        const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
        socket.end('0123456789')
        return String(await all(socket))
      }),
    )
    assert.deepEqual([...new Set(line)], ['0123456789'])
    assert.equal(await running.stop('SIGINT'), 0)
    await until(() => said.length > 0)
    const told = last(said)
    const bytes = 37 * MIB + 20 + 400
    assert.deepEqual([told.complete, told.connections, told.bytes, told.paid], [true, '61', `${bytes}`, '0.370005 tUSDC'])
    const verified = await world.json(['receipt', 'verify', told.receipts[0] ?? ''], { home: consumer })
    assert.deepEqual([verified.valid, verified.countersigned, verified.owed], [true, true, '0 tUSDC'])
  })

  test('when the budget is used up the connection is reset, the port is closed, and the exit code is 7', async () => {
    const { running, port, said } = await buy('0.02 tUSDC')
    const socket = connect({ port, host: '127.0.0.1' })
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.on('error', () => undefined)
    socket.resume()
    const pump = (): void => {
      while (!socket.destroyed && socket.write(Buffer.alloc(65_536)));
    }
    socket.on('drain', pump)
    pump()
    await closed
    if (running.child.exitCode === null) await once(running.child, 'exit')
    assert.equal(running.child.exitCode, 7, running.stderr())
    await until(() => said.length > 0)
    assert.equal(last(said).paid, '0.02 tUSDC')
    const late = connect({ port, host: '127.0.0.1' })
    assert.equal((await once(late, 'error'))[0].code, 'ECONNREFUSED')
  })

  test('a port that is taken, a wrong kind, a missing budget and too low a maximum price are told before anything is bought', async () => {
    const { port } = echo.address() as AddressInfo
    const taken = await world.run(['connect', `${address}/echo`, `:${port}`, '--budget', '1 tUSDC'], { home: consumer })
    assert.equal(taken.code, 2)
    assert.match(taken.stderr, /another program listens on it/)
    const kind = await world.run(['connect', `${programs}/upper`, ':0', '--budget', '1 tUSDC'], { home: consumer })
    assert.match(kind.stderr, /hint: tallystick pipe upper/)
    assert.equal((await world.run(['connect', `${address}/echo`, ':0'], { home: consumer })).code, 2)
    const dear = await world.run(['connect', `${address}/echo`, ':0', '--budget', '1 tUSDC', '--max-price', '0.001/MiB'], {
      home: consumer,
    })
    assert.notEqual(dear.code, 0)
    const dry = await world.run(['connect', `${address}/echo`, ':0', '--budget', '1 tUSDC', '--dry-run', '--json'], {
      home: consumer,
    })
    assert.equal(dry.code, 10, dry.stderr)
  })

  test('pipe runs a program: stdin in, stdout back, its exit code and the end of its stderr', async () => {
    const { code, stdout, stderr } = await feed(
      ['pipe', `${programs}/upper`, '--budget', '0.1 tUSDC'],
      Buffer.from('some words\n'),
    )
    assert.deepEqual([code, stdout], [7, 'SOME WORDS\n'], stderr)
    assert.match(stderr, /^remote: a word to the buyer$/m)
    assert.match(stderr, /paid +0\.01 tUSDC/)
  })

  test('pipe over a connection: what goes in comes back, byte for byte', async () => {
    const sent = randomBytes(3 * MIB)
    const { code, stdout, stderr } = await feed(['pipe', `${address}/echo`, '--budget', '0.1 tUSDC'], sent)
    assert.equal(code, 0, stderr)
    assert.equal(sha(Buffer.from(stdout, 'latin1')), sha(sent))
  })

  test('a provider that is killed and comes back goes on in the same session: the open connection is reset, new ones are carried', async () => {
    const { running, port, said } = await buy('1 tUSDC')
    const open = connect({ port, host: '127.0.0.1' })
    open.write('before')
    assert.equal(String((await once(open, 'data'))[0]), 'before')
    const reset = once(open, 'error')
    await seller.stop('SIGKILL')
    assert.equal((await reset)[0].code, 'ECONNRESET')
    // one that comes meanwhile waits
    const waiting = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    waiting.end('after')
    seller = await serveEcho(/^(.*)\/p2p\//.exec(address)?.[1] ?? '')
    assert.equal((await all(waiting)).toString(), 'after')
    assert.equal(await running.stop('SIGINT'), 0, running.stderr())
    await until(() => said.length > 0)
    const { sessions, receipts, bytes } = last(said)
    assert.deepEqual([(sessions as string[]).length, receipts.length, bytes], [1, 1, '11'])
    assert.match(running.stderr(), /going on with session/)
  })

  test('while a node is up on the same home it carries out connect and pipe, stdin included', async () => {
    const up = await world.start(['up', '--listen', '/ip4/127.0.0.1/tcp/0'], /live/, { home: consumer })
    try {
      const sent = randomBytes(2 * MIB)
      const piped = await feed(['pipe', `${address}/echo`, '--budget', '0.1 tUSDC'], sent)
      assert.equal(piped.code, 0, piped.stderr)
      assert.equal(sha(Buffer.from(piped.stdout, 'latin1')), sha(sent))
      const called = await feed(['pipe', `${programs}/upper`, '--budget', '0.1 tUSDC'], Buffer.from('again'))
      assert.deepEqual([called.code, called.stdout], [7, 'AGAIN'], called.stderr)

      const { running, port, said } = await buy('0.1 tUSDC')
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      socket.end('through the node')
      assert.equal((await all(socket)).toString(), 'through the node')
      assert.equal(await running.stop('SIGINT'), 0, running.stderr())
      await until(() => said.length > 0)
      assert.equal(last(said).connections, '1')
    } finally {
      await up.stop()
    }
  })
})
