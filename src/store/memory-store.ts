import { type ListRange, SPACES, type Space, type Store, type StoreOp } from '../ports/store.ts'
import { GroupCommit, type StoreStats } from './group-commit.ts'
import { type StoredOp, storedKey } from './record.ts'
import { closedError } from './store-errors.ts'

/** What had become durable at one moment, for a store to be opened from. Never changes. */
export interface MemorySnapshot {
  readonly records: ReadonlyMap<string, Uint8Array>
}

export interface MemoryStoreInit {
  /** what the store holds when it opens @default nothing */
  readonly from?: MemorySnapshot
  /** Runs before a batch becomes durable: a promise holds it, a rejection fails it. */
  readonly beforeSync?: (ops: number) => void | Promise<void>
  /** Runs when a batch is durable, before its callers learn of it. */
  readonly afterSync?: (ops: number) => void | Promise<void>
}

/** The twin of the store on disk for tests and simulation: the same order, grouping, atomicity and refusals, without a disk. */
export interface MemoryStore extends Store {
  stats(): StoreStats
  /** what is durable now */
  snapshot(): MemorySnapshot
  /** Ends the store as kill -9 does, and returns what was durable. What was not is lost: its callers get STORE_CLOSED. */
  crash(): MemorySnapshot
}

/** A new store in memory. @throws TallyError (its methods) STORE_CLOSED after close() or crash() */
export function openMemoryStore(init: MemoryStoreInit = {}): MemoryStore {
  return new MemoryTwin(init)
}

class MemoryTwin implements MemoryStore {
  readonly #init: MemoryStoreInit
  /** by the stored key in latin1: the order of such strings is the order of their bytes */
  readonly #records: Map<string, Uint8Array>
  readonly #group: GroupCommit
  #closing: Promise<void> | undefined
  #crashed = false

  constructor(init: MemoryStoreInit) {
    this.#init = init
    this.#records = new Map(init.from?.records)
    this.#group = new GroupCommit((ops) => this.#write(ops))
  }

  async get(space: Space, key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#assertOpen()
    return this.#records.get(latin1(storedKey(space, key)))?.slice()
  }

  has(space: Space, key: Uint8Array): boolean {
    this.#assertOpen()
    return this.#records.has(latin1(storedKey(space, key)))
  }

  async *list(space: Space, range: ListRange = {}): AsyncGenerator<readonly [key: Uint8Array, value: Uint8Array]> {
    this.#assertOpen()
    const from = latin1(storedKey(space, range.gte ?? new Uint8Array(0)))
    const end = range.lt === undefined ? String.fromCharCode(SPACES[space] + 1) : latin1(storedKey(space, range.lt))
    const found = [...this.#records].filter(([key]) => key >= from && key < end).sort(([a], [b]) => (a < b ? -1 : 1))
    if (range.reverse === true) found.reverse()
    for (const [key, value] of found.slice(0, range.limit)) {
      this.#assertOpen()
      yield [new Uint8Array(Buffer.from(key, 'latin1').subarray(1)), value.slice()]
    }
  }

  async commit(ops: readonly StoreOp[]): Promise<void> {
    this.#assertOpen()
    await this.#group.commit(ops.map(ownOp))
  }

  stats(): StoreStats {
    return this.#group.stats
  }

  close(): Promise<void> {
    this.#closing ??= this.#group.idle()
    return this.#closing
  }

  snapshot(): MemorySnapshot {
    // The values are never changed in place, so a copy of the map is a copy of it all.
    return { records: new Map(this.#records) }
  }

  crash(): MemorySnapshot {
    this.#crashed = true
    this.#closing ??= Promise.resolve()
    return this.snapshot()
  }

  async #write(ops: readonly StoredOp[]): Promise<void> {
    await this.#init.beforeSync?.(ops.length)
    if (this.#crashed) throw closedError()
    for (const op of ops) {
      if (op.type === 'put') this.#records.set(latin1(op.key), op.value)
      else this.#records.delete(latin1(op.key))
    }
    await this.#init.afterSync?.(ops.length)
    if (this.#crashed) throw closedError()
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw closedError()
  }
}

function ownOp(op: StoreOp): StoredOp {
  const key = storedKey(op.space, op.key)
  return op.type === 'put' ? { type: 'put', key, value: op.value.slice() } : { type: 'del', key }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}
