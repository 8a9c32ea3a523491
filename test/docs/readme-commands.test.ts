// The commands of the README that stand outside of its walk, each as it is written; only ports and one session id are this machine's.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { PASSWORD, World } from '../cli/harness.ts'
import { type WebServer, webServer } from '../node/web-server.ts'

const root = join(import.meta.dirname, '../..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
/** lines of the fences that are not a window of the walk */
const lines = [...readme.matchAll(/^```sh\n([\s\S]*?)^```$/gm)]
  .flatMap(([, text = '']) => text.split('\n'))
  .filter((line) => /^(npx|curl) /.test(line))
const LINE_MS = 60_000

interface Shell {
  readonly child: ChildProcess
  readonly output: () => string
}

describe('every other command of the README', () => {
  const world = new World()
  const left: ChildProcess[] = []
  const ports = { tunnel: 0, proxy: 0 }
  let web: WebServer
  let echo: Server
  let buyer = ''

  before(async () => {
    web = await webServer()
    echo = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
    await once(echo, 'listening')
    for (const name of ['tunnel', 'proxy'] as const) ports[name] = await freePort()
    await world.dev()
    mkdirSync(world.path('cwd/shop'), { recursive: true })
    writeFileSync(world.path('cwd/shop/sample.bin'), Buffer.alloc(300_000, 7))
    writeFileSync(world.path('cwd/book.txt'), 'a book')
    buyer = await funded('buyer')
    // what the walk of the README has left on sale
    for (const name of ['sample', 'films']) await sell(`npx tallystick serve files ./shop --name ${name} --price 0.01/MiB`, name)
  })
  after(async () => {
    for (const { pid } of left) if (pid !== undefined) process.kill(-pid, 'SIGKILL')
    await world.end()
    await web.close()
    echo.close()
  })

  async function freePort(): Promise<number> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await new Promise((resolve) => server.close(resolve))
    return port
  }

  async function funded(name: string): Promise<string> {
    const home = await world.home(name)
    const { address } = JSON.parse(readFileSync(join(home, 'keystore.json'), 'utf8'))
    await world.json(['dev', 'fund', `0x${address}`, '100 tUSDC'])
    return home
  }

  function begin(line: string, home: string): Shell {
    const npx = `npx() { shift; ${JSON.stringify(join(root, 'bin/tallystick'))} "$@"; }`
    const child = spawn('bash', ['-c', `${npx}\n${line}`], {
      cwd: world.path('cwd'),
      detached: true,
      env: { HOME: world.dir, PATH: process.env.PATH, TALLYSTICK_HOME: home, TALLYSTICK_PASSWORD: PASSWORD, TALLYSTICK_NETWORKS: world.path('networks'), CI: 'true' },
    }) // biome-ignore format: a record
    left.push(child)
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (bytes: Buffer) => (output += bytes.toString()))
    return { child, output: () => output }
  }

  async function until(shell: Shell, line: string, done: () => boolean): Promise<void> {
    const late = performance.now() + LINE_MS
    while (!done()) {
      const isOver = shell.child.exitCode !== null || performance.now() > late
      assert.ok(!isOver, `"${line}" did not come to it:\n${shell.output()}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  /** Leaves it running, on the word with which it says that it is there. */
  async function keep(line: string, home: string, said: RegExp): Promise<Shell> {
    const shell = begin(line, home)
    await until(shell, line, () => said.test(shell.output()))
    return shell
  }

  /** Ctrl-C. */
  async function stop(shell: Shell | undefined): Promise<void> {
    if (shell === undefined) return
    const closed = once(shell.child, 'close')
    process.kill(-(shell.child.pid ?? 0), 'SIGINT')
    await closed
    left.splice(left.indexOf(shell.child), 1)
    assert.match(shell.output(), /paid|stopped|closed/, shell.output())
  }

  async function run(line: string): Promise<string> {
    const shell = begin(line, buyer)
    const [code] = await once(shell.child, 'close')
    left.splice(left.indexOf(shell.child), 1)
    // a dry run says by its code that nothing was done
    assert.equal(code, line.includes('--dry-run') ? 10 : 0, `${line}\n${shell.output()}`)
    return shell.output()
  }

  async function echoed(at: number, text: string): Promise<string> {
    const socket = connect(at, '127.0.0.1')
    socket.write(text)
    const [bytes] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    return bytes.toString()
  }

  async function sell(line: string, name: string): Promise<void> {
    await keep(line, await funded(`seller-${name}`), /^\s*try:/m)
    await run(`npx tallystick channel open ${name} '2 tUSDC' --yes`)
  }

  /** The ports of the README are somebody else's here. */
  const here = (line: string): string =>
    line
      .replace(/\s+#.*$/, '')
      .replace(':2222', `:${ports.tunnel}`)
      .replace(':8402', `:${ports.proxy}`)
      .replace('127.0.0.1:22 ', `127.0.0.1:${(echo.address() as AddressInfo).port} `)
      .replace('http://127.0.0.1:3000', web.url)

  test('ends well, or stays up as it says', async () => {
    const done: string[] = []
    // it has the buyer's home to itself while it is up; only curl goes through it
    let port: Shell | undefined
    for (const written of lines) {
      let line = here(written)
      if (!line.startsWith('curl ')) {
        await stop(port)
        port = undefined
      }
      const name = /--name (\S+)/.exec(line)?.[1]
      if (line.startsWith('npx tallystick serve ')) await sell(line, name ?? '')
      else if (/^npx tallystick (connect|proxy) /.test(line)) {
        port = await keep(line, buyer, new RegExp(`:${ports.tunnel}|:${ports.proxy}`))
        if (line.includes(' connect ')) assert.equal(await echoed(ports.tunnel, 'hello'), 'hello')
      } else {
        if (line.includes('session show')) {
          const id = /0x[0-9a-f]{6,}/.exec(await run('npx tallystick session list --all'))?.[0]
          line = line.replace(/0x[0-9a-f]+/, id ?? '')
        }
        await run(line)
      }
      done.push(line)
    }
    await stop(port)
    assert.ok(done.length >= 15, `${done.length} commands`)
  })
})
