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

  describe('in the tokens there are', () => {
    test('a token that takes a fee is refused, with what arrived', async () => {
      const token = await chain.deploy('test/FeeToken')
      const at = await deployRegistry(chain, token)
      const provider = newWallet().address
      await fundStakes(at, token, provider, 2n)
      const { name, args } = await at.fails(provider, 'register', newSalt(), service())
      assert.deepEqual([name, ...args], ['StakeNotReceived', (STAKE * 99n) / 100n, STAKE])
      assert.equal(await tokensOf(token, provider), 2n * STAKE)
    })

    test('a token that returns nothing is staked and returned', async () => {
      const token = await chain.deploy('test/NoReturnToken')
      const at = await deployRegistry(chain, token)
      const { provider, id } = await registerService(at, token, service())
      await at.send(provider.address, 'unregister', id)
      await chain.nextBlockAt((await readEntry(at, id)).releaseAt)
      await at.send(provider.address, 'withdrawStake', id)
      assert.deepEqual([await tokensOf(token, provider.address), await tokensOf(token, at.address)], [STAKE, 0n])
    })

    test('a token that answers false neither registers nor uses up a withdrawal', async () => {
      const token = await chain.deploy('test/FalseToken')
      const at = await deployRegistry(chain, token)
      const { provider, id } = await registerService(at, token, service())
      await fundStakes(at, token, provider.address)
      await token.send(provider.address, 'setRefusing', true)
      await at.fails(provider.address, 'register', newSalt(), service())
      await at.send(provider.address, 'unregister', id)
      await chain.nextBlockAt((await readEntry(at, id)).releaseAt)
      await at.fails(provider.address, 'withdrawStake', id)
      await token.send(provider.address, 'setRefusing', false)
      await at.send(provider.address, 'withdrawStake', id)
      assert.equal(await tokensOf(token, provider.address), 2n * STAKE)
    })

    test('a provider that the token blocks gets its stake when it is unblocked, and holds up nobody', async () => {
      const token = await chain.deploy('test/BlocklistToken')
      const at = await deployRegistry(chain, token)
      const [blocked, other] = [await registerService(at, token, service()), await registerService(at, token, service())]
      for (const { provider, id } of [blocked, other]) await at.send(provider.address, 'unregister', id)
      await token.send(other.provider.address, 'setBlocked', blocked.provider.address, true)
      await chain.nextBlockAt((await readEntry(at, other.id)).releaseAt)
      await at.fails(blocked.provider.address, 'withdrawStake', blocked.id)
      await at.send(other.provider.address, 'withdrawStake', other.id)
      await token.send(other.provider.address, 'setBlocked', blocked.provider.address, false)
      await at.send(blocked.provider.address, 'withdrawStake', blocked.id)
      assert.equal(await tokensOf(token, at.address), 0n)
    })
  })

  describe('in a token that calls out while it moves', () => {
    let token: Contract
    let at: Contract
    let attacker: Contract
    before(async () => {
      token = await chain.deploy('test/CallingToken')
    })

    /** An account with code, money for two stakes, and a victim's stake in the registry beside its own. */
    async function newAttacker(): Promise<void> {
      at = await deployRegistry(chain, token)
      await registerService(at, token, service())
      attacker = await chain.deploy('test/Reenterer', at.address, token.address)
      await token.send(attacker.address, 'mint', attacker.address, 2n * STAKE)
    }

    const idOf = async (salt: string): Promise<string> => (await at.read('serviceId', attacker.address, salt))[0]
    const act = async (outer: string, inner = '0x'): Promise<void> => {
      await attacker.send(newWallet().address, 'attack', outer, inner)
    }
    const innerWorked = async (): Promise<boolean> => {
      assert.deepEqual([...(await attacker.read('entered'))], [true], 'the hook has to be reached, or the test proves nothing')
      return (await attacker.read('innerSucceeded'))[0]
    }
    /** Registers under the salt and brings the entry to the moment at which its stake is free. */
    async function ripen(salt: string): Promise<string> {
      await act(at.data('register', salt, service()))
      const id = await idOf(salt)
      await act(at.data('unregister', id))
      await chain.nextBlockAt((await readEntry(at, id)).releaseAt)
      return id
    }

    test('a registration inside a registration is refused: one stake cannot count for two', async () => {
      await newAttacker()
      const [outer, inner] = [newSalt(), newSalt()]
      const both = [at.data('register', outer, service()), at.data('register', inner, service())]
      const { name, args } = await attacker.fails(newWallet().address, 'attack', ...both)
      assert.deepEqual([name, ...args], ['StakeNotReceived', 2n * STAKE, STAKE])
      assert.equal(await tokensOf(token, at.address), STAKE)
    })

    test('a registration under the same salt, from inside, finds the id taken', async () => {
      await newAttacker()
      const register = at.data('register', newSalt(), service())
      await act(register, register)
      assert.equal(await innerWorked(), false)
      assert.equal(await tokensOf(token, at.address), 2n * STAKE)
    })

    test('a withdrawal inside a withdrawal finds the stake gone', async () => {
      await newAttacker()
      const withdraw = at.data('withdrawStake', await ripen(newSalt()))
      await act(withdraw, withdraw)
      assert.equal(await innerWorked(), false)
      assert.equal(await tokensOf(token, at.address), STAKE)
      assert.equal(await tokensOf(token, attacker.address), 2n * STAKE)
    })

    test('a withdrawal inside a registration makes the stake not arrive', async () => {
      await newAttacker()
      const withdraw = at.data('withdrawStake', await ripen(newSalt()))
      const register = at.data('register', newSalt(), service())
      const { name, args } = await attacker.fails(newWallet().address, 'attack', register, withdraw)
      assert.deepEqual([name, ...args], ['StakeNotReceived', 0n, STAKE])
      assert.equal(await tokensOf(token, at.address), 2n * STAKE)
    })

    test('a registration inside a withdrawal is an ordinary one, with a stake of its own', async () => {
      await newAttacker()
      const withdraw = at.data('withdrawStake', await ripen(newSalt()))
      const salt = newSalt()
      await act(withdraw, at.data('register', salt, service()))
      assert.equal(await innerWorked(), true)
      assert.equal((await readEntry(at, await idOf(salt))).status, STATUS.listed)
      assert.deepEqual([await tokensOf(token, at.address), await tokensOf(token, attacker.address)], [2n * STAKE, STAKE])
    })
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
