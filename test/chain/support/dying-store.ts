import { type MemoryStore, openMemoryStore } from '../../../src/store/memory-store.ts'

/**
 * A store of a process that is killed at the commit of this number (counted from 0): before it reached the disk, or, `torn`, after
 * that but before the caller learned of it. Nothing is written from then on.
 */
export function dyingStore(commit: number, torn: boolean): MemoryStore {
  let commits = 0
  const store = openMemoryStore({
    beforeSync() {
      if (commits++ === commit && !torn) store.crash()
    },
    afterSync() {
      if (commits - 1 === commit && torn) store.crash()
    },
  })
  return store
}
