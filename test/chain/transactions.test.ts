import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { compactSignature } from '../../src/core/crypto/secp256k1.ts'
import { type ERRORS, TallyError } from '../../src/core/errors.ts'
import { channelId } from '../../src/core/ids.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { at, chainOn, closing, fundedSigner, jobLog, newSigner, ONE, openAction, units, useDevnet } from './support/fixture.ts'
import { startRpcProxy } from './support/rpc-proxy.ts'

const isCode = (code: keyof typeof ERRORS) => (error: unknown) => error instanceof TallyError && error.code === code

describe('transaction queue', () => {
  const dev = useDevnet()

  test('deposit by permit, open from the balance and withdraw move exactly the amounts', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const chain = chainOn(net, { signer })
    closing(t, chain)
    const { transactions: tx } = chain
    const me = signer.address
    const deposit = await tx.submit({ kind: 'deposit', token: net.token, account: me, amount: units(10n * ONE) })
    const done = await tx.wait(deposit)
    assert.equal(done.state, 'confirmed')
    assert(done.hash !== undefined && done.block !== undefined && (done.feeWei ?? 0n) > 0n)
    assert.equal(tx.list().length, 1, 'a permit needs no transaction of its own')
    const target = newSigner().address
    const expiry = (await chain.time()) + 3600
    await tx.wait(await tx.submit(openAction(target, net.token, 4n * ONE, { signer: me, expiry, from: 'balance' })))
    await tx.wait(await tx.submit({ kind: 'withdraw', token: net.token, to: me, amount: units(ONE) }))
    assert.equal(await chain.ledgerBalance(net.token, me), 5n * ONE)
    assert.equal(await chain.walletBalance(net.token, me), 991n * ONE)
    const view = await chain.channel({ owner: me, signer: me, target, token: net.token })
    assert.equal(view.id, channelId({ owner: me, signer: me, target, token: net.token }))
    assert.equal(view.latest?.deposit, 4n * ONE)
    assert.equal(view.latest?.expiry, expiry)
    assert.deepEqual(view.confirmed, view.latest)
  })

  test('20 actions submitted at once are all mined, each once', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const chain = chainOn(net, { signer })
    closing(t, chain)
    const { transactions: tx } = chain
    const amount = units(ONE)
    const jobs = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        i % 2 === 0
          ? tx.submit({ kind: 'deposit', token: net.token, account: signer.address, amount })
          : tx.submit({ kind: 'send', to: newSigner().address, wei: 1n }),
      ),
    )
    const done = await Promise.all(jobs.map((job) => tx.wait(job)))
    assert.deepEqual(
      done.map((job) => job.nonce).sort((a = 0, b = 0) => a - b),
      Array.from({ length: 20 }, (_, i) => i),
    )
    assert.equal(await chain.ledgerBalance(net.token, signer.address), 10n * ONE)
  })

  test('the same key twice is one transaction, also at the same moment and after a restart', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const store = openMemoryStore()
    const first = chainOn(net, { signer, store })
    closing(t, first)
    const action = { kind: 'deposit', token: net.token, account: signer.address, amount: units(ONE) } as const
    const [a, b] = await Promise.all([
      first.transactions.submit(action, { key: 'once' }),
      first.transactions.submit(action, { key: 'once' }),
    ])
    assert.equal(a.id, b.id)
    await first.transactions.wait(a)
    await first.close()
    const second = chainOn(net, { signer, store: openMemoryStore({ from: store.snapshot() }) })
    closing(t, second)
    const again = await second.transactions.submit(action, { key: 'once' })
    assert.equal(again.state, 'confirmed')
    assert.equal(await second.ledgerBalance(net.token, signer.address), ONE)
  })

  test('a deposit and what it pays for may be submitted together', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const chain = chainOn(net, { signer })
    closing(t, chain)
    const { transactions: tx } = chain
    const jobs = [
      await tx.submit({ kind: 'deposit', token: net.token, account: signer.address, amount: units(5n * ONE) }),
      await tx.submit({ kind: 'transfer', token: net.token, to: newSigner().address, amount: units(5n * ONE) }),
    ]
    await Promise.all(jobs.map((job) => tx.wait(job)))
    assert.equal(await chain.ledgerBalance(net.token, signer.address), 0n)
  })

  test('what the ledger would refuse is never sent, and the reason has its name', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const chain = chainOn(net, { signer })
    closing(t, chain)
    const { transactions: tx } = chain
    const job = await tx.submit({ kind: 'reclaim', signer: signer.address, target: newSigner().address, token: net.token })
    await assert.rejects(tx.wait(job), (error) => {
      assert(error instanceof TallyError)
      assert.equal(error.code, 'TX_REVERTED')
      assert.equal(error.fields.reason, 'ChannelNotOpen')
      assert.match(error.message, /reclaim .*ChannelNotOpen/)
      assert.match(error.hint ?? '', /open it first/)
      return true
    })
    const failed = tx.get(job.id)
    assert.equal(failed?.state, 'failed')
    assert.equal(failed?.hash, undefined)
    assert.equal(failed?.error?.code, 'TX_REVERTED')
  })

  test('too few tokens: FUNDS_LOW with the amount, the account and the next step', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net, 3n)
    const chain = chainOn(net, { signer })
    closing(t, chain)
    const { transactions: tx } = chain
    const deposit = { kind: 'deposit', token: net.token, account: signer.address, amount: units(5n) } as const
    await assert.rejects(tx.wait(await tx.submit(deposit)), (error) => {
      assert(error instanceof TallyError && error.code === 'FUNDS_LOW')
      assert.deepEqual(error.fields, { token: net.token, needed: 5n, available: 3n, account: signer.address })
      assert.match(error.hint ?? '', /at least 2 base units .* to 0x/)
      return true
    })
    const withdraw = { kind: 'withdraw', token: net.token, to: signer.address, amount: units(1n) } as const
    await assert.rejects(tx.wait(await tx.submit(withdraw)), isCode('FUNDS_LOW'))
    await assert.rejects(tx.dryRun(deposit), isCode('FUNDS_LOW'))
  })

  test('too little gas coin: GAS_LOW, and the same key works once there is some', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net, 5n, 0n)
    const chain = chainOn(net, { signer })
    closing(t, chain)
    const { transactions: tx } = chain
    const deposit = { kind: 'deposit', token: net.token, account: signer.address, amount: units(5n) } as const
    const job = await tx.submit(deposit, { key: 'gas' })
    await assert.rejects(tx.wait(job), (error) => {
      assert(error instanceof TallyError && error.code === 'GAS_LOW')
      assert.equal(error.fields.account, signer.address)
      assert.equal(error.fields.available, 0n)
      assert.match(error.hint ?? '', /send at least \d+ wei .* to 0x/)
      return true
    })
    await assert.rejects(tx.dryRun(deposit), isCode('GAS_LOW'))
    await net.fund(signer.address, { wei: 10n ** 18n })
    const retried = await tx.submit(deposit, { key: 'gas' })
    assert.equal(retried.id, job.id)
    assert.equal((await tx.wait(retried)).state, 'confirmed')
  })

  test('a dry run tells gas and cost and moves nothing', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const store = openMemoryStore()
    const chain = chainOn(net, { signer, store })
    closing(t, chain)
    const run = await chain.transactions.dryRun({
      kind: 'deposit',
      token: net.token,
      account: signer.address,
      amount: units(ONE),
    })
    assert(run.gas > 50_000n && run.feeWei > run.gas && run.transactions === 1)
    assert.equal(store.snapshot().records.size, 0)
    assert.equal(await chain.walletBalance(net.token, signer.address), 1_000n * ONE)
  })

  test('a transaction that reverts in its block is failed, with the reason', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const proxy = await startRpcProxy(net.rpcUrl, ({ method }) => (method === 'eth_estimateGas' ? () => '0x30d40' : 'pass'))
    t.after(() => proxy.down())
    const chain = chainOn(net, { signer, rpcUrl: proxy.url })
    closing(t, chain)
    const job = await chain.transactions.submit({
      kind: 'reclaim',
      signer: signer.address,
      target: newSigner().address,
      token: net.token,
    })
    await assert.rejects(chain.transactions.wait(job), (error) => {
      assert(error instanceof TallyError && error.code === 'TX_REVERTED')
      assert.equal(error.fields.reason, 'ChannelNotOpen')
      return true
    })
    assert.equal(chain.transactions.get(job.id)?.nonce, 0)
  })

  test('a settle of an unknown channel names the reason', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const chain = chainOn(net, { signer })
    closing(t, chain)
    const signature = compactSignature(await newSigner().sign(new Uint8Array(32).fill(7)))
    const row = { amount: units(5n), locks: new Uint8Array(), signature }
    const job = await chain.transactions.submit({ kind: 'settle', target: signer.address, token: net.token, ...row })
    await assert.rejects(
      chain.transactions.wait(job),
      (error) => error instanceof TallyError && error.fields.reason === 'UnknownChannel',
    )
    const batch = await chain.transactions.submit({
      kind: 'settle-batch',
      target: signer.address,
      token: net.token,
      rows: [row, row],
    })
    assert.equal((await chain.transactions.wait(batch)).state, 'confirmed', 'a bad row is skipped, the batch stands')
  })

  test('confirmations: mined is not confirmed, and wait can ask for fewer or more', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const chain = chainOn(net, { signer, confirmations: 3 })
    closing(t, chain)
    const { transactions: tx } = chain
    const job = await tx.submit({ kind: 'send', to: newSigner().address, wei: 5n })
    const mined = await tx.wait(job, { confirmations: 0 })
    assert.equal(mined.state, 'mined')
    const confirmed = tx.wait(job)
    const deeper = tx.wait(job, { confirmations: 5 })
    await net.mine(3)
    assert.equal((await confirmed).state, 'confirmed')
    await net.mine(2)
    assert.equal((await deeper).state, 'confirmed')
  })

  test('a transaction whose block is taken back is sent again and mined once', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const chain = chainOn(net, { signer, confirmations: 4 })
    closing(t, chain)
    const { transactions: tx } = chain
    const job = await tx.submit({ kind: 'deposit', token: net.token, account: signer.address, amount: units(ONE) })
    const mined = await tx.wait(job, { confirmations: 0 })
    const log = jobLog(chain, job.id)
    const remined = log.next('mined')
    await net.rpc('anvil_reorg', [1, []])
    await remined
    assert.equal(log.states[0], 'sent', 'taken back is not failed')
    const confirmed = tx.wait(job)
    await net.mine(4)
    assert.equal((await confirmed).hash, mined.hash)
    assert.equal(await chain.ledgerBalance(net.token, signer.address), ONE)
  })

  test('who stops waiting learns that it may still go through', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const chain = chainOn(net, { signer, confirmations: 50 })
    closing(t, chain)
    const { transactions: tx } = chain
    const job = await tx.submit({ kind: 'send', to: newSigner().address, wei: 5n })
    await tx.wait(job, { confirmations: 0 })
    const stop = new AbortController()
    const waiting = tx.wait(job, { signal: stop.signal })
    stop.abort()
    await assert.rejects(waiting, isCode('TX_UNKNOWN'))
    const closed = tx.wait(job)
    await Promise.all([assert.rejects(closed, isCode('TX_UNKNOWN')), chain.close()])
  })

  test('an expiry in the past is refused with the words of the ledger', async (t) => {
    const { net } = dev
    const signer = await fundedSigner(net)
    const chain = chainOn(net, { signer })
    closing(t, chain)
    const action = openAction(newSigner().address, net.token, ONE, { signer: signer.address, expiry: at(1000) })
    await assert.rejects(
      chain.transactions.dryRun(action),
      (error) => error instanceof TallyError && error.fields.reason === 'ExpiryOutOfRange',
    )
  })
})
