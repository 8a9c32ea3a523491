import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { channelBooks, sumBooks } from '../../src/core/books.ts'
import { type ChannelOut, newChannelOut, signedOf } from '../../src/core/channel.ts'
import type { Pool } from '../../src/core/credit.ts'
import { asTallyError } from '../../src/core/errors.ts'
import {
  type Address,
  addressFromBytes,
  type ChannelParties,
  channelId,
  type Seconds,
  type SessionId,
} from '../../src/core/ids.ts'
import { NO_RECORD, type TradeRecord } from '../../src/core/ranking.ts'
import type { PayerSession } from '../../src/core/session/payer.ts'
import { withSession } from '../../src/core/trade-record.ts'
import type { Store } from '../../src/ports/store.ts'
import { table } from '../../src/ports/table.ts'
import { type PayerFile, PayerShelf } from '../../src/session/payer-shelf.ts'
import { poolCodec } from '../../src/session/record-codecs.ts'
import { PayerRecords } from '../../src/session/records.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { A, PayerBench } from '../core/session/fixture.ts'
import { collectGarbage } from '../support/gc.ts'

const address = (byte: number): Address => addressFromBytes(new Uint8Array(20).fill(byte))
const TOKENS = [address(0x71), address(0x72)] as const
const CLOCK = { nowMs: () => 0, nowS: () => 0 as Seconds }
/** what an older program does not write */
const NEW_SPACES: readonly string[] = ['openOut', 'tradeOut', 'freeOut', 'counter']

const partiesOf = (n: number): ChannelParties => {
  return { owner: address(0xaa), signer: address(0xaa), target: address(n + 1), token: TOKENS[n % 2] as Address }
}
const idOf = (n: number): SessionId => `0x${(n + 1).toString(16).padStart(32, '0')}` as SessionId

interface ChannelChange {
  readonly n: number
  readonly deposit?: number
  readonly settled?: number
  readonly at?: number
  readonly expiry?: number
}
function channelOf({ n, deposit = 1_000, settled = 0, at = 0, expiry = 5_000 }: ChannelChange): ChannelOut {
  const facts = { deposit: A(deposit), settled: A(settled), expiry: expiry as Seconds, epoch: 0 }
  return { ...newChannelOut(channelId(partiesOf(n)), partiesOf(n), facts), at: A(at), reserved: A(at) }
}

interface SessionChange {
  readonly n: number
  readonly session: number
  readonly total: number
  readonly end: 'cut' | 'well' | 'failed'
}
const { session: LIVE } = new PayerBench().live()
function sessionOf({ n, session, total, end }: SessionChange): PayerSession {
  const { target: provider, ...parties } = partiesOf(n)
  const { terms } = LIVE
  if (terms === undefined) return assert.fail('no terms')
  return {
    ...LIVE, id: idOf(session), wish: { ...LIVE.wish, ...parties, provider }, terms: { ...terms, ...parties, provider, session: idOf(session) },
    total: A(total), paid: A(total), status: end === 'cut' ? 'cut' : 'closed', failure: end === 'failed' ? 'SERVICE_FAILED' : undefined,
  } // biome-ignore format: a record
}

async function shelfOver(store: Store, maxIdle?: number): Promise<PayerShelf> {
  const shelf = new PayerShelf(store, CLOCK, new PayerRecords(store), maxIdle)
  await shelf.load()
  return shelf
}

async function put(store: Store, shelf: PayerShelf, channel: ChannelOut, sessions: readonly PayerSession[] = []): Promise<void> {
  const file = await shelf.file(channel.id)
  shelf.set(file, channel)
  await store.commit(
    shelf.ops(
      [file],
      sessions.map((session) => [session, file]),
    ),
  )
}

/** What the indexes and sums say is what the records say. */
async function isConsistent(store: Store): Promise<void> {
  const shelf = await shelfOver(store)
  const records = new PayerRecords(store)
  const [channels, sessions] = [await Array.fromAsync(records.channels()), await Array.fromAsync(records.sessions())]
  const booksOf = (one: ChannelOut) => channelBooks(one.facts, signedOf(one))
  for (const token of TOKENS) {
    const mine = channels.filter(({ parties }) => parties.token === token)
    assert.deepEqual(shelf.books(token), sumBooks(mine.map(booksOf)))
  }
  const unused = channels.filter((one) => booksOf(one).free > 0n)
  const order = (a: ChannelOut, b: ChannelOut): number => a.facts.expiry - b.facts.expiry || (a.id < b.id ? -1 : 1)
  assert.deepEqual(
    (await Array.fromAsync(shelf.free())).map(({ id, expiry }) => [id, expiry]),
    unused.sort(order).map(({ id, facts }) => [id, facts.expiry]),
  )
  const open = sessions.filter(({ status }) => status !== 'closed').map(({ id }) => id)
  assert.deepEqual((await Array.fromAsync(shelf.cut())).map(({ id }) => id).sort(), open.sort())
  for (const { parties } of channels) {
    const between = sessions.filter(({ wish }) => wish.provider === parties.target)
    assert.deepEqual(await shelf.tradeWith(parties), between.reduce<TradeRecord>(withSession, NO_RECORD))
    const cut = between.filter(({ status }) => status !== 'closed').map(({ id }) => id)
    assert.deepEqual((await Array.fromAsync(shelf.cut(parties))).map(({ id }) => id).sort(), cut.sort())
    assert.deepEqual([...(await shelf.file(channelId(parties))).cut.keys()].sort(), cut)
  }
}

const CHANNEL = fc.record({
  n: fc.nat(4), deposit: fc.nat(2_000), settled: fc.nat(1_500), at: fc.nat(2_000), expiry: fc.integer({ min: 1, max: 9_000 }),
}) // biome-ignore format: a record
const SESSION = fc.record({ session: fc.nat(3), total: fc.nat(900), end: fc.constantFrom('cut', 'well', 'failed') })
const CHANGES = fc.array(fc.tuple(CHANNEL, fc.array(SESSION, { maxLength: 2 })), { maxLength: 12 })

/** Each with its sessions; a session that is over stays as it is, and none is in two channels. */
function changesOf(list: ReturnType<typeof CHANGES.generate>['value']): [ChannelOut, PayerSession[]][] {
  const over = new Set<SessionId>()
  return list.map(([channel, sessions]) => {
    const made = sessions.map((one) => sessionOf({ ...one, n: channel.n, session: one.session + 10 * channel.n }))
    const going = made.filter(({ id }, i) => !over.has(id) && made.findIndex((one) => one.id === id) === i)
    for (const { id, status } of going) if (status === 'closed') over.add(id)
    return [channelOf(channel), going]
  })
}

const poweredUntil = (crashAt: number) => {
  let batch = 0
  return (ops: number): void => {
    if (ops > 0 && batch++ === crashAt) throw new Error('the power is gone')
  }
}

describe('the payer’s channels and sessions', () => {
  test('indexes and sums are what the records say after any changes, and after a crash at any commit', async () => {
    await fc.assert(
      fc.asyncProperty(CHANGES, fc.nat(12), async (list, crashAt) => {
        const store = openMemoryStore({ beforeSync: poweredUntil(crashAt) })
        const shelf = await shelfOver(store).catch(() => undefined)
        for (const [channel, sessions] of changesOf(list))
          if (shelf !== undefined) await put(store, shelf, channel, sessions).catch(() => undefined)
        await isConsistent(openMemoryStore({ from: store.crash() }))
      }),
      { numRuns: 120 },
    )
  })

  test('a database of an older program gets them, also when that is cut short', async () => {
    const old = openMemoryStore()
    const records = new PayerRecords(old)
    for (let n = 0; n < 40; n++) {
      const sessions = (['cut', 'well', 'failed'] as const).map((end, i) => sessionOf({ n, session: 3 * n + i, total: n, end }))
      const ops = [records.putChannel(channelOf({ n, at: 10 * n, expiry: 100 + n })), ...sessions.flatMap(records.putSession)]
      await old.commit(ops.filter(({ space }) => !NEW_SPACES.includes(space)))
    }
    const before = old.snapshot()
    for (const crashAt of [0, 1, 2, 3, 4]) {
      const store = openMemoryStore({ from: before, beforeSync: poweredUntil(crashAt) })
      await shelfOver(store).catch(() => undefined)
      await isConsistent(openMemoryStore({ from: store.crash() }))
    }
    await isConsistent(old)
  })

  test('a database that has them is refused by an older program, which would not keep them', async () => {
    const store = openMemoryStore()
    await shelfOver(store)
    const key = (name: string): Uint8Array => new TextEncoder().encode(name)
    const older = table<string, Pool>(store, { space: 'counter', version: 2, key, ...poolCodec })
    assert.equal(await older.get('newcomers-pool').catch((thrown: unknown) => asTallyError(thrown).code), 'STORE_NEWER')
  })

  test('the sums count what has changed in memory and is not written yet, once', async () => {
    const store = openMemoryStore()
    const shelf = await shelfOver(store)
    await put(store, shelf, channelOf({ n: 0, at: 100 }))
    const file = await shelf.file(channelOf({ n: 0 }).id)
    shelf.set(file, channelOf({ n: 0, at: 300 }))
    assert.equal(shelf.books(TOKENS[0]).signed, 300n)
    await store.commit(shelf.ops([file]))
    assert.equal(shelf.books(TOKENS[0]).signed, 300n)
  })

  test('a mark that was asked for is in every write of the channel from then on', async () => {
    const store = openMemoryStore()
    const shelf = await shelfOver(store)
    await put(store, shelf, channelOf({ n: 0, at: 100 }))
    const file = await shelf.file(channelOf({ n: 0 }).id)
    file.mark = A(900)
    await store.commit(shelf.ops([file]))
    assert.equal((await new PayerRecords(store).channel(file.id))?.reserved, 900n)
  })

  /** Does something with a channel that nobody holds afterwards, and asks for it again when all that nobody holds is gone. */
  async function again(change: (shelf: PayerShelf, file: PayerFile) => void): Promise<PayerFile> {
    const store = openMemoryStore()
    const shelf = await shelfOver(store, 1)
    await put(store, shelf, channelOf({ n: 0, at: 100 }))
    await put(store, shelf, channelOf({ n: 1 }))
    await (async () => change(shelf, await shelf.file(channelOf({ n: 0 }).id)))()
    await shelf.file(channelOf({ n: 1 }).id)
    await collectGarbage()
    return await shelf.file(channelOf({ n: 0 }).id)
  }

  test('a channel that was changed and not written is never read from the disk as it was before', async () => {
    const { channel } = await again((shelf, file) => shelf.set(file, channelOf({ n: 0, at: 200 })))
    assert.equal(channel?.at, 200n)
  })

  test('a channel with a session that was cut is not read twice: what may be forgotten of it is counted once', async () => {
    const cut = sessionOf({ n: 0, session: 1, total: 50, end: 'cut' })
    const file = await again((shelf, one) => shelf.lay(one, cut))
    assert.deepEqual([...file.cut.keys()], [cut.id])
  })

  test('a channel that is read again is as it was given to the store, even while that is being written', async () => {
    let release: () => void = () => undefined
    let isSlow = false
    const store = openMemoryStore({
      beforeSync: async () => (isSlow ? await new Promise<void>((resolve) => (release = resolve)) : undefined),
    })
    const shelf = await shelfOver(store, 1)
    const { id } = channelOf({ n: 0 })
    await put(store, shelf, channelOf({ n: 0, at: 100 }))
    isSlow = true
    const written = put(store, shelf, channelOf({ n: 0, at: 200 }))
    await new Promise((resolve) => setImmediate(resolve))
    await collectGarbage()
    const read = shelf.file(id)
    await new Promise((resolve) => setImmediate(resolve))
    isSlow = false
    release()
    await written
    assert.equal((await read).channel?.at, 200n)
  })
})
