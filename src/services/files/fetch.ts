import { equalBytes } from '../../core/bytes.ts'
import { TallyError } from '../../core/errors.ts'
import type { PaidSession, PaidStream } from '../../ports/service.ts'
import { abortError, refuseAborted } from '../abort.ts'
import { decodeContent, type FileContent } from './content.ts'
import { ExactReader, shortOf } from './exact-reader.ts'
import { decodeIndex, type FileIndex, MAX_INDEX_BYTES } from './index-list.ts'
import { chunkCount, chunkLength, HASH_BYTES, isChunk, type Manifest, rootOf } from './merkle.ts'
import { encodeRequest } from './requests.ts'

/** A file that a buyer wants. */
export interface FileWanted {
  /** as in the inputs of the session's hello */
  readonly path: string
  /** the root that the buyer knows to be right, 32 bytes; without it the provider's word counts */
  readonly root?: Uint8Array
}

export interface RangeWanted extends FileWanted {
  /** first byte. @default 0 */
  readonly offset?: number
  /** bytes; what is beyond the end of the file is left out. @default all the rest */
  readonly length?: number
}

export interface FetchOptions {
  readonly signal?: AbortSignal
}

/** A file whose hashes were checked against the signed terms, and against the root that the buyer brought. */
export interface CheckedFile extends Manifest {
  readonly path: string
}

/** Checked bytes of a file, in order. Can be iterated once; each piece is paid when the next one is asked for. */
export interface FetchedRange extends AsyncIterable<Uint8Array> {
  readonly file: CheckedFile
  /** first byte that comes */
  readonly offset: number
  /** bytes that come */
  readonly length: number
}

// A provider that has sent everything and then does not end its stream must not keep its buyer waiting.
const END_PATIENCE_MS = 2_000

/**
 * Gets a range of the file that `session` sells. No byte is handed out, or paid for, before the hash of its chunk was checked.
 *
 * Chunks are checked, and so paid, as a whole: a range that begins or ends inside a chunk costs up to one chunk more at that end. To
 * go on after a break at no extra cost, begin at a multiple of `file.chunkBytes`.
 *
 * CONTENT_WRONG (not the file, root or hashes that were promised; field `chunk` for a bad chunk), REQUEST_INVALID (offset beyond the
 * end), ABORTED, and what the provider answers: CONTENT_CHANGED, NOT_FOUND, SERVICE_FAILED.
 * @see protocols/files/SPEC.md
 */
export async function fetchFile(session: PaidSession, wanted: RangeWanted, options: FetchOptions = {}): Promise<FetchedRange> {
  const file = await checkFile(session, wanted, options)
  const offset = wanted.offset ?? 0
  if (!Number.isSafeInteger(offset) || offset < 0 || offset > file.size) {
    throw new TallyError('REQUEST_INVALID', {
      message: `the file has ${file.size} bytes; byte ${offset} is not in it`,
      fields: { offset },
    })
  }
  const length = Math.min(wanted.length ?? file.size, file.size - offset)
  if (!Number.isSafeInteger(length) || length < 0) {
    throw new TallyError('REQUEST_INVALID', { message: `${length} is not a number of bytes`, fields: { length } })
  }
  return { file, offset, length, [Symbol.asyncIterator]: () => readRange(session, file, offset, length, options) }
}

/**
 * Fetches the hashes of the file that `session` sells, free of charge, and checks them (F2).
 * CONTENT_WRONG when they are not those of the signed terms, of `wanted.path` or of `wanted.root`.
 */
export async function checkFile(session: PaidSession, wanted: FileWanted, options: FetchOptions = {}): Promise<CheckedFile> {
  const content = decodeContent(session.content)
  if (content.kind !== 'file' || content.path !== wanted.path) {
    throw new TallyError('CONTENT_WRONG', { message: `the provider offers "${content.path}" instead of "${wanted.path}"` })
  }
  if (wanted.root && !equalBytes(wanted.root, content.root)) {
    throw new TallyError('CONTENT_WRONG', {
      message: `the provider has another file under "${wanted.path}" than the one with the root that was given`,
      hint: 'Nothing was paid. Try another provider, or check the root.',
    })
  }
  const leaves = await fetchLeaves(session, content, options)
  if (!equalBytes(rootOf(content.size, content.chunkBytes, leaves), content.root)) {
    throw new TallyError('CONTENT_WRONG', {
      message: 'the hashes that came are not the ones of the signed terms',
      hint: 'Nothing was paid.',
    })
  }
  const { path, size, chunkBytes, root } = content
  return { path, size, chunkBytes, root, leaves }
}

async function fetchLeaves(session: PaidSession, content: FileContent, options: FetchOptions): Promise<Uint8Array> {
  const leaves = new Uint8Array(chunkCount(content.size, content.chunkBytes) * HASH_BYTES)
  if (leaves.length === 0) return leaves
  const got = await fetchFree(session, encodeRequest({ type: 'manifest' }), leaves.length, options)
  if (got.length !== leaves.length) throw shortOf(leaves.length, got.length)
  return got
}

/** Gets the index that `session` sells (inputs '' or 'name/'), free of charge. CONTENT_WRONG, ABORTED. */
export async function fetchIndex(session: PaidSession, options: FetchOptions = {}): Promise<FileIndex> {
  if (decodeContent(session.content).kind !== 'index')
    throw new TallyError('CONTENT_WRONG', { message: 'the session is for a file' })
  return decodeIndex(await fetchFree(session, encodeRequest({ type: 'index' }), MAX_INDEX_BYTES, options))
}

/** All bytes of a free stream, at most `maxBytes`. Nothing of it is ever acknowledged. */
async function fetchFree(
  session: PaidSession,
  request: Uint8Array,
  maxBytes: number,
  options: FetchOptions,
): Promise<Uint8Array> {
  const stream = await openStream(session, request, options)
  try {
    if (!stream.free)
      throw new TallyError('CONTENT_WRONG', { message: 'the provider wants money for what is free in this service' })
    // one buffer, not a list: a million pieces of one byte must not cost more than their bytes
    const all = new Uint8Array(maxBytes)
    let bytes = 0
    for await (const piece of stream.unacknowledged) {
      refuseAborted(options.signal)
      if (bytes + piece.length > maxBytes) throw tooMuch(maxBytes)
      all.set(piece, bytes)
      bytes += piece.length
    }
    return all.slice(0, bytes)
  } catch (thrown) {
    throw failStream(stream, thrown, options)
  }
}

async function* readRange(session: PaidSession, file: CheckedFile, offset: number, length: number, options: FetchOptions) {
  if (length === 0) return
  const first = Math.floor(offset / file.chunkBytes)
  const end = chunkCount(offset + length, file.chunkBytes)
  let start = first * file.chunkBytes
  for await (const chunk of fetchChunks(session, file, first, end, options)) {
    yield chunk.subarray(Math.max(0, offset - start), Math.min(chunk.length, offset + length - start))
    start += chunk.length
  }
}

/**
 * The chunks `first` to `end` - 1 of the file, each as one piece whose hash was checked. A chunk is acknowledged when the next one is
 * asked for (F3); one that the caller broke off at is not. A bad chunk aborts the stream: CONTENT_WRONG with the field `chunk`.
 */
export async function* fetchChunks(
  session: PaidSession,
  file: CheckedFile,
  first: number,
  end: number,
  options: FetchOptions = {},
): AsyncGenerator<Uint8Array> {
  if (first >= end) return
  const offset = first * file.chunkBytes
  const length = Math.min(end * file.chunkBytes, file.size) - offset
  const request = encodeRequest({ type: 'range', offset: BigInt(offset), length: BigInt(length) })
  const stream = await openStream(session, request, options)
  const source = new ExactReader(stream.unacknowledged, options.signal)
  try {
    for (let index = first; index < end; index++) {
      const chunk = await source.read(chunkLength(file, index))
      refuseAborted(options.signal)
      if (!isChunk(file, index, chunk)) throw badChunk(file, index)
      yield chunk
      stream.acknowledge(chunk.length)
    }
    if (!(await source.end(END_PATIENCE_MS))) stream.abort(new TallyError('STREAM_CUT'))
  } catch (thrown) {
    throw failStream(stream, thrown, options)
  } finally {
    await source.close()
  }
}

async function openStream(session: PaidSession, request: Uint8Array, { signal }: FetchOptions): Promise<PaidStream> {
  refuseAborted(signal)
  return session.open(request, signal ? { signal } : {})
}

function failStream(stream: PaidStream, thrown: unknown, { signal }: FetchOptions): unknown {
  const error = signal?.aborted ? abortError(signal) : thrown
  stream.abort(error instanceof Error ? error : new TallyError('INTERNAL', { cause: error }))
  return error
}

function tooMuch(maxBytes: number): TallyError {
  return new TallyError('CONTENT_WRONG', { message: `the provider sends more than ${maxBytes} bytes of what is free` })
}

function badChunk(file: CheckedFile, chunk: number): TallyError {
  return new TallyError('CONTENT_WRONG', {
    message: `chunk ${chunk} of "${file.path}" is not the one that was promised`,
    hint: 'It was not paid for. Everything before it is right; go on with another provider that has the same root.',
    fields: { chunk, offset: chunk * file.chunkBytes },
  })
}
