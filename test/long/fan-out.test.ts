// One run of a program for five payers, each a process: one stops paying and is cut, the others go on.
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { type Running, until, World } from '../cli/harness.ts'

/** About 100 KB/s, as a sound of good quality is: lines of 1,024 bytes that are numbered. */
const PROGRAM = 'i=0; while :; do printf "%08d %01014d\\n" $i 0; i=$((i+1)); sleep 0.01; done'
const LINE = 1_024
/** base units for a line, which is a chunk */
const PRICE = 1_000n
const PAYERS = 5

interface Sold {
  readonly sessions: readonly { readonly session: string; readonly with: string; readonly state: string }[]
}
interface Detail {
  readonly signed: string
  readonly billed: string
  readonly reason: string
}

const units = (text: string): bigint => BigInt(Math.round(Number(text.split(' ')[0]) * 1e6))

describe('a stream that is fanned out to five payers', () => {
  const world = new World()
  let seller: Running
  let shop = ''
  const homes: string[] = []
  const gets: { readonly child: ChildProcess; readonly gone: Promise<unknown>; readonly out: string; said: string }[] = []
  const accountOf = (home: string): string => `0x${JSON.parse(readFileSync(`${home}/keystore.json`, 'utf8')).address}`
  const size = (at: number): number => statSync(gets[at]?.out ?? '', { throwIfNoEntry: false })?.size ?? 0

  before(async () => {
    await world.dev()
    shop = await world.home('shop')
    for (let at = 0; at < PAYERS; at++) homes.push(await world.home(`payer-${at}`))
    await Promise.all([shop, ...homes].map((home) => world.json(['dev', 'fund', accountOf(home), '10 tUSDC'])))
    const price = ['--price', '0.001/KiB', '--chunk', '1 KiB', '--listen', '/ip4/127.0.0.1/tcp/0']
    seller = await world.start(['serve', 'stream', '--name', 'radio', '--shared', ...price, '--', 'sh', '-c', PROGRAM], /try:/, {
      home: shop,
      env: { TALLYSTICK_PROVIDER_PATIENCE_MS: '2000' },
    })
  })
  after(async () => {
    for (const { child } of gets) child.kill('SIGKILL')
    await world.end()
  })

  /** What came of the stream is one run of it, without a gap and without a line twice. */
  function demandWhole(at: number): void {
    const bytes = readFileSync(gets[at]?.out ?? '')
    const numbers = Array.from({ length: Math.floor(bytes.length / LINE) }, (_, line) =>
      Number(bytes.toString('latin1', line * LINE, line * LINE + 8)),
    )
    const [first = 0] = numbers
    assert.deepEqual(
      numbers,
      Array.from({ length: numbers.length }, (_, line) => first + line),
    )
  }

  test('one of them stops paying: it is cut and has had no more than it paid and its credit; the others miss nothing', async () => {
    const where = /reach +(\S+)/.exec(seller.first)?.[1] ?? ''
    for (const [at, home] of homes.entries()) {
      const out = world.path(`radio-${at}`)
      const child = world.spawn(['get', `${where}/radio`, '--budget', '5 tUSDC', '--yes', '--json', '-o', out], { home })
      const get = { child, gone: once(child, 'close'), out, said: '' }
      child.stderr?.setEncoding('utf8').on('data', (text: string) => (get.said += text))
      gets.push(get)
    }
    await until(() => gets.every((_, at) => size(at) > 20 * LINE))
    // it hears no more and pays no more, but does not hang up
    gets[0]?.child.kill('SIGSTOP')
    const account = accountOf(homes[0] ?? '').toLowerCase()
    let sold: Sold['sessions'][number] | undefined
    do {
      const { sessions } = await world.json<Sold>(['session', 'list', '--all', '--selling'], { home: shop })
      sold = sessions.find((one) => one.with.toLowerCase() === account)
    } while (sold?.state !== 'closed')
    const sizes = gets.map((_, at) => size(at))
    await until(() => gets.every((_, at) => at === 0 || size(at) > (sizes[at] ?? 0) + 20 * LINE))
    const detail = await world.json<Detail>(['session', 'show', sold.session], { home: shop })
    assert.equal(detail.reason, 'PATIENCE_OVER')
    // it wakes up and takes all that was ever sent to it
    gets[0]?.child.kill('SIGCONT')
    await gets[0]?.gone
    assert.notEqual(gets[0]?.child.exitCode, 0)
    const paid = units(detail.signed)
    const credit = PRICE + paid / 10n
    const had = (BigInt(size(0)) * PRICE) / BigInt(LINE)
    assert.ok(had <= paid + credit, `${had} of ${paid} paid and ${credit} of credit`)

    for (const [at, { child, gone, said }] of gets.entries()) {
      if (at > 0) child.kill('SIGINT')
      await gone
      if (at > 0) assert.equal(child.exitCode, 0, said)
      demandWhole(at)
    }
    const { sessions } = await world.json<Sold>(['session', 'list', '--all', '--selling'], { home: shop })
    for (const { session, with: buyer } of sessions.filter((one) => one.with.toLowerCase() !== account)) {
      const { signed, billed, reason } = await world.json<Detail>(['session', 'show', session], { home: shop })
      const at = homes.findIndex((home) => accountOf(home).toLowerCase() === buyer.toLowerCase())
      assert.deepEqual([reason, signed], ['completed', billed])
      assert.equal(units(billed), (BigInt(size(at)) * PRICE + BigInt(LINE) - 1n) / BigInt(LINE), `payer ${at}`)
    }
  })
})
