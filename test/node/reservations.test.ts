import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { Amount } from '../../src/core/amount.ts'
import { type ChannelFacts, type ChannelOut, newChannelOut } from '../../src/core/channel.ts'
import { type Address, channelId, type Seconds } from '../../src/core/ids.ts'
import type { TallyNode } from '../../src/node/node.ts'
import { type ReserveWanted, reserveStep } from '../../src/node/reservations.ts'
import { startRpcProxy } from '../chain/support/rpc-proxy.ts'
import { addressOf, bytesService, failure, GAS, PURSE, readBytes, type TestNetwork, testNetwork } from '../support/network.ts'

const A = (value: bigint | number): Amount => BigInt(value) as Amount
const NOW_S = 1_700_000_000
const DAY_S = 86_400

describe('what is added to a reservation', () => {
  const address = (byte: string): Address => `0x${byte.repeat(20)}` as Address
  const parties = { owner: address('01'), signer: address('01'), target: address('02'), token: address('03') }
  const channel = (of: Partial<ChannelFacts> = {}, record: Partial<ChannelOut> = {}): ChannelOut => ({
    ...newChannelOut(channelId(parties), parties, {
      deposit: A(0),
      settled: A(0),
      expiry: (NOW_S + 30 * DAY_S) as Seconds,
      epoch: 0,
      ...of,
    }),
    ...record,
  })
  const wanted = (of: Partial<ReserveWanted> = {}): ReserveWanted => ({
    minReservation: A(0),
    minTimeToExpiryS: 3_600,
    free: A(1_000),
    most: A(1_000_000),
    forS: 30 * DAY_S,
    ...of,
  })

  test('is what is missing, once less than half of what is wanted is free', () => {
    assert.equal(reserveStep(channel({ deposit: A(500) }), wanted(), NOW_S), undefined)
    assert.equal(reserveStep(channel({ deposit: A(499) }), wanted(), NOW_S)?.amount, 501n)
    assert.equal(reserveStep(channel(), wanted(), NOW_S)?.amount, 1_000n)
  })

  test('counts every promise that may have been signed as spent, and what was settled', () => {
    assert.equal(reserveStep(channel({ deposit: A(1_000) }, { reserved: A(900) }), wanted(), NOW_S)?.amount, 900n)
    assert.equal(reserveStep(channel({ deposit: A(1_000), settled: A(1_000) }), wanted(), NOW_S)?.amount, 1_000n)
  })

  test('counts what will be paid for bytes that have come as used: all of it taken is nothing free', () => {
    const full = channel({ deposit: A(1_000) })
    assert.equal(reserveStep(full, wanted({ taken: A(500) }), NOW_S), undefined)
    assert.equal(reserveStep(full, wanted({ taken: A(501) }), NOW_S)?.amount, 501n)
    assert.equal(reserveStep(full, wanted({ taken: A(1_000) }), NOW_S)?.amount, 1_000n)
    assert.equal(reserveStep(full, wanted({ taken: A(9_000) }), NOW_S)?.amount, 1_000n)
  })

  test('is never more than may be added', () => {
    assert.equal(reserveStep(channel(), wanted({ most: A(10) }), NOW_S)?.amount, 10n)
    assert.equal(reserveStep(channel(), wanted({ most: A(0) }), NOW_S), undefined)
  })

  test('comes up to what the offer demands', () => {
    assert.equal(reserveStep(channel({ deposit: A(1_500) }), wanted({ minReservation: A(2_000) }), NOW_S)?.amount, 500n)
  })

  test('is time alone where the end is near, and never less time than there is', () => {
    const near = channel({ deposit: A(1_000), expiry: (NOW_S + 4_000) as Seconds })
    assert.deepEqual(reserveStep(near, wanted(), NOW_S), { amount: 0n, expiry: NOW_S + 30 * DAY_S, free: 1_000n })
    const long = channel({ deposit: A(0), expiry: (NOW_S + 90 * DAY_S) as Seconds })
    assert.equal(reserveStep(long, wanted(), NOW_S)?.expiry, NOW_S + 90 * DAY_S)
  })
})

describe('a node that reserves by itself', () => {
  let net: TestNetwork
  before(async () => {
    net = await testNetwork()
  })
  after(() => net.stop())

  async function seller(t: TestContext, minReservation = A(0)): Promise<TallyNode> {
    const provider = await net.provider(t)
    await provider.serve({ name: 'bytes', service: bytesService(), price: '0.01/MiB', minReservation })
    return provider
  }
  const depositOf = async ({ money }: TallyNode): Promise<bigint> => {
    let sum = 0n
    for await (const { deposit } of money.paying()) sum += deposit
    return sum
  }
  const opens = (node: TallyNode): number => node.chain.transactions.list().filter(({ kind }) => kind === 'open').length

  test('reserves the budget before the first session, and nothing for the second', async (t) => {
    const provider = await seller(t)
    const consumer = await net.consumer(t)
    const buy = async (): Promise<void> => {
      const session = await consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token', reserve: 'auto' })
      await readBytes(session, 300_000)
      assert.equal((await session.close()).code, undefined)
    }
    await buy()
    await buy()
    assert.deepEqual([await depositOf(consumer), opens(consumer)], [1_000_000n, 1])
  })

  test('two purchases at once make one reservation, by one transaction', async (t) => {
    const provider = await seller(t)
    const consumer = await net.consumer(t)
    const open = () => consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token', reserve: 'auto' })
    const sessions = await Promise.all([open(), open()])
    for (const session of sessions) await session.close()
    assert.deepEqual([await depositOf(consumer), opens(consumer)], [1_000_000n, 1])
  })

  test('what was sent has used its allowance, also where the chain falls silent before it can be seen', async (t) => {
    const provider = await seller(t)
    const rpc = await startRpcProxy(net.dev.rpcUrl)
    t.after(() => rpc.down())
    const consumer = await net.consumer(t, [], { chain: { ...net.chain, rpcUrl: rpc.url } })
    const allowance = { left: A(1_000_000) }
    rpc.judge = ({ method }) => {
      if (method !== 'eth_getTransactionReceipt') return 'pass'
      // it is mined; nothing more is heard of the chain
      return (receipt: unknown) => {
        if (receipt !== null) rpc.judge = () => 'cut'
        return receipt
      }
    }
    const reserve = { upTo: A(400_000), allowance }
    const opening = consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token', reserve })
    await assert.rejects(opening, { code: 'CHAIN_UNREACHABLE' })
    rpc.judge = () => 'pass'
    assert.equal(allowance.left, 600_000n)
  })

  test('prolongs a reservation that is nearly over', async (t) => {
    const provider = await seller(t)
    const consumer = await net.consumer(t)
    await net.reserve(consumer, provider.address, { amount: A(1_000_000), forS: 1_800 })
    const nowS = await consumer.chain.time()
    const session = await consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token', reserve: 'auto' })
    await session.close()
    const [channel] = await Array.fromAsync(consumer.money.paying())
    assert.equal(channel?.deposit, 1_000_000n)
    assert.ok((channel?.expiry ?? 0) > nowS + 29 * DAY_S)
  })

  test('refuses what it may not, or cannot: demands above the budget, an empty wallet; and reserves nothing then', async (t) => {
    const provider = await seller(t, A(2_000_000))
    const consumer = await net.consumer(t)
    const wish = { service: 'bytes', provider: addressOf(provider), budget: '1 token', reserve: 'auto' } as const
    const demand = await failure(() => consumer.open(wish))
    assert.deepEqual([demand.code, demand.fields.demanded], ['RESERVATION_TOO_SMALL', 2_000_000n])
    const told = await consumer.open({ ...wish, reserve: { upTo: '2 token' } })
    await told.close()
    assert.equal(await depositOf(consumer), 2_000_000n)

    const poor = await net.node(t)
    await net.dev.fund(poor.address, { wei: GAS })
    assert.equal((await failure(() => poor.open({ ...wish, budget: '3 token' }))).code, 'FUNDS_LOW')
    assert.deepEqual([opens(poor), await depositOf(poor)], [0, 0n])
  })

  test('reserves nothing for a provider that does not answer', async (t) => {
    const provider = await seller(t)
    const consumer = await net.consumer(t)
    const found = await consumer.offerOf(addressOf(provider), 'bytes')
    await provider.stop()
    assert.equal(
      (await failure(() => consumer.open({ service: found, budget: '1 token', reserve: 'auto' }))).code,
      'PEER_UNREACHABLE',
    )
    assert.equal(opens(consumer), 0)
  })

  test('takes what the ledger balance lacks out of the wallet, in one transaction', async (t) => {
    const provider = await seller(t)
    const consumer = await net.consumer(t)
    await consumer.money.send(consumer.money.depositAction(A(400_000)))
    await consumer.money.send(consumer.money.withdrawAction(provider.address, A(100_000)))
    await consumer.money.reserve(provider.address, (PURSE - 150_000n) as Amount)
    const { wallet, ledger } = await consumer.money.balances()
    assert.deepEqual([wallet, ledger, await depositOf(consumer)], [50_000n, 0n, PURSE - 150_000n])
    assert.equal(opens(consumer), 1)
  })
})
