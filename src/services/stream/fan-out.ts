/** One source for many readers, each from the live edge. */
import { asTallyError, TallyError } from '../../core/errors.ts'
import { abortError, refuseAborted } from '../abort.ts'

export interface FanOutInit {
  /** how far a reader may fall behind the quickest one, bytes. @default 4 MiB */
  readonly bufferBytes?: number
  /** readers at the same time. @default 256 */
  readonly maxReaders?: number
}

/** the source is read while some reader holds less than this, bytes */
const READ_AHEAD_BYTES = 64 * 1024

type Source = AsyncIterator<Uint8Array>

/**
 * The source is opened for the first reader and left after the last; a reader gets what comes from when it joined. It is read as fast as
 * the quickest reader takes it. A reader for which no room is left in its buffer is cut with SERVICE_FAILED, in mid-stream: what it got is
 * whole up to there, and the others never wait for it.
 */
export class FanOut {
  readonly #open: (signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>>
  readonly #bufferBytes: number
  readonly #maxReaders: number
  #run: Run | undefined

  constructor(
    open: (signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>>,
    { bufferBytes = 4 << 20, maxReaders = 256 }: FanOutInit,
  ) {
    this.#open = open
    this.#bufferBytes = bufferBytes
    this.#maxReaders = maxReaders
  }

  /** A reader from now on. @throws TallyError BUSY, and what opening the source throws */
  async join(signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    refuseAborted(signal)
    const run = this.#run ?? this.#begin()
    if (run.readers.size >= this.#maxReaders)
      throw new TallyError('BUSY', { message: `${this.#maxReaders} listen already`, fields: { max_readers: this.#maxReaders } })
    const reader = new Reader(this.#bufferBytes, run)
    run.readers.add(reader)
    const leave = (): void => run.leave(reader, abortError(signal))
    signal.addEventListener('abort', leave, { once: true })
    try {
      await run.begun
    } catch (thrown) {
      signal.removeEventListener('abort', leave)
      throw thrown
    }
    return reader.pieces(() => signal.removeEventListener('abort', leave))
  }

  #begin(): Run {
    const run = new Run(this.#open, () => {
      // what joins from now on begins anew
      if (this.#run === run) this.#run = undefined
    })
    this.#run = run
    return run
  }
}

/** The source while somebody reads it. */
class Run {
  readonly readers = new Set<Reader>()
  /** resolves when the source is open */
  readonly begun: Promise<void>
  readonly #stop = new AbortController()
  readonly #onOver: () => void
  #wake: (() => void) | undefined

  constructor(open: (signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>>, onOver: () => void) {
    this.#onOver = onOver
    const opening = open(this.#stop.signal).then((source) => source[Symbol.asyncIterator]())
    this.begun = opening.then(
      (source) => void this.#pump(source),
      (thrown: unknown) => {
        this.#end(thrown)
        throw thrown
      },
    )
    this.begun.catch(() => undefined)
  }

  leave(reader: Reader, why: TallyError): void {
    reader.cut(why)
    this.readers.delete(reader)
    this.wanted()
    if (this.readers.size > 0) return
    this.#onOver()
    this.#stop.abort(why)
  }

  /** Some reader may have room again. */
  wanted(): void {
    this.#wake?.()
    this.#wake = undefined
  }

  async #pump(source: Source): Promise<void> {
    try {
      for (;;) {
        while (![...this.readers].some(({ held }) => held < READ_AHEAD_BYTES)) {
          if (this.#stop.signal.aborted) return this.#end(abortError(this.#stop.signal))
          await new Promise<void>((resolve) => (this.#wake = resolve))
        }
        const next = await source.next()
        if (next.done === true) return this.#end(undefined)
        for (const reader of this.readers) if (!reader.push(next.value)) this.leave(reader, tooSlow(reader.held))
      }
    } catch (thrown) {
      this.#end(thrown)
    } finally {
      await source.return?.(undefined).catch(() => undefined)
    }
  }

  #end(thrown: unknown): void {
    this.#onOver()
    for (const reader of this.readers) reader.end(thrown === undefined ? undefined : asTallyError(thrown))
    this.readers.clear()
  }
}

class Reader {
  readonly #most: number
  readonly #run: Run
  #pieces: Uint8Array[] = []
  #over: { readonly why: TallyError | undefined } | undefined
  #wake: (() => void) | undefined
  /** bytes that wait here */
  held = 0

  constructor(most: number, run: Run) {
    this.#most = most
    this.#run = run
  }

  /** false: there is no room. Where nothing waits there is always room. */
  push(piece: Uint8Array): boolean {
    if (this.held > 0 && this.held + piece.length > this.#most) return false
    this.#pieces.push(piece)
    this.held += piece.length
    this.#wake?.()
    return true
  }

  /** It gets no more, not even what waits. */
  cut(why: TallyError): void {
    this.end(why)
    this.#pieces = []
    this.held = 0
  }

  /** The last piece has come. */
  end(why: TallyError | undefined): void {
    this.#over ??= { why }
    this.#wake?.()
  }

  async *pieces(onDone: () => void): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const piece = this.#pieces.shift()
        if (piece !== undefined) {
          this.held -= piece.length
          this.#run.wanted()
          yield piece
        } else if (this.#over !== undefined) {
          if (this.#over.why !== undefined) throw this.#over.why
          return
        } else await new Promise<void>((resolve) => (this.#wake = resolve))
      }
    } finally {
      onDone()
      this.#run.leave(this, new TallyError('ABORTED'))
    }
  }
}

const tooSlow = (bytes: number): TallyError =>
  new TallyError('SERVICE_FAILED', { message: `this payer is too slow for the stream: ${bytes} bytes wait for it` })
