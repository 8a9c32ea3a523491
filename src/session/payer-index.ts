/**
 * What is kept beside the consumer's channels and sessions, for a database that has none of it: the indexes, how the sessions that
 * are over ended, and the sums over all channels.
 */
import { type ChannelBooks, channelBooks, NO_BOOKS, shiftBooks } from '../core/books.ts'
import { signedOf } from '../core/channel.ts'
import { type Address, type ChannelId, type ChannelParties, channelId } from '../core/ids.ts'
import { NO_RECORD, type TradeRecord } from '../core/ranking.ts'
import { sumRecords, withSession } from '../core/trade-record.ts'
import type { Store, StoreOp } from '../ports/store.ts'
import type { BooksTable } from './books-table.ts'
import { partiesOf } from './payer-parties.ts'
import { type PayerRecords, PoolRecord } from './records.ts'
import type { TradeTable } from './trade-table.ts'

/** so many are written in one commit */
const AT_ONCE = 1_000
/** so many channels are added up in memory, whatever their number */
const ADDED_AT_ONCE = 20_000

/**
 * Goes through all records once. All of it counts when the sums are there, which come last: a crash before begins anew, and from that commit
 * on a program that would not keep it is refused.
 *
 * @throws STORE_*
 */
export async function indexPayer(
  store: Store,
  records: PayerRecords,
  table: BooksTable,
  trades: TradeTable,
): Promise<Map<Address, ChannelBooks>> {
  await records.tidy()
  const writer = new PagedWriter(store)
  // of an earlier try, after which the older program may have gone on
  for await (const op of trades.clearing()) await writer.add(op)
  for await (const entry of records.free.list()) await writer.add(records.free.del(entry))
  for await (const session of records.openSessions()) await writer.add(records.indexOp(session))
  await writer.flush()
  await addTrades(records, trades, writer)
  const books = await addBooks(records, writer)
  await writer.flush([await new PoolRecord(store).renewed(), ...table.ops(books), table.complete()])
  return books
}

class PagedWriter {
  readonly #store: Store
  #ops: StoreOp[] = []

  constructor(store: Store) {
    this.#store = store
  }

  async add(op: StoreOp): Promise<void> {
    this.#ops.push(op)
    if (this.#ops.length >= AT_ONCE) await this.flush()
  }

  async flush(more: readonly StoreOp[] = []): Promise<void> {
    const ops = [...this.#ops, ...more]
    this.#ops = []
    await this.#store.commit(ops)
  }
}

interface Sum {
  readonly parties: ChannelParties
  readonly record: TradeRecord
}

async function addTrades(records: PayerRecords, trades: TradeTable, writer: PagedWriter): Promise<void> {
  let sums = new Map<ChannelId, Sum>()
  const write = async (): Promise<void> => {
    for (const { parties, record } of sums.values()) {
      const before = (await trades.get(parties)) ?? NO_RECORD
      await writer.add(trades.put(parties, sumRecords([before, record])))
    }
    await writer.flush()
    sums = new Map()
  }
  for await (const session of records.sessions()) {
    if (session.status !== 'closed') continue
    const parties = partiesOf(session.wish)
    const id = channelId(parties)
    sums.set(id, { parties, record: withSession(sums.get(id)?.record ?? NO_RECORD, session) })
    if (sums.size >= ADDED_AT_ONCE) await write()
  }
  await write()
}

async function addBooks(records: PayerRecords, writer: PagedWriter): Promise<Map<Address, ChannelBooks>> {
  const books = new Map<Address, ChannelBooks>()
  for await (const channel of records.channels()) {
    const { token } = channel.parties
    for (const op of records.free.ops(undefined, channel)) await writer.add(op)
    books.set(token, shiftBooks(books.get(token) ?? NO_BOOKS, channelBooks(channel.facts, signedOf(channel)), NO_BOOKS))
  }
  return books
}
