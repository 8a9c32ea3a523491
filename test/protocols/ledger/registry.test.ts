import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { AbiCoder, id as hashText, keccak256, ZeroAddress, ZeroHash } from 'ethers'
import { type Chain, type Contract, newWallet, startChain } from './fixture.ts'
import {
  bytesOf,
  deployRegistry,
  fundStakes,
  hashService,
  newSalt,
  newService,
  PARTS,
  readEntry,
  registerService,
  type ServiceTuple,
  STAKE,
  STATUS,
  textOf,
  UNBONDING_S,
} from './registry-fixture.ts'

describe('the service registry', () => {
  let chain: Chain
  let registry: Contract
  before(async () => {
    chain = await startChain()
    registry = await deployRegistry(chain)
  })
  after(() => chain.stop())

  const service = (of: Partial<ServiceTuple> = {}): ServiceTuple => newService(chain.token.address, of)
  const register = (given: ServiceTuple = service(), provider = newWallet()) =>
    registerService(registry, chain.token, given, provider)

  test('what is fixed at construction can be read, and nothing can change it', async () => {
    assert.deepEqual([...(await registry.read('stakeToken'))], [chain.token.address])
    assert.deepEqual([...(await registry.read('stakeAmount'))], [STAKE])
    assert.deepEqual([...(await registry.read('unbondingSeconds'))], [UNBONDING_S])
    assert.deepEqual([...(await registry.read('trustedForwarder'))], [chain.forwarder.address])
    const changing = registry.abi.fragments.filter((f) => f.type === 'function' && 'constant' in f && !f.constant)
    assert.deepEqual(
      changing.map((f) => 'name' in f && f.name).sort(),
      ['register', 'unregister', 'update', 'withdrawStake'],
      'a function that changes anything else is an admin',
    )
  })

  test('a registry without a token contract, an amount or a delay cannot be made', async () => {
    const { forwarder, token } = chain
    const good: readonly unknown[] = [forwarder.address, token.address, STAKE, UNBONDING_S]
    await chain.deploy('ServiceRegistry', ...good)
    for (const [index, bad] of [
      [1, newWallet().address],
      [1, ZeroAddress],
      [2, 0n],
      [3, 0n],
    ] as const) {
      await assert.rejects(chain.deploy('ServiceRegistry', ...good.with(index, bad)), /did not deploy/)
    }
  })

  describe('registering', () => {
    test('lists version 1 under the id that was foretold, with the hash of the whole descriptor', async () => {
      const { provider, id } = await register()
      const { publishedIn, ...entry } = await readEntry(registry, id)
      assert.deepEqual(entry, {
        provider: provider.address,
        status: STATUS.listed,
        version: 1n,
        releaseAt: 0n,
        serviceHash: hashService(service()),
      })
      assert.equal(publishedIn, BigInt((await chain.rpc('eth_blockNumber')) as string))
    })

    test('says so in two events: the stake by provider, the whole descriptor by name and kind', async () => {
      const provider = newWallet()
      await fundStakes(registry, chain.token, provider.address)
      const given = service({ name: 'weather', kind: 'stream' })
      const { events } = await registry.send(provider.address, 'register', ZeroHash, given)
      const [id] = await registry.read('serviceId', provider.address, ZeroHash)
      assert.deepEqual(
        events.map(({ name }) => name),
        ['Registered', 'Published'],
      )
      const [registered, published] = events
      assert.deepEqual(registered?.args.toArray(), [id, provider.address, STAKE])
      const logged = published?.args.toArray() ?? []
      assert.deepEqual(logged.slice(0, 5), [id, hashText('weather'), hashText('stream'), provider.address, 1n])
      assert.deepEqual(
        logged[5].toArray(true),
        Object.values(given).map((part) => (typeof part === 'object' ? Object.values(part) : part)),
      )
    })

    test('refuses a descriptor that leaves out any one part, and names that part', async () => {
      const provider = newWallet().address
      await fundStakes(registry, chain.token, provider, 20n)
      const { inputs, outputs } = service()
      const without: Record<(typeof PARTS)[number], Partial<ServiceTuple>> = {
        name: { name: '' },
        kind: { kind: '' },
        serviceAddress: { serviceAddress: '' },
        price: { price: '0x' },
        chunk: { chunk: `0x${'00'.repeat(9)}` },
        token: { token: ZeroAddress },
        minReservation: { minReservation: 0n },
        minTimeToExpiry: { minTimeToExpiry: 0n },
        'inputs.uri': { inputs: { ...inputs, uri: '' } },
        'inputs.hash': { inputs: { ...inputs, hash: ZeroHash } },
        'outputs.uri': { outputs: { ...outputs, uri: '' } },
        'outputs.hash': { outputs: { ...outputs, hash: ZeroHash } },
      }
      for (const [index, part] of PARTS.entries()) {
        const { name, args } = await registry.fails(provider, 'register', newSalt(), service(without[part]))
        assert.deepEqual([name, ...args], ['MissingPart', BigInt(index)], part)
      }
      await registry.send(provider, 'register', newSalt(), service())
    })

    test('takes each part at its longest and refuses one byte more, with both numbers', async () => {
      const hash = hashText('any')
      const bounds: readonly [part: (typeof PARTS)[number], max: number, of: (bytes: number) => Partial<ServiceTuple>][] = [
        ['name', 64, (bytes) => ({ name: textOf(bytes) })],
        ['kind', 32, (bytes) => ({ kind: textOf(bytes) })],
        ['serviceAddress', 256, (bytes) => ({ serviceAddress: textOf(bytes) })],
        ['price', 139, (bytes) => ({ price: bytesOf(bytes) })],
        ['inputs.uri', 256, (bytes) => ({ inputs: { uri: textOf(bytes), hash } })],
        ['outputs.uri', 256, (bytes) => ({ outputs: { uri: textOf(bytes), hash } })],
      ]
      for (const [part, max, of] of bounds) {
        const { provider, id } = await register(service(of(max)))
        assert.equal((await readEntry(registry, id)).serviceHash, hashService(service(of(max))), part)
        const { name, args } = await registry.fails(provider.address, 'register', newSalt(), service(of(max + 1)))
        const index = BigInt(PARTS.indexOf(part))
        assert.deepEqual([name, ...args], ['PartTooLong', index, BigInt(max + 1), BigInt(max)], part)
      }
    })

    test('counts the bytes of a text, not its letters', async () => {
      const provider = newWallet().address
      await fundStakes(registry, chain.token, provider)
      const { name, args } = await registry.fails(provider, 'register', newSalt(), service({ name: 'é'.repeat(33) }))
      assert.deepEqual([name, ...args], ['PartTooLong', 0n, 66n, 64n])
    })

    test('with a salt that was used is refused, also after the stake is back: an id is never used again', async () => {
      const { provider, salt, id } = await register()
      const again = () => registry.fails(provider.address, 'register', salt, service({ name: 'other' }))
      await fundStakes(registry, chain.token, provider.address)
      for (const step of ['listed', 'unbonding', 'withdrawn']) {
        assert.deepEqual(await again().then(({ name, args }) => [name, ...args]), ['AlreadyRegistered', id], step)
        if (step === 'listed') await registry.send(provider.address, 'unregister', id)
        if (step !== 'unbonding') continue
        await chain.nextBlockAt((await readEntry(registry, id)).releaseAt)
        await registry.send(provider.address, 'withdrawStake', id)
      }
      const fresh = newSalt()
      await registry.send(provider.address, 'register', fresh, service())
      assert.notEqual((await registry.read('serviceId', provider.address, fresh))[0], id)
    })

    test('the same salt of two providers, of two registries or of two chains names two services', async () => {
      const other = await deployRegistry(chain)
      const [alice, bob] = [newWallet().address, newWallet().address]
      const ids: string[] = []
      for (const at of [registry, other]) {
        for (const provider of [alice, bob]) {
          await fundStakes(at, chain.token, provider)
          await at.send(provider, 'register', ZeroHash, service())
          const [id] = await at.read('serviceId', provider, ZeroHash)
          assert.equal((await readEntry(at, id)).provider, provider)
          ids.push(id)
        }
      }
      await chain.rpc('anvil_setChainId', 5)
      const [elsewhere] = await registry.read('serviceId', alice, ZeroHash)
      await chain.rpc('anvil_setChainId', 31337)
      assert.equal(new Set([...ids, elsewhere]).size, 5)
    })
  })

  describe('updating', () => {
    test('replaces the descriptor under the same id, raises the version and locks no second stake', async () => {
      const { provider, id } = await register()
      const changed = service({ name: 'maps-2', minReservation: 9n })
      const [before] = await chain.token.read('balanceOf', registry.address)
      const { events } = await registry.send(provider.address, 'update', id, changed)
      const entry = await readEntry(registry, id)
      assert.deepEqual([entry.version, entry.status, entry.serviceHash], [2n, STATUS.listed, hashService(changed)])
      assert.equal(entry.publishedIn, BigInt((await chain.rpc('eth_blockNumber')) as string))
      assert.deepEqual(
        events.map(({ name, args }) => [name, args.id, args.nameHash, args.version]),
        [['Published', id, hashText('maps-2'), 2n]],
      )
      assert.deepEqual([...(await chain.token.read('balanceOf', registry.address))], [before])
    })

    test('holds every rule of registering', async () => {
      const { provider, id } = await register()
      assert.equal((await registry.fails(provider.address, 'update', id, service({ price: '0x' }))).name, 'MissingPart')
      assert.equal((await registry.fails(provider.address, 'update', id, service({ kind: textOf(33) }))).name, 'PartTooLong')
      assert.equal((await readEntry(registry, id)).version, 1n)
    })

    test('ends at version 65,535 with an error of its own', async () => {
      const { provider, id } = await register()
      // no test can afford 65,533 updates: the version is written where the contract keeps it
      const slot = await storagePlace(id)
      const word = BigInt((await chain.rpc('eth_getStorageAt', registry.address, slot, 'latest')) as string)
      assert.equal((word >> 168n) & 0xffffn, 1n, 'the version is not where this test believes it')
      const late = (word & ~(0xffffn << 168n)) | (65_534n << 168n)
      await chain.rpc('anvil_setStorageAt', registry.address, slot, `0x${late.toString(16).padStart(64, '0')}`)
      await registry.send(provider.address, 'update', id, service())
      assert.equal((await readEntry(registry, id)).version, 65_535n)
      const { name, args } = await registry.fails(provider.address, 'update', id, service())
      assert.deepEqual([name, ...args], ['VersionsUsedUp', id])
    })

    /** The first slot of an entry: the one place where the provider is found, whatever slot the mapping has. */
    async function storagePlace(id: string): Promise<string> {
      for (let slot = 0; slot < 4; slot++) {
        const place = keccak256(AbiCoder.defaultAbiCoder().encode(['bytes32', 'uint256'], [id, slot]))
        if (BigInt((await chain.rpc('eth_getStorageAt', registry.address, place, 'latest')) as string) !== 0n) return place
      }
      throw new Error('the entry was not found in storage')
    }
  })

  describe('a stranger', () => {
    test('cannot update, unregister or withdraw, whatever the state of the entry', async () => {
      const { provider, id } = await register()
      const { provider: mallory } = await register()
      const refused = async (step: string) => {
        for (const [fn, ...args] of [
          ['update', id, service()],
          ['unregister', id],
          ['withdrawStake', id],
        ] as const) {
          const { name, args: said } = await registry.fails(mallory.address, fn, ...args)
          assert.deepEqual([name, ...said], ['NotTheProvider', id, mallory.address], `${fn} while ${step}`)
        }
      }
      await refused('listed')
      await registry.send(provider.address, 'unregister', id)
      await refused('unbonding')
      await chain.nextBlockAt((await readEntry(registry, id)).releaseAt)
      await refused('the stake is free')
      await registry.send(provider.address, 'withdrawStake', id)
      await refused('withdrawn')
    })

    test('finds nothing to do with an id that was never registered', async () => {
      const id = hashText('nothing')
      assert.deepEqual(await readEntry(registry, id), {
        provider: ZeroAddress,
        status: STATUS.unknown,
        version: 0n,
        publishedIn: 0n,
        releaseAt: 0n,
        serviceHash: ZeroHash,
      })
      for (const [fn, ...args] of [
        ['update', id, service()],
        ['unregister', id],
        ['withdrawStake', id],
      ] as const) {
        const { name, args: said } = await registry.fails(newWallet().address, fn, ...args)
        assert.deepEqual([name, ...said], ['NotListed', id], fn)
      }
    })
  })

  test('an entry takes two slots of storage, whatever the descriptor holds: a small and a full one cost the same writes', async (t) => {
    const uri = { uri: textOf(256), hash: hashText('any') }
    const full = { serviceAddress: textOf(256), price: bytesOf(139), inputs: uri, outputs: uri }
    const costs: number[] = []
    for (const parts of [{}, full]) {
      const provider = newWallet().address
      await fundStakes(registry, chain.token, provider, 2n)
      await registry.send(provider, 'register', newSalt(), service())
      const { gas } = await registry.send(provider, 'register', newSalt(), service(parts))
      costs.push(gas)
    }
    const [small = 0, large = 0] = costs
    t.diagnostic(`register ${small} gas, with every text at its longest ${large}`)
    // 24 words more; in storage they would cost 24 * 22,100
    assert.ok(large - small < 24 * 22_100 * 0.1, `${large - small} more`)
  })
})
