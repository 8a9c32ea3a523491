import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { type Devnet, startDevnet } from '../../src/chain/devnet.ts'
import { addressOfKey } from '../../src/core/crypto/secp256k1.ts'
import { formatAddress, parseAddress } from '../../src/core/ids.ts'
import { formatAmount, parseAmount, tokenInfo } from '../../src/core/token.ts'
import { writeNetwork } from '../../src/node/network-profile.ts'
import { amountsIn, PASSWORD, World } from './harness.ts'

describe('money', () => {
  const world = new World()
  let chain: Devnet
  let home = ''
  let account = ''

  before(async () => {
    chain = await startDevnet()
    const { rpcUrl, chainId, ledger, forwarder, token } = chain
    await writeNetwork(
      'dev',
      { rpcUrl, chainId, ledger, forwarder, token, confirmationsBlocks: 0, faucet: true },
      { networksDir: world.path('networks') },
    )
    home = world.path('alice')
  })
  after(async () => {
    await world.end()
    await chain.stop()
  })

  test('init makes a home that only its owner can read, and says what is next', async () => {
    writeFileSync(world.path('secret'), 'from a file\n')
    const made = await world.json(['init', '--yes', '--network', 'dev', '--password-file', world.path('secret')], {
      home: world.path('filed'),
    })
    assert.match(String(made.peer), /^16Uiu2/)
    assert.deepEqual(made.next, [`tallystick dev fund ${made.account}`])
    assert.deepEqual([statSync(String(made.home)).mode & 0o777, statSync(String(made.keystore)).mode & 0o777], [0o700, 0o600])
    const again = await world.run(['init', '--yes'], { home: world.path('filed') })
    assert.deepEqual([again.code, /there is a node in/.test(again.stderr)], [2, true])
    const nobody = await world.run(['init', '--yes'], { home: world.path('other'), env: { TALLYSTICK_PASSWORD: undefined } })
    assert.deepEqual([nobody.code, /the password of the key is needed/.test(nobody.stderr)], [2, true])
  })

  test('init takes a key from a file', async () => {
    const key = new Uint8Array(32).fill(7)
    writeFileSync(world.path('key.hex'), `0x${Buffer.from(key).toString('hex')}\n`)
    const made = await world.json(['init', '--yes', '--network', 'dev', '--import-key', world.path('key.hex')], { home })
    account = String(made.account)
    assert.equal(account, formatAddress(addressOfKey(key)))
    writeFileSync(world.path('bad.hex'), 'hello')
    assert.equal((await world.run(['init', '--yes', '--import-key', world.path('bad.hex')], { home: world.path('bad') })).code, 4)
    // the other tests open this home often: with a key that is quick to open
    home = await world.home('quick')
    account = formatAddress(parseAddress(`0x${JSON.parse(readFileSync(`${home}/keystore.json`, 'utf8')).address}`))
  })

  test('a wrong password does not open the key', async () => {
    const { code, stderr } = await world.run(['balance'], { home, env: { TALLYSTICK_PASSWORD: 'wrong' } })
    assert.deepEqual([code, /^tallystick: the password does not open the key\n/.test(stderr)], [4, true])
  })

  test('the faucet works from any process; every amount that is printed reads back to the same amount', async () => {
    const funded = await world.run(['dev', 'fund', account, '12.345678 tUSDC'])
    assert.equal(funded.code, 0, funded.stderr)
    const { stdout, code, stderr } = await world.run(['balance'], { home })
    assert.equal(code, 0, stderr)
    const tokens = [tokenInfo(chain.token, 'tUSDC', 6), tokenInfo(chain.token, 'ETH', 18)]
    const amounts = amountsIn(stdout)
    assert.equal(amounts.length, 5)
    assert.ok(amounts.includes('12.345678 tUSDC'))
    for (const text of amounts) {
      const token = tokens.find(({ symbol }) => text.endsWith(symbol)) ?? tokens[0]
      assert.ok(token)
      assert.equal(formatAmount(parseAmount(text, token), token), text)
    }
  })

  test('a bare number is refused, and another token too', async () => {
    const bare = await world.run(['deposit', '0.5', '--yes'], { home })
    assert.deepEqual([bare.code, bare.stderr], [2, 'tallystick: 0.5 of what?\n  hint: try `0.5 tUSDC`\n'])
    const other = await world.run(['deposit', '0.5 USDC', '--yes'], { home })
    assert.deepEqual([other.code, /the token here is tUSDC/.test(other.stderr)], [2, true])
  })

  test('a dry run says what would be, and changes nothing', async () => {
    const { code, stdout } = await world.run(['deposit', '5 tUSDC', '--dry-run', '--json'], { home })
    const plan = JSON.parse(stdout)
    assert.equal(code, 10)
    assert.deepEqual(plan.changes, [{ what: 'wallet', now: '12.345678 tUSDC', after: '7.345678 tUSDC' }, { what: 'ledger', now: '0 tUSDC', after: '5 tUSDC' }]) // biome-ignore format: a table
    assert.ok(BigInt(plan.gas) > 0n)
    assert.equal((await world.json(['balance'], { home })).wallet, '12.345678 tUSDC')
  })

  test('money does not move without a yes when nobody can be asked', async () => {
    const { code, stderr } = await world.run(['deposit', '5 tUSDC'], { home })
    assert.equal(code, 2)
    assert.match(
      stderr,
      /this would put 5 tUSDC from the wallet into the ledger, and nobody can be asked\n {2}hint: say yes with --yes/,
    )
  })

  test('more than there is is refused with both figures and the account to fund', async () => {
    const { code, stderr } = await world.run(['deposit', '50 tUSDC', '--yes'], { home })
    assert.equal(code, 8)
    assert.ok(stderr.includes('50 tUSDC are wanted and 12.345678 tUSDC are in the wallet'), stderr)
    assert.ok(stderr.includes(`send tUSDC to ${account}`), stderr)
  })

  test('a deposit and a withdrawal are mined, and the figures add up', async () => {
    const put = await world.json<{ balance: { wallet: string; ledger: string }; jobs: { hash: string }[] }>(
      ['deposit', '5 tUSDC', '--yes'],
      { home },
    )
    assert.deepEqual([put.balance.wallet, put.balance.ledger], ['7.345678 tUSDC', '5 tUSDC'])
    assert.match(put.jobs[0]?.hash ?? '', /^0x[0-9a-f]{64}$/)
    const took = await world.json<{ balance: { wallet: string; ledger: string } }>(
      ['withdraw', '1.5 tUSDC', '--to', account, '--yes'],
      { home },
    )
    assert.deepEqual([took.balance.wallet, took.balance.ledger], ['8.845678 tUSDC', '3.5 tUSDC'])
  })

  test('a reservation that is over is taken back, and not before', async () => {
    const provider = formatAddress(parseAddress(`0x${'42'.repeat(20)}`))
    const opened = await world.json<{ channel: { id: string; deposit: string } }>(
      ['channel', 'open', provider, '1 tUSDC', '--days', '1', '--yes'],
      { home },
    )
    assert.equal(opened.channel.deposit, '1 tUSDC')
    const early = await world.run(['channel', 'reclaim', opened.channel.id, '--yes'], { home })
    assert.deepEqual([early.code, /lasts until/.test(early.stderr)], [9, true])
    const shown = await world.run(['channel', 'show', opened.channel.id.slice(0, 12)], { home })
    assert.match(shown.stdout, /\(23 h 59 min\)/)
    const unknown = await world.run(['channel', 'show', '0x00000000'], { home })
    assert.equal(unknown.code, 5)
    await chain.increaseTime(2 * 86_400)
    const late = await world.run(['channel', 'close', opened.channel.id, '--yes'], { home })
    assert.deepEqual([late.code, late.stderr.includes(`tallystick channel reclaim ${opened.channel.id}`)], [9, true], late.stderr)
    const back = await world.json<{ balance: { ledger: string } }>(
      ['channel', 'reclaim', opened.channel.id.slice(0, 20), '--yes'],
      { home },
    )
    assert.equal(back.balance.ledger, '3.5 tUSDC')
  })

  test('commands talk to the node that runs; what cannot is told who holds the home', async () => {
    const up = await world.start(['up', '--listen', '/ip4/127.0.0.1/tcp/0', '--json'], /"ready"/, { home })
    assert.equal(statSync(`${home}/api.sock`).mode & 0o777, 0o600)
    const status = await world.json<{ running: { pid: number } }>(['status'], { home })
    assert.equal(status.running.pid, up.child.pid)
    const put = await world.json<{ balance: { ledger: string } }>(['deposit', '1 tUSDC', '--yes'], { home })
    assert.equal(put.balance.ledger, '4.5 tUSDC')
    const bare = await world.run(['deposit', '1'], { home })
    assert.deepEqual([bare.code, bare.stderr], [2, 'tallystick: 1 of what?\n  hint: try `1 tUSDC`\n'])
    const got = await world.run(['get', 'films/a.bin', '--budget', '1 tUSDC', '--timeout', '1s'], { home })
    assert.equal(got.code, 6, got.stderr)
    const locked = await world.run(['up', '--listen', '/ip4/127.0.0.1/tcp/0'], { home })
    assert.equal(locked.code, 75)
    assert.ok(locked.stderr.includes(`process ${up.child.pid}`), locked.stderr)
    assert.equal((await ask(`${home}/api.sock`, 'POST', '/v1/money', '{"kind":"deposit"}')).error.code, 'USAGE')
    assert.equal((await ask(`${home}/api.sock`, 'POST', '/v1/money', 'x'.repeat(2 << 20))).error.code, 'USAGE')
    assert.equal((await ask(`${home}/api.sock`, 'GET', '/v1/secrets', '')).error.code, 'USAGE')
    await up.stop('SIGKILL')
    assert.ok(existsSync(`${home}/api.sock`))
  })

  test('the socket of a dead process is no obstacle', async () => {
    assert.equal((await world.json(['balance'], { home })).ledger, '4.5 tUSDC')
    const up = await world.start(['up', '--listen', '/ip4/127.0.0.1/tcp/0'], /live/, { home })
    assert.equal(await up.stop('SIGTERM'), 0)
    assert.equal(existsSync(`${home}/api.sock`), false)
  })

  test('a chain that does not answer is exit code 3; the status still tells the rest', async () => {
    const silent = createServer()
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as { port: number }
    await new Promise((resolve) => silent.close(resolve))
    const env = { TALLYSTICK_CHAIN_RPC_URL: `http://127.0.0.1:${port}`, TALLYSTICK_PASSWORD: PASSWORD }
    const { code, stderr } = await world.run(['balance', '--timeout', '3s'], { home, env })
    assert.equal(code, 3, stderr)
    const status = await world.json<{ chain: { reachable: boolean }; account: string }>(['status', '--timeout', '3s'], {
      home,
      env,
    })
    assert.deepEqual([status.chain.reachable, status.account], [false, account])
  })
})

async function ask(socketPath: string, method: string, path: string, body: string): Promise<{ error: { code: string } }> {
  return await new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.on('end', () => resolve(JSON.parse(text)))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
