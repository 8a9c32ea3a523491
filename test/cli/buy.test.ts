import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { runInNode } from '../../src/api/run-wire.ts'
import type { Address } from '../../src/core/ids.ts'
import { parseAmount, tokenInfo } from '../../src/core/token.ts'
import { type Running, until, World } from './harness.ts'

const token = tokenInfo(`0x${'1'.repeat(40)}` as Address, 'tUSDC', 6)
const amount = (text: unknown): bigint => parseAmount(String(text), token)

const MIB = 1 << 20
const LARGE = 64 * MIB
/** base units for the large file at 0.01 tUSDC a MiB */
const LARGE_PRICE = 640_000n

describe('two strangers with two homes', () => {
  const world = new World()
  let provider = ''
  let consumer = ''
  let serve: Running
  let address = ''
  let port = ''

  const serveFiles = async (): Promise<Running> => {
    const listen = ['--listen', `/ip4/127.0.0.1/tcp/${port === '' ? 0 : port}`]
    return await world.start(
      ['serve', 'files', world.path('films'), '--name', 'films', '--price', '0.01/MiB', '--chunk', '256 KiB', ...listen],
      /try:/,
      { home: provider },
    )
  }

  before(async () => {
    mkdirSync(world.path('films'))
    writeFileSync(world.path('films/a.bin'), randomBytes(3 * MIB))
    writeFileSync(world.path('films/large.bin'), randomBytes(LARGE))
    await world.dev()
    provider = await world.home('provider')
    consumer = await world.home('consumer')
    const accounts = [provider, consumer].map((home) => `0x${JSON.parse(readFileSync(`${home}/keystore.json`, 'utf8')).address}`)
    await Promise.all(accounts.map((account) => world.json(['dev', 'fund', account, '100 tUSDC'])))
    serve = await serveFiles()
    address = /reach +(\S+)/.exec(serve.first)?.[1] ?? ''
    port = /\/tcp\/(\d+)\//.exec(address)?.[1] ?? ''
  })
  after(async () => await world.end())

  test('without a reservation nothing is bought, and the hint is the command that makes one', async () => {
    const { code, stderr } = await world.run(['get', 'films/a.bin', '--budget', '1 tUSDC'], { home: consumer })
    assert.equal(code, 5, stderr)
    assert.match(stderr, /hint: tallystick channel open \/ip4\/\S+\/p2p\/16Uiu2\S+ '1 tUSDC'/)
  })

  test('a file is found by name, bought, paid exactly, and its receipt holds offline', async () => {
    await world.json(['deposit', '5 tUSDC', '--yes'], { home: consumer })
    const opened = await world.json<{ channel: { free: string } }>(['channel', 'open', address, '3 tUSDC', '--yes'], {
      home: consumer,
    })
    assert.equal(opened.channel.free, '3 tUSDC')
    const got = await world.json<{ complete: boolean; paid: string; sha256: string; receipts: string[]; file: string }>(
      ['get', 'films/a.bin', '--budget', '1 tUSDC'],
      { home: consumer },
    )
    const sent = createHash('sha256')
      .update(readFileSync(world.path('films/a.bin')))
      .digest('hex')
    assert.deepEqual([got.complete, got.sha256, got.paid], [true, sent, '0.03 tUSDC'])
    assert.ok(readFileSync(got.file).equals(readFileSync(world.path('films/a.bin'))))
    const [receipt = ''] = got.receipts
    assert.equal(statSync(receipt).mode & 0o777, 0o600)
    const verified = await world.json(['receipt', 'verify', receipt], { home: consumer, env: { TALLYSTICK_PASSWORD: undefined } })
    assert.deepEqual(
      [verified.valid, verified.countersigned, verified.due, verified.paid, verified.owed],
      [true, true, '0.03 tUSDC', '0.03 tUSDC', '0 tUSDC'],
    )
    const forged = world.path('forged.json')
    writeFileSync(forged, readFileSync(receipt, 'utf8').replace('"total": "30000"', '"total": "29999"'))
    assert.equal((await world.run(['receipt', 'verify', forged], { home: consumer })).code, 9)
  })

  test('the index is free, and a file that is there is not bought again', async () => {
    const index = await world.json<{ files: { path: string; size: number }[] }>(['get', 'films/', '--budget', '1 tUSDC'], {
      home: consumer,
    })
    assert.deepEqual(index.files.map(({ path, size }) => [path, size]), [['a.bin', 3 * MIB], ['large.bin', LARGE]]) // biome-ignore format: a table
    const again = await world.run(['get', 'films/a.bin', '--budget', '1 tUSDC'], { home: consumer })
    assert.equal(again.code, 2)
    assert.match(again.stderr, /exists already/)
  })

  test('the running provider is asked, settles, and its figures add up', async () => {
    const before = await world.json<{ earned: { signed: string; unsettled: string }; running: { pid: number } }>(['status'], {
      home: provider,
    })
    assert.equal(before.running.pid, serve.child.pid)
    assert.deepEqual([before.earned.signed, before.earned.unsettled], ['0.03 tUSDC', '0.03 tUSDC'])
    const dry = await world.run(['channel', 'settle', '--all', '--dry-run', '--json'], { home: provider })
    assert.equal(dry.code, 10, dry.stderr)
    const done = await world.json<{ balance: { ledger: string } }>(['channel', 'settle', '--all', '--yes'], { home: provider })
    assert.equal(done.balance.ledger, '0.03 tUSDC')
    const again = await world.json<{ jobs: unknown[] }>(['channel', 'settle', '--all', '--yes'], { home: provider })
    assert.deepEqual(again.jobs, [])
    const [mine] = (
      await world.json<{ channels: { role: string; signed: string; settled: string }[] }>(['channel', 'list'], { home: consumer })
    ).channels
    assert.deepEqual([mine?.role, mine?.signed, mine?.settled], ['payer', '0.03 tUSDC', '0.03 tUSDC'])
  })

  test('a budget that is reached ends with 7, says what came, and the same command goes on from there', async () => {
    const out = world.path('budget.bin')
    const short = await world.run(['get', 'films/a.bin', '--budget', '0.01 tUSDC', '-o', out, '--json'], { home: consumer })
    assert.equal(short.code, 7, short.stderr)
    const { complete, paid } = JSON.parse(short.stdout)
    assert.deepEqual([complete, paid], [false, '0.01 tUSDC'])
    assert.equal(JSON.parse(short.stderr.trim().split('\n').at(-1) ?? '').error.code, 'BUDGET_REACHED')
    assert.equal(existsSync(out), false)
    const rest = await world.json(['get', 'films/a.bin', '--budget', '1 tUSDC', '-o', out], { home: consumer })
    assert.deepEqual([rest.complete, rest.paid], [true, '0.02 tUSDC'])
  })

  test('Ctrl-C closes the session in order: 11, a receipt, and what came is kept', async () => {
    const out = world.path('stopped.bin')
    const buying = world.spawn(['get', 'films/large.bin', '--budget', '2 tUSDC', '-o', out, '--json'], { home: consumer })
    const texts = ['', '']
    buying.stdout?.setEncoding('utf8').on('data', (text: string) => (texts[0] += text))
    buying.stderr?.setEncoding('utf8').on('data', (text: string) => (texts[1] += text))
    const closed = new Promise<number | null>((resolve) => buying.once('close', resolve))
    await until(() => existsSync(`${out}.part`) && statSync(`${out}.part`).size > MIB)
    buying.kill('SIGINT')
    assert.equal(await closed, 11, texts[1])
    const got = JSON.parse(texts[0] ?? '')
    assert.deepEqual([got.complete, got.receipts.length, existsSync(`${out}.part`)], [false, 1, true])
    assert.match(texts[1] ?? '', /"code":"ABORTED".*"exit_code":11/)
  })

  test('the provider dies in mid-stream and comes back: same session, same byte, nothing is paid twice', async () => {
    const out = world.path('survivor.bin')
    const buying = world.run(['get', 'films/large.bin', '--budget', '2 tUSDC', '-o', out, '--json'], { home: consumer })
    await until(() => existsSync(`${out}.part`) && statSync(`${out}.part`).size > 4 * MIB)
    await serve.stop('SIGKILL')
    assert.equal(existsSync(out), false)
    serve = await serveFiles()
    const { code, stdout, stderr } = await buying
    assert.equal(code, 0, stderr)
    const got = JSON.parse(stdout)
    assert.equal(got.sessions.length, 1)
    const paid = amount(got.paid)
    assert.ok(paid >= LARGE_PRICE && paid <= LARGE_PRICE + 2_500n, `${paid}`)
    assert.equal(
      got.sha256,
      createHash('sha256')
        .update(readFileSync(world.path('films/large.bin')))
        .digest('hex'),
    )
  })

  test('the consumer dies in mid-stream: the same command goes on with the same session at the same byte', async () => {
    const out = world.path('phoenix.bin')
    const args = ['get', `${address}/films/large.bin`, '--budget', '2 tUSDC', '-o', out, '--json']
    const first = world.spawn(args, { home: consumer })
    await until(() => existsSync(`${out}.part`) && statSync(`${out}.part`).size > 4 * MIB)
    first.kill('SIGKILL')
    await new Promise((resolve) => first.once('close', resolve))
    const { code, stdout, stderr } = await world.run(args, { home: consumer })
    assert.equal(code, 0, stderr)
    const got = JSON.parse(stdout)
    assert.equal(got.sessions.length, 1)
    assert.match(stderr, /going on with session/)
    assert.equal(got.metered_bytes, `${LARGE}`)
    assert.equal(amount(got.paid), LARGE_PRICE)
  })

  test('a stream is sold beside it', async () => {
    const seller = await world.home('seller')
    const listen = ['--listen', '/ip4/127.0.0.1/tcp/0']
    const stream = await world.start(
      ['serve', 'stream', '--name', 'zeros', '--price', '0.01/MiB', ...listen, '--', 'cat', '/dev/zero'],
      /try:/,
      { home: seller },
    )
    const where = /reach +(\S+)/.exec(stream.first)?.[1] ?? ''
    await world.json(['channel', 'open', where, '1 tUSDC', '--yes'], { home: consumer })
  })

  test('a stream comes on stdout until the budget is used up, and no byte more', async () => {
    const { code, stdout, stderr } = await world.run(['get', 'zeros', '--budget', '0.02 tUSDC'], { home: consumer })
    assert.equal(code, 7, stderr)
    assert.equal(stdout.length, 2 * MIB)
    assert.match(stderr, /paid +0\.02 tUSDC/)
  })

  test('a stream is paid for as many bytes as were wanted', async () => {
    const out = world.path('one.bin')
    const got = await world.json(['get', 'zeros', '--budget', '1 tUSDC', '--bytes', '1 MiB', '-o', out], { home: consumer })
    assert.deepEqual([got.complete, got.paid, statSync(out).size], [true, '0.01 tUSDC', MIB])
  })

  test('a stream that is sold by the second is paid for its running time', async () => {
    const seller = await world.home('clockmaker')
    const listen = ['--listen', '/ip4/127.0.0.1/tcp/0']
    const stream = await world.start(
      ['serve', 'stream', '--name', 'clock', '--price', '0.001/s', '--chunk', '200 ms', ...listen, '--', 'yes'],
      /try:/,
      { home: seller },
    )
    const where = /reach +(\S+)/.exec(stream.first)?.[1] ?? ''
    await world.json(['channel', 'open', where, '0.1 tUSDC', '--yes'], { home: consumer })
    const got = await world.json<{ paid: string; running_ms: string; receipts: string[] }>(
      ['get', `${where}/clock`, '--budget', '0.05 tUSDC', '--for', '1s', '-o', world.path('clock.txt')],
      { home: consumer },
    )
    const verified = await world.json<{ due: string; paid: string; owed: string }>(['receipt', 'verify', got.receipts[0] ?? ''], {
      home: consumer,
    })
    assert.deepEqual([verified.owed, verified.paid], ['0 tUSDC', got.paid])
    assert.ok(amount(verified.due) > 0n)
    // never further ahead than one chunk
    assert.ok(amount(got.paid) - amount(verified.due) <= 200n, `${got.paid} for ${verified.due}`)
    await stream.stop()
  })

  const readerGoesAway = async (): Promise<void> => {
    const child = world.spawn(['get', 'zeros', '--budget', '0.5 tUSDC'], { home: consumer })
    let stderr = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.stdout?.once('data', () => child.stdout?.destroy())
    const code = await new Promise((resolve) => child.once('close', resolve))
    assert.equal(code, 0, stderr)
    assert.match(stderr, /receipt +\S+\.json/)
  }
  test('a stream ends when its reader goes away, in order and with a receipt', readerGoesAway)

  describe('while a node is up on the home of the buyer, it buys for the command', () => {
    let up: Running
    before(async () => {
      up = await world.start(['up', '--listen', '/ip4/127.0.0.1/tcp/0'], /live/, { home: consumer })
    })
    after(async () => assert.equal(await up.stop('SIGINT'), 0))
    const asked = { TALLYSTICK_PASSWORD: undefined }

    test('a file, without a password, into the folder of the command', async () => {
      const args = ['get', `${address}/films/a.bin`, '--budget', '1 tUSDC', '-o', 'by-node.bin']
      const got = await world.json<{ complete: boolean; file: string; paid: string }>(args, { home: consumer, env: asked })
      assert.deepEqual([got.complete, got.file, got.paid], [true, world.path('cwd/by-node.bin'), '0.03 tUSDC'])
      assert.ok(readFileSync(got.file).equals(readFileSync(world.path('films/a.bin'))))
      const again = await world.run(args, { home: consumer, env: asked })
      assert.equal(again.code, 2)
      assert.match(again.stderr, /exists already/)
    })

    test('the limits are those of the command, not those with which the node was started', async () => {
      const env = { ...asked, TALLYSTICK_CONSUMER_MAX_PRICE: '0.001/MiB' }
      const dear = await world.run(['get', `${address}/films/a.bin`, '--budget', '1 tUSDC', '-o', 'dear.bin'], {
        home: consumer,
        env,
      })
      assert.equal(dear.code, 6, dear.stderr)
    })

    test('a stream comes on stdout, and ends when its reader goes away', async () => {
      const { code, stdout, stderr } = await world.run(['get', 'zeros', '--budget', '0.02 tUSDC'], { home: consumer, env: asked })
      assert.deepEqual([code, stdout.length], [7, 2 * MIB], stderr)
      await readerGoesAway()
    })

    test('Ctrl-C ends the purchase in order, and not the node', async () => {
      const out = world.path('stopped-by-node.bin')
      const buying = world.spawn(['get', `${address}/films/large.bin`, '--budget', '2 tUSDC', '-o', out], {
        home: consumer,
        env: asked,
      })
      let stderr = ''
      buying.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
      const closed = new Promise<number | null>((resolve) => buying.once('close', resolve))
      await until(() => existsSync(`${out}.part`) && statSync(`${out}.part`).size > MIB)
      buying.kill('SIGINT')
      assert.equal(await closed, 11, stderr)
      assert.equal((await world.json<{ running: { pid: number } }>(['status'], { home: consumer })).running.pid, up.child.pid)
    })

    test('no other command is taken from a caller, and nonsense is refused', async () => {
      const path = `${consumer}/api.sock`
      const screen = { stdout: async () => true, stderr: async () => true }
      const terminal = { live: false, color: false, columns: 80 }
      const run = { argv: ['init', '--yes'], cwd: world.dir, terminal, consumer: { limitAtRisk: '0.05 token' } }
      assert.equal(await runInNode(path, run, screen, new AbortController().signal), 2)
      const nonsense = runInNode(path, { ...run, cwd: 'relative' }, screen, new AbortController().signal)
      await assert.rejects(nonsense, { code: 'USAGE' })
    })
  })

  test('a channel is closed with the provider: it is paid, and the rest is free at once', async () => {
    const closed = await world.json<{ channel: { free: string; deposit: string; settled: string }; balance: { ledger: string } }>(
      ['channel', 'close', address, '--yes'],
      { home: consumer },
    )
    assert.equal(closed.channel.free, '0 tUSDC')
    const spent = amount(closed.channel.settled)
    assert.equal(amount(closed.balance.ledger), 3_900_000n - spent)
  })

  test('a provider that is asked to stop takes its socket with it', async () => {
    assert.equal(await serve.stop('SIGINT'), 0)
    assert.equal(existsSync(`${provider}/api.sock`), false)
  })
})
