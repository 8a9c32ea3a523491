import type { Stream } from '@libp2p/interface'
import { TallyError } from '../../src/core/errors.ts'
import type { Inlet } from './inlet.ts'
import { streamCut } from './inlet.ts'
import { abortError, WaitList } from './wait-list.ts'

/** How long a graceful close may take before the stream is aborted, in milliseconds. */
export const DEFAULT_CLOSE_TIMEOUT_MS = 5000

/** A signal that ends a wait early. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined
}

/**
 * The writing half of a libp2p stream. It owns the drain and close events and is the authority for whether more may be
 * written. (libp2p's own onDrain() works only once for each stream, so the event is listened to for good.)
 */
export class Outlet {
  readonly #stream: Stream
  readonly #waiters = new WaitList()
  readonly #onDrain: () => void
  readonly #onCut: (error: TallyError) => void
  #error: TallyError | undefined
  #closing: Promise<void> | undefined

  constructor(stream: Stream, events: { onDrain?: () => void; onCut?: (error: TallyError) => void } = {}) {
    this.#stream = stream
    this.#onDrain = events.onDrain ?? (() => {})
    this.#onCut = events.onCut ?? (() => {})
    if (stream.writeStatus !== 'writable') this.#error = streamCut(undefined)
    stream.addEventListener('drain', () => {
      // libp2p sends its own backlog in a microtask that it has queued before this one; it may be blocked again after that.
      queueMicrotask(() => {
        if (stream.writableNeedsDrain) return
        this.#waiters.wake()
        this.#onDrain()
      })
    })
    stream.addEventListener('close', (event) => this.fail(streamCut(event.error)))
  }

  /** True while the transport takes no more: what is sent now would only pile up. */
  get blocked(): boolean {
    return this.#stream.writableNeedsDrain
  }

  /** Bytes given to libp2p that it has not passed on yet. */
  get backlogBytes(): number {
    return this.#stream.writeBufferLength
  }

  /** Why nothing more can be written; undefined while something can. */
  get error(): TallyError | undefined {
    return this.#error
  }

  /**
   * Passes bytes on without a copy; they belong to the transport from now on. False: wait for `drained` before the next ones.
   *
   * @throws TallyError STREAM_CUT
   */
  send(bytes: Parameters<Stream['send']>[0]): boolean {
    if (this.#error !== undefined) throw this.#error
    if (this.#closing !== undefined) throw closedByUs()
    try {
      return this.#stream.send(bytes)
    } catch (thrown) {
      this.fail(streamCut(thrown))
      throw this.#error
    }
  }

  /** Resolves when more may be sent. @throws TallyError STREAM_CUT, ABORTED */
  async drained(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) throw abortError(signal)
    while (this.#error === undefined && this.#stream.writableNeedsDrain) await this.#waiters.wait(signal)
    if (this.#error !== undefined) throw this.#error
  }

  /**
   * Hands everything to the transport and then tells the peer that no more comes. A second call shares the first.
   *
   * @throws TallyError STREAM_CUT when bytes may be lost, ABORTED; after either the stream must be aborted
   */
  closeWrite(signal: AbortSignal): Promise<void> {
    this.#closing ??= this.#close(signal)
    return this.#closing
  }

  /** Ends the writing half; waiting callers are told. */
  fail(error: TallyError): void {
    if (this.#error !== undefined) return
    this.#error = error
    this.#waiters.fail(error)
    this.#onCut(error)
  }

  async #close(signal: AbortSignal): Promise<void> {
    if (this.#error !== undefined) throw this.#error
    try {
      await this.#stream.close({ signal })
    } catch (thrown) {
      // libp2p rejects with an Event when the stream goes away under it.
      throw signal.aborted ? abortError(signal) : (this.#error ?? streamCut(thrown instanceof Error ? thrown : undefined))
    }
  }
}

/** The signal of a close: the caller's own, and never longer than `timeoutMs`. */
export function closeSignal(timeoutMs: number, signal?: AbortSignal): AbortSignal {
  const timeout = AbortSignal.timeout(timeoutMs)
  return signal === undefined ? timeout : AbortSignal.any([timeout, signal])
}

/** Waits, with unread bytes thrown away, until the peer has ended its half too; aborts the stream when that takes too long. */
export async function awaitPeerEnd(stream: Stream, inlet: Inlet, signal: AbortSignal): Promise<void> {
  inlet.discard()
  try {
    while (!inlet.ended) await inlet.more(signal)
  } catch {
    stream.abort(abortError(signal))
  }
}

function closedByUs(): TallyError {
  return new TallyError('STREAM_CUT', { message: 'this end of the stream has been closed' })
}
