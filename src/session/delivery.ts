/**
 * One data stream at the provider: pulls from the service only what may be written, counts it as exposed before it leaves, and waits
 * inside the stream until more is paid.
 * @see protocols/data/SPEC.md D2
 */
import { asTallyError, TallyError } from '../core/errors.ts'
import { BYTE, type Want } from '../core/session/payee.ts'
import type { DataBytes, IncomingData } from '../ports/link.ts'
import type { ServiceAdapter, ServiceAnswer, ServiceCall } from '../ports/service.ts'
import { ChargeDesk, type ChargeRules } from './charge-desk.ts'

export interface DeliveryRules extends ChargeRules {
  opened(): void
  /** bytes that may be written, or taken, now over the whole session; undefined = no limit */
  allowance(kind: 'down' | 'up'): bigint | undefined
  wrote(bytes: number): void
  /** the service takes bytes of the consumer */
  took(bytes: number): void
  /** takes so many bytes out of what the session may have for nothing; false when that is used up */
  isFree(bytes: number): boolean
}

/** the most that is given to the transport in one piece; a chunk is not written past this without asking again */
const PIECE_BYTES = 1024 * 1024

/** a consumer that still reads the last bytes is waited for, as long as its session lives and no longer than this */
const SLOW_READER_MS = 600_000

export class Delivery {
  readonly #incoming: IncomingData
  readonly #rules: DeliveryRules
  readonly #abort = new AbortController()
  readonly #charges: ChargeDesk
  readonly #accepted = Promise.withResolvers<{ readonly bytes: DataBytes; readonly free: boolean }>()
  #bytes: DataBytes | undefined
  #opened = false
  /** one for each that waits until more is allowed */
  #wakes = new Set<() => void>()

  constructor(incoming: IncomingData, rules: DeliveryRules) {
    this.#incoming = incoming
    this.#rules = rules
    this.#accepted.promise.catch(() => undefined)
    this.#charges = new ChargeDesk({
      ...rules,
      opened: () => this.#open(),
      until: async (take, want) => await this.#until(take, want),
      isOver: () => this.#abort.signal.aborted,
    })
  }

  wake(): void {
    if (this.#wakes.size === 0) return
    const wakes = this.#wakes
    this.#wakes = new Set()
    for (const wake of wakes) wake()
  }

  /** What the service has charged is told: somebody is about to wait for the payer. */
  tell(): void {
    this.#charges.flush()
  }

  /** Ends the stream now, in the middle of whatever it does (D5). */
  cut(): void {
    const error = new TallyError('STREAM_CUT', { message: 'the session of this stream has ended' })
    this.#abort.abort(error)
    this.#accepted.reject(error)
    if (this.#bytes === undefined) this.#incoming.refuse(new TallyError('WRONG_STATE', { cause: error }))
    else this.#bytes.abort(error)
    this.wake()
  }

  /** Delivers until the service, the consumer or the session ends it. Throws what ended it early. */
  async run(adapter: ServiceAdapter, request: Uint8Array, content: Uint8Array): Promise<void> {
    const { signal } = this.#abort
    const input = { [Symbol.asyncIterator]: () => this.#input() }
    const charges = this.#charges
    const call: ServiceCall = {
      request,
      content,
      input,
      signal,
      charge: async (counts) => await charges.charge(counts),
      reserve: async (most) => await charges.reserve(most),
    }
    const answer = await this.#answer(adapter, call).catch((thrown: unknown) => {
      this.#incoming.refuse(asTallyError(thrown))
      this.#abort.abort(thrown)
      this.#accepted.reject(thrown)
      charges.end()
      throw thrown
    })
    const body = answer.body[Symbol.asyncIterator]()
    try {
      signal.throwIfAborted()
      if (answer.free && !this.#rules.isFree(0)) throw usedUp()
      if (answer.free) charges.stop()
      else this.#open()
      this.#bytes = await this.#incoming.accept({ free: answer.free, info: answer.info })
      this.#accepted.resolve({ bytes: this.#bytes, free: answer.free })
      signal.throwIfAborted()
      await (answer.free ? this.#give(this.#bytes, body) : this.#deliver(this.#bytes, body))
      charges.end()
      if (this.#opened) charges.flush(true)
      await this.#bytes.closeWrite({ signal, timeoutMs: SLOW_READER_MS })
    } catch (thrown) {
      const error = asTallyError(thrown)
      // the first answer holds
      if (this.#bytes === undefined) this.#incoming.refuse(error)
      else this.#bytes.abort(error)
      throw thrown
    } finally {
      this.#abort.abort(OVER)
      this.#accepted.reject(this.#abort.signal.reason)
      try {
        await body.return?.(undefined)
      } finally {
        charges.end()
      }
    }
  }

  /** What costs the service much is not begun before something is covered: a program, a connection. */
  async #answer(adapter: ServiceAdapter, call: ServiceCall): Promise<ServiceAnswer> {
    if (adapter.costly === true) await this.#covered()
    return await adapter.open(call)
  }

  /** The stream counts from when it was answered, or charged. */
  #open(): void {
    if (this.#opened) return
    this.#opened = true
    this.#rules.opened()
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
    await this.#covered()
    for (let piece = await body.next(); piece.done !== true; piece = await body.next()) {
      const bytes = piece.value
      for (let at = 0; at < bytes.length; ) {
        const part = bytes.subarray(at, at + (await this.#book('down', bytes.length - at)))
        at += part.length
        await stream.write(part, { signal })
      }
    }
  }

  /** Waits until something may be written. */
  async #covered(): Promise<void> {
    await this.#until(() => (this.#mayHave('down') > 0 ? true : undefined), BYTE)
  }

  /**
   * Waits until something may be written, or taken, and books it: how much, at most so many. Many streams are woken by one payment: each finds
   * what those before it have booked, because nothing comes between the question and the booking.
   */
  async #book(kind: 'down' | 'up', most: number): Promise<number> {
    return await this.#until(
      () => {
        const bytes = Math.min(this.#mayHave(kind), most)
        if (bytes === 0) return undefined
        if (kind === 'down') this.#rules.wrote(bytes)
        else this.#rules.took(bytes)
        return bytes
      },
      kind === 'down' ? BYTE : UP_BYTE,
    )
  }

  #mayHave(kind: 'down' | 'up'): number {
    const allowed = this.#rules.allowance(kind)
    return allowed === undefined || allowed > PIECE_BYTES ? PIECE_BYTES : Number(allowed)
  }

  /** Waits until there is an answer; meanwhile the session knows what is wanted. Whatever it books is booked before anybody else is asked. */
  async #until<T>(answer: () => T | undefined, want: Want): Promise<T> {
    for (;;) {
      this.#abort.signal.throwIfAborted()
      const found = answer()
      if (found !== undefined) return found
      // listen before telling: the answer may come at once
      const woken = new Promise<void>((resolve) => this.#wakes.add(resolve))
      this.#rules.blocked(want)
      await woken
    }
  }

  /** The consumer's bytes, each run once it was counted. No more is read than a run ahead of what is allowed. */
  async *#input(): AsyncGenerator<Uint8Array> {
    const { bytes: stream, free } = await this.#accepted.promise
    for (;;) {
      const bytes = await stream.read({ signal: this.#abort.signal })
      if (bytes === undefined) return
      if (free) yield bytes
      for (let at = 0; !free && at < bytes.length; ) {
        const part = bytes.subarray(at, at + (await this.#book('up', bytes.length - at)))
        at += part.length
        yield part
      }
    }
  }
}

/** why the signal of a delivery that is over was aborted: one for all of them, for its trace costs more than it tells */
const OVER = new TallyError('ABORTED', { message: 'the stream is over' })

const UP_BYTE: Want = { up: 1n }

const usedUp = (): TallyError =>
  new TallyError('RATE_EXCEEDED', { message: 'the session has had all that it may have for nothing' })
