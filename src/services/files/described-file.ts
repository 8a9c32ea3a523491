import type { BigIntStats } from 'node:fs'
import { constants, type FileHandle, open } from 'node:fs/promises'
import { TallyError } from '../../core/errors.ts'
import { refuseAborted } from '../abort.ts'
import { chunkBytesFor, chunkCount, chunkLength, HASH_BYTES, leafOf, type Manifest, rootOf } from './merkle.ts'
import { asServiceError, notFound } from './path.ts'

/** What tells one state of a file from another without reading it. */
export interface FileState {
  readonly size: number
  readonly mtimeNs: bigint
  readonly ino: bigint
  readonly dev: bigint
  /** changes with every write, also when a program puts the old mtime back */
  readonly ctimeNs: bigint
}

/** Bytes read from a file at once. Large enough that the read costs little, small enough that hashing it blocks the loop < 1 ms. */
export const READ_BYTES = 256 * 1024

/** The state of an open file. NOT_FOUND if it is not a regular file. */
export async function stateOf(handle: FileHandle, path: string): Promise<FileState> {
  return stateFrom(await handle.stat({ bigint: true }), path)
}

/** The state behind a stat. NOT_FOUND if it is not of a regular file. */
export function stateFrom(stats: BigIntStats, path: string): FileState {
  if (!stats.isFile()) throw notFound(path)
  return { size: Number(stats.size), mtimeNs: stats.mtimeNs, ino: stats.ino, dev: stats.dev, ctimeNs: stats.ctimeNs }
}

/** Whether two states are of the same bytes. A new name or new permissions alone (ctime) make no other bytes. */
export function sameBytes(a: FileState, b: FileState): boolean {
  return a.size === b.size && a.mtimeNs === b.mtimeNs && a.ino === b.ino && a.dev === b.dev
}

/**
 * Opens a real path for reading. Never follows a link at its end and never waits for the other end of a pipe, whatever was put
 * there since it was resolved.
 */
export async function openReal(real: string, path: string): Promise<FileHandle> {
  try {
    return await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (thrown) {
    throw asServiceError(thrown, path)
  }
}

/** CONTENT_CHANGED for a path. */
export function contentChanged(path: string): TallyError {
  return new TallyError('CONTENT_CHANGED', {
    message: `"${path}" changed since the session began`,
    hint: 'Begin a new session for the file as it is now.',
    fields: { path },
  })
}

/**
 * The manifest of an open file, in constant memory but for the leaves. CONTENT_CHANGED if somebody writes to the file meanwhile,
 * ABORTED when `signal` aborts.
 */
export async function hashFile(
  handle: FileHandle,
  path: string,
  usualChunkBytes: number,
  signal: AbortSignal,
): Promise<Manifest> {
  const before = await stateOf(handle, path)
  const chunkBytes = chunkBytesFor(before.size, usualChunkBytes)
  const file = { size: before.size, chunkBytes }
  const leaves = new Uint8Array(chunkCount(file.size, chunkBytes) * HASH_BYTES)
  const chunksPerRead = Math.max(1, Math.floor(READ_BYTES / chunkBytes))
  const buffer = new Uint8Array(Math.min(chunksPerRead * chunkBytes, file.size))
  for (let at = 0; at < file.size; at += buffer.length) {
    refuseAborted(signal)
    const block = buffer.subarray(0, Math.min(buffer.length, file.size - at))
    if ((await readFully(handle, block, at)) < block.length) throw contentChanged(path)
    for (let from = 0; from < block.length; from += chunkBytes) {
      const index = (at + from) / chunkBytes
      leaves.set(leafOf(block.subarray(from, from + chunkLength(file, index))), index * HASH_BYTES)
    }
  }
  if (!sameBytes(before, await stateOf(handle, path))) throw contentChanged(path)
  return { ...file, leaves, root: rootOf(file.size, chunkBytes, leaves) }
}

/** Fills `target` from byte `position` of the file on; returns how many bytes there were, fewer only at the end of the file. */
export async function readFully(handle: FileHandle, target: Uint8Array, position: number): Promise<number> {
  let done = 0
  while (done < target.length) {
    const { bytesRead } = await handle.read(target, done, target.length - done, position + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return done
}
