import { ByteReader, ByteWriter } from '../../core/bytes.ts'
import { TallyError } from '../../core/errors.ts'
import { chunkCount, HASH_BYTES, MAX_CHUNK_BYTES, MAX_CHUNKS } from './merkle.ts'
import { decodePath } from './path.ts'

const VERSION = 1
const HEAD_BYTES = 1 + 8 + 4 + HASH_BYTES
const NO_ROOT = new Uint8Array(HASH_BYTES)

/** A file, bound to its bytes by the root. */
export interface FileContent {
  readonly kind: 'file'
  readonly path: string
  /** bytes of the file */
  readonly size: number
  /** bytes of a chunk */
  readonly chunkBytes: number
  readonly root: Uint8Array
}

/** The list of what is sold, of the whole service (path '') or of one folder ('name/'). */
export interface IndexContent {
  readonly kind: 'index'
  readonly path: string
}

/** What a session of this service sells: the `content` of its terms. */
export type FilesContent = FileContent | IndexContent

/** The bytes for the terms, at most 1,024. @see protocols/files/SPEC.md */
export function encodeContent(content: FilesContent): Uint8Array {
  const path = new TextEncoder().encode(content.path)
  const { size, chunkBytes, root } = content.kind === 'file' ? content : { size: 0, chunkBytes: 0, root: NO_ROOT }
  return new ByteWriter(HEAD_BYTES + path.length)
    .u8(VERSION)
    .u64(BigInt(size))
    .u32(chunkBytes)
    .bytes(root, HASH_BYTES)
    .bytes(path, path.length)
    .finish()
}

/** What a session sells, from its signed terms. CONTENT_WRONG for anything that this version does not understand. */
export function decodeContent(bytes: Uint8Array): FilesContent {
  try {
    const reader = new ByteReader(bytes)
    const version = reader.u8()
    if (version !== VERSION) throw wrong(`its version is ${version}`)
    const size = reader.u64()
    const chunkBytes = reader.u32()
    const root = reader.bytes(HASH_BYTES)
    const path = decodePath(reader.view(reader.remaining))
    if (chunkBytes === 0) return indexContent(path, size, root)
    return fileContent({ kind: 'file', path, size: Number(size), chunkBytes, root })
  } catch (thrown) {
    if (thrown instanceof TallyError && thrown.code === 'CONTENT_WRONG') throw thrown
    throw wrong('its bytes do not decode', thrown)
  }
}

function indexContent(path: string, size: bigint, root: Uint8Array): IndexContent {
  if (size !== 0n || root.some((byte) => byte !== 0)) throw wrong('an index has neither size nor root')
  if (path !== '' && !path.endsWith('/')) throw wrong('an index is of a folder')
  return { kind: 'index', path }
}

function fileContent(content: FileContent): FileContent {
  if (content.path === '' || content.path.endsWith('/')) throw wrong('a file needs a name')
  if (content.chunkBytes > MAX_CHUNK_BYTES) throw wrong(`its chunks have more than ${MAX_CHUNK_BYTES} bytes`)
  // above 2^53 the number is not exact, but far beyond this limit all the same
  if (chunkCount(content.size, content.chunkBytes) > MAX_CHUNKS) throw wrong(`it has more than ${MAX_CHUNKS} chunks`)
  return content
}

function wrong(why: string, cause?: unknown): TallyError {
  return new TallyError('CONTENT_WRONG', { message: `the terms do not describe a file: ${why}`, cause })
}
