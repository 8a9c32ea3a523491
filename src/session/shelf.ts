/**
 * Records that are read when somebody asks for them. Whoever asks for a key gets the same object as everybody else who has it: a change that one
 * of them makes is seen by all, and no second copy can ever be written over it.
 */
import { LRUCache } from 'lru-cache'

/**
 * It owns no record: an object lives as long as anybody uses it, and those that were asked for last live a little longer. So an object cannot
 * be dropped while a session is in it. What nobody uses any more is read anew; its changes must have been given to the store before.
 */
export class Shelf<V extends object> {
  readonly #known = new Map<string, WeakRef<V>>()
  readonly #loading = new Map<string, Promise<V>>()
  /** kept although nobody may be using them */
  readonly #recent: LRUCache<string, V>
  /** kept for good: what they hold may not be on the disk */
  readonly #pinned = new Set<V>()
  readonly #collected = new FinalizationRegistry<string>((key) => {
    if (this.#known.get(key)?.deref() === undefined) this.#known.delete(key)
  })

  /** @param max how many objects that nobody uses are kept */
  constructor(max: number) {
    this.#recent = new LRUCache({ max })
  }

  /** What is in memory. */
  get(key: string): V | undefined {
    return this.#known.get(key)?.deref()
  }

  /** The object of that key. `load` makes it if there is none, once for all who ask meanwhile. @throws what `load` throws; nothing is kept then */
  async fetch(key: string, load: () => Promise<V>): Promise<V> {
    const known = this.get(key)
    if (known !== undefined) {
      this.#recent.set(key, known)
      return known
    }
    const loading = this.#loading.get(key) ?? this.#load(key, load)
    this.#loading.set(key, loading)
    return await loading
  }

  /** The object stays: it has a change that will not be given to the store. */
  pin(value: V): void {
    this.#pinned.add(value)
  }

  /** All of its changes were given to the store. */
  unpin(value: V): void {
    if (this.#pinned.size > 0) this.#pinned.delete(value)
  }

  async #load(key: string, load: () => Promise<V>): Promise<V> {
    try {
      const value = await load()
      this.#known.set(key, new WeakRef(value))
      this.#collected.register(value, key)
      this.#recent.set(key, value)
      return value
    } finally {
      this.#loading.delete(key)
    }
  }
}
