// What happens to a purchase besides the delivery: reservations made and filled up, providers that die, a budget that ends.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import type { Address } from '../../src/core/ids.ts'
import { parseAmount, tokenInfo } from '../../src/core/token.ts'
import { type Running, until, World } from './harness.ts'

const token = tokenInfo(`0x${'1'.repeat(40)}` as Address, 'tUSDC', 6)
const amount = (text: unknown): bigint => parseAmount(String(text), token)

const MIB = 1 << 20
const LARGE = 64 * MIB
/** base units for the large file at 0.01 tUSDC a MiB */
const LARGE_PRICE = 640_000n

interface Got {
  readonly complete: boolean
  readonly paid: string
  readonly sha256: string
  readonly sessions: string[]
  readonly receipts: string[]
  readonly providers: string[]
  readonly metered_bytes: string
}

interface Channels {
  readonly channels: { readonly target: string; readonly deposit: string; readonly signed: string }[]
}

describe('a purchase that looks after itself', () => {
  const world = new World()
  const sellers: { readonly home: string; readonly serve: Running; readonly peer: string; readonly account: string }[] = []
  let sent = ''

  /** A home with tokens in its wallet, none in the ledger and none reserved. */
  async function buyer(name: string): Promise<string> {
    const home = await world.home(name)
    await world.json(['dev', 'fund', accountOf(home), '100 tUSDC'])
    return home
  }
  const accountOf = (home: string): string => `0x${JSON.parse(readFileSync(`${home}/keystore.json`, 'utf8')).address}`

  async function sell(name: string): Promise<void> {
    const home = await world.home(name)
    mkdirSync(world.path(`${name}-shop`))
    for (const file of ['a.bin', 'large.bin']) copyFileSync(world.path(file), world.path(`${name}-shop`, file))
    const listen = ['--listen', '/ip4/127.0.0.1/tcp/0']
    const serve = await world.start(
      ['serve', 'files', world.path(`${name}-shop`), '--name', 'films', '--price', '0.01/MiB', '--chunk', '256 KiB', ...listen],
      /try:/,
      { home },
    )
    const peer = /\/p2p\/(\S+)/.exec(serve.first)?.[1] ?? ''
    sellers.push({ home, serve, peer, account: accountOf(home).toLowerCase() })
  }

  before(async () => {
    writeFileSync(world.path('a.bin'), randomBytes(3 * MIB))
    writeFileSync(world.path('large.bin'), randomBytes(LARGE))
    sent = createHash('sha256')
      .update(readFileSync(world.path('large.bin')))
      .digest('hex')
    await world.dev()
    await sell('first')
  })
  after(async () => await world.end())

  test('a dry run names what would be reserved, out of what, and the gas; nothing moves', async () => {
    const home = await buyer('looker')
    const { code, stdout, stderr } = await world.run(['get', 'films/a.bin', '--budget', '1 tUSDC', '--dry-run', '--json'], {
      home,
    })
    assert.equal(code, 10, stderr)
    const plan = JSON.parse(stdout)
    assert.match(plan.would_reserve, /^reserve 1 tUSDC until \S+: 1 tUSDC out of the wallet$/)
    assert.equal(plan.transactions, '1')
    assert.match(plan.gas, /^\d+, at most \S+ ETH$/)
    assert.deepEqual((await world.json<Channels>(['channel', 'list'], { home })).channels, [])
  })

  test('quote tells what a purchase would come to, reservation and gas included, and nothing is promised or moved', async () => {
    const home = await buyer('asker')
    await world.json(['deposit', '4 tUSDC', '--yes'], { home })
    const { quotes } = await world.json<{ quotes: Record<string, string>[] }>(['quote', 'films', '1 GiB'], { home })
    assert.equal(quotes.length, 1)
    const [quote = {}] = quotes
    assert.deepEqual(
      [quote.provider, quote.price, quote.cost, quote.reserved, quote.to_reserve, quote.to_deposit],
      [sellers[0]?.peer, '0.01 tUSDC/MiB, each 256 KiB', '10.24 tUSDC', '0 tUSDC', '10.24 tUSDC', '10.24 tUSDC'],
    )
    assert.ok(Number(quote.gas) > 21_000, quote.gas)
    const dear = await world.json<{ quotes: Record<string, string | null>[] }>(['quote', 'films', '1024 GiB'], { home })
    assert.equal(dear.quotes[0]?.to_reserve, null)
    assert.match(dear.quotes[0]?.problem ?? '', /10485\.76 tUSDC are wanted/)
    assert.equal((await world.run(['quote', 'films', '10 min'], { home })).code, 2)
    const { ledger, wallet } = await world.json<{ ledger: string; wallet: string }>(['balance'], { home })
    assert.deepEqual([ledger, wallet], ['4 tUSDC', '96 tUSDC'])
    assert.deepEqual((await world.json<Channels>(['channel', 'list'], { home })).channels, [])
  })

  test('without a yes nothing is reserved: 2 where it was asked for', async () => {
    const home = await buyer('timid')
    const { code, stderr } = await world.run(['get', 'films/a.bin', '--budget', '1 tUSDC', '--reserve', '0.5 tUSDC'], { home })
    assert.equal(code, 2, stderr)
    assert.match(stderr, /this would reserve 0\.5 tUSDC/)
    assert.deepEqual((await world.json<Channels>(['channel', 'list'], { home })).channels, [])
  })

  test('with --yes one command reserves out of wallet and ledger, and buys', async () => {
    const home = await buyer('quick')
    await world.json(['deposit', '0.4 tUSDC', '--yes'], { home })
    const got = await world.json<Got>(['get', 'films/a.bin', '--budget', '99.9 tUSDC', '--yes', '-o', world.path('quick.bin')], {
      home,
    })
    assert.deepEqual([got.complete, got.paid], [true, '0.03 tUSDC'])
    const [channel] = (await world.json<Channels>(['channel', 'list'], { home })).channels
    assert.equal(channel?.deposit, '99.9 tUSDC')
    const { ledger, wallet } = await world.json<{ ledger: string; wallet: string }>(['balance'], { home })
    assert.deepEqual([ledger, wallet], ['0 tUSDC', '0.1 tUSDC'])
  })

  test('a small reservation is filled up before it is used up: one session, never more than the budget', async () => {
    const home = await buyer('frugal')
    const args = ['get', 'films/large.bin', '--budget', '1 tUSDC', '--reserve', '0.2 tUSDC', '--yes', '--json']
    const { code, stdout, stderr } = await world.run([...args, '-o', world.path('frugal.bin')], { home })
    assert.equal(code, 0, stderr)
    const got: Got = JSON.parse(stdout)
    assert.deepEqual([got.sha256, amount(got.paid)], [sent, LARGE_PRICE], stderr)
    assert.ok((stderr.match(/^reserving /gm) ?? []).length >= 3, stderr)
    const [channel] = (await world.json<Channels>(['channel', 'list'], { home })).channels
    const deposit = amount(channel?.deposit)
    assert.ok(deposit >= LARGE_PRICE && deposit <= 1_000_000n, channel?.deposit)
  })

  test('near the end of the budget a warning comes, then the session ends in order: 7, with a receipt', async () => {
    const home = await buyer('poor')
    const args = ['get', 'films/large.bin', '--budget', '0.1 tUSDC', '--yes', '--json', '-o', world.path('poor.bin')]
    const { code, stdout, stderr } = await world.run(args, { home })
    assert.equal(code, 7, stderr)
    const got: Got = JSON.parse(stdout)
    assert.deepEqual([got.paid, got.receipts.length], ['0.1 tUSDC', 1])
    assert.match(stderr, /warning: 95 % of the budget is used/)
    const verified = await world.json(['receipt', 'verify', got.receipts[0] ?? ''], { home })
    assert.deepEqual([verified.countersigned, verified.owed], [true, '0 tUSDC'])
  })

  test('one of two providers is killed half-way: the other goes on at that byte, the sha256 is right, one budget holds', async () => {
    await sell('second')
    const home = await buyer('failover')
    const out = world.path('failover.bin')
    const args = ['get', 'films/large.bin', '--budget', '2 tUSDC', '--providers', '2', '--yes', '--json', '-o', out]
    const child = world.spawn(args, { home })
    const texts = { stdout: '', stderr: '' }
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (texts.stdout += text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (texts.stderr += text))
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
    await until(() => existsSync(`${out}.part`) && statSync(`${out}.part`).size > LARGE / 4)
    const { channels } = await (async () => {
      // the buyer's database is locked while it buys: its provider is the one that has been promised something
      const sold = sellers.map(async ({ home: seller }) => await world.json<Channels>(['channel', 'list'], { home: seller }))
      return { channels: await Promise.all(sold) }
    })()
    const buyerAccount = accountOf(home).toLowerCase()
    const at = channels.findIndex((list) => JSON.stringify(list).toLowerCase().includes(buyerAccount))
    assert.ok(at >= 0, texts.stderr)
    await sellers[at]?.serve.stop('SIGKILL')
    assert.equal(existsSync(out), false, 'it was killed too late')
    assert.equal(await closed, 0, texts.stderr)
    const got: Got = JSON.parse(texts.stdout)
    assert.equal(got.sha256, sent)
    assert.deepEqual(got.providers, [sellers[at]?.peer, sellers[1 - at]?.peer])
    assert.match(texts.stderr, /is away and has not given its receipt/)
    // what was on its way when the first one died is bought again: at most what one chunk of credit and one of the file hold
    const metered = BigInt(got.metered_bytes)
    assert.ok(metered >= BigInt(LARGE - MIB) && metered <= BigInt(LARGE + MIB), got.metered_bytes)
    const { channels: mine } = await world.json<Channels>(['channel', 'list'], { home })
    const signed = mine.reduce((sum, one) => sum + amount(one.signed), 0n)
    const deposited = mine.reduce((sum, one) => sum + amount(one.deposit), 0n)
    assert.equal(amount(got.paid), signed)
    assert.ok(signed <= LARGE_PRICE + 10_000n && deposited <= 2_000_000n, `${signed} of ${deposited}`)
    for (const receipt of got.receipts) assert.equal((await world.json(['receipt', 'verify', receipt], { home })).valid, true)
    assert.equal(got.receipts.length, 1)
  })

  test('a provider that is stopped in order gives its receipt, and the other one goes on', async () => {
    const alive = sellers.findIndex(({ serve }) => serve.child.exitCode === null && serve.child.signalCode === null)
    await sell('third')
    const home = await buyer('orderly')
    const out = world.path('orderly.bin')
    const child = world.spawn(
      ['get', 'films/large.bin', '--budget', '2 tUSDC', '--providers', '2', '--yes', '--json', '-o', out],
      {
        home,
      },
    )
    const texts = { stdout: '', stderr: '' }
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (texts.stdout += text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (texts.stderr += text))
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
    await until(() => existsSync(`${out}.part`) && statSync(`${out}.part`).size > 4 * MIB)
    const buyerAccount = accountOf(home).toLowerCase()
    for (const { home: seller, serve } of [sellers[alive], sellers.at(-1)].filter((one) => one !== undefined)) {
      const list = await world.json<Channels>(['channel', 'list'], { home: seller })
      if (JSON.stringify(list).toLowerCase().includes(buyerAccount)) await serve.stop('SIGTERM')
    }
    assert.equal(await closed, 0, texts.stderr)
    const got: Got = JSON.parse(texts.stdout)
    assert.deepEqual([got.sha256, got.receipts.length, got.providers.length], [sent, 2, 2], texts.stderr)
    // the chunk of the file that was written when the first one said stop need not have been acknowledged
    const paid = amount(got.paid)
    assert.ok(paid >= LARGE_PRICE - 625n && paid <= LARGE_PRICE + 1n, got.paid)
  })
})
