/**
 * A session as its consumer holds it: opens data streams, hands bytes over, acknowledges what was used, closes with a receipt.
 * It holds no rule: everything that happens goes to the desk as an input.
 */
import type { Amount } from '../core/amount.ts'
import type { ChannelOut } from '../core/channel.ts'
import { type ErrorCode, TallyError } from '../core/errors.ts'
import type { ChannelId } from '../core/ids.ts'
import type { SignedReceipt } from '../core/receipt.ts'
import {
  atRiskOf,
  JOIN_MS,
  owedOf,
  type PayerContext,
  type PayerInput,
  type PayerSession,
  usableBytes,
} from '../core/session/payer.ts'
import type { PaidSession, PaidStream } from '../ports/service.ts'
import type { PayerCrypto } from './crypto.ts'
import type { ProviderLine } from './payer-line.ts'
import { PayerStream } from './payer-stream.ts'

/** What a live session needs of the desk. */
interface Desk {
  run(live: LiveSession, input: PayerInput): void
  channelOf(live: LiveSession): ChannelOut
  exhausted(live: LiveSession): ErrorCode
}

export interface SessionEnd {
  /** undefined = completed */
  readonly code: ErrorCode | undefined
  readonly receipt: SignedReceipt | undefined
  readonly session: PayerSession
}

/** how long a provider may be silent where it owes an answer, ms: it may have to read a file before it knows its terms */
const SILENCE_MS: Partial<Record<PayerSession['status'], number>> = { asked: 90_000, starting: 30_000, closing: 30_000 }

/** how long a session that has reached its limit waits for readers to use what they hold, ms */
const IDLE_MS = 2_000

interface LiveInit {
  readonly channel: ChannelId
  readonly line: ProviderLine
  readonly desk: Desk
  readonly ticks: PayerContext['ticks']
  readonly onPaid?: ((session: PayerSession) => void) | undefined
}

export class LiveSession implements PaidSession {
  readonly channel: ChannelId
  readonly line: ProviderLine
  /** whether it pays with ticks */
  readonly ticks: PayerContext['ticks']
  /** called after each payment */
  readonly onPaid: LiveInit['onPaid']
  /** resolves when the session is over for good, or cut */
  readonly ended: Promise<SessionEnd>
  readonly #desk: Desk
  readonly #streams = new Map<number, PayerStream>()
  /** bytes of each stream that were used in this turn of the loop and that the rules have not heard of yet */
  #unsaid = new Map<number, number>()
  #session: PayerSession
  readonly #live = Promise.withResolvers<void>()
  readonly #end = Promise.withResolvers<SessionEnd>()
  #crypto: PayerCrypto | undefined
  #next = 1
  #joins = false
  #stage: { readonly status: PayerSession['status']; readonly since: number } | undefined
  #handed = 0n
  /** how many more bytes of the session may be handed to the user (undefined = no limit), and of which records that was worked out */
  #known: { readonly session: PayerSession; readonly channel: ChannelOut; readonly bytes: bigint | undefined } | undefined
  /** which limit was reached, and since when the clock knows of it, ms */
  #short: { readonly code: ErrorCode; since: number | undefined } | undefined

  constructor(session: PayerSession, { channel, line, desk, ticks, onPaid }: LiveInit) {
    this.#session = session
    this.channel = channel
    this.line = line
    this.ticks = ticks
    this.onPaid = onPaid
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

  /** For observers. */
  get figures(): { readonly session: PayerSession; readonly owed: Amount; readonly atRisk: Amount } {
    const { session } = this
    return { session, owed: owedOf(session), atRisk: atRiskOf(session) }
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
      const stream = new PayerStream(this, number, opened)
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
    if (this.#unsaid.size === 0) setImmediate(() => this.#sayUsed())
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
    this.#finishShort()
  }

  /** Notes since when the session is in its state; called after every change. */
  note(nowMs: number): void {
    const { status } = this.session
    if (this.#stage?.status !== status) this.#stage = { status, since: nowMs }
  }

  /** What the clock says: that the provider owes an answer for too long, that readers do, or only the time. */
  onClock(nowMs: number): PayerInput {
    this.note(nowMs)
    const { status, since } = this.#stage ?? { status: 'asked', since: nowMs }
    if (nowMs - since > (SILENCE_MS[status] ?? Infinity)) return { type: 'cut' }
    if (this.#short !== undefined) {
      this.#short.since ??= nowMs
      if (nowMs - this.#short.since > IDLE_MS) return { type: 'finish', code: this.#short.code }
    }
    return { type: 'clock', handed: this.handed }
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
    const usable = this.#usable()
    const left = usable === undefined ? BigInt(bytes) : usable - this.#handed
    const most = left < 0n ? 0 : left < BigInt(bytes) ? Number(left) : bytes
    this.#handed += BigInt(most)
    return most
  }

  /** It is asked for every run of bytes, and changes with the records only. */
  #usable(): bigint | undefined {
    const channel = this.#desk.channelOf(this)
    if (this.#known?.session !== this.#session || this.#known.channel !== channel) {
      const bytes = usableBytes({ session: this.#session, channel })
      this.#known = { session: this.#session, channel, bytes }
    }
    return this.#known.bytes
  }

  /** Bytes came that neither budget nor deposit covers: what came before is paid and the session ends, for the reason that is returned. */
  exhausted(): ErrorCode {
    const code = this.#desk.exhausted(this)
    this.#short ??= { code, since: undefined }
    return code
  }

  /** Readers of other streams may still use what they hold, and that is to be paid as well. */
  #finishShort(): void {
    const short = this.#short
    if (short === undefined || this.handed > 0n) return
    this.#short = undefined
    this.#desk.run(this, { type: 'finish', code: short.code })
  }

  /** Bytes that were given to a reader will never be used. */
  taken(bytes: bigint): void {
    this.#handed -= bytes
    this.#finishShort()
  }

  /** A payment waits for others to join it. */
  join(): void {
    if (this.#joins) return
    this.#joins = true
    setTimeout(() => {
      this.#joins = false
      this.#desk.run(this, { type: 'joined' })
    }, JOIN_MS)
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
    // one that is resumed may turn out to have been closed in order: then there is nothing to go on with
    this.#live.reject(
      code === undefined ? new TallyError('SESSION_UNKNOWN', { message: 'the session is over' }) : new TallyError(code),
    )
    this.#end.resolve({ code, receipt: this.session.receipt, session: this.session })
  }
}
