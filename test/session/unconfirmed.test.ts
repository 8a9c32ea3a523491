// A provider that lets some of a reservation count before it is confirmed: the real desk, over a ledger whose blocks are told apart.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NO_CHANNEL } from '../../src/core/channel.ts'
import { signerOf } from '../../src/core/crypto/secp256k1.ts'
import type { Seconds, SessionId } from '../../src/core/ids.ts'
import { preparePromises } from '../../src/core/promise.ts'
import type { ChainFact } from '../../src/ports/chain.ts'
import { A, DOMAIN, Market, START_S, TOKEN } from './market.ts'
import { Guest, turn, until } from './payee-guest.ts'

const KEY = 0xa1
const HEAD: ChainFact = { type: 'head', head: 1, confirmed: 1, time: START_S as Seconds }
const open = (deposit: number) => ({ ...NO_CHANNEL, deposit: A(deposit), expiry: (START_S + 100_000) as Seconds, block: 7 })

class Bench {
  readonly market: Market
  readonly guest: Guest
  latest = 0
  confirmed = 0
  paid = 0n

  constructor(unconfirmedCredit: number) {
    this.market = new Market({ policy: { unconfirmedCredit: A(unconfirmedCredit), poolPerHour: A(10_000) } })
    this.market.ledger.chain.channel = async (of) =>
      ({
        id: typeof of === 'string' ? of : this.guest.channel,
        ...(this.latest > 0 && { latest: open(this.latest) }),
        ...(this.confirmed > 0 && { confirmed: open(this.confirmed) }),
      }) as Awaited<ReturnType<typeof this.market.ledger.chain.channel>>
    this.guest = new Guest(this.market, KEY, false)
  }

  async block(latest: number, confirmed: number): Promise<void> {
    this.latest = latest
    this.confirmed = confirmed
    await this.market.payee.onFacts([HEAD])
  }

  pay(session: SessionId, amount: number): void {
    this.paid += BigInt(amount)
    const promise = preparePromises(DOMAIN, this.guest.parties).sign(A(this.paid), [], signerOf(new Uint8Array(32).fill(KEY)))
    this.guest.send({ type: 'promise', session, total: A(this.paid), promise })
  }

  async counted(session: SessionId, paid: number): Promise<void> {
    await until(() =>
      this.guest.pair.said.some((one) => one.type === 'meter' && one.session === session && one.paid === BigInt(paid)),
    )
  }

  async owner() {
    return (await this.market.payee.shelf.owner(this.guest.self.address, TOKEN)).account
  }
}

async function withBench(unconfirmedCredit: number, body: (bench: Bench) => Promise<void>): Promise<void> {
  const bench = new Bench(unconfirmedCredit)
  await bench.market.start()
  try {
    await body(bench)
  } finally {
    await bench.market.stop()
  }
}

describe('S12: a reservation that stands in a block and is not confirmed', () => {
  test('is as good as none, unless the provider gives credit on it', async () => {
    await withBench(0, async (bench) => {
      bench.latest = 50_000
      assert.equal(await bench.guest.asks(), 'CHANNEL_UNKNOWN')
      await bench.guest.cut()
    })
  })

  test('pays up to that credit, and all of it from the moment at which it is confirmed', async () => {
    await withBench(3_000, async (bench) => {
      bench.latest = 50_000
      const session = await bench.guest.begin()
      bench.pay(session, 3_000)
      await bench.counted(session, 3_000)
      await bench.block(50_000, 50_000)
      bench.pay(session, 4_000)
      await bench.counted(session, 7_000)
      assert.equal((await bench.owner()).debt, 0n)
      await bench.guest.cut()
    })
  })

  test('that is taken back leaves a debt, and no credit; once it is there after all nothing is owed', async () => {
    await withBench(3_000, async (bench) => {
      bench.latest = 50_000
      const session = await bench.guest.begin()
      bench.pay(session, 3_000)
      await bench.counted(session, 3_000)
      // a node of the RPC that lags is no proof
      await bench.block(0, 0)
      assert.equal((await bench.owner()).debt, 0n)
      await bench.block(0, 0)
      assert.deepEqual([(await bench.owner()).debt, (await bench.owner()).paid], [3_000n, 0n])
      bench.pay(session, 1)
      await bench.guest.heard('fault', session)
      assert.equal((await bench.owner()).debt, 3_000n)
      await bench.guest.cut()
      bench.guest.connect()
      for (let i = 0; i < 20; i++) await turn()
      // while it owes nothing counts but what is confirmed
      bench.latest = 50_000
      bench.market.clock.ms += 3_001
      assert.notEqual(await bench.guest.asks(), 'terms')
      bench.confirmed = 50_000
      bench.market.clock.ms += 3_001
      assert.equal(await bench.guest.asks(), 'terms')
      assert.deepEqual([(await bench.owner()).debt, (await bench.owner()).paid], [0n, 3_000n])
      await bench.guest.cut()
    })
  })

  test('that was taken back while the provider was away is a debt at the next hello', async () => {
    await withBench(3_000, async (bench) => {
      bench.latest = 50_000
      const session = await bench.guest.begin()
      bench.pay(session, 3_000)
      await bench.counted(session, 3_000)
      await bench.guest.cut()
      bench.latest = 0
      bench.market.payee = bench.market.newPayee(bench.market.store)
      await bench.market.payee.start()
      bench.guest.connect()
      assert.notEqual(await bench.guest.asks(), 'terms')
      assert.equal((await bench.owner()).debt, 3_000n)
      await bench.guest.cut()
    })
  })

  test('is counted on by no more owners than the pool of the hour has for', async () => {
    await withBench(6_000, async (bench) => {
      bench.latest = 50_000
      assert.equal(await bench.guest.asks(), 'terms')
      const other = new Guest(bench.market, 0xa2, false)
      assert.equal(await other.asks(), 'CHANNEL_UNKNOWN')
      await other.cut()
      await bench.guest.cut()
    })
  })
})
