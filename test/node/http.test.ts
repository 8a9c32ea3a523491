// An HTTP service behind a node, bought by another one: real sockets on both sides, a real chain between them.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { after, before, describe, type TestContext, test } from 'node:test'
import { ProxyServer } from '../../src/cli/proxy/server.ts'
import type { HttpOptions } from '../../src/node/http-options.ts'
import type { TallyNode } from '../../src/node/node.ts'
import type { ClosedSession } from '../../src/node/node-session.ts'
import type { PaidHttp } from '../../src/node/paid-http.ts'
import { routePrices } from '../../src/node/route-prices.ts'
import { httpService } from '../../src/services/http/index.ts'
import { codeOf, type TestNetwork, testNetwork } from '../support/network.ts'
import { type WebServer, webServer } from './web-server.ts'

const MIB = 1 << 20

interface Shop {
  readonly provider: TallyNode
  readonly consumer: TallyNode
  readonly http: PaidHttp
  readonly closed: ClosedSession[]
  /** port of the proxy */
  readonly port: number
  readonly broke: string[]
}

describe('HTTP over paid sessions', () => {
  let net_: TestNetwork
  let web: WebServer
  before(async () => {
    net_ = await testNetwork()
    web = await webServer()
  })
  after(async () => {
    await web.close()
    await net_.stop()
  })

  async function shop(
    t: TestContext,
    {
      price = '0.01/MiB',
      routes = [],
      budget = '5 tUSDC',
      ...options
    }: Partial<HttpOptions> & { price?: string; routes?: string[]; target?: string } = {},
  ): Promise<Shop> {
    const provider = await net_.provider(t)
    const { price: sum, tariff, chunk } = routePrices(price, routes, false, provider.token)
    await provider.serve({
      name: 'web',
      service: httpService({ target: options.target ?? web.url, tariff, timeoutMs: 2_000 }),
      price: sum,
      ...(chunk !== undefined && { chunk }),
    })
    const consumer = await net_.consumer(t, [provider])
    const closed: ClosedSession[] = []
    const paid = consumer.http({
      budget,
      provider: provider.addresses[0] as string,
      ...options,
      onClosed: (one) => void closed.push(one),
    })
    const broke: string[] = []
    const proxy = new ProxyServer({
      http: paid,
      timeoutMs: 10_000,
      advise: (_, error) => error,
      broke: (_, { code }) => broke.push(code),
    })
    const { port } = await proxy.listen('127.0.0.1', 0)
    t.after(async () => {
      await proxy.close()
      await paid.close()
    })
    return { provider, consumer, http: paid, closed, port, broke }
  }

  /** As a program does that was told of a proxy. */
  async function viaProxy(port: number, path: string, options: http.RequestOptions = {}, body?: Uint8Array) {
    const request = http.request({
      host: '127.0.0.1',
      port,
      path: `http://web.tally${path}`,
      headers: { host: 'web.tally', ...options.headers },
      ...(options.method !== undefined && { method: options.method }),
      agent: false,
    })
    request.end(body)
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    return response
  }
  async function read(response: AsyncIterable<Buffer>): Promise<Buffer> {
    const all: Buffer[] = []
    for await (const piece of response) all.push(piece)
    return Buffer.concat(all)
  }

  test('fetch gives the answer of the service, and its session is closed with a receipt of both ends', async (t) => {
    const { consumer, provider } = await shop(t)
    const closed = Promise.withResolvers<ClosedSession>()
    const response = await consumer.fetch('tally://web/hello?x=1', {
      budget: '1 tUSDC',
      provider: provider.addresses[0] as string,
      headers: { 'x-mine': 'yes', 'tallystick-error': 'forged', forwarded: 'for=me' },
      onClosed: closed.resolve,
    })
    assert.deepEqual(
      [response.status, response.headers.get('x-server'), response.headers.get('tallystick-error')],
      [200, 'web', null],
    )
    const seen = (await response.json()) as Record<string, string>
    assert.deepEqual(
      [seen.url, seen.host, seen['x-forwarded-host'], seen['x-mine'], seen.forwarded, seen['tallystick-error']],
      ['/hello?x=1', new URL(web.url).host, 'web.tally', 'yes', undefined, undefined],
    )
    const { code, receipt, figures } = await closed.promise
    assert.equal(code, undefined)
    assert.ok(receipt?.consumerSignature !== undefined && figures.signed > 0n)
  })

  test('sessions are reused, and one that is over is opened anew', async (t) => {
    const { http: paid, closed, consumer } = await shop(t)
    for (let at = 0; at < 3; at++) assert.equal(await (await paid.fetch('http://web.tally/small')).text(), 'small')
    assert.equal([...consumer.buying].length, 1)
    assert.equal(closed.length, 0)
    await paid.close()
    assert.equal(closed.length, 1)
    assert.equal(await codeOf(() => paid.fetch('tally://web/small')), 'SHUTTING_DOWN')
  })

  test('an upload and a download arrive byte for byte', async (t) => {
    const { port } = await shop(t)
    const sent = randomBytes(8 * MIB)
    const response = await viaProxy(port, '/echo', { method: 'POST', headers: { 'content-length': `${sent.length}` } }, sent)
    const got = await read(response)
    assert.equal(createHash('sha256').update(got).digest('hex'), createHash('sha256').update(sent).digest('hex'))
    // without a length it travels too
    const chunked = await viaProxy(
      port,
      '/echo',
      { method: 'POST', headers: { 'transfer-encoding': 'chunked' } },
      sent.subarray(0, 70_000),
    )
    assert.ok((await read(chunked)).equals(sent.subarray(0, 70_000)))
  })

  test('an event of a stream arrives before the next one is made', async (t) => {
    const { port } = await shop(t)
    const response = await viaProxy(port, '/events')
    assert.equal(response.headers['content-type'], 'text/event-stream')
    let seen = ''
    for await (const piece of response) {
      seen += String(piece)
      const events = seen.split('\n\n').length - 1
      // the server makes the next event only once this one was seen
      assert.equal(events, web.events())
      if (events === 5) break
      web.nextEvent()
    }
    await once(web.gone, 'events')
  })

  test('a websocket passes both ways, and its end too', async (t) => {
    const { port } = await shop(t)
    const socket = net.connect({ port, host: '127.0.0.1' })
    socket.write(
      'GET http://web.tally/socket HTTP/1.1\r\nhost: web.tally\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: abc\r\nsec-websocket-version: 13\r\n\r\n',
    )
    let seen = ''
    socket.setEncoding('latin1')
    const until = async (text: string): Promise<void> => {
      while (!seen.includes(text)) seen += (await once(socket, 'data'))[0]
    }
    await until('\r\n\r\n')
    assert.match(seen, /^HTTP\/1\.1 101 /)
    assert.match(seen, /upgrade: websocket/)
    for (const word of ['one', 'two', 'three']) {
      socket.write(word)
      await until(word.toUpperCase())
    }
    socket.end('bye')
    await until('BYE')
    await once(socket, 'close')
  })

  test('SOCKS5 and CONNECT lead to the same service; other hosts are refused', async (t) => {
    const { port } = await shop(t)
    const tunnel = net.connect({ port, host: '127.0.0.1' })
    tunnel.write('CONNECT web.tally:80 HTTP/1.1\r\nhost: web.tally:80\r\n\r\n')
    assert.match(String((await once(tunnel, 'data'))[0]), /^HTTP\/1\.1 200 /)
    tunnel.write('GET /small HTTP/1.1\r\nhost: web.tally\r\nconnection: close\r\n\r\n')
    assert.match((await read(tunnel)).toString(), /^HTTP\/1\.1 200[\s\S]*small/)
    const socks = net.connect({ port, host: '127.0.0.1' })
    socks.write(Buffer.of(5, 1, 0))
    assert.deepEqual([...(await once(socks, 'data'))[0]], [5, 0])
    const name = Buffer.from('web.tally')
    socks.write(Buffer.of(5, 1, 0, 3, name.length, ...name, 0, 80))
    assert.equal((await once(socks, 'data'))[0][1], 0)
    socks.write('GET /small HTTP/1.1\r\nhost: web.tally\r\nconnection: close\r\n\r\n')
    assert.match((await read(socks)).toString(), /^HTTP\/1\.1 200[\s\S]*small/)
    const elsewhere = http.request({ host: '127.0.0.1', port, path: 'http://example.org/', agent: false })
    elsewhere.end()
    const [refused] = (await once(elsewhere, 'response')) as [http.IncomingMessage]
    assert.deepEqual([refused.statusCode, refused.headers['tallystick-error']], [403, 'USAGE'])
    refused.resume()
  })

  test('a service that is down is 502, one that is silent is 504, and neither is paid for', async (t) => {
    const free = net.createServer().listen(0)
    const { port: nobody } = free.address() as AddressInfo
    free.close()
    const down = await shop(t, { target: `http://127.0.0.1:${nobody}` })
    const response = await viaProxy(down.port, '/small')
    assert.deepEqual([response.statusCode, response.headers['tallystick-error']], [502, 'SERVICE_FAILED'])
    assert.equal(JSON.parse(String(await read(response))).error.code, 'SERVICE_FAILED')
    await down.http.close()
    assert.equal(down.closed[0]?.figures.delivered.down, 0n)
    const silent = await shop(t)
    const late = await viaProxy(silent.port, '/silent')
    assert.equal(late.statusCode, 504)
    late.resume()
  })

  test('a service that breaks off in the middle breaks the answer off', async (t) => {
    const { port, broke } = await shop(t)
    const response = await viaProxy(port, '/broken')
    assert.equal(response.statusCode, 200)
    await assert.rejects(read(response))
    assert.deepEqual(broke, ['STREAM_CUT'])
    assert.equal(String(await read(await viaProxy(port, '/small'))), 'small')
  })

  test('a client that leaves is noticed by the service at once', async (t) => {
    const { http: paid } = await shop(t)
    const leave = new AbortController()
    const response = await paid.fetch('tally://web/endless', { signal: leave.signal })
    const reader = response.body?.getReader()
    await reader?.read()
    const gone = once(web.gone, 'endless')
    leave.abort()
    await gone
  })

  test('a budget that is reached in the middle ends the answer with its reason, and the next request with 402', async (t) => {
    const { port, broke, http: paid } = await shop(t, { budget: '0.02 tUSDC' })
    const response = await viaProxy(port, '/zeros')
    assert.equal(response.statusCode, 200)
    await assert.rejects(read(response))
    assert.deepEqual(broke, ['BUDGET_REACHED'])
    const next = await viaProxy(port, '/small')
    assert.deepEqual([next.statusCode, next.headers['tallystick-error']], [402, 'BUDGET_REACHED'])
    next.resume()
    await paid.close()
    assert.equal(paid.spent, 20_000n)
  })

  test('a price above the maximum is 402, also where only one route is dearer', async (t) => {
    const routes = ['POST /v1/*=0.003/call', 'GET /health=free']
    const { http: paid } = await shop(t, { price: '0.001/call', routes, maxPrice: '0.002/call' })
    assert.equal((await paid.fetch('tally://web/small')).status, 200)
    assert.equal(await codeOf(() => paid.fetch('tally://web/v1/x', { method: 'POST', body: 'x' })), 'PRICE_TOO_HIGH')
    assert.equal(await codeOf(() => paid.fetch('tally://web//V1%2Fx', { method: 'POST', body: 'x' })), 'PRICE_TOO_HIGH')
    const dear = await shop(t, { price: '0.003/call', maxPrice: '0.002/call' })
    assert.equal(await codeOf(() => dear.http.fetch('tally://web/small')), 'PRICE_TOO_HIGH')
  })

  test('answers without a body hold no stream: more of them than a session has at once', async (t) => {
    const { http: paid } = await shop(t, { price: '0.001/call' })
    for (let i = 0; i < 40; i++) assert.equal((await paid.fetch('tally://web/small', { method: 'HEAD' })).status, 200)
    await paid.close()
    assert.equal(paid.spent, 40_000n)
  })

  test('nor do answers that are thrown away before anybody has read of them', async (t) => {
    const { http: paid } = await shop(t, { price: '0.001/call' })
    for (let i = 0; i < 40; i++) await (await paid.fetch('tally://web/small')).body?.cancel()
    assert.equal(await (await paid.fetch('tally://web/small')).text(), 'small')
    await paid.close()
    assert.ok(paid.spent >= 1_000n && paid.spent <= 41_000n)
  })

  test('each route costs what it says, and a failure costs nothing', async (t) => {
    const routes = ['POST /v1/*=0.003/call', 'GET /health=free']
    const { http: paid, closed, provider } = await shop(t, { price: '0.001/call', routes })
    const ask = async (path: string, init?: RequestInit): Promise<number> => {
      const response = await paid.fetch(`tally://web${path}`, init)
      await response.arrayBuffer()
      return response.status
    }
    assert.equal(await ask('/small'), 200)
    assert.equal(await ask('/v1/x', { method: 'POST', body: 'x' }), 200)
    assert.equal(await ask('/health'), 200)
    assert.equal(await ask('/fail'), 500)
    await paid.close()
    assert.deepEqual([closed[0]?.figures.delivered.calls, paid.spent], [4n, 4_000n])
    assert.equal((await Array.fromAsync(provider.money.channels()))[0]?.signed, 4_000n)
  })

  test('a first call, and many at once, paid by the call and by the byte: none waits for a charge that nobody can agree to yet', async (t) => {
    const { http: paid, closed } = await shop(t, { price: '0.0001/call+0.001/MiB' })
    const ask = async (): Promise<string> => await (await paid.fetch('tally://web/small')).text()
    assert.equal(await ask(), 'small')
    assert.deepEqual(await Promise.all(Array.from({ length: 20 }, ask)), Array(20).fill('small'))
    await paid.close()
    assert.deepEqual([closed[0]?.code, closed[0]?.figures.delivered.calls], [undefined, 21n])
  })

  test('units are read out of the answer by both ends: JSON, and the last event that names them; an answer that names none costs the most', async (t) => {
    const route = 'POST /chat=0.0001/unit:token usage:$.usage.total_tokens most:200'
    const { http: paid, closed } = await shop(t, { price: 'free', routes: [route] })
    const ask = async (body: string): Promise<void> =>
      void (await (await paid.fetch('tally://web/chat', { method: 'POST', body })).arrayBuffer())
    await ask('json 120')
    await ask('events 33')
    await ask('json 9999')
    await ask('text 5')
    await paid.close()
    assert.equal(closed[0]?.figures.delivered.units, 120n + 33n + 200n + 200n)
    assert.equal(paid.spent, 55_300n)
  })
})
