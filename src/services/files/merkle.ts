import { createHash } from 'node:crypto'
import { equalBytes } from '../../core/bytes.ts'
import { TallyError } from '../../core/errors.ts'

/** Bytes of one hash. */
export const HASH_BYTES = 32
/** Chunks of one file at most, so that a manifest, which is free, stays below 2 MiB. */
export const MAX_CHUNKS = 65_536
/** Bytes of one chunk at most: a buyer holds one chunk in memory before it can check it. */
export const MAX_CHUNK_BYTES = 16 * 1024 * 1024
/** Bytes of the largest file that can be sold: 1 TiB. */
export const MAX_FILE_BYTES = MAX_CHUNKS * MAX_CHUNK_BYTES

// One prefix per kind of hash, so that no chunk can be passed off as a node, nor a node as a root.
const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)
const ROOT = 2

/**
 * The hashes that bind the bytes of one file: `leaves` one after the other, 32 bytes each, in order of the chunks.
 * @see protocols/files/SPEC.md, "The root"
 */
export interface Manifest {
  /** bytes of the file, 0 to MAX_FILE_BYTES */
  readonly size: number
  /** bytes of every chunk but the last, 1 to MAX_CHUNK_BYTES */
  readonly chunkBytes: number
  readonly root: Uint8Array
  readonly leaves: Uint8Array
}

/** How many chunks a file of `size` bytes has. */
export function chunkCount(size: number, chunkBytes: number): number {
  return Math.ceil(size / chunkBytes)
}

/** Bytes of chunk `index` of the file: `chunkBytes`, or less for the last one. */
export function chunkLength(file: { size: number; chunkBytes: number }, index: number): number {
  return Math.min(file.chunkBytes, file.size - index * file.chunkBytes)
}

/** The leaf of one chunk. */
export function leafOf(chunk: Uint8Array): Uint8Array {
  return createHash('sha256').update(LEAF).update(chunk).digest()
}

/** Whether `chunk` is chunk `index` of the file, to the last bit. */
export function isChunk(manifest: Manifest, index: number, chunk: Uint8Array): boolean {
  return equalBytes(leafOf(chunk), manifest.leaves.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES))
}

/**
 * The root over `leaves`; it also binds the size and the chunk size.
 * `leaves` must hold exactly the leaves of a file of that size: CONTENT_WRONG otherwise.
 */
export function rootOf(size: number, chunkBytes: number, leaves: Uint8Array): Uint8Array {
  const count = chunkCount(size, chunkBytes)
  if (leaves.length !== count * HASH_BYTES) {
    throw new TallyError('CONTENT_WRONG', {
      message: `a file of ${count} chunks cannot have ${leaves.length / HASH_BYTES} hashes`,
      fields: { chunks: count, bytes: leaves.length },
    })
  }
  const head = new Uint8Array(13)
  const view = new DataView(head.buffer)
  view.setUint8(0, ROOT)
  view.setBigUint64(1, BigInt(size))
  view.setUint32(9, chunkBytes)
  return createHash('sha256').update(head).update(topOf(leaves)).digest()
}

function topOf(leaves: Uint8Array): Uint8Array {
  if (leaves.length === 0) return createHash('sha256').digest()
  let row = leaves
  while (row.length > HASH_BYTES) row = rowAbove(row)
  return row
}

function rowAbove(row: Uint8Array): Uint8Array {
  const pair = 2 * HASH_BYTES
  const above = new Uint8Array(Math.ceil(row.length / pair) * HASH_BYTES)
  for (let from = 0, to = 0; from < row.length; from += pair, to += HASH_BYTES) {
    const both = row.subarray(from, from + pair)
    above.set(both.length === pair ? createHash('sha256').update(NODE).update(both).digest() : both, to)
  }
  return above
}

/**
 * The chunk size for a file: `usual`, doubled until the file has no more than MAX_CHUNKS chunks. All providers with the same usual
 * chunk so come to the same root. REQUEST_INVALID for a file above MAX_FILE_BYTES.
 */
export function chunkBytesFor(size: number, usual: number): number {
  let chunkBytes = usual
  while (chunkCount(size, chunkBytes) > MAX_CHUNKS) chunkBytes *= 2
  if (chunkBytes > MAX_CHUNK_BYTES) {
    throw new TallyError('REQUEST_INVALID', {
      message: `the file is larger than can be sold in one piece (${size} bytes, at most ${MAX_FILE_BYTES})`,
      hint: 'Split it into parts.',
      fields: { size, maximum: MAX_FILE_BYTES },
    })
  }
  return chunkBytes
}
