import { TallyError } from '../../../src/core/errors.ts'
import type { ListRange, Space, Store, StoreOp } from '../../../src/ports/store.ts'

export interface MapStore extends Store {
  /** Every commit so far, oldest first. */
  readonly commits: readonly (readonly StoreOp[])[]
  /**
   * From the commit of this number (counted from 0) on nothing is written and every commit fails: a process that was killed there.
   * With `torn`, that one commit is written and fails nevertheless: killed between the disk and the answer.
   */
  dieAt(commit: number, torn?: boolean): void
  /** What is on the disk now, as a new store. */
  reopened(): MapStore
}

/** A store in memory that can be killed at any commit. Test double of the disk only: its rules are those of the store port. */
export function mapStore(disk: ReadonlyMap<string, Uint8Array> = new Map()): MapStore {
  const values = new Map(disk)
  const commits: (readonly StoreOp[])[] = []
  let deadAt = Number.POSITIVE_INFINITY
  let torn = false
  const keyOf = (space: Space, key: Uint8Array) => `${space}/${Buffer.from(key).toString('hex')}`

  return {
    commits,
    dieAt(commit, isTorn = false) {
      deadAt = commit
      torn = isTorn
    },
    reopened: () => mapStore(values),
    async get(space, key) {
      return values.get(keyOf(space, key))
    },
    async *list(space: Space, range: ListRange = {}) {
      const { gte, lt, limit = Number.POSITIVE_INFINITY, reverse = false } = range
      const from = gte === undefined ? '' : keyOf(space, gte)
      const to = lt === undefined ? undefined : keyOf(space, lt)
      const keys = [...values.keys()]
        .filter((key) => key.startsWith(`${space}/`) && key >= from && (to === undefined || key < to))
        .sort()
      if (reverse) keys.reverse()
      for (const key of keys.slice(0, limit)) {
        const value = values.get(key)
        if (value !== undefined) yield [Uint8Array.from(Buffer.from(key.slice(space.length + 1), 'hex')), value] as const
      }
    },
    async commit(ops) {
      const number = commits.length
      if (number > deadAt || (number === deadAt && !torn)) throw new TallyError('STORE_CLOSED')
      commits.push(ops)
      for (const op of ops) {
        if (op.type === 'put') values.set(keyOf(op.space, op.key), Uint8Array.from(op.value))
        else values.delete(keyOf(op.space, op.key))
      }
      if (number === deadAt) throw new TallyError('STORE_CLOSED')
    },
    async close() {},
  }
}
