// What a service charges beside bytes and time, between two real desks.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { asTallyError } from '../../src/core/errors.ts'
import { type MeterKind, meterOf } from '../../src/core/meter.ts'
import { due, type Price, priceOf } from '../../src/core/price.ts'
import { exposureOf } from '../../src/core/session/payee.ts'
import type { Charged, PaidStream, Reservation, ServiceAdapter, ServiceCall } from '../../src/ports/service.ts'
import type { LiveSession } from '../../src/session/live-session.ts'
import { A, type Consumer, Market, type MarketInit, newSessionId } from './market.ts'

type Body = (call: ServiceCall) => AsyncGenerator<Uint8Array>

/** A service whose streams do what the test says. */
function scripted(body: Body): ServiceAdapter {
  return {
    kind: 'test',
    inputs: '',
    outputs: '',
    charges: ['up', 'calls', 'units'],
    prepare: async () => new Uint8Array(0),
    open: async (call) => ({ info: new Uint8Array(0), free: false, body: body(call) }),
    close: async () => undefined,
  }
}

/** Each kind at so many base units a piece. */
const price = (rates: Partial<Record<MeterKind, number>>): Price =>
  priceOf(
    Object.entries(rates).map(([kind, amount]) => ({ kind: kind as MeterKind, amount: A(amount), per: 1n })),
    rates.units === undefined ? undefined : 'token',
  )

const CALLS: MarketInit = { price: price({ calls: 100 }), chunk: { kind: 'calls', size: 1n } }
const TOKENS: MarketInit = { price: price({ units: 2 }), chunk: { kind: 'units', size: 500n } }
const PREPAID = { policy: { poolPerHour: A(0) } }

async function inMarket(init: MarketInit, body: Body, act: (market: Market, consumer: Consumer) => Promise<void>): Promise<void> {
  const market = await new Market({ ...init, service: scripted(body) }).start()
  try {
    await act(market, await market.consumer())
  } finally {
    await market.stop()
  }
}

const begin = async (consumer: Consumer, of: Parameters<Consumer['wish']>[0] = {}): Promise<LiveSession> =>
  await consumer.desk.open(consumer.line ?? consumer.connect(), await consumer.wish(of), newSessionId())

const EMPTY = new Uint8Array(0)

async function textOf(stream: PaidStream): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of stream) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}
const text = (of: string): Uint8Array => new TextEncoder().encode(of)
const codeOf = async (promise: Promise<unknown>): Promise<string> =>
  await promise.then(
    () => 'no error',
    (thrown) => asTallyError(thrown).code,
  )
/** What it counted and was paid; both signed for it. */
async function paidFor(session: LiveSession): Promise<{ meter: Record<string, bigint>; total: bigint }> {
  const { receipt, code } = await session.close()
  assert.equal(code, undefined)
  const { meter, total } = receipt?.receipt ?? assert.fail('no receipt')
  assert.equal(session.session.failure, undefined, 'both ends say the same')
  return { meter: Object.fromEntries(Object.entries(meter).filter(([kind, count]) => kind !== 'ms' && count > 0n)), total }
}
const ownerOf = async (market: Market) => (await Array.fromAsync(market.payee.shelf.owners()))[0] ?? assert.fail('no owner')
const sessionOf = (market: Market) => [...market.payee.sessions()][0] ?? assert.fail('no session')
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

/** What comes in goes out. */
async function* echo({ input }: ServiceCall): AsyncGenerator<Uint8Array> {
  yield* input
}
/** One call, which works. */
async function* answer(call: ServiceCall): AsyncGenerator<Uint8Array> {
  await call.charge({ calls: 1 })
  yield text('42')
}

async function pourInto(stream: PaidStream, bytes: number): Promise<void> {
  for (let at = 0; at < bytes; at += 700) await stream.write(new Uint8Array(Math.min(700, bytes - at)))
  await stream.closeWrite()
}

describe('bytes from the consumer', () => {
  const init: MarketInit = { price: price({ up: 2, down: 1 }), chunk: { kind: 'up', size: 1_000n } }

  test('M1: up is what the service has taken, and is paid with what it gives back', async () => {
    await inMarket(init, echo, async (_, consumer) => {
      const session = await begin(consumer)
      const stream = await session.open(EMPTY)
      const pouring = pourInto(stream, 5_000)
      const back = await textOf(stream)
      await pouring
      assert.equal(back.length, 5_000)
      assert.deepEqual(await paidFor(session), { meter: { down: 5_000n, up: 5_000n }, total: 15_000n })
    })
  })

  test('M2: the service takes no byte past paid + credit: a consumer that does not pay is read no further', async () => {
    let taken = 0
    const sink: Body = async function* ({ input }) {
      for await (const piece of input) taken += piece.length
      yield text('all')
    }
    await inMarket({ ...init, policy: { patienceMs: 600_000 } }, sink, async (market, consumer) => {
      consumer.connect((message) => message.type !== 'promise')
      const session = await begin(consumer)
      const stream = await session.open(EMPTY)
      const pouring = pourInto(stream, 5_000).catch(() => undefined)
      await until(() => sessionOf(market).paused)
      assert.equal(taken, 1_000)
      assert.equal(exposureOf(sessionOf(market)), 2_000n)
      consumer.cut()
      await pouring
    })
  })

  test('M4: bytes that the budget does not cover are not sent', async () => {
    await inMarket(init, echo, async (_, consumer) => {
      const session = await begin(consumer, { budget: A(3_001) })
      const stream = await session.open(EMPTY)
      const reading = codeOf(textOf(stream))
      assert.equal(await codeOf(pourInto(stream, 5_000)), 'BUDGET_REACHED')
      assert.equal((await session.ended).code, 'BUDGET_REACHED')
      await reading
      assert.ok(session.signed <= 3_001n && session.figures.owed <= 3_001n, 'no debt is left')
    })
  })
})

describe('calls', () => {
  test('M3, M5: a call that is charged is paid, though the session closes right after its last byte', async () => {
    await inMarket(CALLS, answer, async (_, consumer) => {
      const session = await begin(consumer)
      for (let i = 0; i < 3; i++) assert.equal(await textOf(await session.open(EMPTY, { most: { calls: 1 } })), '42')
      assert.deepEqual(await paidFor(session), { meter: { down: 6n, calls: 3n }, total: 300n })
    })
  })

  test('prepaid: without credit a call begins once it is paid, and nothing is prepaid beyond what was allowed', async () => {
    const seen: bigint[] = []
    let market: Market | undefined
    const body: Body = async function* (call) {
      await call.charge({ calls: 1 })
      seen.push(sessionOf(market ?? assert.fail()).paid)
      yield text('42')
    }
    await inMarket({ ...CALLS, ...PREPAID }, body, async (place, consumer) => {
      market = place
      const session = await begin(consumer)
      for (let i = 0; i < 3; i++) assert.equal(await textOf(await session.open(EMPTY, { most: { calls: 1 } })), '42')
      assert.deepEqual(seen, [100n, 200n, 300n])
      assert.deepEqual(await paidFor(session), { meter: { down: 6n, calls: 3n }, total: 300n })
    })
  })

  test('charge on success: a call that failed is released and costs nothing', async () => {
    const body: Body = async function* (call) {
      const reserved = await call.reserve({ calls: 1 })
      reserved.release()
      yield text('503')
    }
    await inMarket(CALLS, body, async (market, consumer) => {
      const session = await begin(consumer)
      assert.equal(await textOf(await session.open(EMPTY, { most: { calls: 1 } })), '503')
      assert.equal(exposureOf(sessionOf(market)), 0n)
      assert.deepEqual(await paidFor(session), { meter: { down: 3n }, total: 0n })
      assert.equal((await ownerOf(market)).burnt, 0n)
    })
  })

  test('M4: a charge beyond what was allowed costs the stream and is never paid; the session goes on', async () => {
    let calls = 2
    const body: Body = async function* (call) {
      yield text('4')
      await call.charge({ calls })
      yield text('2')
    }
    await inMarket({ ...CALLS, policy: { sharePpm: 1_000_000n } }, body, async (market, consumer) => {
      const session = await begin(consumer, { limitAtRisk: A(1_000) })
      assert.equal(await codeOf(session.open(EMPTY, { most: { calls: 1 } }).then(textOf)), 'CHARGE_REFUSED')
      calls = 1
      assert.equal(await textOf(await session.open(EMPTY, { most: { calls: 1 } })), '42')
      const { meter } = await paidFor(session)
      assert.equal(meter.calls, 1n)
      assert.equal((await ownerOf(market)).debt, 0n)
    })
  })

  test('M4: a call that the budget does not cover is not agreed to: the session ends without a debt', async () => {
    await inMarket(CALLS, answer, async (market, consumer) => {
      const session = await begin(consumer, { budget: A(150) })
      assert.equal(await textOf(await session.open(EMPTY, { most: { calls: 1 } })), '42')
      await codeOf(session.open(EMPTY, { most: { calls: 1 } }).then(textOf))
      const { code, receipt } = await session.ended
      assert.equal(code, 'BUDGET_REACHED')
      assert.equal(receipt?.receipt.meter.calls, 1n)
      assert.equal((await ownerOf(market)).debt, 0n)
    })
  })

  test('without a limit nothing is agreed to but what the reader agrees to', async () => {
    await inMarket(CALLS, answer, async (_, consumer) => {
      const session = await begin(consumer)
      const open: { stream?: PaidStream } = {}
      open.stream = await session.open(EMPTY, { onCharge: (charged) => open.stream?.agree(charged) })
      assert.equal(await textOf(open.stream), '42')
      await until(() => open.stream?.agreed.calls === 1n)
      const told: [Charged, boolean][] = []
      const silent = await session.open(EMPTY, { onCharge: (charged, final) => told.push([charged, final]) })
      assert.equal(await textOf(silent), '42')
      await until(() => told.some(([, final]) => final))
      assert.deepEqual([silent.charged.calls, silent.agreed.calls], [1n, 0n])
      const { meter, total } = await paidFor(session)
      assert.deepEqual({ calls: meter.calls, total }, { calls: 1n, total: 100n })
    })
  })

  test('M1: a kind that the price does not name is not counted, and nothing is said about it', async () => {
    await inMarket({}, answer, async (_, consumer) => {
      const session = await begin(consumer)
      assert.equal(await textOf(await session.open(EMPTY, { most: { calls: 1 } })), '42')
      assert.deepEqual(await paidFor(session), { meter: { down: 2n }, total: 2n })
      assert.ok(consumer.said.every(({ type }) => type !== 'charge' && type !== 'agree'))
    })
  })

  test('a count that is none is refused with USAGE', async () => {
    const codes: string[] = []
    const body: Body = async function* (call) {
      for (const calls of [-1, 0.5, Number.NaN, 2 ** 60, 1n << 64n]) codes.push(await codeOf(call.charge({ calls })))
      const reserved = await call.reserve({ calls: 1 })
      codes.push(await codeOf(Promise.resolve().then(() => reserved.debit({ calls: 2 }))))
      reserved.debit()
      codes.push(await codeOf(Promise.resolve().then(() => reserved.release())))
      yield EMPTY.length === 0 ? text('!') : EMPTY
    }
    await inMarket(CALLS, body, async (_, consumer) => {
      const session = await begin(consumer)
      await textOf(await session.open(EMPTY, { most: { calls: 1 } }))
      assert.deepEqual(codes, new Array(7).fill('USAGE'))
      assert.equal((await paidFor(session)).total, 100n)
    })
  })
})

describe('units', () => {
  const model = (reserve: number, used: number): Body =>
    async function* (call) {
      const reserved = await call.reserve({ units: reserve })
      yield text('hello')
      reserved.debit({ units: used })
    }

  test('M2: reserved at the most, charged as it came out, the rest released', async () => {
    await inMarket(TOKENS, model(500, 123), async (market, consumer) => {
      const session = await begin(consumer)
      const stream = await session.open(EMPTY, { most: { units: 500 } })
      assert.equal(await textOf(stream), 'hello')
      assert.deepEqual(await paidFor(session), { meter: { down: 5n, units: 123n }, total: 246n })
      assert.deepEqual([stream.charged.units, stream.agreed.units], [123n, 123n])
      assert.equal((await ownerOf(market)).burnt, 0n)
    })
  })

  test('S4: a reservation of several chunks is prepaid as far as the limit at risk goes', async () => {
    await inMarket({ ...TOKENS, ...PREPAID }, model(1_400, 1_400), async (_, consumer) => {
      const session = await begin(consumer)
      assert.equal(await textOf(await session.open(EMPTY, { most: { units: 1_400 } })), 'hello')
      assert.deepEqual(await paidFor(session), { meter: { down: 5n, units: 1_400n }, total: 2_800n })
    })
    await inMarket({ ...TOKENS, ...PREPAID }, model(5_000, 1), async (_, consumer) => {
      const session = await begin(consumer)
      await codeOf(session.open(EMPTY, { most: { units: 5_000 } }).then(textOf))
      assert.equal((await session.ended).code, 'RISK_TOO_HIGH')
      assert.ok(session.signed <= 4_000n)
    })
  })

  test('M2: what was neither charged nor released when the stream ended uses the credit: hanging up is not free', async () => {
    const held: Reservation[] = []
    const body: Body = async function* (call) {
      held.push(await call.reserve({ units: 500 }))
      yield text('hello')
      await new Promise((_, reject) => call.signal.addEventListener('abort', () => reject(call.signal.reason)))
    }
    await inMarket(TOKENS, body, async (market, consumer) => {
      const session = await begin(consumer)
      const stream = await session.open(EMPTY, { most: { units: 500 } })
      for await (const _ of stream) break
      await until(() => sessionOf(market).flow.open.length === 0)
      assert.equal(exposureOf(sessionOf(market)), 1_000n)
      // its service does not know yet that the stream is over: too late
      held[0]?.release()
      assert.equal(exposureOf(sessionOf(market)), 1_000n)
      await session.close()
      while ((await ownerOf(market)).burnt !== 1_000n) await new Promise((resolve) => setImmediate(resolve))
    })
  })

  test('H5: after a cut the counts go on from what was agreed to', async () => {
    await inMarket(TOKENS, model(400, 300), async (market, consumer) => {
      const session = await begin(consumer)
      assert.equal(await textOf(await session.open(EMPTY, { most: { units: 400 } })), 'hello')
      await until(() => sessionOf(market).flow.open.length === 0 && session.session.counts.units.open.length === 0)
      consumer.cut()
      await session.ended
      const again = await consumer.desk.resume(consumer.connect(), session.session.id, 5n)
      assert.equal(await textOf(await again.open(EMPTY, { most: { units: 400 } })), 'hello')
      const { meter, total } = await paidFor(again)
      assert.deepEqual(meter, { down: 10n, units: 600n })
      assert.equal(total, due(price({ units: 2 }), meterOf({ units: 600n })))
    })
  })

  test('both may be charged on one stream, beside bytes in both directions', async () => {
    const init: MarketInit = { price: price({ down: 1, up: 2, calls: 30, units: 4 }), chunk: { kind: 'calls', size: 10n } }
    const body: Body = async function* (call) {
      await call.charge({ calls: 1 })
      const reserved = await call.reserve({ units: 10 })
      for await (const piece of call.input) yield piece
      reserved.debit({ units: 7 })
      await call.charge({ calls: 2, units: 1 })
    }
    await inMarket(init, body, async (_, consumer) => {
      const session = await begin(consumer)
      const stream = await session.open(EMPTY, { most: { calls: 3, units: 10 } })
      const pouring = pourInto(stream, 900)
      await textOf(stream)
      await pouring
      assert.deepEqual(await paidFor(session), {
        meter: { down: 900n, up: 900n, calls: 3n, units: 8n },
        total: 900n + 1_800n + 90n + 32n,
      })
    })
  })
})

describe('S11: what is free once', () => {
  const calls = (amount: number, from: number): Price =>
    priceOf([{ kind: 'calls', amount: A(amount), per: 1n, from: BigInt(from) }])
  const init: MarketInit = { price: calls(100, 3), chunk: { kind: 'calls', size: 1n } }
  const call = async (session: LiveSession, times: number): Promise<void> => {
    for (let i = 0; i < times; i++) await textOf(await session.open(EMPTY, { most: { calls: 1 } }))
  }

  test('is not given again in the next session, nor after the provider was restarted', async () => {
    await inMarket(init, answer, async (market, consumer) => {
      const first = await begin(consumer)
      await call(first, 2)
      assert.equal((await paidFor(first)).total, 0n)
      await market.payee.stop(AbortSignal.abort())
      consumer.cut()
      market.payee = market.newPayee(market.store)
      await market.payee.start()
      consumer.connect()
      const second = await begin(consumer)
      await call(second, 2)
      assert.equal((await paidFor(second)).total, 100n)
      const third = await begin(consumer)
      await call(third, 1)
      assert.equal((await paidFor(third)).total, 100n)
    })
  })

  test('is not given twice to sessions at the same time', async () => {
    await inMarket(init, answer, async (_, consumer) => {
      const [one, other] = [await begin(consumer), await begin(consumer)]
      await call(one, 3)
      await call(other, 1)
      assert.deepEqual([(await paidFor(one)).total, (await paidFor(other)).total], [0n, 100n])
    })
  })

  test('is used up by what was delivered, not only by what was agreed to', async () => {
    await inMarket(init, answer, async (_, consumer) => {
      const first = await begin(consumer)
      for (let i = 0; i < 3; i++) await textOf(await first.open(EMPTY))
      await paidFor(first)
      const second = await begin(consumer)
      await call(second, 1)
      assert.equal((await paidFor(second)).total, 100n)
    })
  })
})
