/** Channels that somebody must look after, by expiry: what must be watched is found without reading the rest. */
import { ByteReader, ByteWriter } from '../core/bytes.ts'
import type { ChannelFacts } from '../core/channel.ts'
import { type ChannelId, channelIdFromBytes, channelIdToBytes, readSeconds, type Seconds } from '../core/ids.ts'
import type { Space, Store, StoreOp } from '../ports/store.ts'
import { type Table, table } from '../ports/table.ts'

export interface Due {
  readonly id: ChannelId
  readonly expiry: Seconds
}

interface Channel {
  readonly id: ChannelId
  readonly facts: ChannelFacts
}

const KEY_BYTES = 5 + 32
const keyBytes = ({ id, expiry }: Due): Uint8Array =>
  new ByteWriter(KEY_BYTES).u40(expiry).bytes(channelIdToBytes(id), 32).finish()

export class DueTable<C extends Channel> {
  readonly #store: Store
  readonly #space: Space
  readonly #isDue: (channel: C) => boolean
  readonly #table: Table<Due, true>

  /** @param isDue whether the channel is listed */
  constructor(store: Store, space: 'dueIn' | 'freeOut', isDue: (channel: C) => boolean) {
    this.#store = store
    this.#space = space
    this.#isDue = isDue
    this.#table = table<Due, true>(store, { space, version: 1, key: keyBytes, write: () => undefined, read: () => true })
  }

  /** What changes with the channel's record; nothing as long as it stays listed, or unlisted, with the same expiry. */
  ops(before: C | undefined, after: C): StoreOp[] {
    const [was, is] = [this.#dueOf(before), this.#dueOf(after)]
    if (was?.expiry === is?.expiry) return []
    return [...(was === undefined ? [] : [this.#table.del(was)]), ...(is === undefined ? [] : [this.#table.put(is, true)])]
  }

  #dueOf(channel: C | undefined): Due | undefined {
    return channel === undefined || !this.#isDue(channel) ? undefined : { id: channel.id, expiry: channel.facts.expiry }
  }

  /** The end of this entry. */
  del(due: Due): StoreOp {
    return this.#table.del(due)
  }

  /** Soonest expiry first, after the entry `after`, as of the commits that are durable now. @throws STORE_* */
  async *list(after?: Due): AsyncGenerator<Due> {
    const range = after === undefined ? {} : { gte: Buffer.concat([keyBytes(after), Uint8Array.of(0)]) }
    for await (const [key] of this.#store.list(this.#space, range)) {
      const reader = new ByteReader(key)
      yield { expiry: readSeconds(reader), id: channelIdFromBytes(reader.bytes(32)) }
    }
  }
}
