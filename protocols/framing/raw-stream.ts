import type { Stream } from '@libp2p/interface'
import { asTallyError, TallyError } from '../../src/core/errors.ts'
import { cutInsideFrame, encodeFrame, takeFrame } from './frame-codec.ts'
import { Inlet, streamCut, waterMarks } from './inlet.ts'
import { awaitPeerEnd, closeSignal, DEFAULT_CLOSE_TIMEOUT_MS, Outlet, type WaitOptions } from './outlet.ts'
import { Packer, packBytes } from './packer.ts'

/** A run of bytes as libp2p and it-pipe pass it around. */
export type RawChunk = Parameters<Stream['send']>[0]

export interface RawOptions {
  /** Largest header frame in either direction; 1 to MAX_FRAME_BYTES. @default 4096 */
  readonly maxFrameBytes?: number
  /** Unread incoming bytes above which the peer is stopped. @default 1 MiB */
  readonly highWaterBytes?: number
  /** Unread incoming bytes at which the peer may go on. @default 256 KiB */
  readonly lowWaterBytes?: number
  /** Longest time a graceful close may take, in milliseconds. @default 5000 */
  readonly closeTimeoutMs?: number
}

/**
 * A metered stream of bytes, after any number of header frames. It is a duplex for it-pipe: `pipe(a, b)` joins two of them.
 *
 * One reader and one writer at a time: await each call before the next one.
 */
export interface RawStream extends AsyncIterable<Uint8Array> {
  /** The libp2p stream underneath; reading or writing it directly loses the count. */
  readonly stream: Stream
  /** Raw bytes given to the reader so far, header frames not counted. */
  readonly bytesRead: number
  /** Raw bytes given to the transport so far, header frames not counted. */
  readonly bytesWritten: number
  /** Bytes that have arrived and were not asked for yet. */
  readonly unreadBytes: number
  /**
   * The next header frame; undefined at a clean end. Bytes behind it stay for the next read, framed or raw.
   *
   * @throws TallyError STREAM_CUT, FRAME_TOO_LARGE and MALFORMED (the stream is aborted), ABORTED (nothing is lost)
   */
  readFrame(options?: WaitOptions): Promise<Uint8Array | undefined>
  /** Sends one header frame. @throws TallyError MALFORMED, FRAME_TOO_LARGE, STREAM_CUT, ABORTED */
  writeFrame(payload: Uint8Array, options?: WaitOptions): Promise<void>
  /**
   * The next run of raw bytes, as it arrived, never empty; undefined at a clean end.
   *
   * @throws TallyError STREAM_CUT (after the bytes that came before the cut), ABORTED (nothing is lost)
   */
  read(options?: WaitOptions): Promise<Uint8Array | undefined>
  /**
   * Passes bytes on without a copy and resolves when more may be written. The bytes belong to the transport: do not change
   * them afterwards.
   *
   * @throws TallyError STREAM_CUT, ABORTED (the bytes are on their way and counted, only the wait was given up)
   */
  write(bytes: RawChunk, options?: WaitOptions): Promise<void>
  /**
   * Tells the peer, after all bytes, that no more comes. Reading goes on. A peer that reads slowly is waited for, `timeoutMs` (else as
   * long as a graceful close may take).
   *
   * @throws TallyError STREAM_CUT, ABORTED
   */
  closeWrite(options?: WaitOptions & { readonly timeoutMs?: number | undefined }): Promise<void>
  /** `closeWrite`, then unread bytes are dropped until the peer ends too; a peer that does not is aborted in the end. */
  close(options?: WaitOptions): Promise<void>
  /** Ends both halves at once. Waiting callers get `error`; the peer sees a reset. */
  abort(error: Error): void
  /** The reading half for it-pipe. Stopping it early loses nothing: read again. */
  readonly source: AsyncIterable<Uint8Array>
  /**
   * The writing half for it-pipe: writes all chunks, then `closeWrite`. When the source fails, the stream is aborted so that
   * the peer does not take the part for the whole. When the stream is cut, the source is told to stop.
   */
  readonly sink: (source: AsyncIterable<RawChunk> | Iterable<RawChunk>) => Promise<void>
}

/**
 * Takes over a libp2p stream for raw bytes. Call it in the same tick in which the stream was handed over.
 *
 * @throws RangeError when a limit makes no sense
 * @see SPEC.md section 5
 */
export function rawStream(stream: Stream, options: RawOptions = {}): RawStream {
  return new Raw(stream, options)
}

/** A frame of yamux may be as large as its window, which begins at 256 KiB; the bytes of a pack travel together. */
const PACK_MESSAGES = 4

class Raw implements RawStream {
  readonly stream: Stream
  readonly source: AsyncIterable<Uint8Array>
  readonly sink: RawStream['sink']
  readonly #maxFrameBytes: number
  readonly #closeTimeoutMs: number
  readonly #inlet: Inlet
  readonly #outlet: Outlet
  readonly #packer = new Packer(packBytes(PACK_MESSAGES))
  #stopSink: ((error: TallyError) => void) | undefined
  /** a turn of the loop will send what is packed */
  #flushes = false
  #reading = false
  #writing = false
  #bytesRead = 0
  #bytesWritten = 0

  constructor(stream: Stream, options: RawOptions) {
    this.stream = stream
    this.#maxFrameBytes = options.maxFrameBytes ?? 4096
    this.#closeTimeoutMs = options.closeTimeoutMs ?? DEFAULT_CLOSE_TIMEOUT_MS
    this.#inlet = new Inlet(stream, waterMarks(this.#maxFrameBytes, options))
    this.#outlet = new Outlet(stream, {
      onCut: (error) => {
        this.#packer.clear()
        this.#stopSink?.(error)
      },
      onDrain: () => this.#flushSoon(),
    })
    this.source = { [Symbol.asyncIterator]: () => this[Symbol.asyncIterator]() }
    this.sink = (source) => this.#pour(source)
  }

  get bytesRead(): number {
    return this.#bytesRead
  }

  get bytesWritten(): number {
    return this.#bytesWritten
  }

  get unreadBytes(): number {
    return this.#inlet.queue.byteLength + this.stream.readBufferLength
  }

  async readFrame(options: WaitOptions = {}): Promise<Uint8Array | undefined> {
    try {
      const frame = await this.#next(() => takeFrame(this.#inlet.queue, this.#maxFrameBytes), options.signal)
      if (frame === undefined && this.#inlet.queue.byteLength > 0) throw cutInsideFrame()
      return frame
    } catch (thrown) {
      const error = asTallyError(thrown)
      if (error.code === 'FRAME_TOO_LARGE' || error.code === 'MALFORMED') this.abort(error)
      throw error
    }
  }

  async writeFrame(payload: Uint8Array, options: WaitOptions = {}): Promise<void> {
    const frame = encodeFrame(payload, this.#maxFrameBytes)
    await this.#writes(options.signal, async () => {
      await this.#sendRest(options.signal)
      if (!this.#outlet.send(frame)) await this.#outlet.drained(options.signal)
    })
  }

  async read(options: WaitOptions = {}): Promise<Uint8Array | undefined> {
    const run = await this.#next(() => this.#inlet.queue.takeRun(), options.signal)
    this.#bytesRead += run?.byteLength ?? 0
    return run
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const run = await this.read()
      if (run === undefined) return
      yield run
    }
  }

  async write(bytes: RawChunk, options: WaitOptions = {}): Promise<void> {
    if (bytes.byteLength === 0) return
    const { signal } = options
    await this.#writes(signal, async () => {
      if (this.#outlet.error !== undefined) throw this.#outlet.error
      this.#packer.push(bytes)
      this.#bytesWritten += bytes.byteLength
      for (let pack = this.#packer.takeFull(); pack !== undefined; pack = this.#packer.takeFull()) {
        if (!this.#outlet.send(pack)) await this.#outlet.drained(signal)
      }
    })
    this.#flushSoon()
  }

  async closeWrite(options: WaitOptions & { readonly timeoutMs?: number | undefined } = {}): Promise<void> {
    await this.#closeWrite(closeSignal(options.timeoutMs ?? this.#closeTimeoutMs, options.signal))
  }

  async close(options: WaitOptions = {}): Promise<void> {
    const signal = closeSignal(this.#closeTimeoutMs, options.signal)
    await this.#closeWrite(signal)
    await awaitPeerEnd(this.stream, this.#inlet, signal)
  }

  abort(error: Error): void {
    const typed = error instanceof TallyError ? error : streamCut(error)
    this.#inlet.fail(typed)
    this.#outlet.fail(typed)
    this.stream.abort(error)
  }

  async #next(take: () => Uint8Array | undefined, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
    if (this.#reading) throw new TallyError('INTERNAL', { message: 'two readers on one raw stream' })
    this.#reading = true
    try {
      for (;;) {
        const bytes = take()
        if (bytes !== undefined) {
          this.#inlet.taken()
          return bytes
        }
        if (this.#inlet.error !== undefined) throw this.#inlet.error
        if (this.#inlet.ended) return undefined
        await this.#inlet.more(signal)
      }
    } finally {
      this.#reading = false
    }
  }

  /** One writer at a time. It waits before it adds anything, so that a caller that gave up a wait cannot pile bytes up. */
  async #writes(signal: AbortSignal | undefined, write: () => Promise<void>): Promise<void> {
    if (this.#writing) throw new TallyError('INTERNAL', { message: 'two writers on one raw stream' })
    this.#writing = true
    try {
      if (this.#outlet.blocked) await this.#outlet.drained(signal)
      await write()
    } finally {
      this.#writing = false
    }
  }

  /** What does not fill a pack waits for the rest of this turn of the loop, or until the transport takes more. */
  #flushSoon(): void {
    if (this.#flushes || this.#packer.byteLength === 0) return
    this.#flushes = true
    setImmediate(() => {
      this.#flushes = false
      // a writer that waits in the middle of its packs sends the rest itself
      if (this.#writing || this.#outlet.blocked || this.#outlet.error !== undefined) return
      for (let rest = this.#packer.takeRest(); rest !== undefined; rest = this.#packer.takeRest()) {
        if (!this.#outlet.send(rest)) return
      }
    })
  }

  async #sendRest(signal: AbortSignal | undefined): Promise<void> {
    for (let rest = this.#packer.takeRest(); rest !== undefined; rest = this.#packer.takeRest()) {
      if (!this.#outlet.send(rest)) await this.#outlet.drained(signal)
    }
  }

  async #closeWrite(signal: AbortSignal): Promise<void> {
    try {
      await this.#sendRest(signal)
      await this.#outlet.closeWrite(signal)
    } catch (thrown) {
      const error = asTallyError(thrown)
      this.abort(error)
      throw error
    }
  }

  #pour(source: AsyncIterable<RawChunk> | Iterable<RawChunk>): Promise<void> {
    const chunks = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
    return new Promise((resolve, reject) => {
      // A cut must end the pipe even while its source is silent, so the wait for the next chunk cannot be the only exit.
      this.#stopSink = (error) => {
        reject(error)
        stopSource(chunks)
      }
      if (this.#outlet.error !== undefined) this.#stopSink(this.#outlet.error)
      else this.#drainInto(chunks).then(resolve, reject)
    })
  }

  async #drainInto(chunks: AsyncIterator<RawChunk> | Iterator<RawChunk>): Promise<void> {
    try {
      for (;;) {
        const next = await chunks.next()
        if (next.done === true) break
        await this.write(next.value)
      }
    } catch (thrown) {
      this.#stopSink = undefined // The caller gets what was thrown here, not the abort that follows from it.
      stopSource(chunks)
      this.abort(asTallyError(thrown))
      throw thrown
    }
    this.#stopSink = undefined
    await this.closeWrite()
  }
}

/** Lets a source clean up. What it says about that cannot change the outcome, which is already known. */
function stopSource(chunks: AsyncIterator<RawChunk> | Iterator<RawChunk>): void {
  Promise.resolve()
    .then(() => chunks.return?.())
    .catch(() => {})
}
