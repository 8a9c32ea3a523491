// What a provider has already, behind a price, and used with the tools that a consumer has already: nginx and curl, a stream of events, iperf3.
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { type Running, until, World } from '../cli/harness.ts'
import { type WebServer, webServer } from '../node/web-server.ts'
import { freePort, type Nginx, noNginx, startNginx } from '../support/nginx.ts'

const run = promisify(execFile)
const MIB = 1 << 20
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const noIperf = spawnSync('iperf3', ['-v']).error === undefined ? false : 'iperf3 is not installed (apt-get install iperf3)'
const withoutNginx = noNginx() ?? false

describe('what is there already, sold and bought by processes of their own', () => {
  const world = new World()
  let web: WebServer
  let nginx: Nginx | undefined
  let iperf: ChildProcess | undefined
  let consumer = ''
  const sellers = new Map<string, Running>()
  const film = randomBytes(24 * MIB)

  async function sell(home: string, args: readonly string[]): Promise<void> {
    const dir = await world.home(home)
    sellers.set(home, await world.start(['serve', ...args, '--listen', '/ip4/127.0.0.1/tcp/0'], /try:/, { home: dir }))
  }
  const reach = (home: string): string => /reach +(\S+)/.exec(sellers.get(home)?.first ?? '')?.[1] ?? ''

  before(async () => {
    await world.dev()
    web = await webServer()
    consumer = await world.home('consumer')
    const price = ['--price', '0.0001/call+0.001/MiB']
    const selling = [sell('events', ['http', web.url, '--name', 'events', ...price])]
    if (withoutNginx === false) {
      nginx = await startNginx(world.dir)
      writeFileSync(world.path('html/film.bin'), film)
      for (const home of ['web', 'web-too']) selling.push(sell(home, ['http', nginx.url, '--name', 'web', ...price]))
    }
    if (noIperf === false) {
      const port = `${await freePort()}`
      iperf = spawn('iperf3', ['-s', '-p', port], { stdio: 'ignore' })
      selling.push(sell('iperf', ['tcp', `127.0.0.1:${port}`, '--name', 'iperf', '--price', '0.001/MiB']))
    }
    await Promise.all(selling)
    await world.json(['dev', 'fund', `0x${JSON.parse(readFileSync(`${consumer}/keystore.json`, 'utf8')).address}`, '10 tUSDC'])
    await world.json(['deposit', '8 tUSDC', '--yes'], { home: consumer })
    for (const home of sellers.keys()) await world.json(['channel', 'open', reach(home), '2 tUSDC', '--yes'], { home: consumer })
  })
  after(async () => {
    await nginx?.stop()
    await world.end()
    await web.close()
    iperf?.kill()
  })

  async function proxy(): Promise<{ readonly running: Running; readonly url: string }> {
    const running = await world.start(['proxy', ':0', '--budget', '1 tUSDC', '--json'], /"ready"/, { home: consumer })
    return { running, url: (JSON.parse(running.first) as { proxy: string }).proxy }
  }

  /** Every session of the consumer that is over was paid to the last unit: what was due is what was signed. */
  async function demandPaid(): Promise<void> {
    const { totals } = await world.json<{ totals: Record<string, string> }>(['report', 'spend'], { home: consumer })
    assert.equal(totals.billed, totals.signed ?? totals.paid, JSON.stringify(totals))
  }

  test('an event is with the client before the next one is made, and they come in order', async (t) => {
    const { running, url } = await proxy()
    const curl = spawn('curl', ['-s', '-S', '-N', '-x', url, 'http://events.tally/events'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let seen = ''
    let madeMs = performance.now()
    const tookMs: number[] = []
    for await (const piece of curl.stdout) {
      seen += String(piece)
      if (seen.split('\n\n').length - 1 < web.events()) continue
      tookMs.push(performance.now() - madeMs)
      if (web.events() === 30) break
      madeMs = performance.now()
      web.nextEvent()
    }
    curl.kill()
    const expected = Array.from({ length: 30 }, (_, at) => `data: ${at + 1}\n\n`).join('')
    assert.equal(seen, expected)
    const [first = 0, ...others] = tookMs
    t.diagnostic(`the first event after ${first.toFixed(0)} ms, the others after ${Math.max(...others).toFixed(1)} ms at most`)
    assert.ok(Math.max(...others) < 2_000)
    assert.equal(await running.stop(), 0, running.stderr())
  })

  test('nginx is fetched by curl through `proxy`, ranges and all', { skip: withoutNginx }, async () => {
    const { running, url } = await proxy()
    const curl = async (...args: string[]): Promise<string> => (await run('curl', ['-s', '-S', '-i', '-x', url, ...args])).stdout
    assert.match(await curl('http://web.tally/small'), /^HTTP\/1\.1 200 [\s\S]*server: nginx[\s\S]*a small answer\n$/i)
    assert.match(await curl('http://web.tally/nothing'), /^HTTP\/1\.1 404 /)
    // as the README shows it
    const [code, other] = [
      await run('curl', ['-s', '-r', '0-9', '-o', '/dev/null', '-w', '%{http_code} %{size_download}\\n', '-x', url, 'http://web.tally/film.bin']),
      await run('curl', ['-s', '-D', '-', '-o', '/dev/null', '-x', url, 'http://example.org/']),
    ] // biome-ignore format: two commands
    assert.equal(code.stdout, '206 10\n')
    assert.match(other.stdout, /^tallystick-error: USAGE\r$/m)
    const part = await run('curl', ['-s', '-x', url, '-r', '1000-1999', 'http://web.tally/film.bin'], { encoding: 'buffer' })
    assert.ok(part.stdout.equals(film.subarray(1000, 2000)))
    assert.equal(await running.stop(), 0, running.stderr())
  })

  test('one of two providers is killed while curl loads a file: it comes whole, from the other one', {
    skip: withoutNginx,
  }, async () => {
    const { running, url } = await proxy()
    const out = world.path('film.bin')
    const curl = spawn('curl', ['-s', '-S', '-f', '--limit-rate', '12M', '-x', url, '-o', out, 'http://web.tally/film.bin'], {
      stdio: 'inherit',
    })
    const over = once(curl, 'exit')
    const size = (): number => statSync(out, { throwIfNoEntry: false })?.size ?? 0
    await until(() => size() > film.length / 4)
    // the one that was looked at first, and tells so, is the one that sells
    const [, peer = ''] = /^ {2}(\S+)/m.exec(running.stderr()) ?? []
    const dying = [...sellers.keys()].find((home) => reach(home).endsWith(`/${peer}`))
    assert.ok(dying, running.stderr())
    await sellers.get(dying)?.stop('SIGKILL')
    assert.ok(size() < film.length, 'it was killed too late')
    assert.deepEqual(await over, [0, null], running.stderr())
    assert.equal(sha256(readFileSync(out)), sha256(film))
    assert.equal(await running.stop(), 0, running.stderr())
    await demandPaid()
  })

  test('iperf3 measures through `serve tcp` and `connect`, both ways', { skip: noIperf }, async (t) => {
    const args = ['connect', `${reach('iperf')}/iperf`, ':0', '--budget', '0.5 tUSDC', '--json']
    const running = await world.start(args, /listening/, { home: consumer })
    const port = /:(\d+)$/.exec(JSON.parse(running.first).address)?.[1] ?? ''
    for (const way of [[], ['-R']]) {
      const { stdout } = await run('iperf3', ['-c', '127.0.0.1', '-p', port, '-t', '1', '-J', ...way])
      const { sum_received } = JSON.parse(stdout).end
      t.diagnostic(`${way[0] ?? 'forth'}: ${(sum_received.bits_per_second / 8e6).toFixed(0)} MB/s`)
      assert.ok(sum_received.bytes > MIB, stdout)
    }
    assert.equal(await running.stop('SIGINT'), 0, running.stderr())
  })
})
