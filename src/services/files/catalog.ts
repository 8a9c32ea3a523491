import { LRUCache } from 'lru-cache'
import { SharedWork } from '../shared-work.ts'
import { type FileState, hashFile, openReal, stateFrom, stateOf } from './described-file.ts'
import type { Manifest } from './merkle.ts'
import { type Folder, resolveInside } from './path.ts'

/** Remembers manifests by a key that changes whenever the file does. May forget at any time. */
export interface ManifestCache {
  get(key: string): Manifest | undefined
  set(key: string, manifest: Manifest): unknown
}

interface HashedFile {
  /** the absolute path behind it, all links resolved */
  readonly real: string
  readonly state: FileState
  readonly manifest: Manifest
}

/** A file as it was when it was last looked at. */
export interface CatalogFile extends HashedFile {
  readonly path: string
}

const HASHED_AT_ONCE = 2
const CACHE_BYTES = 64 * 1024 * 1024

/** A cache for as many manifests as 64 MiB hold: of some 128 GiB of files. */
export function manifestCache(): ManifestCache {
  return new LRUCache<string, Manifest>({ maxSize: CACHE_BYTES, sizeCalculation: (manifest) => manifest.leaves.length + 512 })
}

/** The hashes of the files of one folder: each state of a file is read once, however many buyers ask for it. */
export class Catalog {
  readonly folder: Folder
  readonly #usualChunkBytes: number
  readonly #cache: ManifestCache
  readonly #hashing = new SharedWork<HashedFile>(HASHED_AT_ONCE)

  constructor(folder: Folder, usualChunkBytes: number, cache: ManifestCache) {
    this.folder = folder
    this.#usualChunkBytes = usualChunkBytes
    this.#cache = cache
  }

  /** The file at `path` as it is now. NOT_FOUND, REQUEST_INVALID (too large), CONTENT_CHANGED (being written), ABORTED. */
  async look(path: string, signal: AbortSignal): Promise<CatalogFile> {
    const { real, stats } = await resolveInside(this.folder, path)
    const known = this.#known(real, stateFrom(stats, path))
    const file = known ?? (await this.#hashing.join(real, (stop) => this.#hash(real, path, stop), signal))
    return { ...file, path }
  }

  /** The size of the file at `path`, and its manifest if that is known without reading it; undefined if there is no such file. */
  async peek(path: string): Promise<{ size: number; manifest: Manifest | undefined } | undefined> {
    try {
      const { real, stats } = await resolveInside(this.folder, path)
      const state = stateFrom(stats, path)
      return { size: state.size, manifest: this.#known(real, state)?.manifest }
    } catch {
      // an index shows what can be had; what cannot be looked at is not there
      return undefined
    }
  }

  async #hash(real: string, path: string, signal: AbortSignal): Promise<HashedFile> {
    const handle = await openReal(real, path)
    try {
      const state = await stateOf(handle, path)
      // whoever was in line before may have done it
      const known = this.#known(real, state)
      if (known) return known
      const manifest = await hashFile(handle, path, this.#usualChunkBytes, signal)
      this.#cache.set(this.#key(real, state), manifest)
      return { real, state, manifest }
    } finally {
      await handle.close()
    }
  }

  #known(real: string, state: FileState): HashedFile | undefined {
    const manifest = this.#cache.get(this.#key(real, state))
    return manifest && { real, state, manifest }
  }

  #key(real: string, state: FileState): string {
    return [this.#usualChunkBytes, state.size, state.mtimeNs, state.ctimeNs, state.dev, state.ino, real].join(':')
  }
}
