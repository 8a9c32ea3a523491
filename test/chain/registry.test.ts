import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { getBytes, hexlify } from 'ethers'
import { erc20Interface, registryInterface } from '../../src/chain/abi.ts'
import { DEVNET_STAKE } from '../../src/chain/devnet.ts'
import type { Registry } from '../../src/chain/registry.ts'
import { decodePublished, encodeService, hashOfService } from '../../src/chain/registry-codec.ts'
import { TallyError } from '../../src/core/errors.ts'
import type { Hash32 } from '../../src/core/ids.ts'
import { encodePrice, FREE, priceOf } from '../../src/core/price.ts'
import type { RegisteredService } from '../../src/core/registered-service.ts'
import type { Chain } from '../../src/ports/chain.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { chainOn, closing, fundedSigner, newSigner, ONE, units, useDevnet } from './support/fixture.ts'
import { newSalt, newService, registryOn } from './support/registry.ts'
import { startRpcProxy } from './support/rpc-proxy.ts'

const reverts = (reason: string) => (error: unknown) =>
  error instanceof TallyError && error.code === 'TX_REVERTED' && error.fields.reason === reason
const isCode = (code: string) => (error: unknown) => error instanceof TallyError && error.code === code

describe('the registry, over the chain port', () => {
  const dev = useDevnet()

  async function newProvider(t: TestContext, tokens = 1_000n * ONE): Promise<{ chain: Chain; registry: Registry }> {
    const chain = chainOn(dev.net, { signer: await fundedSigner(dev.net, tokens) })
    closing(t, chain)
    return { chain, registry: registryOn(t, dev.net, chain) }
  }

  const service = (of: Partial<RegisteredService> = {}) => newService(dev.net.token, of)

  async function register(provider: { chain: Chain; registry: Registry }, given = service()): Promise<Hash32> {
    const { id, job } = await provider.registry.register(newSalt(), given)
    await provider.chain.transactions.wait(job)
    return id
  }

  test('the local chain has one, with the test token as its stake', async (t) => {
    const { registry } = await newProvider(t)
    assert.deepEqual(await registry.stake(), { token: dev.net.token, ...DEVNET_STAKE })
  })

  test('a service is registered, read back whole, updated, taken back, and its stake returned', async (t) => {
    const provider = await newProvider(t)
    const { chain, registry } = provider
    const { transactions: tx } = chain
    const id = await register(provider)
    assert.equal(await chain.walletBalance(dev.net.token, chain.account), 900n * ONE)
    const entry = await registry.read(id)
    assert.deepEqual([entry?.provider, entry?.status, entry?.version, entry?.releaseAt], [chain.account, 'listed', 1, 0])
    assert.deepEqual(entry?.service, service())
    assert.equal(entry?.serviceHash, hashOfService(service()))

    const dearer = service({
      price: priceOf([{ kind: 'units', amount: units(7n), per: 2n }], 'page'),
      chunk: { kind: 'units', size: 1n },
    })
    await tx.wait(await registry.update(id, dearer))
    const updated = await registry.read(id)
    assert.deepEqual([updated?.version, updated?.service], [2, dearer])

    await tx.wait(await registry.unregister(id))
    const leaving = await registry.read(id)
    assert.equal(leaving?.status, 'unbonding')
    assert.deepEqual(leaving?.service, dearer, 'what was sold can be read after it was taken back')
    await assert.rejects(
      registry.withdrawStake(id).then((job) => tx.wait(job)),
      reverts('StakeLocked'),
    )
    await dev.net.increaseTime(DEVNET_STAKE.unbondingS)
    await tx.wait(await registry.withdrawStake(id))
    assert.equal((await registry.entry(id))?.status, 'withdrawn')
    assert.equal(await chain.walletBalance(dev.net.token, chain.account), 1_000n * ONE)
  })

  test('an id that was never registered is undefined', async (t) => {
    const { registry } = await newProvider(t)
    assert.equal(await registry.read(newSalt()), undefined)
    assert.equal(await registry.entry(newSalt()), undefined)
  })

  test('the same salt again, also after a restart, is the same job: one stake', async (t) => {
    const signer = await fundedSigner(dev.net)
    const store = openMemoryStore()
    const first = chainOn(dev.net, { signer, store })
    closing(t, first)
    const salt = newSalt()
    const registry = registryOn(t, dev.net, first)
    const [a, b] = await Promise.all([registry.register(salt, service()), registry.register(salt, service())])
    assert.deepEqual([a.id, a.job.id], [b.id, b.job.id])
    await first.transactions.wait(a.job)
    await first.close()
    const second = chainOn(dev.net, { signer, store: openMemoryStore({ from: store.snapshot() }) })
    closing(t, second)
    const again = await registryOn(t, dev.net, second).register(salt, service())
    assert.deepEqual([again.id, again.job.id, again.job.state], [a.id, a.job.id, 'confirmed'])
    assert.equal(await second.walletBalance(dev.net.token, signer.address), 900n * ONE)
  })

  test('several services registered at once each get their own allowance and lock their own stake', async (t) => {
    const { chain, registry } = await newProvider(t)
    const made = await Promise.all([1, 2, 3].map((n) => registry.register(newSalt(), service({ name: `maps-${n}` }))))
    await Promise.all(made.map(({ job }) => chain.transactions.wait(job)))
    assert.equal(new Set(made.map(({ id }) => id)).size, 3)
    assert.equal(await chain.walletBalance(dev.net.token, chain.account), 700n * ONE)
  })

  test('a registration that fails holds up no later one', async (t) => {
    const { chain, registry } = await newProvider(t, 100n * ONE)
    const fine = await registry.register(newSalt(), service())
    await chain.transactions.wait(fine.job)
    const poor = registry.register(newSalt(), service()).then(({ job }) => chain.transactions.wait(job))
    await assert.rejects(poor, reverts('ERC20InsufficientBalance'))
    await dev.net.fund(chain.account, { tokens: 100n * ONE })
    const later = await registry.register(newSalt(), service())
    await chain.transactions.wait(later.job)
    assert.equal((await registry.entry(later.id))?.status, 'listed')
  })

  test('the services of a name and of a kind are listed, newest first, and only while they are on sale', async (t) => {
    const [alice, bob] = [await newProvider(t), await newProvider(t)]
    const name = `maps-${newSalt().slice(2, 10)}`
    const kind = newSalt().slice(2, 12)
    const old = await register(alice, service({ name, kind }))
    const young = await register(bob, service({ name, kind, minReservation: units(400n) }))
    const renamed = await register(bob, service({ name, kind }))
    await register(bob, service({ kind }))
    const ids = async (by: { name: string } | { kind: string }, limit?: number) =>
      (await alice.registry.list(by, limit === undefined ? {} : { limit })).map(({ id }) => id)
    await bob.chain.transactions.wait(await bob.registry.update(renamed, service({ name: 'another', kind })))
    assert.deepEqual(await ids({ name }), [young, old])
    assert.equal((await ids({ kind })).length, 4)
    assert.deepEqual(await ids({ kind }, 1), [renamed], 'an update is the newest log')
    await alice.chain.transactions.wait(await alice.registry.unregister(old))
    assert.deepEqual(await ids({ name }), [young])
    const [entry] = await alice.registry.list({ name })
    assert.deepEqual([entry?.provider, entry?.service.minReservation], [bob.chain.account, 400n])
  })

  test('logs are read in spans, and in smaller ones when the RPC refuses the span', async (t) => {
    const provider = await newProvider(t)
    const name = `maps-${newSalt().slice(2, 10)}`
    const id = await register(provider, service({ name }))
    await dev.net.mine(30)
    let widest = 0
    const proxy = await startRpcProxy(dev.net.rpcUrl, ({ method, params }) => {
      if (method !== 'eth_getLogs') return 'pass'
      const [{ fromBlock, toBlock }] = params as [{ fromBlock: string; toBlock: string }]
      const span = Number(toBlock) - Number(fromBlock) + 1
      if (span > 7) return { code: -32_005, message: 'query returns too many blocks' }
      widest = Math.max(widest, span)
      return 'pass'
    })
    t.after(() => proxy.down())
    const registry = registryOn(t, dev.net, provider.chain, { rpcUrl: proxy.url, maxSpan: 20 })
    assert.deepEqual(
      (await registry.list({ name })).map((entry) => entry.id),
      [id],
    )
    assert.ok(widest > 1 && widest <= 7, `${widest}`)
  })

  test('a block number that leads nowhere is only a hint: the log is found by its id', async (t) => {
    const provider = await newProvider(t)
    const id = await register(provider)
    const { publishedIn = 0 } = (await provider.registry.entry(id)) ?? {}
    const proxy = await startRpcProxy(dev.net.rpcUrl, ({ method, params }) => {
      const [filter] = params as [{ fromBlock?: string; toBlock?: string }]
      const hinted = method === 'eth_getLogs' && Number(filter.fromBlock) === publishedIn && filter.fromBlock === filter.toBlock
      return hinted ? () => [] : 'pass'
    })
    t.after(() => proxy.down())
    const registry = registryOn(t, dev.net, provider.chain, { rpcUrl: proxy.url })
    assert.deepEqual((await registry.read(id))?.service, service())
  })

  test('an RPC that gives a forged descriptor, or none, is caught by the hash', async (t) => {
    const provider = await newProvider(t)
    const name = `maps-${newSalt().slice(2, 10)}`
    const id = await register(provider, service({ name }))
    const forged = registryInterface.encodeEventLog('Published', [
      id,
      hexlify(new Uint8Array(32)),
      hexlify(new Uint8Array(32)),
      provider.chain.account,
      1,
      encodeService(service({ name, minReservation: units(320n) })),
    ])
    assert.equal(decodePublished(forged)?.service().minReservation, 320n, 'the forged log must be well-formed')
    for (const logs of [[forged], []]) {
      const proxy = await startRpcProxy(dev.net.rpcUrl, ({ method }) => (method === 'eth_getLogs' ? () => logs : 'pass'))
      t.after(() => proxy.down())
      const registry = registryOn(t, dev.net, provider.chain, { rpcUrl: proxy.url })
      await assert.rejects(registry.read(id), isCode('CHAIN_UNREACHABLE'))
      assert.deepEqual(await registry.list({ name }), [])
    }
  })

  test('a descriptor that breaks the rules of clients is not listed, and reading it says why', async (t) => {
    const { chain, registry } = await newProvider(t)
    const name = `maps-${newSalt().slice(2, 10)}`
    const good = encodeService(service({ name })) as unknown[]
    const bad: readonly unknown[][] = [
      good.with(1, 'Has Blanks'), // kind
      good.with(3, '0x0100'), // half a price
      good.with(3, hexlify(encodePrice(priceOf([{ kind: 'down', amount: units(5_001n), per: 1n }])))), // a chunk above the minimum
      good.with(8, ['two words', newSalt()]),
    ]
    const { amount, token } = await registry.stake()
    const tx = chain.transactions
    const approve = getBytes(erc20Interface.encodeFunctionData('approve', [dev.net.registry, amount * BigInt(bad.length)]))
    await tx.wait(await tx.submit({ kind: 'call', to: token, data: approve, wei: 0n, summary: 'approve' }))
    for (const tuple of bad) {
      const salt = newSalt()
      const data = getBytes(registryInterface.encodeFunctionData('register', [salt, tuple]))
      await tx.wait(await tx.submit({ kind: 'call', to: dev.net.registry, data, wei: 0n, summary: 'register' }))
      await assert.rejects(registry.read(registry.idOf(salt)), isCode('MALFORMED'))
    }
    assert.deepEqual(await registry.list({ name }), [])
  })

  test('what no client would take is refused before anything is sent', async (t) => {
    const { chain, registry } = await newProvider(t)
    const broken: readonly Partial<RegisteredService>[] = [
      { name: '' },
      { name: 'Two Words' },
      { kind: 'x'.repeat(33) },
      { address: '' },
      { address: 'x'.repeat(257) },
      { token: `0x${'0'.repeat(40)}` as RegisteredService['token'] },
      { minReservation: units(0n), price: FREE },
      { minReservation: units(319n) },
      { minTimeToExpiry: 0 },
      { minTimeToExpiry: 1.5 },
      { inputs: { uri: '', hash: newSalt() } },
      { outputs: { uri: 'x', hash: `0x${'0'.repeat(64)}` as Hash32 } },
    ]
    for (const parts of broken) {
      await assert.rejects(registry.register(newSalt(), service(parts)), isCode('MALFORMED'), JSON.stringify(Object.keys(parts)))
    }
    assert.deepEqual(chain.transactions.list(), [])
    await assert.doesNotReject(registry.register(newSalt(), service({ minReservation: units(320n) })))
  })

  test('an account that is not the provider is refused with the contract’s own reason and a hint', async (t) => {
    const [alice, mallory] = [await newProvider(t), await newProvider(t)]
    const id = await register(alice)
    for (const job of [
      mallory.registry.update(id, service()),
      mallory.registry.unregister(id),
      mallory.registry.withdrawStake(id),
    ]) {
      await assert.rejects(
        job.then((sent) => mallory.chain.transactions.wait(sent)),
        (error) => reverts('NotTheProvider')(error) && ((error as TallyError).hint ?? '') !== '',
      )
    }
  })

  test('a contract that is no registry is CONTRACT_MISSING', async (t) => {
    const { chain } = await newProvider(t)
    for (const registry of [dev.net.token, newSigner().address])
      await assert.rejects(registryOn(t, dev.net, chain, { registry }).entry(newSalt()), isCode('CONTRACT_MISSING'))
  })
})
