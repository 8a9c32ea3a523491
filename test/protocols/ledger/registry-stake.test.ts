import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { concat } from 'ethers'
import fc from 'fast-check'
import { type Chain, type Contract, newWallet, startChain } from './fixture.ts'
import {
  deployRegistry,
  forwardRequest,
  fundStakes,
  newSalt,
  newService,
  readEntry,
  registerService,
  STAKE,
  STATUS,
  UNBONDING_S,
} from './registry-fixture.ts'

describe('the stake of the service registry', () => {
  let chain: Chain
  let registry: Contract
  before(async () => {
    chain = await startChain()
    registry = await deployRegistry(chain)
  })
  after(() => chain.stop())

  const service = () => newService(chain.token.address)
  const register = () => registerService(registry, chain.token, service())
  const tokensOf = async (token: Contract, account: string): Promise<bigint> => (await token.read('balanceOf', account))[0]

  test('is pulled from the provider when it registers, exactly once', async () => {
    const provider = newWallet().address
    await fundStakes(registry, chain.token, provider, 3n)
    const before = await tokensOf(chain.token, registry.address)
    await registry.send(provider, 'register', newSalt(), service())
    assert.equal(await tokensOf(chain.token, provider), 2n * STAKE)
    assert.equal(await tokensOf(chain.token, registry.address), before + STAKE)
  })

  test('without tokens or without an allowance nothing is registered', async () => {
    const provider = newWallet().address
    const salt = newSalt()
    const [id] = await registry.read('serviceId', provider, salt)
    await chain.token.send(provider, 'mint', provider, STAKE)
    await chain.token.send(provider, 'approve', registry.address, STAKE - 1n)
    assert.equal((await registry.fails(provider, 'register', salt, service())).name, 'ERC20InsufficientAllowance')
    await chain.token.send(provider, 'approve', registry.address, STAKE)
    await chain.token.send(provider, 'transfer', newWallet().address, 1n)
    assert.equal((await registry.fails(provider, 'register', salt, service())).name, 'ERC20InsufficientBalance')
    assert.equal((await readEntry(registry, id)).status, STATUS.unknown)
  })

  test('stays locked while the service is listed, however long', async () => {
    const { provider, id } = await register()
    await chain.nextBlockAt((await chain.now()) + 10n * UNBONDING_S)
    assert.equal((await registry.fails(provider.address, 'withdrawStake', id)).name, 'NotUnbonding')
  })

  test('is locked one second before the end of the delay, and free at that second', async () => {
    const { provider, id } = await register()
    const time = (await chain.now()) + 100n
    await chain.nextBlockAt(time)
    const { events } = await registry.send(provider.address, 'unregister', id)
    assert.deepEqual(
      events.map(({ name, args }) => [name, ...args]),
      [['Unregistered', id, provider.address, time + UNBONDING_S]],
    )
    assert.equal((await readEntry(registry, id)).status, STATUS.unbonding)
    await chain.nextBlockAt(time + UNBONDING_S - 1n)
    const { name, args } = await registry.fails(provider.address, 'withdrawStake', id)
    assert.deepEqual([name, ...args], ['StakeLocked', id, time + UNBONDING_S])
    await chain.nextBlockAt(time + UNBONDING_S)
    await registry.send(provider.address, 'withdrawStake', id)
    assert.equal(await tokensOf(chain.token, provider.address), STAKE)
  })

  test('can be left for years, and is still the provider’s', async () => {
    const { provider, id } = await register()
    await registry.send(provider.address, 'unregister', id)
    await chain.nextBlockAt((await chain.now()) + 5n * 365n * 86_400n)
    await registry.send(provider.address, 'withdrawStake', id)
    assert.equal(await tokensOf(chain.token, provider.address), STAKE)
  })

  test('is returned once, with an event, and the entry remembers it', async () => {
    const { provider, id } = await register()
    await registry.send(provider.address, 'unregister', id)
    const { releaseAt, serviceHash } = await readEntry(registry, id)
    await chain.nextBlockAt(releaseAt)
    const { events } = await registry.send(provider.address, 'withdrawStake', id)
    assert.deepEqual(
      events.map(({ name, args }) => [name, ...args]),
      [['StakeWithdrawn', id, provider.address, STAKE]],
    )
    assert.equal((await registry.fails(provider.address, 'withdrawStake', id)).name, 'NotUnbonding')
    const entry = await readEntry(registry, id)
    assert.deepEqual([entry.status, entry.serviceHash, entry.provider], [STATUS.withdrawn, serviceHash, provider.address])
  })

  test('a service that was taken back is neither updated nor taken back again: the delay cannot be begun anew', async () => {
    const { provider, id } = await register()
    await registry.send(provider.address, 'unregister', id)
    const { releaseAt } = await readEntry(registry, id)
    assert.equal((await registry.fails(provider.address, 'unregister', id)).name, 'NotListed')
    assert.equal((await registry.fails(provider.address, 'update', id, service())).name, 'NotListed')
    assert.equal((await readEntry(registry, id)).releaseAt, releaseAt)
  })

  test('the tokens held are the stake times the entries listed or unbonding, after any sequence of calls', async () => {
    const fresh = await deployRegistry(chain)
    const providers = Array.from({ length: 3 }, () => newWallet().address)
    for (const provider of providers) await fundStakes(fresh, chain.token, provider, 100n)
    const known: { id: string; provider: string }[] = []
    const step = fc.record({
      fn: fc.constantFrom('register', 'register', 'update', 'unregister', 'unregister', 'withdrawStake', 'withdrawStake'),
      who: fc.nat(2),
      which: fc.nat(50),
      wait: fc.constantFrom(1n, 1n, UNBONDING_S),
    })
    let withdrawn = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 12, maxLength: 24 }), async (steps) => {
        for (const { fn, who, which, wait } of steps) {
          const caller = providers[who] as string
          const time = (await chain.now()) + wait
          await chain.nextBlockAt(time)
          if (fn === 'register') {
            const salt = newSalt()
            await fresh.send(caller, fn, salt, service())
            known.push({ id: (await fresh.read('serviceId', caller, salt))[0], provider: caller })
          } else if (known.length > 0) {
            const { id, provider } = known[which % known.length] as { id: string; provider: string }
            const { status, releaseAt } = await readEntry(fresh, id)
            const allowed = fn === 'withdrawStake' ? status === STATUS.unbonding && releaseAt <= time : status === STATUS.listed
            const args = fn === 'update' ? [id, service()] : [id]
            if (allowed && provider === caller) {
              await fresh.send(caller, fn, ...args)
              if (fn === 'withdrawStake') withdrawn++
            } else await fresh.fails(caller, fn, ...args)
          }
          const entries = await Promise.all(known.map(({ id }) => readEntry(fresh, id)))
          const locked = entries.filter(({ status }) => status === STATUS.listed || status === STATUS.unbonding)
          assert.equal(await tokensOf(chain.token, fresh.address), STAKE * BigInt(locked.length))
        }
      }),
      { numRuns: 6, seed: 8 },
    )
    assert.ok(withdrawn > 0, 'no sequence got as far as a withdrawal: the property proves too little')
  })

  describe('through the forwarder', () => {
    const relay = newWallet().address

    test('the provider is who signed: a relay lists, updates, takes back and withdraws for it, and gets nothing', async () => {
      const provider = newWallet()
      await fundStakes(registry, chain.token, provider.address)
      const salt = newSalt()
      const [id] = await registry.read('serviceId', provider.address, salt)
      const relayed = async (data: string) =>
        chain.forwarder.send(relay, 'execute', await forwardRequest(chain, provider, registry, data))
      await relayed(registry.data('register', salt, service()))
      assert.equal((await readEntry(registry, id)).provider, provider.address)
      await relayed(registry.data('update', id, { ...service(), name: 'other' }))
      assert.equal((await readEntry(registry, id)).version, 2n)
      await relayed(registry.data('unregister', id))
      await chain.nextBlockAt((await readEntry(registry, id)).releaseAt)
      await chain.rpc('evm_mine') // the request that follows is signed for an hour from then on
      await relayed(registry.data('withdrawStake', id))
      assert.deepEqual([await tokensOf(chain.token, provider.address), await tokensOf(chain.token, relay)], [STAKE, 0n])
    })

    test('nobody but the forwarder can append a provider', async () => {
      const { provider, id } = await register()
      const appended = concat([registry.data('unregister', id), provider.address])
      const call = { from: newWallet().address, to: registry.address, data: appended }
      await assert.rejects(chain.rpc('eth_call', call, 'latest'), /revert/)
      assert.equal(typeof (await chain.rpc('eth_call', { ...call, from: chain.forwarder.address }, 'latest')), 'string')
    })
  })
})
