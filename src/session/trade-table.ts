/** How the sessions ended that each channel paid for, and what they came to: what a provider is known by is found without reading the sessions. */
import { readAmount } from '../core/amount.ts'
import { addressToBytes, type ChannelParties, channelId, channelIdToBytes } from '../core/ids.ts'
import type { TradeRecord } from '../core/ranking.ts'
import type { ListRange, Store, StoreOp } from '../ports/store.ts'
import { type Table, table } from '../ports/table.ts'
import type { RecordCodec } from './record-codecs.ts'

/** Whoever signs for the owner: their channels count together. */
export type TradePartners = Pick<ChannelParties, 'owner' | 'target' | 'token'>

const codec: RecordCodec<TradeRecord> = {
  write: (writer, { completed, failed, paid }) => void writer.u32(completed).u32(failed).u96(paid),
  read: (reader) => ({ completed: reader.u32(), failed: reader.u32(), paid: readAmount(reader) }),
}
const prefixOf = ({ owner, target, token }: TradePartners): Uint8Array =>
  Buffer.concat([owner, target, token].map((one) => addressToBytes(one)))
/** behind every channel id */
const END_OF_IDS = new Uint8Array(33).fill(0xff)

export class TradeTable {
  readonly #store: Store
  readonly #table: Table<ChannelParties, TradeRecord>

  constructor(store: Store) {
    const key = (parties: ChannelParties): Uint8Array => Buffer.concat([prefixOf(parties), channelIdToBytes(channelId(parties))])
    this.#store = store
    this.#table = table(store, { space: 'tradeOut', version: 1, key, ...codec })
  }

  /** Of the sessions of one channel that are over. @throws STORE_* */
  async get(parties: ChannelParties): Promise<TradeRecord | undefined> {
    return await this.#table.get(parties)
  }

  put(parties: ChannelParties, record: TradeRecord): StoreOp {
    return this.#table.put(parties, record)
  }

  /** Of all channels between these two. @throws STORE_* */
  of(partners: TradePartners): AsyncIterable<TradeRecord> {
    const gte = prefixOf(partners)
    const range: ListRange = { gte, lt: Buffer.concat([gte, END_OF_IDS]) }
    return this.#table.list(range)
  }

  /** Takes all of them away: they are about to be added up anew. @throws STORE_* */
  async *clearing(): AsyncGenerator<StoreOp> {
    for await (const [key] of this.#store.list('tradeOut')) yield { type: 'del', space: 'tradeOut', key }
  }
}
