import { dirname } from 'node:path'
import { toHex } from '../core/bytes.ts'
import { type ListRange, SPACES, type Space, type Store, type StoreOp } from '../ports/store.ts'
import { GroupCommit, type StoreStats } from './group-commit.ts'
import { closeDatabase, type Database, type LevelStoreInit, openDatabase } from './level-open.ts'
import { type StoredOp, sealValue, storedKey, unsealValue } from './record.ts'
import { closedError, useError } from './store-errors.ts'

export type { Genesis } from './genesis.ts'
export type { StoreStats } from './group-commit.ts'
export type { LevelStoreInit } from './level-open.ts'
export type { Owner } from './owner.ts'

/** The store on disk, with what its operator may want to know. */
export interface LevelStore extends Store {
  /** counted since this open */
  stats(): StoreStats
  /** Reads and checks every record there is; returns their number. @throws TallyError STORE_CORRUPT naming the first bad one */
  verify(): Promise<number>
}

/**
 * Opens the LevelDB database of a node and holds its lock until close().
 *
 * Every value carries a checksum over its space, key and bytes; every commit is synced to disk, and calls share the syncs.
 *
 * @throws TallyError HOME_MISSING when there is none and `create` is not set; STORE_LOCKED naming the process that has it;
 * STORE_EMPTIED when it was deleted, emptied, exchanged, or is of another node, chain or ledger; STORE_NEWER when a newer version
 * wrote it; STORE_CORRUPT when files are damaged; STORE_FAILED when the disk or its rights refuse.
 * @see LevelStoreInit
 */
export async function openLevelStore(init: LevelStoreInit): Promise<LevelStore> {
  return new LevelDbStore(await openDatabase(init), dirname(init.path))
}

class LevelDbStore implements LevelStore {
  readonly #db: Database
  readonly #home: string
  readonly #group: GroupCommit
  #closing: Promise<void> | undefined

  constructor(db: Database, home: string) {
    this.#db = db
    this.#home = home
    this.#group = new GroupCommit((ops) => this.#write(ops))
  }

  async get(space: Space, key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#assertOpen()
    const stored = storedKey(space, key)
    let sealed: Uint8Array | undefined
    try {
      sealed = await this.#db.get(stored)
    } catch (thrown) {
      throw useError(thrown, `read ${toHex(key)} of ${space} from`, { space, key: toHex(key) })
    }
    return sealed === undefined ? undefined : unsealValue(stored, sealed)
  }

  has(space: Space, key: Uint8Array): boolean {
    this.#assertOpen()
    try {
      return this.#db.getSync(storedKey(space, key)) !== undefined
    } catch (thrown) {
      throw useError(thrown, `read ${toHex(key)} of ${space} from`, { space, key: toHex(key) })
    }
  }

  async *list(space: Space, range: ListRange = {}): AsyncGenerator<readonly [key: Uint8Array, value: Uint8Array]> {
    for await (const [stored, value] of this.#scan(storedRange(space, range), space))
      yield [new Uint8Array(stored.subarray(1)), value]
  }

  async commit(ops: readonly StoreOp[]): Promise<void> {
    this.#assertOpen()
    await this.#group.commit(ops.map(sealOp))
  }

  stats(): StoreStats {
    return this.#group.stats
  }

  async verify(): Promise<number> {
    let records = 0
    for await (const _ of this.#scan({}, 'every space')) records += 1
    return records
  }

  close(): Promise<void> {
    this.#closing ??= this.#group.idle().then(() => closeDatabase(this.#db, this.#home))
    return this.#closing
  }

  async *#scan(range: object, what: string): AsyncGenerator<readonly [stored: Uint8Array, value: Uint8Array]> {
    this.#assertOpen()
    try {
      for await (const [stored, sealed] of this.#db.iterator(range)) yield [stored, unsealValue(stored, sealed)]
    } catch (thrown) {
      throw useError(thrown, `list ${what} of`)
    }
  }

  async #write(ops: readonly StoredOp[]): Promise<void> {
    try {
      await this.#db.batch([...ops], { sync: true })
    } catch (thrown) {
      throw useError(thrown, 'commit to')
    }
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw closedError()
  }
}

function sealOp(op: StoreOp): StoredOp {
  const key = storedKey(op.space, op.key)
  return op.type === 'put' ? { type: 'put', key, value: sealValue(key, op.value) } : { type: 'del', key }
}

function storedRange(space: Space, { gte, lt, limit, reverse }: ListRange): object {
  return {
    gte: storedKey(space, gte ?? new Uint8Array(0)),
    lt: lt === undefined ? Uint8Array.of(SPACES[space] + 1) : storedKey(space, lt),
    ...(limit === undefined ? {} : { limit }),
    reverse: reverse ?? false,
  }
}
