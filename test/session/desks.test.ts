import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { bestAmount, type ChannelFacts } from '../../src/core/channel.ts'
import { verifyClosing } from '../../src/core/closing.ts'
import { asTallyError, TallyError } from '../../src/core/errors.ts'
import { channelId, type Seconds } from '../../src/core/ids.ts'
import { isReceiptSignedBy } from '../../src/core/receipt.ts'
import { exposureOf } from '../../src/core/session/payee.ts'
import type { PaidStream } from '../../src/ports/service.ts'
import type { LiveSession } from '../../src/session/live-session.ts'
import { PayeeRecords, PayerRecords } from '../../src/session/records.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import {
  A,
  byteAt,
  type Consumer,
  countingService,
  DOMAIN,
  Market,
  type MarketInit,
  newSessionId,
  requestAt,
  START_S,
} from './market.ts'

async function inMarket(init: MarketInit, body: (market: Market, consumer: Consumer) => Promise<void>): Promise<void> {
  const market = await new Market(init).start()
  try {
    await body(market, await market.consumer())
  } finally {
    await market.stop()
  }
}

const begin = async (consumer: Consumer, of: Parameters<Consumer['wish']>[0] = {}): Promise<LiveSession> =>
  await consumer.desk.open(consumer.line ?? consumer.connect(), await consumer.wish(of), newSessionId())

/** Reads and checks what comes, from `offset`, until it ends or `most` bytes were used. */
async function read(
  stream: PaidStream,
  offset: number,
  most = Number.POSITIVE_INFINITY,
): Promise<{ bytes: number; code: string | undefined }> {
  let at = offset
  try {
    for await (const piece of stream.unacknowledged) {
      for (const [i, byte] of piece.entries()) assert.equal(byte, byteAt(at + i))
      at += piece.length
      stream.acknowledge(piece.length)
      if (at - offset >= most) break
    }
  } catch (thrown) {
    return { bytes: at - offset, code: asTallyError(thrown).code }
  }
  return { bytes: at - offset, code: undefined }
}

const refused = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise
    return 'no error'
  } catch (thrown) {
    return asTallyError(thrown).code
  }
}

async function bestOf(market: Market, consumer: Consumer): Promise<bigint> {
  const { channel } = await market.payee.shelf.channel(channelId(consumer.parties))
  return channel === undefined ? 0n : bestAmount(channel)
}
const ownerOf = async (market: Market, consumer: Consumer) =>
  (await market.payee.shelf.owner(consumer.self.address, consumer.parties.token)).account

/** Turns of the loop until something is so; the desks look at the clock every 2 ms of real time. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

describe('a session between two desks', () => {
  test('is delivered, paid, closed, and its receipt signed by both', async () => {
    await inMarket({}, async (market, consumer) => {
      const live = await begin(consumer)
      assert.deepEqual(await read(await live.open(requestAt(0)), 0), { bytes: 10_000, code: undefined })
      const { code, receipt } = await live.close()
      assert.equal(code, undefined)
      assert.ok(receipt !== undefined)
      assert.deepEqual([receipt.receipt.total, receipt.receipt.amount, receipt.receipt.meter.down], [10_000n, 10_000n, 10_000n])
      assert.ok(isReceiptSignedBy(DOMAIN, receipt.receipt, receipt.signature, market.provider.address))
      assert.equal(await bestOf(market, consumer), 10_000n)
      const records = new PayeeRecords(market.store)
      const signed = async (): Promise<Uint8Array | undefined> => (await records.session(live.session.id))?.countersignature
      while ((await signed()) === undefined) await new Promise((resolve) => setImmediate(resolve))
      assert.ok(isReceiptSignedBy(DOMAIN, receipt.receipt, (await signed()) as Uint8Array, consumer.self.address))
      assert.deepEqual(market.settled, ['close'])
    })
  })

  test('without credit is prepaid a chunk at a time, and never further', async () => {
    await inMarket({ policy: { poolPerHour: A(0) } }, async (market, consumer) => {
      const live = await begin(consumer, { limitAtRisk: A(1_000), expect: 10_000n })
      assert.deepEqual(await read(await live.open(requestAt(0)), 0), { bytes: 10_000, code: undefined })
      assert.equal((await live.close()).receipt?.receipt.total, 10_000n)
      assert.equal((await ownerOf(market, consumer))?.burnt, 0n)
    })
  })

  test('goes on after a top-up of which the payer heard before the payee: a promise above the deposit is looked up once', async () => {
    await inMarket({}, async (market, consumer) => {
      market.ledger.open(consumer.parties, { deposit: A(2_000) })
      const live = await begin(consumer, { budget: A(20_000) })
      market.ledger.open(consumer.parties, { deposit: A(30_000) })
      const facts = { ...(market.ledger.slots.get(channelId(consumer.parties)) as ChannelFacts), block: 2 }
      await consumer.desk.onFacts([{ type: 'channel', id: channelId(consumer.parties), facts, causes: [] }])
      assert.deepEqual(await read(await live.open(requestAt(0)), 0), { bytes: 10_000, code: undefined })
      const { code, receipt } = await live.close()
      assert.deepEqual([code, receipt?.receipt.total, await bestOf(market, consumer)], [undefined, 10_000n, 10_000n])
    })
  })

  test('ends when the chain knows of no top-up either', async () => {
    await inMarket({}, async (market, consumer) => {
      market.ledger.open(consumer.parties, { deposit: A(2_000) })
      const live = await begin(consumer, { budget: A(20_000) })
      const known = market.ledger.slots.get(channelId(consumer.parties)) as ChannelFacts
      const facts = { ...known, deposit: A(30_000), block: 2 }
      await consumer.desk.onFacts([{ type: 'channel', id: channelId(consumer.parties), facts, causes: [] }])
      await read(await live.open(requestAt(0)), 0)
      assert.equal((await live.ended).code, 'AMOUNT_OVER_DEPOSIT')
      assert.ok((await bestOf(market, consumer)) <= 2_000n)
    })
  })

  test('is refused with the code of the first demand that is not met', async () => {
    await inMarket({}, async (market, consumer) => {
      assert.equal(await refused(begin(consumer, { service: 'other' })), 'SERVICE_UNKNOWN')
      market.ledger.open(consumer.parties, { expiry: (START_S + 300) as Seconds })
      const stranger = await market.consumer(0xa2)
      market.ledger.slots.delete(channelId(stranger.parties))
      assert.equal(await refused(begin(stranger)), 'CHANNEL_UNKNOWN')
    })
  })

  test('two of them share one channel: its amount is the sum of their totals', async () => {
    await inMarket({}, async (market, consumer) => {
      consumer.connect()
      const [one, two] = await Promise.all([begin(consumer, { expect: 10_000n }), begin(consumer, { expect: 10_000n })])
      const readers = [one, two].map(async (live) => await read(await live.open(requestAt(0)), 0))
      assert.deepEqual(await Promise.all(readers), [
        { bytes: 10_000, code: undefined },
        { bytes: 10_000, code: undefined },
      ])
      const ends = await Promise.all([one.close(), two.close()])
      assert.deepEqual(
        ends.map(({ receipt }) => receipt?.receipt.total),
        [10_000n, 10_000n],
      )
      assert.equal(await bestOf(market, consumer), 20_000n)
    })
  })

  test('several streams of one session share its budget', async () => {
    await inMarket({}, async (market, consumer) => {
      const live = await begin(consumer, { budget: A(5_000) })
      const streams = [await live.open(requestAt(0)), await live.open(requestAt(0))]
      const parts = await Promise.all(streams.map((stream) => read(stream, 0)))
      const { receipt } = await live.close()
      assert.equal(
        parts.reduce((sum, { bytes }) => sum + bytes, 0),
        5_000,
      )
      assert.ok(parts.some(({ code }) => code === 'BUDGET_REACHED'))
      assert.deepEqual([receipt?.receipt.total, await bestOf(market, consumer)], [5_000n, 5_000n])
    })
  })

  test('a budget that is reached in one stream leaves time to use what another was given', async () => {
    await inMarket({ chunkBytes: 50_000 }, async (market, consumer) => {
      const live = await begin(consumer, { budget: A(1_000), limitAtRisk: A(50_000) })
      const slow = await live.open(requestAt(0))
      const held = slow.unacknowledged[Symbol.asyncIterator]()
      const { value } = await held.next()
      const rest = await read(await live.open(requestAt(0)), 0)
      assert.equal(rest.code, 'BUDGET_REACHED')
      await new Promise((resolve) => setImmediate(resolve))
      slow.acknowledge(value.length)
      const { receipt } = await live.ended
      assert.deepEqual(
        [receipt?.receipt.total, rest.bytes + value.length, await bestOf(market, consumer)],
        [1_000n, 1_000, 1_000n],
      )
    })
  })

  test('whose budget is reached hands over exactly what the budget covers', async () => {
    await inMarket({ policy: { poolPerHour: A(0) } }, async (market, consumer) => {
      const live = await begin(consumer, { budget: A(2_345) })
      assert.deepEqual((await read(await live.open(requestAt(0)), 0)).bytes, 2_345)
      const { code, receipt } = await live.ended
      assert.deepEqual([code, receipt?.receipt.total, receipt?.receipt.meter.down], ['BUDGET_REACHED', 2_345n, 2_345n])
      assert.equal((await ownerOf(market, consumer))?.debt, 0n)
    })
  })

  test('that the reader leaves early is paid for what was used', async () => {
    await inMarket({}, async (market, consumer) => {
      const live = await begin(consumer)
      const { bytes } = await read(await live.open(requestAt(0)), 0, 2_500)
      const { receipt } = await live.close()
      assert.deepEqual([receipt?.receipt.total, await bestOf(market, consumer)], [BigInt(bytes), BigInt(bytes)])
      assert.equal((await ownerOf(market, consumer))?.debt, 0n)
    })
  })
})

describe('a connection that is cut', () => {
  test('is resumed at the same byte, with the same totals', async () => {
    await inMarket({}, async (market, consumer) => {
      const live = await begin(consumer)
      const stream = await live.open(requestAt(0))
      const first = await read(stream, 0, 3_000)
      consumer.cut()
      assert.equal((await live.ended).code, 'STREAM_CUT')
      const again = await consumer.desk.resume(consumer.connect(), live.session.id, BigInt(first.bytes))
      const rest = await read(await again.open(requestAt(first.bytes)), first.bytes)
      assert.deepEqual([first.bytes + rest.bytes, rest.code], [10_000, undefined])
      const { receipt } = await again.close()
      assert.deepEqual(
        [receipt?.receipt.total, receipt?.receipt.meter.down, await bestOf(market, consumer)],
        [10_000n, 10_000n, 10_000n],
      )
    })
  })

  test('a payment that was lost on the way is paid again, and once', async () => {
    await inMarket({}, async (market, consumer) => {
      let lose = false
      consumer.connect((message) => !(lose && message.type === 'promise'))
      const live = await begin(consumer)
      lose = true
      const { bytes } = await read(await live.open(requestAt(0)), 0, 1_000)
      await until(() => live.signed > 0n)
      consumer.cut()
      await live.ended
      const again = await consumer.desk.resume(consumer.connect(), live.session.id, BigInt(bytes))
      await read(await again.open(requestAt(bytes)), bytes)
      assert.equal((await again.close()).receipt?.receipt.total, 10_000n)
      assert.equal(await bestOf(market, consumer), 10_000n)
    })
  })

  test('a provider that restarts goes on with the session', async () => {
    await inMarket({}, async (market, consumer) => {
      const live = await begin(consumer)
      const { bytes } = await read(await live.open(requestAt(0)), 0, 3_000)
      consumer.cut()
      await live.ended
      await market.payee.stop(AbortSignal.abort())
      market.payee = market.newPayee(market.store)
      await market.start()
      const again = await consumer.desk.resume(consumer.connect(), live.session.id, BigInt(bytes))
      await read(await again.open(requestAt(bytes)), bytes)
      assert.equal((await again.close()).receipt?.receipt.total, 10_000n)
      assert.equal(await bestOf(market, consumer), 10_000n)
    })
  })

  test('a consumer that restarts takes the head over and goes on with the session', async () => {
    await inMarket({}, async (market, consumer) => {
      const live = await begin(consumer)
      const { bytes } = await read(await live.open(requestAt(0)), 0, 3_000)
      consumer.cut()
      await live.ended
      const restarted = await market.consumer(0xa1, consumer.store)
      const again = await restarted.desk.resume(restarted.connect(), live.session.id, BigInt(bytes))
      await read(await again.open(requestAt(bytes)), bytes)
      assert.equal((await again.close()).receipt?.receipt.total, 10_000n)
      assert.equal(await bestOf(market, restarted), 10_000n)
    })
  })

  test('a consumer whose disk was lost takes the head over, and pays only what is above it', async () => {
    await inMarket({}, async (market, consumer) => {
      const live = await begin(consumer)
      await read(await live.open(requestAt(0)), 0, 3_000)
      await live.close()
      const paid = await bestOf(market, consumer)
      consumer.cut()
      const fresh = await market.consumer(0xa1, openMemoryStore())
      const next = await begin(fresh)
      await read(await next.open(requestAt(0)), 0)
      assert.equal((await next.close()).receipt?.receipt.total, 10_000n)
      assert.equal(await bestOf(market, fresh), paid + 10_000n)
    })
  })

  test('a provider whose disk was lost is given the last promise again', async () => {
    await inMarket({}, async (market, consumer) => {
      const live = await begin(consumer)
      await read(await live.open(requestAt(0)), 0)
      await live.close()
      consumer.cut()
      await market.payee.stop(AbortSignal.abort())
      market.payee = market.newPayee(openMemoryStore())
      await market.start()
      consumer.connect()
      const next = await begin(consumer)
      assert.equal(await bestOf(market, consumer), 10_000n)
      await next.close()
    })
  })

  test('the receipt of a session that was closed while the stream broke is had by resuming', async () => {
    await inMarket({}, async (market, consumer) => {
      consumer.connect((message) => message.type !== 'receipt')
      const live = await begin(consumer)
      await read(await live.open(requestAt(0)), 0)
      void live.close()
      await until(() => [...market.payee.sessions()].length === 0)
      consumer.cut()
      await live.ended
      assert.equal(await refused(consumer.desk.resume(consumer.connect(), live.session.id, 0n)), 'SESSION_UNKNOWN')
      // read after all that was given to the disk
      await consumer.desk.owedTo(consumer.parties)
      const session = await new PayerRecords(consumer.store).session(live.session.id)
      assert.deepEqual([session?.status, session?.receipt?.receipt.total], ['closed', 10_000n])
    })
  })

  test('a second control stream of a peer is refused with BUSY until the first is closed', async () => {
    await inMarket({}, async (market, consumer) => {
      const live = await begin(consumer)
      const [first] = consumer.pairs
      const second = consumer.connect()
      const wish = await consumer.wish()
      assert.equal(await refused(consumer.desk.open(second, wish, newSessionId())), 'BUSY')
      first?.cut()
      await live.ended
      await until(() => [...market.payee.sessions()].every((session) => session.status !== 'live'))
      const next = await consumer.desk.open(second, wish, newSessionId())
      assert.equal((await next.close()).code, undefined)
    })
  })
})

describe('when the money does not come', () => {
  const hungry = async (market: Market, consumer: Consumer): Promise<LiveSession> => {
    let pay = true
    consumer.connect((message) => pay || message.type !== 'promise')
    const live = await begin(consumer)
    pay = false
    const reading = read(await live.open(requestAt(0)), 0)
    await until(() => [...market.payee.sessions()].some((session) => session.paused))
    market.clock.ms += 5_001
    await reading
    return live
  }

  test('S9: patience cuts the streams, and what was acknowledged becomes a debt', async () => {
    await inMarket({}, async (market, consumer) => {
      const live = await hungry(market, consumer)
      assert.equal((await live.ended).code, 'PATIENCE_OVER')
      assert.equal((await ownerOf(market, consumer))?.debt, 1_000n)
    })
  })

  test('S9: the debt is the arrears of the next session, and is paid first', async () => {
    await inMarket({}, async (market, consumer) => {
      await (await hungry(market, consumer)).ended
      consumer.cut()
      consumer.connect()
      const next = await begin(consumer)
      assert.equal(next.session.terms?.arrears, 1_000n)
      await read(await next.open(requestAt(0)), 0)
      const { receipt } = await next.close()
      assert.deepEqual([receipt?.receipt.total, (await ownerOf(market, consumer))?.debt], [11_000n, 0n])
      assert.equal(await consumer.desk.owedTo(consumer.parties), 0n)
    })
  })

  test('C3: the receipt that the provider writes alone is kept', async () => {
    await inMarket({}, async (market, consumer) => {
      const live = await hungry(market, consumer)
      await live.ended
      await until(() => live.session.receipt !== undefined)
      assert.equal(live.session.receipt?.receipt.reason, new TallyError('PATIENCE_OVER').wire)
    })
  })
})

describe('a cheating consumer', () => {
  test('that says its last word on a stream and goes on reading is served no further', async () => {
    await inMarket({ service: countingService(100_000) }, async (market, consumer) => {
      const live = await begin(consumer)
      const stream = await live.open(requestAt(0))
      const { session } = live
      consumer.pairs[0]?.payer.send({ type: 'ack', session: session.id, stream: 1, bytes: 0n, ms: 0n, final: true })
      let got = 0
      await assert.rejects(async () => {
        for await (const piece of stream.unacknowledged) got += piece.length
      })
      assert.ok(got <= 1_000, `${got} bytes for nothing`)
      consumer.cut()
      await live.ended
      market.clock.ms += 60_001
      await until(() => [...market.payee.sessions()].length === 0)
      assert.ok(((await ownerOf(market, consumer))?.burnt ?? 0n) <= 1_000n)
    })
  })

  test('that comes back again and again without acknowledging gets its credit once', async () => {
    await inMarket({ service: countingService(100_000) }, async (market, consumer) => {
      let acks = true
      const pass = (message: { type: string }): boolean => acks || (message.type !== 'ack' && message.type !== 'promise')
      consumer.connect(pass)
      let live = await begin(consumer)
      acks = false
      let got = 0
      for (let i = 0; i < 5; i++) {
        const stream = await live.open(requestAt(0))
        await until(() => [...market.payee.sessions()].every((session) => session.paused))
        consumer.cut()
        try {
          for await (const piece of stream.unacknowledged) got += piece.length
        } catch {
          // the stream was cut; what had arrived before is counted
        }
        await live.ended
        live = await consumer.desk.resume(consumer.connect(pass), live.session.id, 0n)
      }
      assert.ok(got <= 1_000)
      const exposed = [...market.payee.sessions()].map(exposureOf).reduce((sum, one) => sum + one, 0n)
      assert.ok(exposed <= 1_000n, `${exposed} were given away`)
    })
  })
})

test('a free stream is neither metered nor paid', async () => {
  const service = { ...countingService(50_000) }
  const free = {
    ...service,
    open: async (call: Parameters<typeof service.open>[0]) => ({ ...(await service.open(call)), free: true }),
  }
  await inMarket({ service: free, policy: { poolPerHour: A(0) } }, async (_, consumer) => {
    const live = await begin(consumer, { expect: 0n })
    assert.deepEqual(await read(await live.open(requestAt(0)), 0), { bytes: 50_000, code: undefined })
    const { code, receipt } = await live.close()
    assert.deepEqual([code, receipt?.receipt.total, receipt?.receipt.meter.down], [undefined, 0n, 0n])
  })
})

describe('stopping', () => {
  test('a provider that stops lets its sessions be paid and closed', async () => {
    await inMarket({ service: countingService(100_000) }, async (market, consumer) => {
      const live = await begin(consumer)
      const stream = await live.open(requestAt(0))
      const iterator = stream[Symbol.asyncIterator]()
      for (let i = 0; i < 5; i++) await iterator.next()
      const stopping = market.payee.stop()
      const { code, receipt } = await live.ended
      await stopping
      assert.equal(code, 'SHUTTING_DOWN')
      assert.equal(receipt?.receipt.total, receipt?.receipt.meter.down)
      assert.deepEqual([(await ownerOf(market, consumer))?.debt, [...market.payee.sessions()].length], [0n, 0])
      assert.equal(await refused(begin(consumer)), 'SHUTTING_DOWN')
    })
  })

  test('and does not wait longer than it is told to', async () => {
    await inMarket({}, async (market, consumer) => {
      consumer.connect((message) => message.type !== 'close')
      await begin(consumer)
      const stop = new AbortController()
      const stopping = market.payee.stop(stop.signal)
      stop.abort()
      await stopping
    })
  })
})

describe('release', () => {
  test('the provider signs the end of the channel at its best promise, and takes no promise until the deadline', async () => {
    await inMarket({}, async (market, consumer) => {
      const live = await begin(consumer)
      await read(await live.open(requestAt(0)), 0)
      const line = consumer.line
      assert.ok(line !== undefined)
      assert.equal(await refused(consumer.desk.release(line, consumer.parties)), 'CHANNEL_IN_USE')
      await live.close()
      const released = await consumer.desk.release(line, consumer.parties)
      assert.equal(released.amount, 10_000n)
      assert.ok(verifyClosing(DOMAIN, released, released.signature, market.provider.address))
      assert.equal(await refused(begin(consumer)), 'CHANNEL_FROZEN')
      market.clock.ms += 601_000
      assert.equal((await (await begin(consumer)).close()).code, undefined)
    })
  })

  test('what was signed is frozen after a restart too', async () => {
    await inMarket({}, async (market, consumer) => {
      await (await begin(consumer)).close()
      const { line } = consumer
      assert.ok(line !== undefined)
      await consumer.desk.release(line, consumer.parties)
      consumer.cut()
      await market.payee.stop(AbortSignal.abort())
      market.payee = market.newPayee(market.store)
      await market.start()
      consumer.connect()
      assert.equal(await refused(begin(consumer)), 'CHANNEL_FROZEN')
    })
  })
})

describe('a disk that fails', () => {
  test('ends the signing: what is not on the disk is not promised', async () => {
    let full = false
    const store = openMemoryStore({ beforeSync: () => (full ? Promise.reject(new TallyError('STORE_FAILED')) : undefined) })
    const market = await new Market({}).start()
    const consumer = await market.consumer(0xa1, store)
    try {
      const live = await begin(consumer)
      full = true
      await read(await live.open(requestAt(0)), 0)
      assert.equal((await live.ended).code, 'STREAM_CUT')
      assert.ok(!consumer.said.some((message) => message.type === 'promise'))
    } finally {
      await market.stop()
    }
  })

  test('ends the delivery: what is not on the disk is not paid', async () => {
    let full = false
    const store = openMemoryStore({ beforeSync: () => (full ? Promise.reject(new TallyError('STORE_FAILED')) : undefined) })
    await inMarket({ payeeStore: store, service: countingService(100_000) }, async (market, consumer) => {
      const live = await begin(consumer)
      full = true
      const { bytes } = await read(await live.open(requestAt(0)), 0)
      assert.equal((await live.ended).code, 'STREAM_CUT')
      assert.ok(bytes <= 1_000, `${bytes} bytes were delivered for nothing`)
      const paid = [...market.payee.sessions()].map((session) => session.paid)
      assert.ok(paid.every((sum) => sum === 0n))
    })
  })
})
