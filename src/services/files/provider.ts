import { realpathSync, statSync } from 'node:fs'
import { equalBytes } from '../../core/bytes.ts'
import { TallyError } from '../../core/errors.ts'
import type { ServiceAdapter, ServiceAnswer, ServiceCall } from '../../ports/service.ts'
import { abortError, refuseAborted } from '../abort.ts'
import { SharedWork } from '../shared-work.ts'
import { Catalog, type CatalogFile, type ManifestCache, manifestCache } from './catalog.ts'
import { decodeContent, encodeContent, type FileContent } from './content.ts'
import { contentChanged, openReal, READ_BYTES, readFully, sameBytes, stateOf } from './described-file.ts'
import { encodeIndex, realFolderOf } from './index-list.ts'
import { MAX_CHUNK_BYTES } from './merkle.ts'
import { asServiceError, decodePath } from './path.ts'
import { decodeRequest } from './requests.ts'

export interface FilesInit {
  /** the folder that is sold, with its sub-folders */
  readonly root: string
  /** bytes of a chunk of a file, 1 to 16 MiB; larger files get larger chunks. @default 65,536 */
  readonly chunkBytes?: number
  /** true: names that begin with a dot are sold too. @default false */
  readonly dotfiles?: boolean
  /** where hashes are remembered. @default 64 MiB of memory */
  readonly cache?: ManifestCache
}

/** Bytes of a chunk unless told otherwise; part of a file's root, so providers should not change it without need. */
export const DEFAULT_FILE_CHUNK_BYTES = 65_536

/**
 * Sells the files of a folder. Nothing outside the folder can be reached, links that lead out of it included.
 *
 * @throws TallyError USAGE when `root` is not a folder, or `chunkBytes` is out of range
 * @see protocols/files/SPEC.md
 */
export function filesService(init: FilesInit): ServiceAdapter {
  const chunkBytes = init.chunkBytes ?? DEFAULT_FILE_CHUNK_BYTES
  if (!Number.isSafeInteger(chunkBytes) || chunkBytes < 1 || chunkBytes > MAX_CHUNK_BYTES) {
    throw new TallyError('USAGE', { message: `a chunk of a file has 1 to ${MAX_CHUNK_BYTES} bytes`, fields: { chunkBytes } })
  }
  const folder = { root: realFolder(init.root), dotfiles: init.dotfiles ?? false }
  return new FilesService(new Catalog(folder, chunkBytes, init.cache ?? manifestCache()), chunkBytes)
}

/** Keeps nothing per session: whatever `open` must know is in the terms, so that a session goes on after a restart. */
class FilesService implements ServiceAdapter {
  readonly kind = 'files'
  readonly inputs = 'path of a file, UTF-8; empty = the index'
  readonly outputs = 'bytes of the file, checked chunk by chunk against a root hash'
  readonly #catalog: Catalog
  readonly #closing = new AbortController()
  /** An index is free and walks the folder: whoever asks again and again must not have it walked, or held in memory, more than once. */
  readonly #indexes = new SharedWork<Uint8Array>(1)

  /** what is checked is checked by whole chunks */
  readonly leastChunkBytes: number

  constructor(catalog: Catalog, chunkBytes: number) {
    this.#catalog = catalog
    this.leastChunkBytes = chunkBytes
  }

  async prepare(inputs: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const path = decodePath(inputs)
    const until = AbortSignal.any([signal, this.#closing.signal])
    refuseAborted(until)
    if (isFolder(path)) {
      await realFolderOf(this.#catalog, path)
      return encodeContent({ kind: 'index', path })
    }
    const { manifest } = await this.#catalog.look(path, until)
    return encodeContent({ kind: 'file', path, size: manifest.size, chunkBytes: manifest.chunkBytes, root: manifest.root })
  }

  async open(call: ServiceCall): Promise<ServiceAnswer> {
    const content = decodeContent(call.content)
    const request = decodeRequest(call.request)
    const until = AbortSignal.any([call.signal, this.#closing.signal])
    refuseAborted(until)
    if (content.kind === 'index') {
      if (request.type !== 'index') throw wrongRequest('this session is for an index')
      return free(await this.#indexes.join(content.path, (stop) => encodeIndex(this.#catalog, content.path, stop), until))
    }
    if (request.type === 'index') throw wrongRequest('this session is for a file')
    const file = await this.#unchanged(content, until)
    if (request.type === 'manifest') return free(file.manifest.leaves)
    const { offset, length } = checkRange(request, file.manifest)
    return { info: new Uint8Array(), free: false, body: readRange(file, offset, length, until) }
  }

  async close(): Promise<void> {
    this.#closing.abort(new TallyError('SHUTTING_DOWN'))
  }

  /** The file of the terms, if it still has the bytes of the terms. After a restart that means reading it once more. */
  async #unchanged(content: FileContent, signal: AbortSignal): Promise<CatalogFile> {
    const now = await this.#catalog.peek(content.path)
    if (now?.size !== content.size) throw contentChanged(content.path)
    const file = await this.#catalog.look(content.path, signal)
    const { root, chunkBytes } = file.manifest
    if (chunkBytes !== content.chunkBytes || !equalBytes(root, content.root)) throw contentChanged(content.path)
    return file
  }
}

function isFolder(path: string): boolean {
  return path === '' || path.endsWith('/')
}

function realFolder(root: string): string {
  try {
    const real = realpathSync(root)
    if (statSync(real).isDirectory()) return real
  } catch (cause) {
    throw new TallyError('USAGE', { message: `the folder "${root}" cannot be opened`, fields: { root }, cause })
  }
  throw new TallyError('USAGE', {
    message: `"${root}" is not a folder`,
    hint: 'Name the folder that holds the files.',
    fields: { root },
  })
}

function wrongRequest(why: string): TallyError {
  return new TallyError('REQUEST_INVALID', { message: `the request does not fit: ${why}` })
}

/** A range of whole chunks: part of a chunk could not be checked, and nobody would pay for it. */
function checkRange(
  range: { offset: bigint; length: bigint },
  file: { size: number; chunkBytes: number },
): { offset: number; length: number } {
  const size = BigInt(file.size)
  const chunk = BigInt(file.chunkBytes)
  const end = range.offset + range.length
  if (range.length === 0n || end > size) throw wrongRequest(`the file has ${size} bytes`)
  if (range.offset % chunk !== 0n || (end % chunk !== 0n && end !== size))
    throw wrongRequest(`ranges are of whole chunks of ${chunk} bytes`)
  return { offset: Number(range.offset), length: Number(range.length) }
}

function free(bytes: Uint8Array): ServiceAnswer {
  return { info: new Uint8Array(), free: true, body: inPieces(bytes) }
}

async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += READ_BYTES) yield bytes.subarray(at, at + READ_BYTES)
}

/**
 * The bytes of a range. The file is open only while somebody pulls: it is closed at the end, by `return()`, and by the signal, even
 * if nobody ever pulls again. After each read the file is looked at, so no byte goes out that was written after the terms.
 */
async function* readRange(file: CatalogFile, offset: number, length: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  refuseAborted(signal)
  const handle = await openReal(file.real, file.path)
  // a second close() of a handle does not wait for the first
  let closed: Promise<void> | undefined
  const close = () => (closed ??= handle.close())
  const letGo = () => void close().catch(() => undefined)
  signal.addEventListener('abort', letGo, { once: true })
  try {
    for (let at = offset; at < offset + length; ) {
      refuseAborted(signal)
      const piece = new Uint8Array(Math.min(READ_BYTES, offset + length - at))
      const got = await readFully(handle, piece, at)
      if (got < piece.length || !sameBytes(file.state, await stateOf(handle, file.path))) throw contentChanged(file.path)
      at += got
      yield piece
    }
  } catch (thrown) {
    throw signal.aborted ? abortError(signal) : asServiceError(thrown, file.path)
  } finally {
    signal.removeEventListener('abort', letGo)
    await close()
  }
}
