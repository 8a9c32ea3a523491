// The commands of an account without gas, and of the relay that it asks: real processes on a real chain.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { type Devnet, startDevnet } from '../../src/chain/devnet.ts'
import { parseAddress } from '../../src/core/ids.ts'
import { writeNetwork } from '../../src/node/network-profile.ts'
import { World } from './harness.ts'

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')

interface Ready {
  readonly addresses: readonly string[]
  readonly account: string
}

interface Done {
  readonly jobs: readonly { readonly state: string; readonly fee: string; readonly relay: string }[]
  readonly balance: Record<'wallet' | 'ledger' | 'waiting' | 'gas', string>
}

describe('commands without gas', () => {
  const world = new World()
  let chain: Devnet
  let seller = ''
  let relay: Ready
  let home = ''

  before(async () => {
    chain = await startDevnet()
    const { rpcUrl, chainId, ledger, forwarder, token } = chain
    const profile = { rpcUrl, chainId, ledger, forwarder, token, confirmationsBlocks: 0, faucet: true }
    await writeNetwork('dev', profile, { networksDir: world.path('networks') })
    seller = await world.home('relay')
    home = await world.home('gasless')
    await world.json(['dev', 'fund'], { home: seller })
    const up = ['up', '--gas-relay', '--coin-price', '20 tUSDC', '--listen', '/ip4/127.0.0.1/tcp/0', '--json']
    const { first } = await world.start(up, /"event":"ready"/, { home: seller })
    relay = JSON.parse(first) as Ready
  })
  after(async () => {
    await world.end()
    await chain.stop()
  })

  const peer = (): string => relay.addresses[0] ?? ''

  test('a relay has to know what the coin is worth', async () => {
    const { code, stderr } = await world.run(['up', '--gas-relay'], { home })
    assert.equal(code, 2)
    assert.match(stderr, /relay\.coinPrice/)
  })

  test('tokens that somebody sends to the deposit address are taken in by a relay, for a fee that is told before', async () => {
    const address = await world.json<{ deposit_address: string }>(['wallet', 'deposit-address'], { home })
    await chain.payOut(parseAddress(address.deposit_address), 10_000_000n)
    const sweep = ['wallet', 'sweep', '--relay', peer()]
    const dry = await world.run([...sweep, '--dry-run'], { home })
    assert.equal(dry.code, 10, dry.stderr)
    assert.match(dry.stdout, /^relay {3}0\.\d+ tUSDC, out of the ledger; no gas$/m)
    const done = await world.json<Done>([...sweep, '--yes'], { home })
    assert.equal(done.jobs[0]?.relay, relay.account)
    assert.deepEqual([done.balance.waiting, done.balance.gas], ['0 tUSDC', '0 ETH'])
  })

  test('settings name a relay for every command; a fee that is not allowed is not paid', async () => {
    const { account } = await world.json<{ account: string }>(['balance'], { home })
    const withdraw = ['withdraw', '5 tUSDC', '--to', account, '--yes']
    const none = await world.run(withdraw, { home })
    assert.equal(none.code, 8, 'no gas and no relay')
    const env = { TALLYSTICK_RELAYS: peer() }
    const dear = await world.run([...withdraw, '--max-fee', '0.001 tUSDC'], { home, env })
    assert.equal(dear.code, 8)
    assert.match(dear.stderr, /cheapest relay asks for/)
    const done = await world.json<Done>(withdraw, { home, env })
    assert.deepEqual([done.balance.wallet, done.jobs[0]?.relay], ['5 tUSDC', relay.account])
  })

  test('the words of the README do what they say, with a relay that the network names', async () => {
    const lines = /^```sh relay\n([\s\S]*?)^```$/m.exec(readme)?.[1]?.split('\n') ?? []
    const { deposit_address } = await world.json<{ deposit_address: string }>(['wallet', 'deposit-address'], { home })
    await chain.payOut(parseAddress(deposit_address), 10_000_000n)
    let done = 0
    for (const line of lines) {
      const words = (line.replace(/\s+#.*$/, '').match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", ''))
      if (words.length === 0) continue
      const { code, stderr } = await world.run(words.slice(2), { home, env: { TALLYSTICK_BOOTSTRAP: peer() } })
      assert.equal(code, 0, `${line}: ${stderr}`)
      done++
    }
    assert.equal(done, 3)
  })

  test('reports sum what a relay got, at either end', async () => {
    const theirs = await world.json<{ relaying: Record<string, unknown> }>(['report', 'earnings'], { home: seller })
    const own = await world.json<{ fees: { relays: Record<string, unknown> } }>(['report', 'earnings'], { home })
    const spent = await world.json<{ fees: { relays: Record<string, unknown> } }>(['report', 'spend'], { home })
    assert.equal(theirs.relaying.handed_in, 4)
    const sum = [own, spent].reduce((total, { fees }) => total + Math.round(Number.parseFloat(String(fees.relays.fee)) * 1e6), 0)
    assert.equal(Math.round(Number.parseFloat(String(theirs.relaying.fees)) * 1e6), sum)
  })

  test('the relay shows what it has earned', async () => {
    const { stdout } = await world.run(['status'], { home: seller })
    assert.match(stdout, /^relay +4 handed in for 0\.\d+ tUSDC, gas 0\.\d+ ETH; 0 failed, 0 under way$/m)
  })
})
