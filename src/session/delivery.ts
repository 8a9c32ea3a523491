/**
 * One data stream at the provider: pulls from the service only what may be written, counts it as exposed before it leaves, and waits
 * inside the stream until more is paid.
 * @see protocols/data/SPEC.md D2
 */
import { asTallyError, TallyError } from '../core/errors.ts'
import type { DataBytes, IncomingData } from '../ports/link.ts'
import type { ServiceAdapter } from '../ports/service.ts'

export interface DeliveryRules {
  opened(): void
  /** bytes that may be written now over the whole session; undefined = no limit */
  allowance(): bigint | undefined
  wrote(bytes: number): void
  /** nothing may be written and something is to be */
  blocked(): void
  /** takes so many bytes out of what the session may have for nothing; false when that is used up */
  isFree(bytes: number): boolean
}

/** the most that is given to the transport in one piece; a chunk is not written past this without asking again */
const PIECE_BYTES = 1024 * 1024

export class Delivery {
  readonly #incoming: IncomingData
  readonly #rules: DeliveryRules
  readonly #abort = new AbortController()
  #bytes: DataBytes | undefined
  #wake: (() => void) | undefined

  constructor(incoming: IncomingData, rules: DeliveryRules) {
    this.#incoming = incoming
    this.#rules = rules
  }

  wake(): void {
    this.#wake?.()
    this.#wake = undefined
  }

  /** Ends the stream now, in the middle of whatever it does (D5). */
  cut(): void {
    const error = new TallyError('STREAM_CUT', { message: 'the session of this stream has ended' })
    this.#abort.abort(error)
    if (this.#bytes === undefined) this.#incoming.refuse(new TallyError('WRONG_STATE', { cause: error }))
    else this.#bytes.abort(error)
    this.wake()
  }

  /** Delivers until the service, the consumer or the session ends it. Throws what ended it early. */
  async run(adapter: ServiceAdapter, request: Uint8Array, content: Uint8Array): Promise<void> {
    const { signal } = this.#abort
    const input = { [Symbol.asyncIterator]: () => this.#input() }
    const answer = await adapter.open({ request, content, input, signal }).catch((thrown: unknown) => {
      this.#incoming.refuse(asTallyError(thrown))
      throw thrown
    })
    const body = answer.body[Symbol.asyncIterator]()
    try {
      signal.throwIfAborted()
      if (answer.free && !this.#rules.isFree(0)) throw usedUp()
      if (!answer.free) this.#rules.opened()
      this.#bytes = await this.#incoming.accept({ free: answer.free, info: answer.info })
      signal.throwIfAborted()
      await (answer.free ? this.#give(this.#bytes, body) : this.#deliver(this.#bytes, body))
      await this.#bytes.closeWrite()
    } catch (thrown) {
      const error = asTallyError(thrown)
      // the first answer holds
      if (this.#bytes === undefined) this.#incoming.refuse(error)
      else this.#bytes.abort(error)
      throw thrown
    } finally {
      this.#abort.abort()
      await body.return?.(undefined)
    }
  }

  async #give(stream: DataBytes, body: AsyncIterator<Uint8Array>): Promise<void> {
    const { signal } = this.#abort
    for (let piece = await body.next(); piece.done !== true; piece = await body.next()) {
      signal.throwIfAborted()
      if (!this.#rules.isFree(piece.value.length)) throw usedUp()
      await stream.write(piece.value, { signal })
    }
  }

  /**
   * The service is not asked for the first piece before a byte may be written: a stream for nothing costs no work. Then it is one piece
   * ahead, else nobody would know that the last one was the last, and the payer would prepay a chunk that never comes.
   */
  async #deliver(stream: DataBytes, body: AsyncIterator<Uint8Array>): Promise<void> {
    const { signal } = this.#abort
    await this.#allowed()
    for (let piece = await body.next(); piece.done !== true; piece = await body.next()) {
      const bytes = piece.value
      for (let at = 0; at < bytes.length; ) {
        const part = bytes.subarray(at, at + (await this.#allowed()))
        this.#rules.wrote(part.length)
        at += part.length
        await stream.write(part, { signal })
      }
    }
  }

  /** Waits until something may be written; how much, at most a piece. */
  async #allowed(): Promise<number> {
    for (;;) {
      this.#abort.signal.throwIfAborted()
      const allowed = this.#rules.allowance()
      if (allowed === undefined || allowed > PIECE_BYTES) return PIECE_BYTES
      if (allowed > 0n) return Number(allowed)
      // listen before telling: the answer may come at once
      const woken = new Promise<void>((resolve) => (this.#wake = resolve))
      this.#rules.blocked()
      await woken
    }
  }

  async *#input(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const bytes = await this.#bytes?.read({ signal: this.#abort.signal })
      if (bytes === undefined) return
      yield bytes
    }
  }
}

const usedUp = (): TallyError =>
  new TallyError('RATE_EXCEEDED', { message: 'the session has had all that it may have for nothing' })
