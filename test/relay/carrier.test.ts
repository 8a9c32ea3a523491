// An account without gas against relays that do not keep their word, and against its own crash.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { peerIdOfKey } from '../../protocols/peer-identity.ts'
import type { Amount } from '../../src/core/amount.ts'
import { addressOfKey, sign } from '../../src/core/crypto/secp256k1.ts'
import { TallyError } from '../../src/core/errors.ts'
import type { Chain, Job, JobState } from '../../src/ports/chain.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { jobLog, useDevnet } from '../chain/support/fixture.ts'
import { FEE, gasless, handIn, holder, served, silentRelay, testRelay, transfer } from './support.ts'

const use = useDevnet()

/** A real relay that is served on the network. */
async function honest(t: Parameters<typeof testRelay>[0]) {
  const key = randomBytes(32)
  const signer = { address: addressOfKey(key), sign: (digest: Uint8Array) => sign(digest, key) }
  await use.net.fund(signer.address, { wei: 10n ** 18n })
  const relay = await testRelay(t, use.net, { signer })
  return { ...relay, peer: (await served(t, relay.desk, key)).peer }
}

const balance = (chain: Chain, account: Parameters<Chain['ledgerBalance']>[1]) => chain.ledgerBalance(use.net.token, account)

async function reaches(chain: Chain, job: Job, state: JobState): Promise<Job> {
  const log = jobLog(chain, job.id)
  const now = chain.transactions.get(job.id)
  return now?.state === state ? now : await log.next(state)
}

describe('an account without gas', () => {
  test('pays the cheapest of its relays that does something, for each transaction of a row', async (t) => {
    const relay = await honest(t)
    const dear = await served(t, { ...silentRelay(900_000n).handler })
    const chain = await gasless(t, use.net, [dear.peer, relay.peer])
    const [one, two] = [transfer(use.net), transfer(use.net)]
    const jobs = await Promise.all([chain.transactions.submit(one), chain.transactions.submit(two)])
    for (const job of jobs) assert.equal((await chain.transactions.wait(job)).relay?.account, relay.signer.address)
    assert.deepEqual([await balance(chain, one.to), await balance(chain, two.to)], [one.amount, two.amount])
    assert.equal(await chain.forwarder.nonce(chain.account), 2n)
    assert.equal(await use.net.rpc('eth_getTransactionCount', [chain.account, 'latest']), '0x0')
  })

  test('goes on to the next relay when one takes the request and does nothing; what that one does later has no effect', async (t) => {
    const { handler, got } = silentRelay()
    const silent = await served(t, handler)
    const relay = await honest(t)
    const chain = await gasless(t, use.net, [silent.peer, relay.peer])
    const action = transfer(use.net)
    const done = await chain.transactions.wait(await chain.transactions.submit(action))
    assert.equal(done.relay?.account, relay.signer.address)
    const [kept] = got
    assert.ok(kept !== undefined)
    assert.equal(await handIn(chain, use.net, kept.signed), false, 'the number is used')
    assert.equal(await balance(chain, action.to), action.amount, 'once')
  })

  test('is not charged twice by a relay that hands the request in twice', async (t) => {
    const { handler, got } = silentRelay()
    const twice = await served(t, handler)
    const chain = await gasless(t, use.net, [twice.peer])
    const action = transfer(use.net)
    const job = await chain.transactions.submit(action)
    await reaches(chain, job, 'sent')
    const [kept] = got
    assert.ok(kept !== undefined)
    assert.deepEqual([await handIn(chain, use.net, kept.signed), await handIn(chain, use.net, kept.signed)], [true, false])
    const done = await chain.transactions.wait(job)
    assert.deepEqual([done.state, done.relay?.fee, await balance(chain, action.to)], ['confirmed', 1n, action.amount])
  })

  test('shows a request that was handed over as pending until its deadline has passed on the chain, and only then as not done', async (t) => {
    const { handler } = silentRelay()
    const silent = await served(t, handler)
    const chain = await gasless(t, use.net, [silent.peer], { resendAfterMs: 60_000 })
    const job = await chain.transactions.submit(transfer(use.net))
    await reaches(chain, job, 'sent')
    const soon = AbortSignal.timeout(50)
    await assert.rejects(chain.transactions.wait(job, { signal: soon }), { code: 'TX_UNKNOWN' })
    const failed = chain.transactions.wait(job)
    await use.net.increaseTime(301)
    await assert.rejects(failed, { code: 'RELAY_EXPIRED' })
    assert.equal(chain.transactions.get(job.id)?.state, 'failed')
  })

  test('does not call it failed when a relay is silent, cuts the connection, or says no after it has the request', async (t) => {
    for (const code of ['INTERNAL', 'RELAY_WOULD_FAIL'] as const) {
      const { handler, got } = silentRelay()
      const submit: typeof handler.submit = async (submission) => {
        got.push(submission)
        throw new TallyError(code)
      }
      const liar = await served(t, { ...handler, submit })
      const chain = await gasless(t, use.net, [liar.peer])
      const action = transfer(use.net)
      const job = await chain.transactions.submit(action)
      await reaches(chain, job, 'unknown')
      const [kept] = got
      assert.ok(kept !== undefined)
      assert.equal(await handIn(chain, use.net, kept.signed), true, 'it has lied')
      assert.equal((await chain.transactions.wait(job)).state, 'confirmed')
      assert.equal(await balance(chain, action.to), action.amount)
    }
  })

  test('that is killed with a request out goes on with the same request, and its key gives the same job', async (t) => {
    const relay = await honest(t)
    const { handler, got } = silentRelay()
    let isSilent = true
    const late = await served(t, {
      ...handler,
      submit: async (submission, peer) =>
        isSilent ? await handler.submit(submission, peer) : await relay.desk.submit(submission),
    })
    const store = openMemoryStore()
    const signer = await holder(use.net)
    const before = await gasless(t, use.net, [late.peer], { store, signer, resendAfterMs: 60_000 })
    const action = transfer(use.net)
    const job = await before.transactions.submit(action, { key: 'once' })
    await reaches(before, job, 'sent')
    await before.close()
    isSilent = false
    const after = await gasless(t, use.net, [late.peer], { store, signer, resendAfterMs: 60_000 })
    const again = await after.transactions.submit(action, { key: 'once' })
    assert.equal(again.id, job.id)
    const [kept] = got
    assert.ok(kept !== undefined)
    await handIn(after, use.net, kept.signed)
    assert.equal((await after.transactions.wait(again)).state, 'confirmed')
    assert.equal(await balance(after, action.to), action.amount)
    assert.equal(await after.forwarder.nonce(signer.address), 1n)
  })

  test('is told at once when no relay answers, or none is cheap enough; nothing was signed', async (t) => {
    const dear = await served(t, silentRelay(FEE + 1n).handler)
    const chain = await gasless(t, use.net, [dear.peer])
    const action = transfer(use.net)
    await assert.rejects(chain.transactions.wait(await chain.transactions.submit(action)), { code: 'RELAY_NONE' })
    await assert.rejects(chain.transactions.dryRun(action), { code: 'RELAY_NONE' })
    const nobody = await gasless(t, use.net, [`/ip4/127.0.0.1/tcp/9/p2p/${peerIdOfKey(randomBytes(32)).toString()}`])
    await assert.rejects(nobody.transactions.wait(await nobody.transactions.submit(action)), { code: 'RELAY_NONE' })
    const none = await gasless(t, use.net, [])
    await assert.rejects(none.transactions.wait(await none.transactions.submit(action)), { code: 'GAS_LOW' })
  })

  test('hears before anything is signed that the money does not reach for the call and its fee', async (t) => {
    const relay = await honest(t)
    const chain = await gasless(t, use.net, [relay.peer])
    const all = { kind: 'withdraw', token: use.net.token, to: chain.account, amount: 100_000_000n as Amount } as const
    await assert.rejects(chain.transactions.wait(await chain.transactions.submit(all)), { code: 'FUNDS_LOW' })
    await assert.rejects(chain.transactions.dryRun(all), { code: 'FUNDS_LOW' })
    const { relay: cost } = await chain.transactions.dryRun({ ...all, amount: 90_000_000n as Amount })
    assert.ok(cost !== undefined && cost.fee > 0n)
    const most = { ...all, amount: (100_000_000n - cost.fee) as Amount }
    await chain.transactions.wait(await chain.transactions.submit(most))
    assert.equal(await chain.walletBalance(use.net.token, chain.account), most.amount)
  })

  test('deposits out of its wallet by permit, with the fee out of what came', async (t) => {
    const relay = await honest(t)
    const chain = await gasless(t, use.net, [relay.peer])
    const out = { kind: 'withdraw', token: use.net.token, to: chain.account, amount: 90_000_000n as Amount } as const
    await chain.transactions.wait(await chain.transactions.submit(out))
    const left = await balance(chain, chain.account)
    const deposit = { kind: 'deposit', token: use.net.token, account: chain.account, amount: 90_000_000n as Amount } as const
    const done = await chain.transactions.wait(await chain.transactions.submit(deposit))
    assert.equal(await balance(chain, chain.account), left + 90_000_000n - (done.relay?.fee ?? 0n))
  })

  test('with gas makes its own transactions, unless it is told to ask a relay', async (t) => {
    const relay = await honest(t)
    const signer = await holder(use.net, 10n ** 18n)
    const chain = await gasless(t, use.net, [relay.peer], { signer })
    const own = await chain.transactions.wait(await chain.transactions.submit(transfer(use.net)))
    assert.equal(own.relay, undefined)
    const told = await chain.transactions.wait(await chain.transactions.submit(transfer(use.net), { relay: {} }))
    assert.equal(told.relay?.account, relay.signer.address)
    await assert.rejects(chain.transactions.submit({ kind: 'send', to: signer.address, wei: 1n }, { relay: {} }), {
      code: 'UNSUPPORTED',
    })
  })

  test('that settles by itself pays no relay more than the settlement brings in', async (t) => {
    const relay = await honest(t)
    const chain = await gasless(t, use.net, [relay.peer])
    const action = transfer(use.net)
    await assert.rejects(chain.transactions.wait(await chain.transactions.submit(action, { worth: 1n as Amount })), {
      code: 'RELAY_NONE',
    })
    assert.equal((await chain.transactions.wait(await chain.transactions.submit(action, { worth: FEE }))).state, 'confirmed')
  })
})
