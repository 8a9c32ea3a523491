/** The channels for which a settlement would pay something, by expiry: what must be watched is found without reading the rest. */
import { ByteReader, ByteWriter } from '../core/bytes.ts'
import type { ChannelIn } from '../core/channel.ts'
import { type ChannelId, channelIdFromBytes, channelIdToBytes, readSeconds, type Seconds } from '../core/ids.ts'
import { payable } from '../core/settlement.ts'
import type { Store, StoreOp } from '../ports/store.ts'
import { table } from '../ports/table.ts'

export interface Due {
  readonly id: ChannelId
  readonly expiry: Seconds
}

const KEY_BYTES = 5 + 32
const keyBytes = ({ id, expiry }: Due): Uint8Array =>
  new ByteWriter(KEY_BYTES).u40(expiry).bytes(channelIdToBytes(id), 32).finish()

export class DueTable {
  readonly #store: Store
  readonly #table

  constructor(store: Store) {
    this.#store = store
    this.#table = table<Due, true>(store, { space: 'dueIn', version: 1, key: keyBytes, write: () => undefined, read: () => true })
  }

  /** What changes with the channel's record; nothing as long as it stays due, or stays settled, with the same expiry. */
  ops(before: ChannelIn | undefined, after: ChannelIn): StoreOp[] {
    const [was, is] = [dueOf(before), dueOf(after)]
    if (was?.expiry === is?.expiry) return []
    return [...(was === undefined ? [] : [this.#table.del(was)]), ...(is === undefined ? [] : [this.#table.put(is, true)])]
  }

  /** The end of this entry. */
  del(due: Due): StoreOp {
    return this.#table.del(due)
  }

  /** Soonest expiry first, after the entry `after`, as of the commits that are durable now. @throws STORE_* */
  async *list(after?: Due): AsyncGenerator<Due> {
    const range = after === undefined ? {} : { gte: Buffer.concat([keyBytes(after), Uint8Array.of(0)]) }
    for await (const [key] of this.#store.list('dueIn', range)) {
      const reader = new ByteReader(key)
      yield { expiry: readSeconds(reader), id: channelIdFromBytes(reader.bytes(32)) }
    }
  }
}

function dueOf(channel: ChannelIn | undefined): Due | undefined {
  if (channel === undefined || payable(channel) <= 0n) return undefined
  return { id: channel.id, expiry: channel.facts.expiry }
}
