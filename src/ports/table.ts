/**
 * Typed records over a store. A value carries its version in front, so that a record written by an older version is upgraded when it
 * is read and one written by a newer version is refused instead of misread.
 */
import { ByteReader, ByteWriter, toHex } from '../core/bytes.ts'
import { TallyError } from '../core/errors.ts'
import type { ListRange, Space, Store, StoreOp } from './store.ts'

export interface TableInit<K, V> {
  readonly space: Space
  /** 1 to 255; raise it when the layout of the value changes, and keep the older layouts in `older` */
  readonly version: number
  readonly key: (key: K) => Uint8Array
  readonly write: (writer: ByteWriter, value: V) => void
  readonly read: (reader: ByteReader) => V
  readonly older?: Readonly<Record<number, (reader: ByteReader) => V>>
}

/** Writes are returned as ops: the caller puts all that belongs together into one commit. */
export interface Table<K, V> {
  /** @throws STORE_CORRUPT, STORE_NEWER, STORE_CLOSED */
  get(key: K): Promise<V | undefined>
  /** Whether there is a value, answered at once. @throws STORE_CLOSED, STORE_FAILED */
  has(key: K): boolean
  list(range?: ListRange): AsyncIterable<V>
  /** The values with their keys as the store sorts them. */
  entries(range?: ListRange): AsyncIterable<readonly [key: Uint8Array, value: V]>
  put(key: K, value: V): StoreOp
  del(key: K): StoreOp
}

export function table<K, V>(store: Store, init: TableInit<K, V>): Table<K, V> {
  const { space } = init
  const decode = (key: Uint8Array, value: Uint8Array): V => {
    const version = value[0] ?? 0
    const read = version === init.version ? init.read : init.older?.[version]
    if (read === undefined) {
      const code = version > init.version ? 'STORE_NEWER' : 'STORE_CORRUPT'
      throw new TallyError(code, {
        message: `a record of ${space} has version ${version}; this program knows ${init.version}`,
        fields: { space, key: toHex(key) },
      })
    }
    try {
      const reader = new ByteReader(value.subarray(1))
      const record = read(reader)
      reader.end()
      return record
    } catch (cause) {
      throw new TallyError('STORE_CORRUPT', {
        message: `a record of ${space} does not decode`,
        fields: { space, key: toHex(key) },
        cause,
      })
    }
  }
  return {
    has: (key) => store.has(space, init.key(key)),
    async get(key) {
      const bytes = init.key(key)
      const value = await store.get(space, bytes)
      return value === undefined ? undefined : decode(bytes, value)
    },
    async *list(range) {
      for await (const [key, value] of store.list(space, range)) yield decode(key, value)
    },
    async *entries(range) {
      for await (const [key, value] of store.list(space, range)) yield [key, decode(key, value)]
    },
    put(key, value) {
      const writer = new ByteWriter(256).u8(init.version)
      init.write(writer, value)
      return { type: 'put', space, key: init.key(key), value: writer.finish() }
    },
    del: (key) => ({ type: 'del', space, key: init.key(key) }),
  }
}
