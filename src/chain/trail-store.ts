import type { Store, StoreOp } from '../ports/store.ts'
import { type Table, table } from '../ports/table.ts'
import { type Mark, newTrail, type Trail } from './log-follower.ts'

/** Keeps the watcher's trail in the space `block`: one value per mark under its block number, and the rest under 'cursor'. */
export interface TrailStore {
  /** Undefined when this store has followed no chain yet. Throws STORE_CORRUPT, STORE_NEWER, STORE_CLOSED. */
  load(limits: { readonly maxSpan: number; readonly keep: number }): Promise<Trail | undefined>
  /** Writes what differs from what was saved or loaded last, in one commit. */
  save(trail: Trail): Promise<void>
}

type Rest = Pick<Trail, 'start' | 'untold' | 'lost'>

/** Block numbers have a zero in front, 'cursor' has not: marks and cursor do not mix. */
const AFTER_MARKS = Uint8Array.of(1)

export function createTrailStore(store: Store): TrailStore {
  const markTable = jsonTable<number, Mark>(store, blockKey)
  const restTable = jsonTable<'cursor', Rest>(store, (name) => Buffer.from(name))
  let saved = new Map<number, Mark>()
  let savedRest = ''

  return {
    async load({ maxSpan, keep }) {
      const rest = await restTable.get('cursor')
      if (rest === undefined) return undefined
      const marks: Mark[] = []
      for await (const mark of markTable.list({ lt: AFTER_MARKS })) marks.push(mark)
      saved = new Map(marks.map((mark) => [mark.number, mark]))
      savedRest = JSON.stringify(rest)
      return newTrail({ ...rest, marks, maxSpan, keep })
    },
    async save({ marks, start, untold, lost }) {
      const now = new Map(marks.map((mark) => [mark.number, mark]))
      const ops: StoreOp[] = []
      for (const number of saved.keys()) if (!now.has(number)) ops.push(markTable.del(number))
      for (const [number, mark] of now) if (saved.get(number) !== mark) ops.push(markTable.put(number, mark))
      const rest = { start, untold, lost }
      if (JSON.stringify(rest) !== savedRest) ops.push(restTable.put('cursor', rest))
      if (ops.length === 0) return
      await store.commit(ops)
      saved = now
      savedRest = JSON.stringify(rest)
    },
  }
}

function jsonTable<K, V>(store: Store, key: (key: K) => Uint8Array): Table<K, V> {
  return table<K, V>(store, {
    space: 'block',
    version: 1,
    key,
    write: (writer, value) => {
      const text = Buffer.from(JSON.stringify(value))
      writer.bytes(text, text.length)
    },
    read: (reader) => JSON.parse(Buffer.from(reader.bytes(reader.remaining)).toString('utf8')) as V,
  })
}

function blockKey(number: number): Uint8Array {
  const key = Buffer.alloc(8)
  key.writeBigUInt64BE(BigInt(number))
  return key
}
