/** The channels that this node has on record, asked for one by one: a provider may know a million, and few of them are in a block. */
import { fromHex } from '../core/bytes.ts'
import { type ChannelId, channelIdFromBytes, channelIdToBytes } from '../core/ids.ts'
import type { Space, Store } from '../ports/store.ts'

export interface KnownChannels {
  has(id: ChannelId): Promise<boolean>
  /** `prefix`: the first 20 bytes of an id, as a settle event carries them */
  byPrefix(prefix: string): Promise<ChannelId | undefined>
  all(): AsyncIterable<ChannelId>
}

const SPACES_OF_CHANNELS: readonly Space[] = ['channelIn', 'channelOut']
const REST_OF_ID = new Uint8Array(13).fill(0xff)

export function knownChannels(store: Store): KnownChannels {
  return {
    async has(id) {
      for (const space of SPACES_OF_CHANNELS) if ((await store.get(space, channelIdToBytes(id))) !== undefined) return true
      return false
    },
    async byPrefix(prefix) {
      const gte = fromHex(prefix)
      const range = { gte, lt: Buffer.concat([gte, REST_OF_ID]), limit: 1 }
      for (const space of SPACES_OF_CHANNELS) for await (const [key] of store.list(space, range)) return channelIdFromBytes(key)
      return undefined
    },
    async *all() {
      for (const space of SPACES_OF_CHANNELS) for await (const [key] of store.list(space)) yield channelIdFromBytes(key)
    },
  }
}
