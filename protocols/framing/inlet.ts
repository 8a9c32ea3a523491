import type { Stream, StreamMessageEvent } from '@libp2p/interface'
import { asTallyError, TallyError } from '../../src/core/errors.ts'
import { ByteQueue } from './byte-queue.ts'
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES } from './frame-codec.ts'
import { WaitList } from './wait-list.ts'

/** When to stop the peer and when to let it go on, in bytes that wait unread. */
export interface WaterMarks {
  readonly highWaterBytes: number
  readonly lowWaterBytes: number
}

/**
 * The largest window that a node may grant on one stream (yamux `maxStreamWindowSize`), in bytes. A paused stream still receives
 * what was granted before, and libp2p resets a stream that holds more than 4 MiB unread.
 *
 * @see SPEC.md section 4
 */
export const MAX_STREAM_WINDOW_BYTES = 1 << 20

/** Water marks when nobody asks for others: stop above 1 MiB, go on at 256 KiB. */
export const DEFAULT_WATER_MARKS = { highWaterBytes: 1 << 20, lowWaterBytes: 256 << 10 } as const

/**
 * Water marks between which a frame of the largest size always fits: a reader that waits for the rest of a frame must never
 * be the reason why the rest cannot come.
 */
export function waterMarks(maxFrameBytes: number, wish: Partial<WaterMarks>): WaterMarks {
  if (!Number.isInteger(maxFrameBytes) || maxFrameBytes < 1 || maxFrameBytes > MAX_FRAME_BYTES) {
    throw new RangeError(`maxFrameBytes must be between 1 and ${MAX_FRAME_BYTES}`)
  }
  const lowWaterBytes = Math.max(wish.lowWaterBytes ?? DEFAULT_WATER_MARKS.lowWaterBytes, maxFrameBytes + FRAME_HEADER_BYTES)
  return { lowWaterBytes, highWaterBytes: Math.max(wish.highWaterBytes ?? DEFAULT_WATER_MARKS.highWaterBytes, lowWaterBytes + 1) }
}

/**
 * The reading half of a libp2p stream as a bounded queue of bytes.
 *
 * It owns the message, remoteCloseWrite and close events of the stream and is the authority for how the stream ended: cleanly
 * only when the peer closed its writing half and every byte before that arrived, else STREAM_CUT. Bytes that came before a cut
 * can still be read. It lives as long as the stream.
 *
 * @see SPEC.md sections 3 and 4
 */
export class Inlet {
  readonly queue = new ByteQueue()
  readonly #stream: Stream
  readonly #marks: WaterMarks
  readonly #waiters = new WaitList()
  #paused = false
  #discarding = false
  /** The peer has closed its writing half on purpose. */
  #fin = false
  #closed: { readonly cause: unknown; readonly dropped: boolean } | undefined
  #end: { readonly error: TallyError | undefined } | undefined
  #bytesRead = 0

  constructor(stream: Stream, marks: WaterMarks) {
    this.#stream = stream
    this.#marks = marks
    if (stream.status !== 'open' && stream.status !== 'closing') {
      this.#closed = { cause: undefined, dropped: stream.status === 'aborted' }
    } else if (stream.remoteWriteStatus === 'closed') {
      this.#fin = true
    }
    // An exception that leaves a listener ends the process, so nothing in these listeners may throw.
    stream.addEventListener('message', (event) => this.#onMessage(event.data))
    stream.addEventListener('remoteCloseWrite', () => {
      this.#fin = true
      this.#settleSoon()
    })
    stream.addEventListener('close', (event) => {
      // abort() has emptied libp2p's read buffer by now: whatever had not reached us is lost.
      this.#closed = { cause: event.error, dropped: stream.status === 'aborted' }
      this.#settleSoon()
    })
    this.#settleSoon()
  }

  /** True once no more bytes will arrive. The queue may still hold some. */
  get ended(): boolean {
    return this.#end !== undefined
  }

  /** Why the stream ended; undefined before the end and after a clean one. */
  get error(): TallyError | undefined {
    return this.#end?.error
  }

  /** Bytes that arrived from the peer so far. */
  get bytesReceived(): number {
    return this.#bytesRead
  }

  /** Resolves when bytes arrive or the stream ends; at once when it has ended. @throws TallyError ABORTED */
  async more(signal?: AbortSignal): Promise<void> {
    if (this.#end === undefined) await this.#waiters.wait(signal)
  }

  /** To be called after bytes were taken from the queue: lets the peer go on below the low mark. */
  taken(): void {
    if (!this.#paused || this.queue.byteLength > this.#marks.lowWaterBytes) return
    try {
      // resume() first delivers what libp2p has buffered, and only then opens the window again. A pause() from inside that
      // delivery would be undone, so #paused stays true until it has returned, and the mark is checked again here.
      this.#stream.resume()
    } catch {
      // The connection is gone; what libp2p still had was delivered before the throw, and settle() records the end.
    }
    this.#paused = false
    this.#pauseIfFull()
    this.#settle()
  }

  /** Throws away what is queued and what still comes: for a side that only waits for the peer's end. */
  discard(): void {
    this.#discarding = true
    this.queue.clear()
    this.taken()
  }

  /** Ends the reading half with `error` and forgets unread bytes. The caller aborts the stream. */
  fail(error: TallyError): void {
    this.queue.clear()
    // Even after a clean end: what was unread is gone now, and a reader must not take that for the end.
    this.#end = { error }
    this.#waiters.wake()
  }

  #onMessage(data: StreamMessageEvent['data']): void {
    if (this.#end !== undefined) return
    try {
      this.#bytesRead += data.byteLength
      if (this.#discarding) return
      this.queue.push(data)
      this.#pauseIfFull()
      this.#waiters.wake()
    } catch (thrown) {
      const error = asTallyError(thrown)
      this.fail(error)
      this.#stream.abort(error)
    }
  }

  #pauseIfFull(): void {
    if (this.#paused || this.queue.byteLength < this.#marks.highWaterBytes) return
    if (this.#stream.readStatus !== 'readable') return
    this.#paused = true
    this.#stream.pause()
  }

  /** A frame of the muxer can carry the end and bytes before it, in this order of events: so judge after the event is over. */
  #settleSoon(): void {
    queueMicrotask(() => this.#settle())
  }

  #settle(): void {
    if (this.#end !== undefined) return
    const { readBufferLength, readStatus } = this.#stream
    const unread = readBufferLength > 0 && (readStatus === 'paused' || readStatus === 'readable')
    if (unread) return
    if (this.#fin && this.#closed?.dropped !== true) this.#finish(undefined)
    else if (this.#closed !== undefined) this.#finish(streamCut(this.#closed.cause))
  }

  #finish(error: TallyError | undefined): void {
    if (this.#end !== undefined) return
    this.#end = { error }
    this.#waiters.wake()
  }
}

/** STREAM_CUT with whatever libp2p knows of the reason (often nothing: a killed peer gives no error at all). */
export function streamCut(cause: unknown): TallyError {
  if (cause instanceof TallyError) return cause
  return new TallyError('STREAM_CUT', cause === undefined ? {} : { cause })
}
