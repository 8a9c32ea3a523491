import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Chain, type Contract, newWallet, startChain } from './fixture.ts'
import { deployRegistry, fundStakes, newSalt, newService, readEntry, registerService, STAKE, STATUS } from './registry-fixture.ts'

describe('the stake of the service registry', () => {
  let chain: Chain
  before(async () => {
    chain = await startChain()
  })
  after(() => chain.stop())

  const service = () => newService(chain.token.address)
  const tokensOf = async (token: Contract, account: string): Promise<bigint> => (await token.read('balanceOf', account))[0]

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
})
