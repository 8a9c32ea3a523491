import { TallyError } from '../core/errors.ts'
import type { ListRange, Space, Store, StoreOp } from '../ports/store.ts'
import { corruptRecord, storedKey } from './record.ts'

/** Bytes and back. `decode(encode(x))` is `x`; `decode` throws for bytes that `encode` cannot have made. */
export interface Codec<T> {
  encode(value: T): Uint8Array
  decode(bytes: Uint8Array): T
}

export interface TableInit<Key, Value> {
  /** layout of the values that are written now, 1 to 255; raised by one with each change of the layout */
  readonly version: number
  readonly key: Codec<Key>
  readonly value: Codec<Value>
  /** by older version: reads a value of that layout as one of today; written back in the new layout only when it is next put */
  readonly upgrade?: Readonly<Record<number, (bytes: Uint8Array) => Value>>
}

export interface TableRange<Key> extends Pick<ListRange, 'limit' | 'reverse'> {
  /** first key, inclusive */
  readonly gte?: Key
  /** end, exclusive */
  readonly lt?: Key
}

/**
 * The records of one space, typed. Keys are listed in the order of their bytes. `put` and `del` write nothing: they return the
 * operation, and the caller commits those that belong together in one call.
 *
 * Reading throws TallyError STORE_NEWER for a value of a newer layout, STORE_CORRUPT naming space and key for one that does not decode.
 */
export interface Table<Key, Value> {
  get(key: Key): Promise<Value | undefined>
  list(range?: TableRange<Key>): AsyncIterable<readonly [key: Key, value: Value]>
  put(key: Key, value: Value): StoreOp
  del(key: Key): StoreOp
}

/**
 * The table over one space of a store. A stored value is one byte of version, then what the codec made of it.
 *
 * @throws RangeError for a version that is no byte, or an upgrade from a version that is not older
 */
export function table<Key, Value>(store: Store, space: Space, init: TableInit<Key, Value>): Table<Key, Value> {
  checkVersions(init.version, init.upgrade ?? {})
  const keyOf = (key: Uint8Array): Key => guarded(space, key, 'has a key that does not decode', () => init.key.decode(key))
  return {
    async get(key) {
      const bytes = init.key.encode(key)
      const stored = await store.get(space, bytes)
      return stored === undefined ? undefined : decodeValue(space, bytes, stored, init)
    },
    async *list(range = {}) {
      for await (const [key, stored] of store.list(space, encodeRange(range, init.key))) {
        yield [keyOf(key), decodeValue(space, key, stored, init)] as const
      }
    },
    put(key, value) {
      const body = init.value.encode(value)
      const stored = new Uint8Array(1 + body.length)
      stored[0] = init.version
      stored.set(body, 1)
      return { type: 'put', space, key: init.key.encode(key), value: stored }
    },
    del: (key) => ({ type: 'del', space, key: init.key.encode(key) }),
  }
}

function checkVersions(version: number, upgrade: Readonly<Record<number, unknown>>): void {
  const isVersion = (value: number): boolean => Number.isInteger(value) && value >= 1 && value <= 255
  if (!isVersion(version)) throw new RangeError(`${version} is not a version of a table`)
  const wrong = Object.keys(upgrade).find((older) => !isVersion(Number(older)) || Number(older) >= version)
  if (wrong !== undefined) throw new RangeError(`version ${wrong} is not older than ${version}`)
}

function encodeRange<Key>({ gte, lt, ...rest }: TableRange<Key>, codec: Codec<Key>): ListRange {
  return {
    ...rest,
    ...(gte === undefined ? {} : { gte: codec.encode(gte) }),
    ...(lt === undefined ? {} : { lt: codec.encode(lt) }),
  }
}

function decodeValue<Key, Value>(space: Space, key: Uint8Array, stored: Uint8Array, init: TableInit<Key, Value>): Value {
  const [version = 0] = stored
  if (version > init.version) {
    throw new TallyError('STORE_NEWER', {
      message: `a record of ${space} has version ${version}, and this node knows versions up to ${init.version}`,
      hint: 'Run the newer version of tallystick that wrote it.',
      fields: { space, version, known: init.version },
    })
  }
  const decode = version === init.version ? init.value.decode.bind(init.value) : init.upgrade?.[version]
  if (decode === undefined) throw corruptRecord(storedKey(space, key), `has version ${version}, which cannot be read`)
  return guarded(space, key, 'does not decode', () => decode(stored.subarray(1)))
}

function guarded<T>(space: Space, key: Uint8Array, what: string, decode: () => T): T {
  try {
    return decode()
  } catch (thrown) {
    throw corruptRecord(storedKey(space, key), what, thrown)
  }
}
