/**
 * A session as its consumer holds it: opens data streams, hands bytes over, acknowledges what was used, closes with a receipt.
 * It holds no rule: everything that happens goes to the desk as an input.
 */
import type { Amount } from '../core/amount.ts'
import { type ErrorCode, TallyError } from '../core/errors.ts'
import type { Charge as ChargeMessage } from '../core/session/messages.ts'
import { atRiskOf, JOIN_MS, owedOf, type PayerContext, type PayerInput, type PayerSession } from '../core/session/payer.ts'
import { roomOf } from '../core/session/payer-state.ts'
import type { Charge, OpenOptions, PaidSession, PaidStream } from '../ports/service.ts'
import { countsOfCharge } from './charge-desk.ts'
import { Coverage } from './coverage.ts'
import type { LiveInit } from './live-init.ts'
import type { ProviderLine } from './payer-line.ts'
import type { PayerRules } from './payer-rules.ts'
import type { PayerFile } from './payer-shelf.ts'
import { PayerStream } from './payer-stream.ts'
import { endUnlessAborted, type SessionEnd } from './session-end.ts'
import { type StreamTab, StreamTabs } from './stream-tab.ts'

/** how long a provider may be silent where it owes an answer, ms: it may have to read a file before it knows its terms */
const SILENCE_MS: Partial<Record<PayerSession['status'], number>> = { asked: 90_000, starting: 30_000, closing: 30_000 }

/** how long a session that has reached its limit waits for readers to use what they hold, ms */
const IDLE_MS = 2_000

export class LiveSession implements PaidSession {
  /** its channel: in memory as long as the session is */
  readonly file: PayerFile
  readonly line: ProviderLine
  /** whether it pays with ticks */
  readonly ticks: PayerContext['ticks']
  /** called after each payment */
  readonly onPaid: LiveInit['onPaid']
  /** what its rules ask for, once it has been asked for */
  rules: PayerRules | undefined
  /** resolves when the session is over for good, or cut */
  readonly ended: Promise<SessionEnd>
  readonly #desk: LiveInit['desk']
  readonly #streams = new Map<number, PayerStream>()
  /** what each stream that is open, or waits for its last charge, was charged */
  readonly #tabs = new StreamTabs()
  /** bytes of each stream that were used in this turn of the loop and that the rules have not heard of yet */
  #unsaid = new Map<number, number>()
  #session: PayerSession
  readonly #live = Promise.withResolvers<void>()
  readonly #end = Promise.withResolvers<SessionEnd>()
  #next = 1
  #joins = false
  #more: PromiseWithResolvers<void> | undefined
  #stage: { readonly status: PayerSession['status']; readonly since: number } | undefined
  #handed = 0n
  readonly #coverage = new Coverage()
  /** which limit was reached, and since when the clock knows of it, ms */
  #short: { readonly code: ErrorCode; since: number | undefined } | undefined

  constructor(session: PayerSession, { file, line, desk, ticks, onPaid }: LiveInit) {
    this.#session = session
    this.file = file
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

  /** For observers. */
  get figures(): { readonly session: PayerSession; readonly owed: Amount; readonly atRisk: Amount } {
    const { session } = this
    return { session, owed: owedOf(session), atRisk: atRiskOf(session) }
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

  async open(request: Uint8Array, options: OpenOptions = {}): Promise<PaidStream> {
    if (this.session.status !== 'live') throw new TallyError('WRONG_STATE', { message: `the session is ${this.session.status}` })
    const number = this.#next++
    const tab = this.#tabs.open(number, options, this.#session)
    this.#desk.run(this, { type: 'opened', stream: number, most: tab.most })
    const { signal } = options
    try {
      const opened = await this.line.openData(
        { session: this.session.id, stream: number, request },
        signal === undefined ? {} : { signal },
      )
      const stream = new PayerStream(this, number, opened, tab)
      if (opened.free) this.#endStream(number)
      if (this.session.status !== 'live') stream.abort(new TallyError('STREAM_CUT'))
      // it was charged what was not allowed before it was answered
      else if (!opened.free && this.#tabs.get(number) === undefined) stream.abort(new TallyError('CHARGE_REFUSED'))
      else this.#streams.set(number, stream)
      return stream
    } catch (thrown) {
      this.#endStream(number)
      throw thrown
    }
  }

  #endStream(stream: number): void {
    this.#desk.run(this, { type: 'ended', stream })
    this.#tabs.end(stream)
  }

  /** The provider charges a stream. */
  charge(message: ChargeMessage): void {
    const { stream, final } = message
    const tab = this.#tabs.get(stream)
    if (tab === undefined) return
    this.#desk.run(this, { type: 'charge', message, sent: tab.sent, handed: this.handed })
    // it may have cost the stream
    if (this.#tabs.get(stream) !== tab) return
    tab.note(this.#session, stream)
    tab.tell(final)
  }

  /** Takes calls and units of a stream for right, as far as they were charged. */
  agree(stream: number, upTo: Charge): void {
    const tab = this.#tabs.get(stream)
    this.#desk.run(this, { type: 'agree', stream, upTo: countsOfCharge(upTo), handed: this.handed })
    tab?.note(this.#session, stream)
  }

  /** The provider charges more than was allowed: the stream ends, and nothing of it is paid but what was agreed to before (M4). */
  refuse(stream: number): void {
    const error = new TallyError('CHARGE_REFUSED')
    this.#tabs.get(stream)?.refuse(error)
    const open = this.#streams.get(stream)
    if (open === undefined) this.#endStream(stream)
    else open.abort(error)
  }

  /** How many of `bytes` may be sent: what neither budget nor deposit covers could not be paid. */
  send(tab: StreamTab, bytes: number): number {
    return tab.send(this.#coverage.sendable(BigInt(bytes), this.handed, this.#asked))
  }

  /** Pays what is owed, closes and returns the end with its receipt. Resolves also when the session had ended in another way. */
  async close(options: { code?: ErrorCode; signal?: AbortSignal } = {}): Promise<SessionEnd> {
    if (options.code === undefined && this.#tabs.isCharging) await this.#tabs.charged()
    this.#desk.run(this, { type: 'finish', code: options.code })
    const { signal } = options
    return await (signal === undefined ? this.ended : endUnlessAborted(this.ended, signal))
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
    this.#tabs.onClock(nowMs)
    return { type: 'clock', handed: this.handed }
  }

  streamEnded(stream: number, free: boolean): void {
    if (this.#streams.delete(stream) && !free) this.#endStream(stream)
  }

  /** bytes of all streams that were given to their readers and are not used yet */
  get handed(): bigint {
    this.#sayUsed()
    return this.#handed
  }

  /** How many of `bytes` may be given to a reader: what the budget does not cover could not be paid. */
  hand(bytes: number): number {
    const usable = this.#coverage.usable(this.#asked)
    const left = usable === undefined ? BigInt(bytes) : usable - this.#handed
    const most = left < 0n ? 0 : left < BigInt(bytes) ? Number(left) : bytes
    this.#handed += BigInt(most)
    return most
  }

  get #asked() {
    return { session: this.#session, channel: this.#desk.channelOf(this), flying: this.#tabs.flying }
  }

  /** Bytes came that neither budget nor deposit covers: what came before is paid and the session ends, for the reason that is returned. */
  exhausted(): ErrorCode {
    const code = this.#desk.exhausted(this)
    this.#short ??= { code, since: undefined }
    return code
  }

  /** Resolves with true when the deposit may cover more than before; with false at once where nothing more of it is on its way. */
  async more(): Promise<boolean> {
    if (this.session.status !== 'live') return false
    // whoever looks after the deposit hears of payments, and these bytes come before what they cost is paid: all of it is taken
    if (!this.#desk.awaits(this)) this.onPaid?.(this.#session, roomOf(this.#session, this.#desk.channelOf(this)) as Amount)
    if (!this.#desk.awaits(this)) return false
    this.#more ??= Promise.withResolvers()
    await this.#more.promise
    return true
  }

  /** Whoever waits for more looks again. */
  goOn(): void {
    this.#more?.resolve()
    this.#more = undefined
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
    this.#tabs.clear()
  }

  #over(code: ErrorCode | undefined): void {
    this.goOn()
    // one that is resumed may turn out to have been closed in order: then there is nothing to go on with
    this.#live.reject(
      code === undefined ? new TallyError('SESSION_UNKNOWN', { message: 'the session is over' }) : new TallyError(code),
    )
    this.#end.resolve({ code, receipt: this.session.receipt, session: this.session })
  }
}
