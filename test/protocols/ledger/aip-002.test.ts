// What AIP-002 asks of a payment system, statement by statement. Step 3, use and pay, is the session: its tests stand there.
// Where it leaves open whether an expiry counts blocks or seconds (2.5), the ledger counts seconds.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { concat, id as hashText, type Wallet, ZeroAddress, ZeroHash } from 'ethers'
import { createGateway } from '../../../src/chain/gateway.ts'
import { createRegistryReader, type RegistryReader, type ServiceEntry } from '../../../src/chain/registry-reader.ts'
import type { Address, Hash32 } from '../../../src/core/ids.ts'
import { chunkCost, decodePrice } from '../../../src/core/price.ts'
import {
  type Chain,
  type Contract,
  fundBalance,
  newParties,
  newWallet,
  openChannel,
  type Parties,
  readBalance,
  readChannel,
  startChain,
  YEAR,
} from './fixture.ts'
import { encodeRow, settleCall, signedRow, signPromise } from './messages.ts'
import { judgeReservation } from './provider.ts'
import { deployRegistry, fundStakes, newSalt, newService, registerService, type ServiceTuple } from './registry-fixture.ts'

describe('AIP-002', () => {
  let chain: Chain
  let registry: Contract
  let reader: RegistryReader
  let stop: () => void
  before(async () => {
    chain = await startChain()
    registry = await deployRegistry(chain)
    const ledger = chain.ledger.address.toLowerCase() as Address
    const gateway = createGateway({ rpcUrl: chain.url, chainId: 31337, ledger })
    reader = createRegistryReader({ gateway, registry: registry.address.toLowerCase() as Address })
    stop = () => gateway.close()
  })
  after(async () => {
    stop()
    await chain.stop()
  })

  const service = (of: Partial<ServiceTuple> = {}): ServiceTuple => newService(chain.token.address, of)
  async function openService(of: Partial<ServiceTuple> = {}): Promise<ServiceEntry> {
    const { id } = await registerService(registry, chain.token, service(of))
    const entry = await reader.read(id as Hash32)
    assert.ok(entry !== undefined)
    return entry
  }

  describe('S1 open service', () => {
    test('1.1 registering stores provider, service address, price, input, output and the demands, all of it readable by anyone', async () => {
      const { provider, id } = await registerService(registry, chain.token, service())
      const entry = await reader.read(id as Hash32)
      assert.ok(entry !== undefined)
      const given = service()
      assert.equal(entry.provider, provider.address.toLowerCase())
      assert.equal(entry.service.address, given.serviceAddress)
      assert.deepEqual(entry.service.price, decodePrice(Buffer.from(given.price.slice(2), 'hex')))
      assert.deepEqual(entry.service.chunk, { kind: 'down', size: 65_536n })
      assert.deepEqual([entry.service.inputs, entry.service.outputs], [given.inputs, given.outputs])
      assert.equal(entry.service.token, given.token.toLowerCase())
      assert.deepEqual([entry.service.minReservation, entry.service.minTimeToExpiry], [5_000n, 3_600])
    })

    test('1.1 leaving any one of them out is refused', async () => {
      const provider = newWallet().address
      await fundStakes(registry, chain.token, provider)
      const leftOut: readonly Partial<ServiceTuple>[] = [
        { serviceAddress: '' },
        { price: '0x' },
        { chunk: `0x${'00'.repeat(9)}` },
        { token: ZeroAddress },
        { inputs: { uri: '', hash: hashText('a path') } },
        { inputs: { uri: 'https://maps.example/inputs.json', hash: ZeroHash } },
        { outputs: { uri: '', hash: hashText('bytes') } },
        { outputs: { uri: 'https://maps.example/outputs.json', hash: ZeroHash } },
        { minReservation: 0n },
        { minTimeToExpiry: 0n },
      ]
      for (const parts of leftOut) {
        const { name } = await registry.fails(provider, 'register', newSalt(), service(parts))
        assert.equal(name, 'MissingPart', JSON.stringify(Object.keys(parts)))
      }
    })

    test('1.2 the demands hold a minimum amount, which pays one chunk at the price at least, and a minimum time to expiry', async () => {
      const { service: stored } = await openService({ minReservation: 320n, minTimeToExpiry: 60n })
      assert.equal(chunkCost(stored.price, stored.chunk), 320n)
      assert.deepEqual([stored.minReservation, stored.minTimeToExpiry], [320n, 60])
      const { id } = await registerService(registry, chain.token, service({ minReservation: 319n }))
      await assert.rejects(reader.read(id as Hash32), /does not pay one chunk/)
    })

    test('1.3 success gives a unique service id: also for the same service of the same provider, of another one, and after the end', async () => {
      const provider = newWallet()
      const first = await registerService(registry, chain.token, service(), provider)
      const second = await registerService(registry, chain.token, service(), provider)
      const other = await registerService(registry, chain.token, service())
      await registry.send(provider.address, 'unregister', first.id)
      const third = await registerService(registry, chain.token, service(), provider)
      assert.equal(new Set([first.id, second.id, other.id, third.id]).size, 4)
      await fundStakes(registry, chain.token, provider.address)
      assert.equal((await registry.fails(provider.address, 'register', first.salt, service())).name, 'AlreadyRegistered')
    })
  })

  const settle = async (p: Parties, amount: bigint) => chain.ledger.send(newWallet().address, ...(await settleCall(p, amount)))
  const reclaim = ['reclaim'] as const
  const named = (p: Parties) => [p.signer.address, p.target.address, p.token] as const

  describe('S2 reserve credit', () => {
    test('2.1 reserving moves tokens from the account into a reservation with an id of its own; the account falls by exactly that', async () => {
      const owner = newWallet()
      const [p, q] = [await newParties(chain, { owner }), await newParties(chain, { owner })]
      await fundBalance(chain, owner.address, 1_000n)
      await chain.ledger.send(owner.address, 'open', ...named(p), 300n, (await chain.now()) + YEAR)
      assert.equal(await readBalance(chain, owner.address), 700n)
      await chain.ledger.send(owner.address, 'open', ...named(q), 200n, (await chain.now()) + YEAR)
      assert.equal(await readBalance(chain, owner.address), 500n)
      assert.notEqual(p.id, q.id)
      assert.deepEqual([(await readChannel(chain, p.id)).deposit, (await readChannel(chain, q.id)).deposit], [300n, 200n])
    })

    test('2.2 a reservation names one target, and no promise to anybody else is ever paid from it', async () => {
      const p = await openChannel(chain, 100n)
      const mallory = newWallet()
      const diverted: Parties = { ...p, target: mallory }
      const toMallory = await signPromise(diverted, 60n)
      for (const [target, signature] of [
        [mallory, toMallory],
        [mallory, await signPromise(p, 60n)],
        [p.target, toMallory],
      ] as const) {
        const row = encodeRow(60n, signature, { owner: p.owner.address })
        const call = ['settle', target.address, p.token, row] as const
        assert.equal((await chain.ledger.fails(mallory.address, ...call)).name, 'UnknownChannel')
      }
      await settle(p, 60n)
      assert.deepEqual([await readBalance(chain, p.target.address), await readBalance(chain, mallory.address)], [60n, 0n])
    })

    test('2.3 the creator is the owner: the rest goes back to it, and to nobody else', async () => {
      const p = await openChannel(chain, 100n)
      const [id] = await chain.ledger.read('channelId', p.owner.address, ...named(p))
      assert.equal(id, p.id)
      await chain.nextBlockAt((await readChannel(chain, p.id)).expiry)
      for (const other of [p.signer, p.target, newWallet()])
        assert.equal((await chain.ledger.fails(other.address, ...reclaim, ...named(p))).name, 'ChannelNotOpen')
      await chain.ledger.send(p.owner.address, ...reclaim, ...named(p))
      assert.equal(await readBalance(chain, p.owner.address), 100n)
    })

    test('2.4 the user picks amount and expiry; below the minimum of the registered service its provider refuses, at it and above it serves', async () => {
      const entry = await openService({ minReservation: 5_000n, minTimeToExpiry: 3_600n })
      const judged = async (amount: bigint, lastsS: number): Promise<string | undefined> => {
        const p = await newParties(chain)
        await fundBalance(chain, p.owner.address, amount)
        const expiry = (await chain.now()) + YEAR
        await chain.ledger.send(p.owner.address, 'open', ...named(p), amount, expiry)
        return judgeReservation(entry, p, await readChannel(chain, p.id), expiry - BigInt(lastsS))
      }
      assert.equal(await judged(4_999n, 3_600), 'RESERVATION_TOO_SMALL')
      assert.equal(await judged(5_000n, 3_599), 'CHANNEL_EXPIRED')
      assert.equal(await judged(5_000n, 3_600), undefined)
      assert.equal(await judged(1_000_000n, 86_400), undefined)
    })

    test('2.5 the owner cannot reclaim one second before the expiry, and takes all that is left from it on, at any time', async () => {
      for (const late of [0n, 1n, 3n * YEAR]) {
        const p = await openChannel(chain, 100n)
        await settle(p, 30n)
        const { expiry } = await readChannel(chain, p.id)
        await chain.nextBlockAt(expiry - 1n)
        assert.equal((await chain.ledger.fails(p.owner.address, ...reclaim, ...named(p))).name, 'NotExpired')
        await chain.nextBlockAt(expiry + late)
        await chain.ledger.send(p.owner.address, ...reclaim, ...named(p))
        assert.equal(await readBalance(chain, p.owner.address), 70n)
      }
    })
  })

  describe('S4 charge', () => {
    const payBatch = async (target: Wallet, rows: readonly string[]) =>
      chain.ledger.send(target.address, 'settleBatch', target.address, chain.token.address, concat(rows))

    test('4.1 the provider hands many payments to the chain in one call for one fee, a fraction of as many single ones', async () => {
      const target = newWallet()
      const payers: Parties[] = []
      for (let i = 0; i < 20; i++) payers.push(await openChannel(chain, 100n, { target }))
      const alone = await settle(await openChannel(chain, 100n, { target }), 40n)
      const { gas } = await payBatch(target, await Promise.all(payers.map((p) => signedRow(p, 40n))))
      assert.equal(await readBalance(chain, target.address), 21n * 40n)
      assert.ok(gas < 20 * 0.5 * alone.gas, `${gas} for 20, ${alone.gas} for one`)
    })

    test('4.2 the chain checks each, and moves the amount from reservation to provider, never from the user’s account', async () => {
      const target = newWallet()
      const [p, q] = [await openChannel(chain, 100n, { target }), await openChannel(chain, 100n, { target })]
      for (const { owner } of [p, q]) await fundBalance(chain, owner.address, 1_000n)
      const forged = await signedRow({ ...q, signer: newWallet() }, 40n)
      await payBatch(target, [await signedRow(p, 150n), forged])
      assert.equal(await readBalance(chain, target.address), 100n, 'a promise above the reservation pays what is reserved')
      assert.deepEqual([(await readChannel(chain, p.id)).settled, (await readChannel(chain, q.id)).settled], [100n, 0n])
      for (const { owner } of [p, q]) assert.equal(await readBalance(chain, owner.address), 1_000n)
    })

    test('4.3 charging works until the owner has reclaimed, and not after: the risk is the provider’s', async () => {
      const [early, late] = [await openChannel(chain, 100n), await openChannel(chain, 100n)]
      await settle(early, 40n)
      assert.equal(await readBalance(chain, early.target.address), 40n)
      await chain.nextBlockAt((await readChannel(chain, late.id)).expiry)
      await chain.ledger.send(late.owner.address, ...reclaim, ...named(late))
      const call = await settleCall(late, 40n)
      assert.equal((await chain.ledger.fails(late.target.address, ...call)).name, 'NothingToSettle')
      assert.deepEqual([await readBalance(chain, late.target.address), await readBalance(chain, late.owner.address)], [0n, 100n])
    })

    test('4.4 a payment already charged is not charged again: not alone, not in a batch, not twice in one batch', async () => {
      const p = await openChannel(chain, 100n)
      await settle(p, 40n)
      const row = await signedRow(p, 40n)
      const call = await settleCall(p, 40n)
      assert.equal((await chain.ledger.fails(p.target.address, ...call)).name, 'NothingToSettle')
      await payBatch(p.target, [row, row])
      assert.equal(await readBalance(chain, p.target.address), 40n)
      const more = await signedRow(p, 70n)
      await payBatch(p.target, [more, more, row])
      assert.equal(await readBalance(chain, p.target.address), 70n)
    })
  })
})
