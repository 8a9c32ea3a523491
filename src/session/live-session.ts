/**
 * A session as its consumer holds it: opens data streams, hands bytes over, acknowledges what was used, closes with a receipt.
 * It holds no rule: everything that happens goes to the desk as an input.
 */
import type { Amount } from '../core/amount.ts'
import { type ErrorCode, TallyError } from '../core/errors.ts'
import type { ChannelId } from '../core/ids.ts'
import type { SignedReceipt } from '../core/receipt.ts'
import { atRiskOf, owedOf, type PayerInput, type PayerSession } from '../core/session/payer.ts'
import type { OpenedData } from '../ports/link.ts'
import type { PaidSession, PaidStream } from '../ports/service.ts'
import type { PayerCrypto } from './crypto.ts'
import type { ProviderLine } from './payer-line.ts'

/** What a live session needs of the desk. */
interface Desk {
  run(live: LiveSession, input: PayerInput): void
  usable(live: LiveSession): bigint | undefined
  exhausted(live: LiveSession): ErrorCode
}

export interface SessionEnd {
  /** undefined = completed */
  readonly code: ErrorCode | undefined
  readonly receipt: SignedReceipt | undefined
  readonly session: PayerSession
}

export class LiveSession implements PaidSession {
  readonly channel: ChannelId
  readonly line: ProviderLine
  /** resolves when the session is over for good, or cut */
  readonly ended: Promise<SessionEnd>
  readonly #desk: Desk
  readonly #streams = new Map<number, Stream>()
  /** bytes of each stream that were used in this turn of the loop and that the rules have not heard of yet */
  #unsaid = new Map<number, number>()
  #session: PayerSession
  readonly #live = Promise.withResolvers<void>()
  readonly #end = Promise.withResolvers<SessionEnd>()
  #crypto: PayerCrypto | undefined
  #next = 1
  #stage: { readonly status: PayerSession['status']; readonly since: number } | undefined
  #handed = 0n

  constructor(session: PayerSession, channel: ChannelId, line: ProviderLine, desk: Desk) {
    this.#session = session
    this.channel = channel
    this.line = line
    this.#desk = desk
    this.ended = this.#end.promise
    this.#live.promise.catch(() => undefined)
  }

  /** The record as it is now: with all that was used. */
  get session(): PayerSession {
    this.#sayUsed()
    return this.#session
  }

  set session(session: PayerSession) {
    this.#session = session
  }

  /** The record as the rules know it; `handed` counts what they have not heard of as not used yet. */
  get recorded(): PayerSession {
    return this.#session
  }

  get content(): Uint8Array {
    return this.session.terms?.content ?? new Uint8Array(0)
  }

  /** signed so far for this session, base units */
  get signed(): Amount {
    return this.session.total
  }

  get owed(): Amount {
    return owedOf(this.session)
  }

  get atRisk(): Amount {
    return atRiskOf(this.session)
  }

  crypto(make: () => PayerCrypto): PayerCrypto {
    this.#crypto ??= make()
    return this.#crypto
  }

  /** Resolves when the provider is ready to deliver. @throws the code with which either side refused */
  async agreed(signal: AbortSignal | undefined): Promise<this> {
    const stop = (): void => this.#desk.run(this, { type: 'finish', code: 'ABORTED' })
    signal?.addEventListener('abort', stop, { once: true })
    if (signal?.aborted === true) stop()
    try {
      await this.#live.promise
    } catch (thrown) {
      // one that is resumed stays cut when it is stopped; its caller stopped it all the same
      throw signal?.aborted === true ? new TallyError('ABORTED', { cause: signal.reason }) : thrown
    } finally {
      signal?.removeEventListener('abort', stop)
    }
    return this
  }

  async open(request: Uint8Array, options: { signal?: AbortSignal } = {}): Promise<PaidStream> {
    if (this.session.status !== 'live') throw new TallyError('WRONG_STATE', { message: `the session is ${this.session.status}` })
    const number = this.#next++
    this.#desk.run(this, { type: 'opened', stream: number })
    try {
      const opened = await this.line.openData({ session: this.session.id, stream: number, request }, options)
      const stream = new Stream(this, number, opened)
      if (opened.free) this.#desk.run(this, { type: 'ended', stream: number })
      if (this.session.status !== 'live') stream.abort(new TallyError('STREAM_CUT'))
      else this.#streams.set(number, stream)
      return stream
    } catch (thrown) {
      this.#desk.run(this, { type: 'ended', stream: number })
      throw thrown
    }
  }

  /** Pays what is owed, closes and returns the end with its receipt. Resolves also when the session had ended in another way. */
  async close(options: { code?: ErrorCode; signal?: AbortSignal } = {}): Promise<SessionEnd> {
    this.#desk.run(this, { type: 'finish', code: options.code })
    const { signal } = options
    if (signal === undefined) return await this.ended
    return await new Promise<SessionEnd>((resolve, reject) => {
      const stop = (): void => reject(new TallyError('ABORTED', { message: 'the provider did not send its receipt in time' }))
      if (signal.aborted) stop()
      signal.addEventListener('abort', stop, { once: true })
      void this.ended.then(resolve).finally(() => signal.removeEventListener('abort', stop))
    })
  }

  /** These bytes were used. What arrives in one turn of the loop comes in many small runs; the rules hear of it once. */
  used(stream: number, bytes: number): void {
    if (this.#unsaid.size === 0) process.nextTick(() => this.#sayUsed())
    this.#unsaid.set(stream, (this.#unsaid.get(stream) ?? 0) + bytes)
  }

  #sayUsed(): void {
    if (this.#unsaid.size === 0) return
    const unsaid = this.#unsaid
    this.#unsaid = new Map()
    for (const [stream, bytes] of unsaid) {
      this.#handed -= BigInt(bytes)
      this.#desk.run(this, { type: 'used', stream, bytes })
    }
  }

  /** For how long the session has been in its state, ms; asked after every change. */
  standsFor(nowMs: number): number {
    const { status } = this.session
    if (this.#stage?.status !== status) this.#stage = { status, since: nowMs }
    return nowMs - this.#stage.since
  }

  usable(): bigint | undefined {
    return this.#desk.usable(this)
  }

  streamEnded(stream: number, free: boolean): void {
    if (this.#streams.delete(stream) && !free) this.#desk.run(this, { type: 'ended', stream })
  }

  /** bytes of all streams that were given to their readers and are not used yet */
  get handed(): bigint {
    this.#sayUsed()
    return this.#handed
  }

  /** How many of `bytes` may be given to a reader: what the budget does not cover could not be paid. */
  hand(bytes: number): number {
    const usable = this.usable()
    const left = usable === undefined ? BigInt(bytes) : usable - this.#handed
    const most = left < 0n ? 0 : left < BigInt(bytes) ? Number(left) : bytes
    this.#handed += BigInt(most)
    return most
  }

  /** Bytes came that neither budget nor deposit covers: what came before is paid and the session ends, for the reason that is returned. */
  exhausted(): ErrorCode {
    const code = this.#desk.exhausted(this)
    // the reader may acknowledge its last piece right after this
    queueMicrotask(() => this.#desk.run(this, { type: 'finish', code }))
    return code
  }

  /** Bytes that were given to a reader will never be used. */
  taken(bytes: bigint): void {
    this.#handed -= bytes
  }

  onLive(): void {
    this.#live.resolve()
  }

  onCut(): void {
    this.#over(this.session.failure ?? 'STREAM_CUT')
  }

  onEnded(code: ErrorCode | undefined): void {
    this.#over(code)
  }

  cutStreams(): void {
    const error = new TallyError(this.session.failure ?? 'STREAM_CUT')
    for (const stream of [...this.#streams.values()]) stream.abort(error)
    this.#streams.clear()
  }

  #over(code: ErrorCode | undefined): void {
    this.#live.reject(new TallyError(code ?? 'ABORTED'))
    this.#end.resolve({ code, receipt: this.session.receipt, session: this.session })
  }
}

/** One data stream. Bytes are acknowledged when they were used; bytes that the budget does not cover are never handed over. */
class Stream implements PaidStream {
  readonly info: Uint8Array
  readonly free: boolean
  readonly unacknowledged: AsyncIterable<Uint8Array>
  readonly #session: LiveSession
  readonly #number: number
  readonly #data: OpenedData
  #handed = 0n

  constructor(session: LiveSession, number: number, data: OpenedData) {
    this.#session = session
    this.#number = number
    this.#data = data
    this.info = data.info
    this.free = data.free
    this.unacknowledged = { [Symbol.asyncIterator]: () => this.#pieces() }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for await (const piece of this.unacknowledged) {
      yield piece
      this.acknowledge(piece.length)
    }
  }

  acknowledge(bytes: number): void {
    if (this.free) return
    const most = BigInt(bytes) < this.#handed ? BigInt(bytes) : this.#handed
    this.#handed -= most
    this.#session.used(this.#number, Number(most))
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#data.bytes.write(bytes)
  }

  async closeWrite(): Promise<void> {
    await this.#data.bytes.closeWrite()
  }

  abort(error: Error): void {
    this.#data.bytes.abort(error)
    this.#over()
  }

  #over(): void {
    this.#session.taken(this.#handed)
    this.#handed = 0n
    this.#session.streamEnded(this.#number, this.free)
  }

  async *#pieces(): AsyncGenerator<Uint8Array> {
    let clean = false
    try {
      for (;;) {
        const piece = await this.#data.bytes.read()
        clean = piece === undefined
        if (piece === undefined) return
        const most = this.free ? piece.length : this.#session.hand(piece.length)
        if (!this.free) this.#handed += BigInt(most)
        if (most > 0) yield piece.subarray(0, most)
        if (most < piece.length) throw new TallyError(this.#session.exhausted())
      }
    } finally {
      // the reader may acknowledge its last piece right after this
      queueMicrotask(() => this.#over())
      if (clean) await this.#data.bytes.closeWrite().catch(() => undefined)
      else this.#data.bytes.abort(new TallyError('STREAM_CUT'))
    }
  }
}
