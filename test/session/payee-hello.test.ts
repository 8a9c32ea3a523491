import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TallyError } from '../../src/core/errors.ts'
import type { Address } from '../../src/core/ids.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { Market } from './market.ts'
import { deliver, Guest, sessionsOf, until, WatchedService, withGuest } from './payee-guest.ts'

/** A market whose ledger counts the questions and whose store counts the batches. */
async function counted(
  body: (market: Market, counts: { asked: number; batches: number }, service: WatchedService) => Promise<void>,
) {
  const counts = { asked: 0, batches: 0 }
  const service = new WatchedService()
  const store = openMemoryStore({ beforeSync: () => void counts.batches++ })
  const market = new Market({ service, payeeStore: store, policy: { maxSessions: 20 } })
  const { channel } = market.ledger.chain
  market.ledger.chain.channel = async (of: Parameters<typeof channel>[0]) => {
    counts.asked += 1
    return await channel(of)
  }
  await market.start()
  // a new database is given its index
  counts.batches = 0
  try {
    await body(market, counts, service)
  } finally {
    await market.stop()
  }
}

describe('hello', () => {
  test('that asks for what is not sold, or for another token, costs neither an RPC nor a write', async () => {
    await counted(async (market, counts) => {
      const guest = new Guest(market, 0xa1)
      assert.equal(await guest.asks({ service: 'other' }), 'SERVICE_UNKNOWN')
      assert.equal(await guest.asks({ token: `0x${'c2'.repeat(20)}` as Address }), 'OFFER_FOREIGN')
      assert.deepEqual(counts, { asked: 0, batches: 0 })
      await guest.cut()
    })
  })

  test('of a channel that the ledger does not know asks the chain once in a few seconds', async () => {
    await counted(async (market, counts) => {
      const guest = new Guest(market, 0xa1, false)
      for (let i = 0; i < 5; i++) assert.equal(await guest.asks(), 'CHANNEL_UNKNOWN')
      assert.deepEqual(counts, { asked: 1, batches: 0 })
      market.ledger.open(guest.parties)
      market.clock.ms += 3_001
      assert.equal(await guest.asks(), 'terms')
      assert.equal(counts.asked, 2)
      await guest.cut()
    })
  })

  test('is answered to one stream for eight sessions at a time', async () => {
    await counted(async (market, _, service) => {
      const guest = new Guest(market, 0xa1)
      const held = Promise.withResolvers<void>()
      service.gate = held.promise
      const waiting = Array.from({ length: 8 }, () => guest.asks())
      await until(() => service.prepared === 8)
      assert.equal(await guest.asks(), 'BUSY')
      held.resolve()
      assert.deepEqual(new Set(await Promise.all(waiting)), new Set(['terms']))
      await guest.cut()
    })
  })

  test('with the id of a session that is on record is refused with WRONG_STATE', async () => {
    await withGuest({}, async (market, guest) => {
      const session = await deliver(market, guest)
      assert.equal(await guest.asks({ session }), 'WRONG_STATE')
      guest.send({ type: 'fault', session, code: new TallyError('ABORTED').wire })
      await guest.heard('receipt', session)
      assert.equal(sessionsOf(market).length, 0)
      assert.equal(await guest.asks({ session }), 'WRONG_STATE')
    })
  })

  test('that resumes must name the owner, the token and the service of the terms', async () => {
    await withGuest({}, async (market, guest) => {
      const session = await deliver(market, guest)
      await guest.cut()
      guest.connect()
      const resume = { session, resume: true }
      assert.equal(await guest.asks({ ...resume, owner: market.provider.address }), 'SESSION_UNKNOWN')
      assert.equal(await guest.asks({ ...resume, token: `0x${'c2'.repeat(20)}` as Address }), 'SESSION_UNKNOWN')
      assert.equal(await guest.asks({ ...resume, service: 'other' }), 'SESSION_UNKNOWN')
      assert.equal(await guest.asks(resume), 'terms')
    })
  })
})
