import type { Store } from '../../src/ports/store.ts'
import { openLevelStore } from '../../src/store/level-store.ts'
import { type MemoryStore, openMemoryStore } from '../../src/store/memory-store.ts'
import { storeCompliance } from './compliance.ts'
import { freshHome, initOf } from './level-home.ts'

storeCompliance('the level store', async (t) => {
  const home = await freshHome(t)
  let store: Store = await openLevelStore(initOf(home))
  t.after(() => store.close())
  return {
    store,
    reopen: async () => {
      await store.close()
      store = await openLevelStore(initOf(home, { create: false }))
      return store
    },
  }
})

storeCompliance('the memory store', async () => {
  const store: MemoryStore = openMemoryStore()
  return {
    store,
    reopen: async () => {
      await store.close()
      return openMemoryStore({ from: store.snapshot() })
    },
  }
})
