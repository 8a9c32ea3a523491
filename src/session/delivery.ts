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
    this.#bytes?.abort(error)
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
      if (!answer.free) this.#rules.opened()
      this.#bytes = await this.#incoming.accept({ free: answer.free, info: answer.info })
      for (let piece = await body.next(); piece.done !== true; piece = await body.next()) {
        signal.throwIfAborted()
        await (answer.free ? this.#bytes.write(piece.value, { signal }) : this.#deliver(this.#bytes, piece.value))
      }
      await this.#bytes.closeWrite()
    } catch (thrown) {
      this.#bytes?.abort(asTallyError(thrown))
      throw thrown
    } finally {
      this.#abort.abort()
      await body.return?.(undefined)
    }
  }

  async #deliver(stream: DataBytes, bytes: Uint8Array): Promise<void> {
    const { signal } = this.#abort
    for (let at = 0; at < bytes.length; ) {
      signal.throwIfAborted()
      const allowed = this.#rules.allowance()
      if (allowed === 0n) {
        // listen before telling: the answer may come at once
        const woken = new Promise<void>((resolve) => (this.#wake = resolve))
        this.#rules.blocked()
        await woken
        signal.throwIfAborted()
        continue
      }
      const most = allowed === undefined || allowed > PIECE_BYTES ? PIECE_BYTES : Number(allowed)
      const piece = bytes.subarray(at, at + most)
      this.#rules.wrote(piece.length)
      at += piece.length
      await stream.write(piece, { signal })
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
