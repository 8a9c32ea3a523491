import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import type { ReportView } from '../../src/api/report-view.ts'
import type { SessionDetail, SessionList } from '../../src/api/session-record.ts'
import type { Address } from '../../src/core/ids.ts'
import { parseAmount, tokenInfo } from '../../src/core/token.ts'
import { type Running, until, World } from './harness.ts'

const MIB = 1 << 20
const token = tokenInfo(`0x${'1'.repeat(40)}` as Address, 'tUSDC', 6)
const amount = (text: unknown): bigint => parseAmount(String(text), token)
const MONEY = ['delivered', 'billed', 'signed', 'settled'] as const
const asked = { TALLYSTICK_PASSWORD: undefined }

describe('what was earned and spent', () => {
  const world = new World()
  let provider = ''
  let consumer = ''
  let serve: Running
  let address = ''
  let today = ''
  let accounts: string[] = []

  const report = async (home: string, ...args: string[]): Promise<ReportView> =>
    await world.json<ReportView>(['report', ...args], { home })
  const money = (line: ReportView['totals'][number] | ReportView['lines'][number] | undefined): unknown =>
    line && MONEY.map((figure) => line[figure])

  before(async () => {
    mkdirSync(world.path('films'))
    writeFileSync(world.path('films/a.bin'), randomBytes(2 * MIB))
    writeFileSync(world.path('films/large.bin'), randomBytes(64 * MIB))
    await world.dev()
    provider = await world.home('provider')
    consumer = await world.home('consumer')
    accounts = [provider, consumer].map((home) => `0x${JSON.parse(readFileSync(`${home}/keystore.json`, 'utf8')).address}`)
    await Promise.all(accounts.map((account) => world.json(['dev', 'fund', account, '100 tUSDC'])))
    serve = await world.start(
      ['serve', 'files', world.path('films'), '--name', 'films', '--price', '0.01/MiB', '--listen', '/ip4/127.0.0.1/tcp/0'],
      /try:/,
      { home: provider },
    )
    address = /reach +(\S+)/.exec(serve.first)?.[1] ?? ''
    await world.json(['channel', 'open', address, '3 tUSDC', '--yes'], { home: consumer })
    for (const name of ['one.bin', 'two.bin'])
      await world.json(['get', `${address}/films/a.bin`, '--budget', '1 tUSDC', '-o', world.path(name)], { home: consumer })
  })
  after(async () => await world.end())

  test('before anything was traded, a report says so', async () => {
    const nobody = await world.home('nobody')
    const empty = await report(nobody, 'spend')
    assert.deepEqual([empty.lines, empty.totals, empty.fees.transactions], [[], [], 0])
    const { stdout } = await world.run(['report', 'earnings'], { home: nobody })
    assert.match(stdout, /no sessions in these days\nfees +0 ETH, no transactions/)
    assert.match((await world.run(['session', 'list', '--all'], { home: nobody })).stdout, /no such sessions/)
  })

  test('the consumer spent what it signed, on a day, with an offer, with a peer; gas stands apart', async () => {
    const spent = await report(consumer, 'spend', '--by', 'peer,day,offer')
    const [line] = spent.lines
    today = line?.day ?? ''
    assert.match(today, /^\d{4}-\d{2}-\d{2}$/)
    assert.deepEqual(spent.by, ['day', 'offer', 'peer'])
    assert.deepEqual([spent.lines.length, line?.offer, line?.peer?.toLowerCase()], [1, 'films', accounts[0]?.toLowerCase()])
    assert.deepEqual([line?.sessions, line?.delivered_bytes], [2, `${4 * MIB}`])
    assert.deepEqual(money(line), ['0.04 tUSDC', '0.04 tUSDC', '0.04 tUSDC', '0 tUSDC'])
    assert.deepEqual(spent.fees.by_kind.map(({ kind }) => kind), ['open']) // biome-ignore format: one thought
    assert.ok(!/^0 /.test(spent.fees.fee))
    assert.deepEqual(spent.channels, [{ token: 'tUSDC', signed: '0.04 tUSDC', settled: '0 tUSDC', unexplained: '0 tUSDC' }])
    assert.equal((await report(consumer, 'earnings')).lines.length, 0)
  })

  test('the running provider is asked without a password; settled and withdrawn follow, and the sums agree', async () => {
    const args = ['report', 'earnings', '--by', 'offer,peer']
    const before = await world.json<ReportView>(args, { home: provider, env: asked })
    assert.deepEqual(money(before.lines[0]), ['0.04 tUSDC', '0.04 tUSDC', '0.04 tUSDC', '0 tUSDC'])
    assert.equal(before.lines[0]?.peer?.toLowerCase(), accounts[1]?.toLowerCase())
    await world.json(['channel', 'settle', '--all', '--yes'], { home: provider })
    await world.json(['withdraw', '0.03 tUSDC', '--to', accounts[0] ?? '', '--yes'], { home: provider })
    const now = await world.json<ReportView>(args, { home: provider, env: asked })
    assert.deepEqual(money(now.totals[0]), ['0.04 tUSDC', '0.04 tUSDC', '0.04 tUSDC', '0.04 tUSDC'])
    assert.equal(now.totals[0]?.withdrawn, '0.03 tUSDC')
    assert.equal(now.fees.by_kind.length, 2)
    const status = await world.json<{ earned: { signed: string; settled: string } }>(['status'], { home: provider })
    assert.deepEqual([status.earned.signed, status.earned.settled], [now.totals[0]?.signed, now.totals[0]?.settled])
    const other = await report(consumer, 'spend', '--by', 'offer')
    assert.deepEqual(money(other.totals[0]), money(now.totals[0]))
  })

  test('the lines as CSV: a header, numbers, and nothing else on stdout', async () => {
    const { stdout, stderr, code } = await world.run(['report', 'earnings', '--by', 'day,offer', '--csv'], { home: provider })
    assert.equal(code, 0, stderr)
    assert.equal(
      stdout,
      'day,offer,token,sessions,delivered_bytes,up_bytes,running_ms,calls,units,delivered,billed,signed,settled,beyond\n' +
        `${today},films,tUSDC,2,${4 * MIB},0,${/,(\d+),0,0,0\.04/.exec(stdout)?.[1]},0,0,0.04,0.04,0.04,0.04,0\n`,
    )
    assert.match(stderr, /transactions cost 0\.\d+ ETH, apart/)
  })

  test('a person sees a table with its total; days without sessions are empty', async () => {
    const { stdout } = await world.run(['report', 'earnings'], { home: provider })
    assert.match(stdout, /^day +sessions +bytes +delivered +billed +signed +settled +beyond\n/)
    assert.match(stdout, new RegExp(`\\n${today} +2 +4\\.0 MiB +0\\.04 tUSDC`))
    assert.match(stdout, /\ntotal +2 [\s\S]*\nwithdrawn +0\.03 tUSDC\nfees +0\.\d+ ETH: 1 \S+ 0\.\d+ ETH/)
    const past = await report(provider, 'earnings', '--until', '2020-01-01')
    assert.deepEqual([past.lines, past.fees.transactions, past.channels.length], [[], 0, 1])
    assert.equal((await report(provider, 'earnings', '--since', today, '--until', today)).totals[0]?.sessions, 2)
  })

  test('what cannot be meant is refused', async () => {
    for (const args of [
      ['report', 'earnings', '--by', 'week'],
      ['report', 'earnings', '--since', '2026-02-30'],
      ['report', 'spend', '--since', '2026-03-02', '--until', '2026-03-01'],
      ['report', 'spend', '--csv', '--json'],
      ['session', 'list', '--live', '--cut'],
      ['session', 'list', '--selling', '--buying'],
      ['session', 'show', 'films'],
    ]) {
      const { code, stdout } = await world.run(args, { home: consumer })
      assert.deepEqual([code, stdout], [2, ''], args.join(' '))
    }
  })

  test('a session is shown by the beginning of its id, with its parties, its price and its receipt', async () => {
    const list = await world.json<SessionList>(['session', 'list', '--all', '--buying'], { home: consumer })
    assert.deepEqual(list.sessions.map(({ state, role }) => [state, role]), [['closed', 'payer'], ['closed', 'payer']]) // biome-ignore format: a table
    assert.deepEqual((await world.json<SessionList>(['session', 'list', '--all', '--selling'], { home: consumer })).sessions, [])
    assert.deepEqual((await world.json<SessionList>(['session', 'list'], { home: consumer })).sessions, [])
    const limited = await world.json<SessionList>(['session', 'list', '--all', '--limit', '1'], { home: consumer })
    assert.deepEqual([limited.sessions.length, limited.left_out], [1, 1])
    const id = list.sessions[0]?.session ?? ''
    const bought = await world.json<SessionDetail & { receipt_file: string }>(['session', 'show', id.slice(0, 14)], {
      home: consumer,
    })
    const sold = await world.json<SessionDetail>(['session', 'show', id], { home: provider, env: asked })
    for (const one of [bought, sold]) {
      assert.deepEqual([one.session, one.service, one.price, one.reason, one.receipt], [id, 'films', '0.01 tUSDC/MiB', 'completed', 'both'])
      assert.deepEqual([one.billed, one.signed, one.paid, one.settled, one.arrears], ['0.02 tUSDC', '0.02 tUSDC', '0.02 tUSDC', '0.02 tUSDC', '0 tUSDC'])
    } // biome-ignore format: a table
    assert.deepEqual([bought.budget, sold.budget, bought.provider, bought.channel], ['1 tUSDC', undefined, sold.provider, sold.channel]) // biome-ignore format: a table
    assert.ok(existsSync(bought.receipt_file))
    assert.equal((await world.run(['receipt', 'verify', bought.receipt_file], { home: consumer })).code, 0)
    assert.match((await world.run(['session', 'show', id], { home: consumer })).stdout, /state +closed, completed\n/)
    assert.equal((await world.run(['session', 'show', '0x000000'], { home: consumer })).code, 5)
  })

  test('a session that was cut is listed as such at both ends, and counts; a report adds up while it is open', async () => {
    const out = world.path('large.bin')
    const buying = world.spawn(['get', `${address}/films/large.bin`, '--budget', '2 tUSDC', '-o', out], { home: consumer })
    await until(() => existsSync(`${out}.part`) && statSync(`${out}.part`).size > 4 * MIB)
    buying.kill('SIGKILL')
    await new Promise((resolve) => buying.once('close', resolve))
    const [cut] = (await world.json<SessionList>(['session', 'list', '--cut'], { home: consumer })).sessions
    assert.ok(cut)
    assert.deepEqual((await world.json<SessionList>(['session', 'list', '--live'], { home: consumer })).sessions, [])
    const open = (await world.json<SessionList>(['session', 'list'], { home: provider })).sessions
    assert.deepEqual(open.map(({ session, role }) => [session, role]), [[cut.session, 'payee']]) // biome-ignore format: a table
    const earned = await report(provider, 'earnings', '--by', 'peer')
    const [total] = earned.totals
    assert.ok(total)
    const [delivered, billed, signed, settled] = MONEY.map((figure) => amount(total[figure])) as [bigint, bigint, bigint, bigint]
    assert.ok(delivered >= billed && billed >= signed && signed >= settled)
    assert.deepEqual([total.sessions, settled], [3, 40_000n])
    assert.equal(earned.channels[0]?.unexplained, '0 tUSDC')
    assert.equal(signed + amount(total.beyond), amount(earned.channels[0]?.signed))
  })

  test('a node that is down is read as well, and says the same', async () => {
    const up = await report(provider, 'earnings', '--by', 'day,offer,peer')
    assert.equal(await serve.stop(), 0)
    assert.deepEqual(await report(provider, 'earnings', '--by', 'day,offer,peer'), up)
  })
})
