import type { Stream } from '@libp2p/interface'
import { asTallyError, TallyError } from '../../src/core/errors.ts'
import { FrameBatch } from './frame-batch.ts'
import { checkFrameLength, cutInsideFrame, FRAME_HEADER_BYTES, takeFrame } from './frame-codec.ts'
import { DEFAULT_WATER_MARKS, Inlet, streamCut, waterMarks } from './inlet.ts'
import { awaitPeerEnd, closeSignal, DEFAULT_CLOSE_TIMEOUT_MS, Outlet, type WaitOptions } from './outlet.ts'
import { abortError, WaitList } from './wait-list.ts'

/** Defaults of a framed stream: bytes, frames and milliseconds as the names say. */
export const FRAMED_DEFAULTS = {
  ...DEFAULT_WATER_MARKS,
  sendHighWaterBytes: 256 << 10,
  maxQueueBytes: 4 << 20,
  maxBatchFrames: 1024,
  closeTimeoutMs: DEFAULT_CLOSE_TIMEOUT_MS,
} as const

/** A batch that has grown to this is sent at once, without waiting for the end of the tick. */
const FLUSH_BYTES = 64 << 10

export interface FramedOptions {
  /** Largest payload in either direction; 1 to MAX_FRAME_BYTES. Each protocol sets its own. */
  readonly maxFrameBytes: number
  /** Unread incoming bytes above which the peer is stopped. Raised so that one frame always fits. @default 1 MiB */
  readonly highWaterBytes?: number
  /** Unread incoming bytes at which the peer may go on. @default 256 KiB */
  readonly lowWaterBytes?: number
  /** Queued outgoing bytes from which `send` answers false. @default 256 KiB */
  readonly sendHighWaterBytes?: number
  /** Queued outgoing bytes above which the peer is taken for dead and the stream is aborted. @default 4 MiB */
  readonly maxQueueBytes?: number
  /** Most frames in one batch, so that one peer cannot hold the loop for long. @default 1024 */
  readonly maxBatchFrames?: number
  /** Longest time a graceful close may take, in milliseconds. @default 5000 */
  readonly closeTimeoutMs?: number
}

/**
 * Frames in both directions over one libp2p stream. Iterating gives batches: all frames that have arrived, in order, never an
 * empty batch. A loop that is slow stops the peer; nothing is decoded before it is asked for.
 *
 * One reader at a time. Frames are views on received bytes: copy what is kept for long.
 */
export interface FramedStream extends AsyncIterable<Uint8Array[]> {
  /** The libp2p stream underneath; reading or writing it directly breaks the framing. */
  readonly stream: Stream
  /** Frames read and sent so far, and the bytes that wait to be sent. */
  readonly framesRead: number
  readonly framesSent: number
  readonly queuedBytes: number
  /** Bytes that have arrived and were not asked for yet. */
  readonly unreadBytes: number
  /**
   * Queues a copy of `payload`; all frames of one tick leave in one write. True: go on. False: the queue is over its mark, so
   * await `ready` before the next one.
   *
   * @throws TallyError MALFORMED (empty payload), FRAME_TOO_LARGE; STREAM_CUT when the stream is over, or when it has just been
   * aborted because the queue was above `maxQueueBytes`
   */
  send(payload: Uint8Array): boolean
  /** Resolves when `send` would answer true. @throws TallyError STREAM_CUT, ABORTED */
  ready(options?: WaitOptions): Promise<void>
  /**
   * The frames that are here, at least one; undefined at a clean end.
   *
   * @throws TallyError STREAM_CUT (after the frames that came before the cut), FRAME_TOO_LARGE and MALFORMED (the stream is
   * aborted), ABORTED (nothing is lost, read again)
   */
  readBatch(options?: WaitOptions): Promise<Uint8Array[] | undefined>
  /** The next frame alone; otherwise as `readBatch`. */
  read(options?: WaitOptions): Promise<Uint8Array | undefined>
  /** Sends what is queued, then tells the peer that no more comes. Reading goes on. @throws TallyError STREAM_CUT, ABORTED */
  closeWrite(options?: WaitOptions): Promise<void>
  /**
   * `closeWrite`, then unread frames are dropped until the peer ends too; a peer that does not is aborted in the end. When it
   * resolves, all frames were handed to the transport; that the peer has read them only an answer can prove.
   *
   * @throws TallyError STREAM_CUT, ABORTED when frames may be lost; the stream is then aborted
   */
  close(options?: WaitOptions): Promise<void>
  /** Ends both halves at once. Waiting callers get `error`; the peer sees a reset. */
  abort(error: Error): void
}

/**
 * Puts frames on a libp2p stream. Call it in the same tick in which the stream was handed over.
 *
 * @throws RangeError when a limit makes no sense
 * @see SPEC.md
 */
export function framed(stream: Stream, options: FramedOptions): FramedStream {
  return new Framed(stream, options)
}

class Framed implements FramedStream {
  readonly stream: Stream
  readonly #options: Required<FramedOptions>
  readonly #inlet: Inlet
  readonly #outlet: Outlet
  readonly #batch = new FrameBatch()
  readonly #ready = new WaitList()
  readonly #flush = (): void => this.#flushNow()
  #scheduled: NodeJS.Immediate | undefined
  #closing = false
  #reading = false
  #refused: TallyError | undefined
  #framesRead = 0
  #framesSent = 0

  constructor(stream: Stream, options: FramedOptions) {
    this.stream = stream
    this.#options = { ...FRAMED_DEFAULTS, ...options }
    this.#inlet = new Inlet(stream, waterMarks(options.maxFrameBytes, this.#options))
    this.#outlet = new Outlet(stream, {
      onDrain: this.#flush,
      onCut: (error) => {
        this.#batch.clear()
        this.#ready.fail(error)
      },
    })
  }

  get framesRead(): number {
    return this.#framesRead
  }

  get framesSent(): number {
    return this.#framesSent
  }

  get queuedBytes(): number {
    return this.#batch.byteLength + this.#outlet.backlogBytes
  }

  get unreadBytes(): number {
    return this.#inlet.queue.byteLength + this.stream.readBufferLength
  }

  send(payload: Uint8Array): boolean {
    checkFrameLength(payload.byteLength, this.#options.maxFrameBytes)
    if (this.#outlet.error !== undefined) throw this.#outlet.error
    if (this.#closing) throw new TallyError('STREAM_CUT', { message: 'this end of the stream has been closed' })
    if (this.queuedBytes + FRAME_HEADER_BYTES + payload.byteLength > this.#options.maxQueueBytes) throw this.#giveUp()
    this.#batch.add(payload)
    this.#framesSent += 1
    if (this.#batch.byteLength >= FLUSH_BYTES) this.#flushNow()
    else this.#scheduled ??= setImmediate(this.#flush)
    return this.#isReady
  }

  async ready(options: WaitOptions = {}): Promise<void> {
    const { signal } = options
    if (signal?.aborted) throw abortError(signal)
    for (;;) {
      if (this.#outlet.error !== undefined) throw this.#outlet.error
      if (this.#isReady) return
      await this.#ready.wait(signal)
    }
  }

  async readBatch(options: WaitOptions = {}): Promise<Uint8Array[] | undefined> {
    return await this.#read(this.#options.maxBatchFrames, options.signal)
  }

  async read(options: WaitOptions = {}): Promise<Uint8Array | undefined> {
    return (await this.#read(1, options.signal))?.[0]
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array[], void, undefined> {
    for (;;) {
      const batch = await this.readBatch()
      if (batch === undefined) return
      yield batch
    }
  }

  async closeWrite(options: WaitOptions = {}): Promise<void> {
    await this.#closeWrite(closeSignal(this.#options.closeTimeoutMs, options.signal))
  }

  async close(options: WaitOptions = {}): Promise<void> {
    const signal = closeSignal(this.#options.closeTimeoutMs, options.signal)
    await this.#closeWrite(signal)
    await awaitPeerEnd(this.stream, this.#inlet, signal)
  }

  abort(error: Error): void {
    const typed = error instanceof TallyError ? error : streamCut(error)
    this.#inlet.fail(typed)
    this.#outlet.fail(typed)
    this.stream.abort(error)
  }

  get #isReady(): boolean {
    return !this.#outlet.blocked && this.queuedBytes < this.#options.sendHighWaterBytes
  }

  #giveUp(): TallyError {
    const error = new TallyError('STREAM_CUT', {
      message: `the peer does not read: ${this.queuedBytes} bytes wait to be sent`,
      hint: 'connect to the peer again; if it happens again, the peer or the network cannot keep up',
      fields: { queued_bytes: this.queuedBytes, max_queue_bytes: this.#options.maxQueueBytes },
    })
    this.abort(error)
    return error
  }

  /** One write for all frames that have gathered: each write is a message of noise and a call of the kernel. */
  #flushNow(): void {
    clearImmediate(this.#scheduled)
    this.#scheduled = undefined
    if (this.#outlet.error !== undefined) return
    if (this.#batch.byteLength > 0 && !this.#outlet.blocked) {
      try {
        this.#outlet.send(this.#batch.take())
      } catch {
        return // The outlet has recorded the error and told everyone who waits.
      }
    }
    if (this.#isReady) this.#ready.wake()
  }

  async #read(maxFrames: number, signal: AbortSignal | undefined): Promise<Uint8Array[] | undefined> {
    if (this.#reading) throw new TallyError('INTERNAL', { message: 'two readers on one framed stream' })
    this.#reading = true
    try {
      for (;;) {
        const frames = this.#takeFrames(maxFrames)
        if (frames.length > 0) return frames
        if (this.#inlet.ended) return this.#endOfFrames()
        await this.#inlet.more(signal)
      }
    } finally {
      this.#reading = false
    }
  }

  #takeFrames(maxFrames: number): Uint8Array[] {
    if (this.#refused !== undefined) throw this.#refused
    const frames: Uint8Array[] = []
    try {
      while (frames.length < maxFrames) {
        const frame = takeFrame(this.#inlet.queue, this.#options.maxFrameBytes)
        if (frame === undefined) break
        frames.push(frame)
      }
    } catch (thrown) {
      this.#refuse(asTallyError(thrown), frames.length)
    }
    this.#framesRead += frames.length
    if (frames.length > 0) this.#inlet.taken()
    return frames
  }

  /** A bad frame ends the stream at once; the good frames in front of it are still delivered, and the error after them. */
  #refuse(error: TallyError, goodFrames: number): void {
    this.#refused = error
    this.abort(error)
    if (goodFrames === 0) throw error
  }

  #endOfFrames(): undefined {
    if (this.#inlet.error !== undefined) throw this.#inlet.error
    if (this.#inlet.queue.byteLength > 0) throw cutInsideFrame()
  }

  async #closeWrite(signal: AbortSignal): Promise<void> {
    this.#closing = true
    try {
      while (this.#batch.byteLength > 0) {
        this.#flushNow()
        if (this.#batch.byteLength > 0) await this.#outlet.drained(signal)
      }
      await this.#outlet.closeWrite(signal)
    } catch (thrown) {
      const error = asTallyError(thrown)
      this.abort(error)
      throw error
    }
  }
}
