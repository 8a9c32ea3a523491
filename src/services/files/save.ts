import { createHash, type Hash } from 'node:crypto'
import { constants, type FileHandle, open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { TallyError } from '../../core/errors.ts'
import type { PaidSession } from '../../ports/service.ts'
import { refuseAborted } from '../abort.ts'
import { readFully } from './described-file.ts'
import { type CheckedFile, checkFile, type FetchOptions, type FileWanted, fetchChunks } from './fetch.ts'
import { chunkCount, chunkLength, isChunk } from './merkle.ts'

export interface SaveWanted extends FileWanted {
  /** the local file to be made; `<to>.part` beside it holds what has come so far */
  readonly to: string
  /** true: a file that is there already is replaced, at the very end. @default false */
  readonly overwrite?: boolean
}

export interface SaveProgress {
  /** bytes of the file that are checked and written, those of an earlier try included */
  readonly bytes: number
  readonly size: number
}

export interface SaveOptions extends FetchOptions {
  /** called after each chunk */
  readonly onProgress?: (progress: SaveProgress) => void
}

export interface SavedFile {
  readonly path: string
  /** bytes of the file */
  readonly bytes: number
  /** bytes that an earlier try had left, and that were not bought again */
  readonly resumedAt: number
  /** of the whole file, 32 bytes */
  readonly sha256: Uint8Array
  readonly root: Uint8Array
}

/**
 * Buys the file of `session` into a local file. After any kind of break, run it again: what `<to>.part` holds is checked, chunk by
 * chunk, and only what is missing is bought. The file appears under its name when it is complete and synced.
 *
 * Bytes are acknowledged when they are written to the file, not yet synced: a power cut may cost the last seconds.
 * Two runs at once for the same `to` are not supported.
 *
 * USAGE (`to` exists), CONTENT_WRONG, ABORTED, INTERNAL (the disk; what came is kept), and what the provider answers.
 */
export async function saveFile(session: PaidSession, wanted: SaveWanted, options: SaveOptions = {}): Promise<SavedFile> {
  if (!wanted.overwrite) await refuseExisting(wanted.to)
  const file = await checkFile(session, wanted, options)
  const part = `${wanted.to}.part`
  const handle = await onDisk(part, () => open(part, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o666))
  try {
    const whole = createHash('sha256')
    const kept = await onDisk(part, () => keepGoodChunks(handle, file, whole, options))
    const resumedAt = Math.min(kept * file.chunkBytes, file.size)
    let bytes = resumedAt
    for await (const chunk of fetchChunks(session, file, kept, chunkCount(file.size, file.chunkBytes), options)) {
      await onDisk(part, () => writeFully(handle, chunk, bytes))
      whole.update(chunk)
      bytes += chunk.length
      options.onProgress?.({ bytes, size: file.size })
    }
    await onDisk(part, () => handle.sync())
    await onDisk(part, () => publish(part, wanted.to))
    return { path: wanted.to, bytes, resumedAt, sha256: whole.digest(), root: file.root }
  } finally {
    await handle.close()
  }
}

/** How many whole chunks from the start of the file are there and right. Everything behind them is cut off. */
async function keepGoodChunks(handle: FileHandle, file: CheckedFile, whole: Hash, options: SaveOptions): Promise<number> {
  const { size } = await handle.stat()
  const chunks = chunkCount(file.size, file.chunkBytes)
  let kept = 0
  for (; kept < chunks; kept++) {
    refuseAborted(options.signal)
    const length = chunkLength(file, kept)
    const at = kept * file.chunkBytes
    if (at + length > size) break
    const chunk = new Uint8Array(length)
    await readFully(handle, chunk, at)
    if (!isChunk(file, kept, chunk)) break
    whole.update(chunk)
  }
  await handle.truncate(Math.min(kept * file.chunkBytes, file.size))
  return kept
}

async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}

/** Under its own name, and durably so: the name is in the folder, so the folder is synced too. */
async function publish(part: string, to: string): Promise<void> {
  await rename(part, to)
  const folder = await open(dirname(to), constants.O_RDONLY)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

async function refuseExisting(to: string): Promise<void> {
  const there = await stat(to).catch(() => undefined)
  if (!there) return
  throw new TallyError('USAGE', {
    message: `"${to}" exists already`,
    hint: 'Nothing was bought. Choose another name, or say that it may be replaced.',
    fields: { to },
  })
}

async function onDisk<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (thrown) {
    if (thrown instanceof TallyError) throw thrown
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    throw new TallyError('INTERNAL', {
      message: `"${path}" cannot be written: ${why}`,
      hint: 'What has come so far is kept. Put the disk right and run the same command again: it goes on from there.',
      fields: { path },
      cause: thrown,
    })
  }
}
