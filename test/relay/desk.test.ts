// A relay against signers who mean it no good, and against the chain.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Amount } from '../../src/core/amount.ts'
import type { Address, Seconds } from '../../src/core/ids.ts'
import { encodeMulticall } from '../../src/core/relay/calls.ts'
import { requestId, type SignedForward } from '../../src/core/relay/request.ts'
import type { Job } from '../../src/ports/chain.ts'
import { requestTable } from '../../src/relay/records.ts'
import { useDevnet } from '../chain/support/fixture.ts'
import { FEE, give, handIn, holder, NO_QUOTE, requestOf, type TestRelay, testRelay, transfer } from './support.ts'

const use = useDevnet()

/** Resolves when the relay's transaction for that request is over, and booked. */
async function over({ desk, chain, store }: TestRelay, signed: SignedForward): Promise<Job | undefined> {
  const digest = requestId(await chain.forwarder.domain(), signed.request)
  for (;;) {
    const record = await requestTable(store).get(digest)
    if (record !== undefined && record.end !== 'taken' && desk.totals.open === 0) return chain.transactions.list()[0]
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const balance = (relay: TestRelay, account: Address): Promise<Amount> => relay.chain.ledgerBalance(use.net.token, account)

/** Nothing is mined until the work says so. */
async function withoutMining(work: () => Promise<void>): Promise<void> {
  await use.net.rpc('evm_setAutomine', [false])
  try {
    await work()
  } finally {
    await use.net.rpc('evm_setAutomine', [true])
    await use.net.mine()
  }
}

/** Resolves when the node's RPC has the relay's transaction in its pool. */
async function inPool(relay: TestRelay): Promise<void> {
  for (;;) {
    const count = await use.net.rpc('eth_getTransactionCount', [relay.signer.address, 'pending'])
    if (count === '0x1') return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

describe('a relay', () => {
  test('hands a request in once, however often it gets it, and has its fee from the same transaction', async (t) => {
    const relay = await testRelay(t, use.net)
    const signer = await holder(use.net)
    const action = transfer(use.net)
    const signed = await requestOf(relay.chain, use.net, signer, relay.signer.address, { action })
    const submission = { quote: NO_QUOTE, signed }
    await Promise.all([relay.desk.submit(submission), relay.desk.submit(submission)])
    await over(relay, signed)
    assert.equal((await relay.desk.submit(submission)).state, 'mined')
    assert.equal(await balance(relay, relay.signer.address), FEE)
    assert.equal(await balance(relay, action.to), action.amount)
    assert.equal(relay.chain.transactions.list().length, 1)
    assert.deepEqual([relay.desk.totals.done, relay.desk.totals.fees.get(use.net.token)], [1, FEE])
  })

  test('takes nothing that the chain would refuse, that is late, out of turn or too cheap; and remembers none of it', async (t) => {
    const relay = await testRelay(t, use.net)
    const { chain, desk } = relay
    const signer = await holder(use.net)
    const nowS = await chain.time()
    const submit = async (given: Parameters<typeof requestOf>[4]) => {
      const signed = await requestOf(chain, use.net, signer, relay.signer.address, given)
      return await desk.submit({ quote: NO_QUOTE, signed })
    }
    const tooMuch = { ...transfer(use.net), amount: 1_000_000_000n as Amount }
    await assert.rejects(submit({ action: tooMuch }), { code: 'RELAY_WOULD_FAIL' })
    await assert.rejects(submit({ request: { deadline: (nowS - 1) as Seconds } }), { code: 'RELAY_DEADLINE' })
    await assert.rejects(submit({ request: { nonce: 1n } }), { code: 'RELAY_NONCE' })
    await assert.rejects(submit({ fee: 1n as Amount }), { code: 'RELAY_FEE_LOW' })
    await assert.rejects(submit({ request: { data: encodeMulticall([]) } }), { code: 'RELAY_CALL_REFUSED' })
    await assert.rejects(submit({ request: { gas: 3_000_000 } }), { code: 'RELAY_CALL_REFUSED' })
    assert.deepEqual([desk.totals.open, chain.transactions.list().length], [0, 0])
    assert.equal((await submit({})).state, 'taken')
  })

  test('whose fee, receiver or call was changed by anybody does not pass the forwarder', async (t) => {
    const relay = await testRelay(t, use.net)
    const signer = await holder(use.net)
    const signed = await requestOf(relay.chain, use.net, signer, relay.signer.address)
    const other = await requestOf(relay.chain, use.net, signer, signer.address, { fee: 2n as Amount })
    const forged = { request: { ...signed.request, data: other.request.data }, signature: signed.signature }
    assert.equal(await handIn(relay.chain, use.net, forged), false)
    assert.equal(await handIn(relay.chain, use.net, { ...signed, request: { ...signed.request, gas: 1 } }), false)
    assert.equal(await relay.chain.forwarder.nonce(signer.address), 0n)
  })

  test('is paid also when somebody takes its transaction out of the pool and is first; nobody is blamed', async (t) => {
    const relay = await testRelay(t, use.net)
    const signer = await holder(use.net)
    const signed = await requestOf(relay.chain, use.net, signer, relay.signer.address)
    await withoutMining(async () => {
      await relay.desk.submit({ quote: NO_QUOTE, signed })
      await inPool(relay)
      await give(relay.chain, use.net, signed, { maxPriorityFeePerGas: '0x174876e800', maxFeePerGas: '0x2e90edd000' })
    })
    const job = await over(relay, signed)
    assert.equal(job?.state, 'failed', 'its own transaction came too late')
    assert.deepEqual([relay.desk.totals.done, relay.desk.totals.failed], [1, 0])
    assert.equal(await balance(relay, relay.signer.address), FEE)
    const next = await requestOf(relay.chain, use.net, signer, relay.signer.address)
    assert.equal((await relay.desk.submit({ quote: NO_QUOTE, signed: next })).state, 'taken')
  })

  test('loses the gas of one transaction to a signer whose balance is gone when it is mined; that one waits, and strangers share a limit', async (t) => {
    const relay = await testRelay(t, use.net, { init: { lostGasPerHour: 1n } })
    const cheat = await holder(use.net)
    const signed = await requestOf(relay.chain, use.net, cheat, relay.signer.address)
    // the same number and most of the money, given to another relay, which is a little quicker
    const all = { ...transfer(use.net), amount: 98_000_000n as Amount }
    const [other] = use.net.accounts
    assert.ok(other)
    const twin = await requestOf(relay.chain, use.net, cheat, other.address, { action: all })
    await withoutMining(async () => {
      await relay.desk.submit({ quote: NO_QUOTE, signed })
      await inPool(relay)
      await give(relay.chain, use.net, twin, { maxPriorityFeePerGas: '0x174876e800', maxFeePerGas: '0x2e90edd000' })
    })
    const job = await over(relay, signed)
    assert.equal(job?.state, 'failed')
    assert.deepEqual([relay.desk.totals.done, relay.desk.totals.failed], [0, 1])
    assert.ok((job?.gasUsed ?? 0n) < 120_000n, `it cost ${job?.gasUsed} gas`)
    const again = await requestOf(relay.chain, use.net, cheat, relay.signer.address, {
      action: { ...all, amount: 1n as Amount },
      fee: 500_000n as Amount,
    })
    await assert.rejects(relay.desk.submit({ quote: NO_QUOTE, signed: again }), { code: 'RELAY_SIGNER_BARRED' })
    const stranger = await holder(use.net)
    const fresh = await requestOf(relay.chain, use.net, stranger, relay.signer.address)
    await assert.rejects(relay.desk.submit({ quote: NO_QUOTE, signed: fresh }), { code: 'BUSY' })
  })

  test('has one request of a signer under way; what others forge in its name does not count', async (t) => {
    const relay = await testRelay(t, use.net)
    const signer = await holder(use.net)
    const first = await requestOf(relay.chain, use.net, signer, relay.signer.address)
    const second = await requestOf(relay.chain, use.net, signer, relay.signer.address)
    await withoutMining(async () => {
      const forged = { ...second, signature: first.signature }
      await assert.rejects(relay.desk.submit({ quote: NO_QUOTE, signed: forged }), { code: 'RELAY_SIGNATURE' })
      await relay.desk.submit({ quote: NO_QUOTE, signed: first })
      await assert.rejects(relay.desk.submit({ quote: NO_QUOTE, signed: second }), { code: 'RELAY_SIGNER_BUSY' })
    })
    await over(relay, first)
    await assert.rejects(relay.desk.submit({ quote: NO_QUOTE, signed: second }), { code: 'RELAY_NONCE' })
  })

  test('that is killed after it has agreed hands the request in at its next start, and at the one after that not again', async (t) => {
    const before = await testRelay(t, use.net)
    const signer = await holder(use.net)
    const signed = await requestOf(before.chain, use.net, signer, before.signer.address)
    const { store, signer: self } = before
    await withoutMining(async () => {
      await before.desk.submit({ quote: NO_QUOTE, signed })
      await before.desk.stop()
      await before.chain.close()
    })
    const after = await testRelay(t, use.net, { store, signer: self })
    await over(after, signed)
    assert.equal(await balance(after, self.address), FEE)
    await after.desk.stop()
    await after.chain.close()
    const later = await testRelay(t, use.net, { store, signer: self })
    assert.deepEqual([later.desk.totals.done, later.desk.totals.open], [1, 0])
    assert.equal(later.desk.totals.fees.get(use.net.token), FEE)
    assert.equal(await use.net.rpc('eth_getTransactionCount', [self.address, 'latest']), '0x1')
  })

  test('that had only written down what it agreed to hands it in', async (t) => {
    const relay = await testRelay(t, use.net)
    const signer = await holder(use.net)
    const signed = await requestOf(relay.chain, use.net, signer, relay.signer.address)
    const digest = requestId(await relay.chain.forwarder.domain(), signed.request)
    const { store } = relay
    await relay.desk.stop()
    await relay.chain.close()
    const at = relay.clock.nowS()
    const record = {
      digest,
      at,
      since: 0,
      token: use.net.token,
      fee: FEE,
      signed,
      end: 'taken',
      gasUsed: 0n,
      feeWei: 0n,
    } as const
    await store.commit([requestTable(store).put(digest, record)])
    const after = await testRelay(t, use.net, { store, signer: relay.signer })
    await over(after, signed)
    assert.equal(await balance(after, relay.signer.address), FEE)
  })

  test('keeps its quote while gas is near to what it was, and refuses when it has run away', async (t) => {
    const relay = await testRelay(t, use.net)
    const signer = await holder(use.net)
    const probe = await requestOf(relay.chain, use.net, signer, relay.signer.address)
    const { gas, data } = probe.request
    const { fee, id } = await relay.desk.quote({ token: use.net.token, gas, bytes: data.length })
    const signed = await requestOf(relay.chain, use.net, signer, relay.signer.address, { fee })
    await use.net.rpc('anvil_setNextBlockBaseFeePerGas', ['0x174876e800'])
    await use.net.mine()
    relay.clock.ms += 2_001
    await assert.rejects(relay.desk.submit({ quote: id, signed }), { code: 'RELAY_FEE_LOW' })
    const dearer = await relay.desk.quote({ token: use.net.token, gas, bytes: data.length })
    assert.ok(dearer.fee > fee)
    await use.net.rpc('anvil_setNextBlockBaseFeePerGas', ['0x1'])
    await use.net.mine()
    relay.clock.ms += 2_001
    assert.equal((await relay.desk.submit({ quote: id, signed })).state, 'taken')
  })
})
