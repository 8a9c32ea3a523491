import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Interface } from 'ethers'
import noReturnToken from '../../protocols/ledger/generated/test/NoReturnToken.json' with { type: 'json' }
import type { Devnet } from '../../src/chain/devnet.ts'
import { TallyError } from '../../src/core/errors.ts'
import type { Address } from '../../src/core/ids.ts'
import type { Chain, ChainSigner } from '../../src/ports/chain.ts'
import { type MemorySnapshot, openMemoryStore } from '../../src/store/memory-store.ts'
import { dyingStore } from './support/dying-store.ts'
import { chainOn, closing, fundedSigner, jobLog, newSigner, ONE, units, useDevnet } from './support/fixture.ts'
import { startRpcProxy } from './support/rpc-proxy.ts'

async function nonceOf(net: Devnet, account: Address): Promise<number> {
  return Number(await net.rpc('eth_getTransactionCount', [account, 'latest']))
}

describe('transaction queue under faults', () => {
  const dev = useDevnet()

  const deposit = (net: Devnet, signer: ChainSigner) =>
    ({ kind: 'deposit', token: net.token, account: signer.address, amount: units(ONE) }) as const

  /** Submits under one key; dies at the given commit. Resolves with the disk as the killed process left it. */
  async function killedAt(
    net: Devnet,
    signer: ChainSigner,
    commit: number,
    torn: boolean,
  ): Promise<{ disk: MemorySnapshot; died: boolean }> {
    const store = dyingStore(commit, torn)
    const stopped = Promise.withResolvers<boolean>()
    const chain = chainOn(net, { signer, store, onNotice: () => stopped.resolve(true) })
    try {
      const job = await chain.transactions.submit(deposit(net, signer), { key: 'k' })
      const died = await Promise.race([stopped.promise, chain.transactions.wait(job).then(() => false)])
      return { disk: store.snapshot(), died }
    } catch {
      return { disk: store.snapshot(), died: true }
    } finally {
      await chain.close()
    }
  }

  test('killed at any write, before or after it reached the disk: one transaction, one charge', async (t) => {
    const { net } = dev
    let commits = 0
    for (let killed = true; killed; commits++) {
      for (const torn of [false, true]) {
        const signer = await fundedSigner(net)
        const { disk, died } = await killedAt(net, signer, commits, torn)
        const chain = chainOn(net, { signer, store: openMemoryStore({ from: disk }) })
        closing(t, chain)
        await chain.start()
        const job = await chain.transactions.submit(deposit(net, signer), { key: 'k' })
        assert.equal((await chain.transactions.wait(job)).state, 'confirmed')
        assert.equal(await chain.ledgerBalance(net.token, signer.address), ONE, `commit ${commits}, torn ${torn}`)
        assert.equal(await nonceOf(net, signer.address), 1, `commit ${commits}, torn ${torn}`)
        await chain.close()
        killed = died
      }
    }
    assert(commits >= 4, 'written, signed, sent and confirmed are separate writes')
  })

  test('a reply that is lost after the broadcast is unknown, never failed, and ends as one transaction', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const proxy = await startRpcProxy(net.rpcUrl)
    t.after(() => proxy.down())
    let sends = 0
    proxy.judge = ({ method }) => (method === 'eth_sendRawTransaction' && ++sends <= 2 ? 'lose' : 'pass')
    const chain = chainOn(net, { signer, rpcUrl: proxy.url })
    closing(t, chain)
    const job = await chain.transactions.submit(deposit(net, signer))
    const log = jobLog(chain, job.id)
    assert.equal((await chain.transactions.wait(job)).state, 'confirmed')
    assert.deepEqual(log.states, ['signed', 'unknown', 'confirmed'])
    assert.equal(await nonceOf(net, signer.address), 1)
    assert.equal(await chain.ledgerBalance(net.token, signer.address), ONE)
  })

  test('a request that is cut before the RPC saw it is sent again with the same bytes', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const proxy = await startRpcProxy(net.rpcUrl)
    t.after(() => proxy.down())
    const sent: unknown[] = []
    proxy.judge = ({ method, params }) => {
      if (method !== 'eth_sendRawTransaction') return 'pass'
      sent.push(params[0])
      return sent.length === 1 ? 'cut' : 'pass'
    }
    const chain = chainOn(net, { signer, rpcUrl: proxy.url, resendAfterMs: 0 })
    closing(t, chain)
    await chain.transactions.wait(await chain.transactions.submit(deposit(net, signer)))
    assert.equal(sent.length, 2)
    assert.equal(sent[0], sent[1])
    assert.equal(await nonceOf(net, signer.address), 1)
  })

  test('submitted while the RPC is down: sent once it is back', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const proxy = await startRpcProxy(net.rpcUrl)
    await proxy.down()
    t.after(() => proxy.down())
    const noticed = Promise.withResolvers<void>()
    const chain = chainOn(net, { signer, rpcUrl: proxy.url, onNotice: () => noticed.resolve() })
    closing(t, chain)
    const job = await chain.transactions.submit({ kind: 'send', to: newSigner().address, wei: 7n })
    await noticed.promise
    assert.equal(chain.transactions.get(job.id)?.state, 'written')
    assert.equal(chain.transactions.get(job.id)?.error?.code, 'CHAIN_UNREACHABLE')
    await proxy.up()
    assert.equal((await chain.transactions.wait(job)).state, 'confirmed')
  })

  test('a transaction of the same key from elsewhere: the queue reads the nonce again', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const proxy = await startRpcProxy(net.rpcUrl)
    t.after(() => proxy.down())
    const chain = chainOn(net, { signer, rpcUrl: proxy.url })
    const other = chainOn(net, { signer })
    closing(t, chain, other)
    let meddled = false
    let stale = true
    // The RPC gives the old nonce although the other program's transaction is in: ours is refused and must be signed anew.
    proxy.judge = ({ method, params }) => {
      if (method === 'eth_getTransactionCount' && params[1] === 'pending' && stale) {
        stale = false
        meddled = true
        return () => '0x0'
      }
      return 'pass'
    }
    await other.transactions.wait(await other.transactions.submit({ kind: 'send', to: newSigner().address, wei: 1n }))
    const done = await chain.transactions.wait(await chain.transactions.submit(deposit(net, signer)))
    assert(meddled)
    assert.equal(done.nonce, 1)
    assert.equal(await nonceOf(net, signer.address), 2)
  })

  test('a transaction whose nonce was used by another is replaced, and may be started again under its key', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    await net.rpc('evm_setAutomine', [false])
    t.after(async () => {
      await net.rpc('evm_setAutomine', [true])
    })
    const store = openMemoryStore()
    const first = chainOn(net, { signer, store })
    closing(t, first)
    const job = await first.transactions.submit(deposit(net, signer), { key: 'r' })
    await jobLog(first, job.id).next('sent')
    await first.close()
    await net.rpc('anvil_dropAllTransactions')
    const other = chainOn(net, { signer })
    closing(t, other)
    const foreign = await other.transactions.submit({ kind: 'send', to: newSigner().address, wei: 1n })
    await jobLog(other, foreign.id).next('sent')
    await net.mine()
    await other.transactions.wait(foreign)
    const chain = chainOn(net, { signer, store: openMemoryStore({ from: store.snapshot() }) })
    closing(t, chain)
    await assert.rejects(chain.transactions.wait(job.id), (error) => error instanceof TallyError && error.code === 'TX_REPLACED')
    await net.rpc('evm_setAutomine', [true])
    const again = await chain.transactions.submit(deposit(net, signer), { key: 'r' })
    assert.equal((await chain.transactions.wait(again)).state, 'confirmed')
    assert.equal(await chain.ledgerBalance(net.token, signer.address), ONE)
  })

  test('fees rise by an eighth or more with the same nonce while nothing is mined', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    await net.rpc('evm_setAutomine', [false])
    t.after(async () => {
      await net.rpc('evm_setAutomine', [true])
    })
    const chain = chainOn(net, { signer, bumpAfterMs: 100 })
    closing(t, chain)
    const job = await chain.transactions.submit(deposit(net, signer))
    const sent = await jobLog(chain, job.id).next('sent')
    const first = (await net.rpc('eth_getTransactionByHash', [sent.hash])) as { maxFeePerGas: string }
    const firstFee = BigInt(first.maxFeePerGas)
    const hashes = [String(sent.hash)]
    const bumped = Promise.withResolvers<void>()
    chain.transactions.observe(({ hash }) => {
      if (hash !== undefined && hashes.at(-1) !== hash) hashes.push(hash)
      if (hashes.length === 3) bumped.resolve()
    })
    await bumped.promise
    const pool = (await net.rpc('txpool_content')) as { pending: Record<string, Record<string, unknown>> }
    const ours = Object.entries(pool.pending).find(([account]) => account.toLowerCase() === signer.address)?.[1] ?? {}
    assert.deepEqual(Object.keys(ours), ['0'], 'all attempts have one nonce')
    const waiting = chain.transactions.wait(job)
    await net.mine()
    const done = await waiting
    const mined = (await net.rpc('eth_getTransactionByHash', [done.hash])) as { maxFeePerGas: string }
    assert.notEqual(done.hash, sent.hash)
    assert(BigInt(mined.maxFeePerGas) * 8n >= firstFee * 9n)
    assert.equal(await chain.ledgerBalance(net.token, signer.address), ONE)
    assert.equal(await nonceOf(net, signer.address), 1)
  })

  test('a token without permits is approved first, for exactly the amount', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const token = await deployToken(net, signer.address)
    const notices: string[] = []
    const chain = chainOn(net, { signer, onNotice: (message) => notices.push(message) })
    closing(t, chain)
    const action = { kind: 'deposit', token, account: signer.address, amount: units(5n) } as const
    assert.equal((await chain.transactions.dryRun(action)).transactions, 2)
    const jobs = [await chain.transactions.submit(action), await chain.transactions.submit(action)]
    await Promise.all(jobs.map((job) => chain.transactions.wait(job)))
    assert.equal(await chain.ledgerBalance(token, signer.address), 10n)
    assert.equal(await nonceOf(net, signer.address), 4)
    assert.equal(notices.filter((message) => /approve first: the token has no permit/.test(message)).length, 2)
  })

  test('a failed deposit does not hold up what comes after it', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net, 1n)
    const chain = chainOn(net, { signer })
    closing(t, chain)
    const bad = await chain.transactions.submit(deposit(net, signer))
    const good = await chain.transactions.submit({ kind: 'send', to: newSigner().address, wei: 1n })
    await Promise.all([assert.rejects(waitFor(chain, bad.id)), chain.transactions.wait(good)])
  })

  test('an observer that throws does not stop the queue', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const notices: string[] = []
    const chain = chainOn(net, { signer, onNotice: (message) => notices.push(message) })
    closing(t, chain)
    chain.transactions.observe(() => {
      throw new Error('broken observer')
    })
    await chain.transactions.wait(await chain.transactions.submit(deposit(net, signer)))
    assert(notices.some((message) => /observer/.test(message)))
  })
})

function waitFor(chain: Chain, id: string) {
  return chain.transactions.wait(id)
}

async function deployToken(net: Devnet, holder: Address): Promise<Address> {
  const deployer = net.accounts[3]?.address
  const hash = await net.rpc('eth_sendTransaction', [{ from: deployer, data: noReturnToken.bytecode, gas: '0x2dc6c0' }])
  await net.mine()
  const { contractAddress } = (await net.rpc('eth_getTransactionReceipt', [hash])) as { contractAddress: Address }
  const data = new Interface(noReturnToken.abi).encodeFunctionData('mint', [holder, 100n])
  await net.rpc('eth_sendTransaction', [{ from: deployer, to: contractAddress, data, gas: '0x30d40' }])
  await net.mine()
  return contractAddress
}
