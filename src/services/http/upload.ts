/** The consumer's half of a call at the provider: the body, and the moment at which the consumer has gone. */
import { TallyError } from '../../core/errors.ts'
import { nothing } from './backend.ts'
import type { RequestHead } from './head.ts'

export class Upload {
  /** Exactly the body; all that comes, for an upgrade; undefined = there is none. Read it once. */
  readonly body: AsyncIterable<Uint8Array> | undefined
  readonly #input: AsyncIterator<Uint8Array>
  readonly #gone: AbortController

  /** `gone` is aborted when the consumer resets the stream, or sends what it must not send, while nobody reads. */
  constructor(input: AsyncIterable<Uint8Array>, head: RequestHead, gone: AbortController) {
    this.#input = input[Symbol.asyncIterator]()
    this.#gone = gone
    const { body, upgrade } = head
    if (upgrade || body === 'unknown') this.body = this.#all()
    else if (body !== undefined && body > 0n) this.body = this.#exactly(body)
    else this.body = body === undefined ? undefined : nothing()
    if (body === undefined || body === 0n) if (!upgrade) void this.#watch()
  }

  async *#all(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = await this.#next()
      if (piece === undefined) return
      yield piece
    }
  }

  async *#exactly(length: bigint): AsyncGenerator<Uint8Array> {
    for (let left = length; left > 0n; ) {
      const piece = await this.#next()
      if (piece === undefined || BigInt(piece.length) > left) throw this.#broken()
      left -= BigInt(piece.length)
      // before the last piece is given away: who has it all may not come back
      if (left === 0n) void this.#watch()
      yield piece
    }
  }

  async #next(): Promise<Uint8Array | undefined> {
    try {
      const next = await this.#input.next()
      return next.done === true ? undefined : next.value
    } catch (thrown) {
      // every call ends so: its trace would cost more than all of this
      if (!this.#gone.signal.aborted) this.#gone.abort(new TallyError('STREAM_CUT', { cause: thrown }))
      throw thrown
    }
  }

  /** Behind the body comes nothing. */
  async #watch(): Promise<void> {
    const more = await this.#next().catch(() => undefined)
    if (more !== undefined) this.#broken()
  }

  #broken(): TallyError {
    const error = new TallyError('REQUEST_INVALID', { message: 'the body is not as long as the request says' })
    this.#gone.abort(error)
    return error
  }
}
