// However long a node has been in business: what a start, a session and its payments read from the disk stays the same.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { newChannelOut } from '../../src/core/channel.ts'
import { newOwner } from '../../src/core/credit.ts'
import { addressFromBytes, type ChannelParties, channelId, type Seconds, type SessionId } from '../../src/core/ids.ts'
import { NO_FLOW } from '../../src/core/session/flow.ts'
import { newPayeeSession, type PayeeSession } from '../../src/core/session/payee.ts'
import type { PayerSession } from '../../src/core/session/payer.ts'
import type { Store } from '../../src/ports/store.ts'
import { PayeeShelf } from '../../src/session/payee-shelf.ts'
import { type PayerFile, PayerShelf } from '../../src/session/payer-shelf.ts'
import { PayeeRecords, PayerRecords } from '../../src/session/records.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { PayeeBench, PayerBench } from '../core/session/fixture.ts'
import { A, Market, newSessionId, requestAt, START_S, selfOf, TOKEN } from './market.ts'

const BYTES = 6_000
const CONSUMER = 0xa1
const idOf = (n: number): SessionId => `0x${(1_000_000 + n).toString(16).padStart(32, 'f')}` as SessionId
const addressOf = (n: number) => addressFromBytes(Buffer.from((1_000_000 + n).toString(16).padStart(40, '0'), 'hex'))
const facts = { deposit: A(50_000), settled: A(0), expiry: (START_S + 100_000) as Seconds, epoch: 0 }

/** Counts the records that are read. */
class CountedStore implements Store {
  readonly #store: Store
  #records = 0

  constructor(store: Store) {
    this.#store = store
  }

  async get(...args: Parameters<Store['get']>): ReturnType<Store['get']> {
    this.#records += 1
    return await this.#store.get(...args)
  }
  has(...args: Parameters<Store['has']>): boolean {
    this.#records += 1
    return this.#store.has(...args)
  }
  async *list(...args: Parameters<Store['list']>): AsyncGenerator<readonly [Uint8Array, Uint8Array]> {
    for await (const entry of this.#store.list(...args)) {
      this.#records += 1
      yield entry
    }
  }
  commit: Store['commit'] = (ops) => this.#store.commit(ops)
  close: Store['close'] = () => this.#store.close()

  /** since it was asked last */
  take(): number {
    const records = this.#records
    this.#records = 0
    return records
  }
}

/** A consumer that has ended so many sessions: each second one with this provider, the others with one of their own each. */
async function boughtBefore(count: number, provider: ChannelParties['target']): Promise<Store> {
  const store = openMemoryStore()
  const records = new PayerRecords(store)
  const shelf = new PayerShelf(store, { nowMs: () => 0, nowS: () => START_S as Seconds }, records)
  await shelf.load()
  const self = selfOf(CONSUMER).address
  const { session } = new PayerBench().live()
  for (let n = 0; n < count; n++) {
    const parties = { owner: self, signer: self, target: n % 2 === 0 ? provider : addressOf(n), token: TOKEN }
    const file: PayerFile = await shelf.file(channelId(parties))
    shelf.set(file, file.channel ?? newChannelOut(file.id, parties, { ...facts, deposit: A(1_000_000) }))
    await store.commit(shelf.ops([file], [[endedOut(session, n, parties), file]]))
  }
  return store
}

function endedOut(session: PayerSession, n: number, { target: provider, ...parties }: ChannelParties): PayerSession {
  const wish = { ...session.wish, ...parties, provider }
  const { terms } = session
  if (terms === undefined) return assert.fail('no terms')
  return {
    ...session, id: idOf(n), wish, status: 'closed', terms: { ...terms, ...parties, provider, session: idOf(n) }, total: A(700), paid: A(700),
    flow: { ...NO_FLOW, done: 700n },
  } // biome-ignore format: a record
}

/** A provider in which so many sessions have ended: each second one with this consumer, the others with one of their own each. */
async function soldBefore(count: number): Promise<Store> {
  const store = openMemoryStore()
  const records = new PayeeRecords(store)
  const shelf = new PayeeShelf(store, records)
  await shelf.load()
  const { session } = new PayeeBench().live()
  const target = selfOf(0xb1).address
  for (let n = 0; n < count; n++) {
    const owner = n % 2 === 0 ? selfOf(CONSUMER).address : addressOf(n)
    const parties = { owner, signer: owner, target, token: TOKEN }
    const id = channelId(parties)
    const file = await shelf.channel(id)
    file.channel ??= { id, parties, facts: { ...facts, deposit: A(1_000_000) }, best: undefined, frozen: undefined }
    const terms = { ...session.terms, owner, signer: owner, provider: target, token: TOKEN, session: idOf(n) }
    const ended: PayeeSession = {
      ...newPayeeSession(terms, session.termsDigest, session.termsSignature, 0), status: 'closed', payerSignature: session.payerSignature,
      total: A(700), paid: A(700), flow: { ...NO_FLOW, done: 700n },
    } // biome-ignore format: a record
    await store.commit([
      ...shelf.ops([file]),
      records.putOwner({ ...newOwner(owner, TOKEN), paid: 700n }),
      ...records.putSession(ended),
    ])
  }
  return store
}

interface Reads {
  readonly start: { readonly payer: number; readonly payee: number }
  readonly session: { readonly payer: number; readonly payee: number }
  readonly resumed: { readonly payer: number; readonly payee: number }
}

/** Starts both, buys in one session, cuts it in a second one, starts the consumer again and goes on with that. */
async function readsAfter(count: number): Promise<Reads> {
  const payee = new CountedStore(await soldBefore(count))
  const market = new Market({ payeeStore: payee, policy: { poolPerHour: A(0) } })
  const payer = new CountedStore(await boughtBefore(count, market.provider.address))
  payee.take()
  payer.take()
  const taken = (): { payer: number; payee: number } => ({ payer: payer.take(), payee: payee.take() })
  await market.start()
  try {
    const consumer = await market.consumer(CONSUMER, payer)
    const start = taken()
    const line = consumer.connect()
    const live = await consumer.desk.open(line, await consumer.wish({ expect: BigInt(BYTES) }), newSessionId())
    const stream = await live.open(requestAt(10_000 - BYTES))
    for await (const piece of stream.unacknowledged) stream.acknowledge(piece.length)
    assert.equal((await live.close()).receipt?.receipt.total, BigInt(BYTES))
    assert.equal((await consumer.desk.book.tradeWith(consumer.parties)).completed, 1)
    const session = taken()
    const cut = await consumer.desk.open(line, await consumer.wish({ expect: BigInt(BYTES) }), newSessionId())
    consumer.cut()
    await cut.ended
    const again = await market.consumer(CONSUMER, payer)
    const resumed = await again.desk.resume(again.connect(), cut.session.id, 0n)
    assert.equal((await resumed.close()).code, undefined)
    return { start, session, resumed: taken() }
  } finally {
    await market.stop()
  }
}

describe('a node with a history', () => {
  test('reads as many records for a start, a session with its payments, and a resumption after 10,000 sessions as after 10', async () => {
    const [few, many] = [await readsAfter(10), await readsAfter(10_000)]
    assert.deepEqual(many, few)
    // and these are few
    for (const { payer, payee } of Object.values(few)) assert.ok(payer <= 20 && payee <= 20, JSON.stringify(few))
  })
})
