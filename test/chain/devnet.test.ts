import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Devnet, fundOnDevnet, startDevnet } from '../../src/chain/devnet.ts'
import { addressOfKey } from '../../src/core/crypto/secp256k1.ts'
import { TallyError } from '../../src/core/errors.ts'
import { chainOn, closing, newSigner } from './support/fixture.ts'

const DEVNET_MODULE = fileURLToPath(new URL('../../src/chain/devnet.ts', import.meta.url))

async function withDevnet<T>(init: Parameters<typeof startDevnet>[0], use: (net: Devnet) => Promise<T>): Promise<T> {
  const net = await startDevnet(init)
  try {
    return await use(net)
  } finally {
    await net.stop()
  }
}

describe('devnet', () => {
  test('the contracts stand at the same addresses on every local chain', async () => {
    const of = (net: Devnet) => Promise.resolve([net.ledger, net.forwarder, net.token, net.registry])
    assert.deepEqual(await withDevnet({}, of), await withDevnet({}, of))
  })

  test('its accounts are funded and their keys are theirs', async (t) => {
    const net = await startDevnet({ accounts: 2 })
    t.after(() => net.stop())
    const chain = chainOn(net)
    closing(t, chain)
    assert.equal(net.accounts.length, 2)
    for (const { address, privateKey } of net.accounts) {
      assert.equal(addressOfKey(privateKey), address)
      assert((await chain.gasBalance(address)) > 10n ** 20n)
    }
  })

  test('the faucet adds gas and tokens, more than one mint gives, also from several processes at once', async (t) => {
    const net = await startDevnet()
    t.after(() => net.stop())
    const chain = chainOn(net)
    closing(t, chain)
    const { address } = newSigner()
    const tokens = 2_500_000_000_000n
    await Promise.all([net.fund(address, { wei: 5n, tokens }), fundOnDevnet(net.rpcUrl, net.token, address, { tokens: 1n })])
    assert.equal(await chain.walletBalance(net.token, address), tokens + 1n)
    assert.equal(await chain.gasBalance(address), 5n)
  })

  test('a state file keeps the chain, its contracts and its history between two runs', async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'tallystick-devnet-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const statePath = path.join(folder, 'state.json')
    const { address } = newSigner()
    const before = await withDevnet({ statePath }, async (net) => {
      await net.fund(address, { wei: 7n, tokens: 9n })
      return Number(await net.rpc('eth_blockNumber'))
    })
    await withDevnet({ statePath }, async (net) => {
      const chain = chainOn(net, { confirmations: 1 })
      try {
        assert.equal(await chain.walletBalance(net.token, address), 9n)
        assert.equal(Number(await net.rpc('eth_blockNumber')), before)
        assert.equal(
          (await chain.channel({ owner: address, signer: address, target: address, token: net.token })).confirmed,
          undefined,
        )
      } finally {
        await chain.close()
      }
    })
  })

  test('blocks come by themselves when a block time is set', async (t) => {
    const net = await startDevnet({ blockTimeS: 1 })
    t.after(() => net.stop())
    const { address } = newSigner()
    await net.fund(address, { tokens: 3n })
    const chain = chainOn(net)
    closing(t, chain)
    assert.equal(await chain.walletBalance(net.token, address), 3n)
  })

  test('time can be moved on', async (t) => {
    const net = await startDevnet()
    t.after(() => net.stop())
    const chain = chainOn(net)
    closing(t, chain)
    const before = await chain.time()
    await net.increaseTime(86_400)
    assert((await chain.time()) >= before + 86_400)
  })

  test('a port that is taken is DEVNET_FAILED with a hint, and nothing is left running', async (t) => {
    const net = await startDevnet()
    t.after(() => net.stop())
    const port = Number(new URL(net.rpcUrl).port)
    await assert.rejects(startDevnet({ port }), (error) => {
      assert(error instanceof TallyError && error.code === 'DEVNET_FAILED')
      assert.match(error.hint ?? '', /port/)
      return true
    })
  })

  test('the faucet of something that is no local chain is DEVNET_FAILED', async () => {
    const { address } = newSigner()
    await assert.rejects(
      fundOnDevnet('http://127.0.0.1:9', address, address, { wei: 1n }),
      (error) => error instanceof TallyError && error.code === 'DEVNET_FAILED',
    )
  })

  test('anvil ends with the process that started it, even when that is killed', {
    skip: process.platform !== 'linux',
  }, async () => {
    const script = `import { startDevnet } from ${JSON.stringify(DEVNET_MODULE)}; const net = await startDevnet(); process.stdout.write(String(net.pid)); setInterval(() => {}, 1000)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [chunk] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = chunk.toString('utf8')
    parent.kill('SIGKILL')
    await once(parent, 'exit')
    // tail ends when that process has ended.
    await promisify(execFile)('tail', [`--pid=${pid}`, '-f', '/dev/null', '-s', '0.02'], { timeout: 20_000 })
  })
})
