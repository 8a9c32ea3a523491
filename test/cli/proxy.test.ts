// Two homes, three processes, and curl: as the README says it.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { type WebServer, webServer } from '../node/web-server.ts'
import { World } from './harness.ts'

const run = promisify(execFile)

describe('a web server behind `serve http`', () => {
  const world = new World()
  let web: WebServer
  let provider = ''
  let consumer = ''
  let address = ''

  before(async () => {
    web = await webServer()
    await world.dev()
    provider = await world.home('provider')
    consumer = await world.home('consumer')
    const accounts = [provider, consumer].map((home) => `0x${JSON.parse(readFileSync(`${home}/keystore.json`, 'utf8')).address}`)
    await Promise.all(accounts.map((account) => world.json(['dev', 'fund', account, '100 tUSDC'])))
    const routes = ['--route', 'POST /v1/*=0.002/call', '--route', 'GET /health=free']
    const serve = await world.start(
      ['serve', 'http', web.url, '--name', 'quotes', '--price', '0.001/call', ...routes, '--listen', '/ip4/127.0.0.1/tcp/0'],
      /curl -x/,
      { home: provider },
    )
    assert.match(serve.first, /try: {2}tallystick proxy --budget '1 tUSDC'/)
    address = /reach +(\S+)/.exec(serve.first)?.[1] ?? ''
  })
  after(async () => {
    await world.end()
    await web.close()
  })

  test('a proxy needs a budget, and a dry run starts nothing', async () => {
    const without = await world.run(['proxy', ':0'], { home: consumer })
    assert.equal(without.code, 2)
    assert.match(without.stderr, /a proxy needs a budget/)
    const dry = await world.run(['proxy', ':8402', '--budget', '1 tUSDC', '--dry-run'], { home: consumer })
    assert.equal(dry.code, 10, dry.stderr)
    assert.equal((await world.run(['proxy', 'nonsense', '--budget', '1 tUSDC'], { home: consumer })).code, 2)
  })

  test('a port that others can reach is told of: they spend the budget', async () => {
    for (const [host, isTold] of [
      ['0.0.0.0', true],
      ['127.0.0.1', false],
    ] as const) {
      // biome-ignore format: two cases
      const proxy = await world.start(['proxy', `${host}:0`, '--budget', '0.1 tUSDC', '--json'], /"ready"/, { home: consumer })
      assert.equal(await proxy.stop(), 0)
      assert.equal(proxy.stderr().includes('spends your budget'), isTold, host)
    }
  })

  test('is fetched by curl through `proxy`, by HTTP and by SOCKS5, paid by the route, and leaves a receipt', async () => {
    const proxy = await world.start(['proxy', '127.0.0.1:0', '--budget', '0.1 tUSDC', '--json'], /"ready"/, { home: consumer })
    const via = JSON.parse(proxy.first) as { proxy: string; socks: string } satisfies object
    const curl = async (...args: string[]): Promise<string> => (await run('curl', ['-s', '-S', '-i', ...args])).stdout
    // nothing is reserved yet: the answer says so, and how it is done
    const refused = await curl('-x', via.proxy, 'http://quotes.tally/small')
    assert.match(refused, /^HTTP\/1\.1 402 /)
    assert.match(refused, /tallystick-error: CHANNEL_UNKNOWN/)
    assert.match(refused, /tallystick channel open/)
    await proxy.stop()
    await world.json(['deposit', '5 tUSDC', '--yes'], { home: consumer })
    await world.json(['channel', 'open', address, '3 tUSDC', '--yes'], { home: consumer })
    const again = await world.start(['proxy', '127.0.0.1:0', '--budget', '0.1 tUSDC', '--json'], /"ready"/, { home: consumer })
    const { proxy: url, socks } = JSON.parse(again.first) as { proxy: string; socks: string }
    assert.match(await curl('-x', url, 'http://quotes.tally/small'), /^HTTP\/1\.1 200 [\s\S]*small$/)
    assert.match(await curl('-x', socks, 'http://quotes.tally/small'), /^HTTP\/1\.1 200 [\s\S]*small$/)
    assert.match(await curl('-x', url, '-d', 'x', 'http://quotes.tally/v1/x'), /^HTTP\/1\.1 200 [\s\S]*done$/)
    assert.match(await curl('-p', '-x', url, 'http://quotes.tally/health'), /\r\n\r\nHTTP\/1\.1 200 [\s\S]*well$/)
    assert.equal(await again.stop(), 0, again.stderr())
    const [receipt = ''] = readdirSync(`${consumer}/receipts`)
    const verified = await world.json(['receipt', 'verify', `${consumer}/receipts/${receipt}`], { home: consumer })
    assert.deepEqual([verified.valid, verified.countersigned, verified.paid], [true, true, '0.004 tUSDC'])
  })
  test('one answer is got by `get`, and one that is a failure is one', async () => {
    const got = await world.json(['get', 'quotes/small', '-o', 'small.txt', '--budget', '0.01 tUSDC'], { home: consumer })
    assert.deepEqual(
      [got.status, got.bytes, got.paid, readFileSync(world.path('cwd/small.txt'), 'utf8')],
      ['200', '5', '0.001 tUSDC', 'small'],
    )
    const none = await world.run(['get', 'quotes/nothing', '-o', '-', '--budget', '0.01 tUSDC'], { home: consumer })
    assert.equal(none.code, 5, none.stderr)
    assert.match(none.stderr, /answered with 404/)
  })
})
