import { TallyError } from '../../core/errors.ts'
import { unlessAborted } from '../abort.ts'

/** Pieces of any size in, blocks of an exact size out. Holds one block and one piece at most. */
export class ExactReader {
  readonly #pieces: AsyncIterator<Uint8Array>
  readonly #signal: AbortSignal | undefined
  #rest: Uint8Array = new Uint8Array()
  #stuck = false

  constructor(source: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined) {
    this.#pieces = source[Symbol.asyncIterator]()
    this.#signal = signal
  }

  /** The next `length` bytes. CONTENT_WRONG when the source ends before, ABORTED as soon as the signal says so. */
  async read(length: number): Promise<Uint8Array> {
    const block = new Uint8Array(length)
    for (let at = 0; at < length; ) {
      if (this.#rest.length === 0) {
        const next = await this.#pull()
        if (next.done) throw shortOf(length, at)
        this.#rest = next.value
      }
      const part = this.#rest.subarray(0, length - at)
      block.set(part, at)
      at += part.length
      this.#rest = this.#rest.subarray(part.length)
    }
    return block
  }

  /** Waits for the end of the source, but not for ever: everything wanted is here. False if it did not come to its end. */
  async end(patienceMs: number): Promise<boolean> {
    if (this.#rest.length > 0) return false
    const enough = Promise.withResolvers<boolean>()
    const timer = setTimeout(enough.resolve, patienceMs, false)
    const ended = this.#pull().then(
      (next) => next.done === true,
      () => false,
    )
    const clean = await Promise.race([ended, enough.promise])
    clearTimeout(timer)
    return clean
  }

  /** Lets go of the source. Does not wait for a source that is in the middle of something: its own abort must end that. */
  async close(): Promise<void> {
    const returned = Promise.resolve(this.#pieces.return?.()).catch(() => undefined)
    if (!this.#stuck) await returned
  }

  async #pull(): Promise<IteratorResult<Uint8Array>> {
    this.#stuck = true
    const next = this.#pieces.next()
    const result = await (this.#signal ? unlessAborted(next, this.#signal) : next)
    this.#stuck = false
    return result
  }
}

/** CONTENT_WRONG for a stream that ended too early. */
export function shortOf(wanted: number, got: number): TallyError {
  return new TallyError('CONTENT_WRONG', {
    message: `the provider ended the stream after ${got} of ${wanted} bytes`,
    fields: { wanted, got },
  })
}
