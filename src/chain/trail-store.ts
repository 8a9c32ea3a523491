import { TallyError } from '../core/errors.ts'
import type { Store, StoreOp } from '../ports/store.ts'
import { type Mark, newTrail, type Trail } from './log-follower.ts'

const CURSOR = Buffer.from('cursor')
const FORMAT = 1

/** Keeps the watcher's trail in the space `block`: one value per mark under its block number, and the rest under 'cursor'. */
export interface TrailStore {
  /** Undefined when this store has followed no chain yet. */
  load(limits: { readonly maxSpan: number; readonly keep: number }): Promise<Trail | undefined>
  /** Writes what differs from what was saved or loaded last, in one commit. */
  save(trail: Trail): Promise<void>
}

export function createTrailStore(store: Store): TrailStore {
  let saved = new Map<number, Mark>()
  let cursor = ''

  return {
    async load({ maxSpan, keep }) {
      const marks: Mark[] = []
      let rest: { start: number; untold: readonly string[]; lost: boolean } | undefined
      for await (const [key, value] of store.list('block')) {
        if (key.length === 8) {
          const number = Number(Buffer.from(key).readBigUInt64BE())
          marks.push({ number, ...decode<Omit<Mark, 'number'>>(value) })
        } else {
          rest = decode(value)
          cursor = JSON.stringify(rest)
        }
      }
      if (rest === undefined) return undefined
      saved = new Map(marks.map((mark) => [mark.number, mark]))
      return newTrail({ ...rest, marks, maxSpan, keep })
    },
    async save(trail) {
      const now = new Map(trail.marks.map((mark) => [mark.number, mark]))
      const ops: StoreOp[] = []
      for (const number of saved.keys()) if (!now.has(number)) ops.push({ type: 'del', space: 'block', key: keyOf(number) })
      for (const [number, mark] of now) {
        const known = saved.get(number)
        if (known !== undefined && known.hash === mark.hash && known.touched === mark.touched) continue
        ops.push({ type: 'put', space: 'block', key: keyOf(number), value: encode({ hash: mark.hash, touched: mark.touched }) })
      }
      const rest = { start: trail.start, untold: trail.untold, lost: trail.lost }
      const text = JSON.stringify(rest)
      if (text !== cursor) ops.push({ type: 'put', space: 'block', key: CURSOR, value: encode(rest) })
      if (ops.length === 0) return
      await store.commit(ops)
      saved = now
      cursor = text
    },
  }
}

function keyOf(number: number): Uint8Array {
  const key = Buffer.alloc(8)
  key.writeBigUInt64BE(BigInt(number))
  return key
}

function encode(value: object): Uint8Array {
  return Buffer.from(JSON.stringify({ format: FORMAT, ...value }))
}

function decode<T extends object>(bytes: Uint8Array): T {
  let value: { format?: unknown } & T
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (cause) {
    throw new TallyError('STORE_CORRUPT', { message: 'the stored place in the chain cannot be read', cause })
  }
  const { format, ...rest } = value
  if (format === FORMAT) return rest as unknown as T
  throw new TallyError('STORE_NEWER', {
    message: `the stored place in the chain has format ${String(format)}, this version knows ${FORMAT}`,
  })
}
