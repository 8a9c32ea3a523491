import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { asTallyError, TallyError } from '../../src/core/errors.ts'
import type { SessionId } from '../../src/core/ids.ts'
import { PayeeRecords } from '../../src/session/records.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { A, type Market, newSessionId } from './market.ts'
import { deliver, Guest, sessionsOf, turn, until, WatchedService, withGuest } from './payee-guest.ts'

const refusal = async (promise: Promise<unknown>): Promise<string> =>
  await promise.then(
    () => 'no error',
    (thrown: unknown) => asTallyError(thrown).code,
  )
const recordOf = async (market: Market, id: SessionId) => await new PayeeRecords(market.store).session(id)

describe('slots', () => {
  test('a session that is cut before anything was delivered or paid is forgotten', async () => {
    await withGuest({}, async (market, guest) => {
      const session = await guest.begin()
      assert.notEqual(await recordOf(market, session), undefined)
      await guest.cut()
      await until(() => sessionsOf(market).length === 0)
      assert.equal(await recordOf(market, session), undefined)
      guest.connect()
      assert.equal(await guest.asks({ session, resume: true }), 'SESSION_UNKNOWN')
    })
  })

  test('a session in which something was delivered is kept when it is cut', async () => {
    await withGuest({}, async (market, guest) => {
      const session = await deliver(market, guest)
      await guest.cut()
      assert.deepEqual(
        sessionsOf(market).map(({ id, status }) => [id, status]),
        [[session, 'cut']],
      )
    })
  })

  test('the 65th session of an owner takes the place of the one that was cut longest ago', async () => {
    await withGuest({ policy: { maxSessions: 500, poolPerHour: A(1_000_000) } }, async (market, guest) => {
      const first = await deliver(market, guest)
      await guest.cut()
      market.clock.ms += 10
      guest.connect()
      for (let i = 0; i < 63; i++) await guest.begin()
      const one = sessionsOf(market).length
      // the stream has its own limit of 64: the cut one is not on it
      await guest.begin()
      await until(() => sessionsOf(market).length === 64)
      assert.equal(one, 64)
      assert.ok(!sessionsOf(market).some(({ id }) => id === first))
    })
  })

  test('an owner with 64 sessions that all go on gets no more, whichever of its signers asks', async () => {
    await withGuest({ policy: { maxSessions: 500 } }, async (market, guest) => {
      for (let i = 0; i < 64; i++) await guest.begin()
      const other = new Guest(market, 0xa2)
      const owner = guest.self.address
      market.ledger.open({ ...other.parties, owner })
      assert.equal(await other.asks({ owner }), 'BUSY')
      assert.equal(await other.asks(), 'terms')
      await other.cut()
    })
  })

  test('a session without a stream is asked to close after the idle time, and not before', async () => {
    await withGuest({ policy: { idleMs: 30_000 } }, async (market, guest) => {
      const session = await guest.begin()
      let looks = 0
      market.clock.nowMs = () => {
        looks += 1
        return market.clock.ms
      }
      market.clock.ms += 30_000
      await until(() => looks > 10)
      assert.ok(!guest.pair.said.some(({ type }) => type === 'closing'))
      market.clock.ms += 1
      const { reason } = await guest.heard('closing', session)
      assert.equal(reason, new TallyError('PATIENCE_OVER').wire)
    })
  })

  test('a session that ended with nothing paid and nothing delivered leaves no record', async () => {
    await withGuest({}, async (market, guest) => {
      const session = await guest.begin()
      const meter = { down: 0n, up: 0n, ms: 0n, calls: 0n, units: 0n }
      guest.send({ type: 'close', session, total: A(0), acked: meter, reason: 0 })
      await guest.heard('receipt', session)
      assert.equal(await recordOf(market, session), undefined)
    })
  })
})

describe('deliveries', () => {
  test('a service is asked for no piece before a byte may be written', async () => {
    const service = new WatchedService()
    await withGuest({ service, policy: { poolPerHour: A(0) } }, async (market, guest) => {
      const session = await guest.begin()
      await guest.open(session, 1)
      await until(() => sessionsOf(market).some(({ paused }) => paused))
      assert.deepEqual([service.opened, service.pulled], [1, 0])
    })
  })

  test('a stream whose session ends before the service has answered is refused', async () => {
    const service = new WatchedService()
    await withGuest({ service }, async (_, guest) => {
      const session = await guest.begin()
      const held = Promise.withResolvers<void>()
      service.gate = held.promise
      const opening = refusal(guest.open(session, 1))
      await until(() => service.opened === 1)
      guest.send({ type: 'fault', session, code: new TallyError('ABORTED').wire })
      assert.equal(await opening, 'WRONG_STATE')
      held.resolve()
    })
  })

  test('beyond 1,024 at once, over all sessions, a stream is refused with BUSY', async () => {
    const service = new WatchedService()
    await withGuest({ service, policy: { maxSessions: 500 } }, async (market, guest) => {
      // of a service whose slots are not limited one owner gets half of them all
      const [other, third] = [new Guest(market, 0xa2), new Guest(market, 0xa3)]
      const sessions: [Guest, SessionId][] = []
      for (const one of [guest, other]) for (let i = 0; i < 16; i++) sessions.push([one, await one.begin()])
      const last = await third.begin()
      const held = Promise.withResolvers<void>()
      service.gate = held.promise
      const opened = sessions.flatMap(([one, session]) => Array.from({ length: 32 }, (_, i) => refusal(one.open(session, i + 1))))
      await until(() => service.opened === 1_024)
      assert.equal(await refusal(third.open(last, 1)), 'BUSY')
      for (const one of [guest, other, third]) await one.cut()
      held.resolve()
      await Promise.all(opened)
    })
  })

  test('a session reads at most 16 MiB for nothing', async () => {
    const service = new WatchedService(9 * 1024 * 1024, true, 1024 * 1024)
    await withGuest({ service }, async (_, guest) => {
      const session = await guest.begin()
      let got = 0
      const readAll = async (stream: number): Promise<void> => {
        const { bytes } = await guest.open(session, stream)
        for (let piece = await bytes.read(); piece !== undefined; piece = await bytes.read()) got += piece.length
      }
      await readAll(1)
      assert.equal(await refusal(readAll(2)), 'RATE_EXCEEDED')
      assert.ok(got <= 16 * 1024 * 1024)
      assert.equal(await refusal(readAll(3)), 'RATE_EXCEEDED')
    })
  })
})

test('countersignatures of old sessions are looked at one at a time', async () => {
  let reading = 0
  const held = Promise.withResolvers<void>()
  const inner = openMemoryStore()
  let isHeld = false
  const store = new Proxy(inner, {
    get(target, name) {
      const value = Reflect.get(target, name)
      if (name !== 'get' || !isHeld) return typeof value === 'function' ? value.bind(target) : value
      return async (...of: Parameters<typeof inner.get>) => {
        reading += 1
        await held.promise
        return await target.get(...of)
      }
    },
  })
  await withGuest({ payeeStore: store }, async (_, guest) => {
    await guest.begin()
    isHeld = true
    for (let i = 0; i < 50; i++) guest.send({ type: 'countersign', session: newSessionId(), signature: new Uint8Array(65) })
    await until(() => reading > 0)
    for (let i = 0; i < 10; i++) await turn()
    assert.equal(reading, 1)
    held.resolve()
    isHeld = false
  })
})
