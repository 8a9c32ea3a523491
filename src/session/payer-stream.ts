/**
 * One data stream as its consumer reads it. Bytes are acknowledged when they were used; bytes that the budget does not cover are never
 * handed over.
 */
import { type ErrorCode, TallyError } from '../core/errors.ts'
import type { OpenedData } from '../ports/link.ts'
import type { Charge, Charged, PaidStream } from '../ports/service.ts'
import type { StreamTab } from './stream-tab.ts'

/** What a stream needs of its session. */
interface Session {
  used(stream: number, bytes: number): void
  hand(bytes: number): number
  taken(bytes: bigint): void
  exhausted(): ErrorCode
  /** waits for a deposit that is on its way; false when none is */
  more(): Promise<boolean>
  /** how many of so many bytes may be sent */
  send(tab: StreamTab, bytes: number): number
  agree(stream: number, upTo: Charge): void
  streamEnded(stream: number, free: boolean): void
}

/** a service that takes its input slowly is waited for so long when that ends */
const SLOW_READER_MS = 600_000
const LINGER_MS = 1_000

export class PayerStream implements PaidStream {
  readonly info: Uint8Array
  readonly free: boolean
  readonly unacknowledged: AsyncIterable<Uint8Array>
  readonly #session: Session
  readonly #number: number
  readonly #data: OpenedData
  readonly #tab: StreamTab
  #handed = 0n
  #failure: Error | undefined

  constructor(session: Session, number: number, data: OpenedData, tab: StreamTab) {
    this.#tab = tab
    this.#session = session
    this.#number = number
    this.#data = data
    this.info = data.info
    this.free = data.free
    this.unacknowledged = { [Symbol.asyncIterator]: () => this.#pieces(false) }
  }

  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    return this.#pieces(true)
  }

  acknowledge(bytes: number): void {
    if (this.free) return
    const most = BigInt(bytes) < this.#handed ? BigInt(bytes) : this.#handed
    this.#handed -= most
    this.#session.used(this.#number, Number(most))
  }

  get charged(): Charged {
    return this.#tab.charged
  }

  get agreed(): Charged {
    return this.#tab.agreed
  }

  agree(upTo: Charge): void {
    if (!this.free) this.#session.agree(this.#number, upTo)
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0; ) {
      const most = this.free ? rest.length : this.#session.send(this.#tab, rest.length)
      if (most > 0) await this.#data.bytes.write(most === rest.length ? rest : rest.subarray(0, most))
      if (most < rest.length) await this.#wait()
      rest = rest.subarray(most)
    }
  }

  /** Nothing more is covered. @throws why, unless more of the deposit has come */
  async #wait(): Promise<void> {
    const isMore = await this.#session.more()
    if (this.#failure !== undefined) throw this.#failure
    if (!isMore) throw new TallyError(this.#session.exhausted())
  }

  async closeWrite(): Promise<void> {
    await this.#data.bytes.closeWrite({ timeoutMs: SLOW_READER_MS })
  }

  abort(error: Error): void {
    this.#failure ??= error
    this.#data.bytes.abort(error)
    this.#over()
  }

  /** The provider has said all. It reads no more either: what it has not taken by now it never will. */
  async #hangUp(): Promise<void> {
    const late = setTimeout(() => this.#data.bytes.abort(new TallyError('STREAM_CUT')), LINGER_MS)
    await this.#data.bytes.closeWrite().catch(() => undefined)
    clearTimeout(late)
  }

  #over(): void {
    this.#session.taken(this.#handed)
    this.#handed = 0n
    this.#session.streamEnded(this.#number, this.free)
  }

  /** `used`: a piece counts as used when the next one is asked for. */
  async *#pieces(used: boolean): AsyncGenerator<Uint8Array> {
    let clean = false
    try {
      for (;;) {
        const piece = await this.#data.bytes.read()
        clean = piece === undefined
        if (piece === undefined) {
          // what all of it cost is known when it ends
          if (!this.free) await this.#tab.last()
          return
        }
        for (let rest = piece; rest.length > 0; ) {
          const most = this.free ? rest.length : this.#session.hand(rest.length)
          if (!this.free) this.#handed += BigInt(most)
          if (most > 0) {
            yield most === rest.length ? rest : rest.subarray(0, most)
            if (used) this.acknowledge(most)
          }
          if (most < rest.length) await this.#wait()
          rest = rest.subarray(most)
        }
      }
    } finally {
      // the reader may acknowledge its last piece right after this
      queueMicrotask(() => this.#over())
      if (clean) await this.#hangUp()
      else this.#data.bytes.abort(new TallyError('STREAM_CUT'))
    }
  }
}
