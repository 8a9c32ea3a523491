/**
 * The consumer's desk: the only place where the payer's rules meet I/O, and the single place that signs promises. A budget, a limit at
 * risk and a maximum price are checked in the rules before anything is signed.
 *
 * Owns: the live sessions in which this node pays. Authority for what was signed and received.
 */
import type { Amount } from '../core/amount.ts'
import type { ChannelOut } from '../core/channel.ts'
import { asTallyError, codeOfWire, type ErrorCode, TallyError } from '../core/errors.ts'
import type { ChannelParties, SessionId } from '../core/ids.ts'
import type { FromPayee, Released } from '../core/session/messages.ts'
import { newPayerSession, type PayerEffect, type PayerInput, type PayerSession, stepPayer } from '../core/session/payer.ts'
import { awaitsDeposit, shortReason } from '../core/session/payer-state.ts'
import type { Wish } from '../core/session/payer-terms.ts'
import type { ChainFact } from '../ports/chain.ts'
import { Coming } from './coming.ts'
import type { PayerDeskComponents } from './components.ts'
import { Journal } from './journal.ts'
import { LiveSession } from './live-session.ts'
import { channelIn, PayerBook } from './payer-book.ts'
import type { Options, PayerDeskInit } from './payer-desk-options.ts'
import { helloOf, inputOf, type ProviderLine, refusal } from './payer-line.ts'
import { partiesOf } from './payer-parties.ts'
import { PayerRoster } from './payer-roster.ts'
import { RulesOfSessions } from './payer-rules.ts'
import type { PayerFile } from './payer-shelf.ts'
import { Releases } from './releases.ts'

export type { ProviderLine } from './payer-line.ts'

/** how often a payer looks at the clock, ms */
const CLOCK_MS = 200
/** how long a stopping node waits for each of its sessions to be closed, ms */
const STOP_MS = 5_000

export class PayerDesk {
  readonly #components: PayerDeskComponents
  readonly #book: PayerBook
  readonly #journal: Journal<LiveSession, PayerInput>
  readonly #roster = new PayerRoster()
  readonly #rules: RulesOfSessions
  /** lines whose messages are being read */
  readonly #read = new Set<ProviderLine>()
  /** deposits that are on their way: sessions whose own is used up wait for them */
  readonly coming: Coming
  readonly #releases: Releases
  readonly #init: Required<PayerDeskInit>
  #timer: NodeJS.Timeout | undefined
  #stopping = false

  constructor(components: PayerDeskComponents, init: PayerDeskInit = {}) {
    this.#components = components
    this.#init = { payEach: false, ticks: 'never', ...init }
    this.#book = new PayerBook(components, () => this.#journal.flush())
    this.#journal = new Journal({
      write: (lives) => {
        // a channel's figures are the sum of its sessions': they are stored together
        const { files, sessions } = this.#roster.withBeside(lives)
        return this.#book.commit(files, sessions)
      },
      done: (live, inputs) => {
        for (const input of inputs) this.run(live, input)
      },
      failed: (lives, thrown) => this.#unstored(lives, thrown),
    })
    this.#rules = new RulesOfSessions({
      components, roster: this.#roster, joins: !this.#init.payEach, isComing: (id) => this.coming.has(id),
    }) // biome-ignore format: a record
    this.#releases = new Releases(components)
    const look = (live: LiveSession): void => this.run(live, live.onClock(components.clock.nowMs()))
    this.coming = new Coming(this.#roster, (id) => this.#book.isAhead(id), look)
  }

  async start(): Promise<void> {
    await this.#book.load()
    this.#timer = setInterval(() => this.#tick(), CLOCK_MS)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.allSettled(this.#roster.all().map((live) => live.close({ signal: AbortSignal.timeout(STOP_MS) })))
    clearInterval(this.#timer)
    this.#journal.flush()
  }

  /** What is on record: the channels with their sums, sessions that were cut, what a provider is known by. */
  get book(): Pick<PayerBook, 'shelf' | 'cutSession' | 'cutSessions' | 'tradeWith'> {
    return this.#book
  }

  liveSessions(): Iterable<PayerSession> {
    return this.#roster.all().map((live) => live.session)
  }

  /** Reads the messages of one provider until its control stream ends; its sessions are cut then. */
  async attach(line: ProviderLine): Promise<void> {
    this.#read.add(line)
    try {
      for await (const batch of line.link) for (const message of batch) this.#onMessage(line, message)
    } catch (thrown) {
      // the provider must learn that nobody reads it any more; the next session opens a new stream
      line.link.abort(new TallyError('INTERNAL', { cause: thrown }))
      throw thrown
    } finally {
      this.#read.delete(line)
      for (const live of this.#roster.of(line)) this.run(live, { type: 'cut' })
      this.#roster.leave(line)
      this.#releases.fail(line.link, new TallyError('STREAM_CUT'))
    }
  }

  /** What this owner still owes the provider from sessions that ended short, base units: the most that arrears may be. */
  async owedTo(parties: ChannelParties): Promise<Amount> {
    return await this.#book.owedTo(parties, (id) => (this.#roster.get(id)?.session.status ?? 'cut') !== 'cut')
  }

  /** The record of a channel, with the ledger's facts of now. @throws CHANNEL_UNKNOWN, CHAIN_UNREACHABLE when nothing is known */
  async channel(parties: ChannelParties, options: Options & { fresh?: boolean } = {}): Promise<ChannelOut> {
    const file = await this.#book.file(parties, options)
    this.coming.goOn(file.id)
    return channelIn(file)
  }

  /** Whether bytes that its deposit does not cover are to wait for more of it. */
  awaits(live: LiveSession): boolean {
    return awaitsDeposit(live.recorded, channelIn(live.file), this.#rules.of(live))
  }

  /** Begins a session and waits until it is agreed on. @throws every code with which a provider may refuse, and the payer's own refusals */
  async open(line: ProviderLine, wish: Wish, id: SessionId, options: Options = {}): Promise<LiveSession> {
    const file = await this.#book.file(partiesOf(wish), options)
    const session = newPayerSession(id, wish, this.#components.clock.nowMs())
    return await this.#begin(line, session, file, options)
  }

  /** Goes on with a session that was cut: same session, same totals. `usedBytes` is what the caller durably kept of it. */
  async resume(line: ProviderLine, id: SessionId, usedBytes: bigint, options: Options = {}): Promise<LiveSession> {
    const wish = (await this.#book.cutSession(id))?.wish
    const file = wish === undefined ? undefined : await this.#book.file(partiesOf(wish), options)
    const session = file?.cut.get(id)
    if (file === undefined || session === undefined) throw new TallyError('SESSION_UNKNOWN')
    const done = session.flow.done > usedBytes ? session.flow.done : usedBytes
    const kept = { ...session, at: this.#components.clock.nowMs(), flow: { ...session.flow, done } }
    return await this.#begin(line, kept, file, options)
  }

  /** Gives a cut session up: it will not be resumed; what it owes stays known. */
  async forget(id: SessionId): Promise<void> {
    await this.#book.forget(id)
  }

  /** Arrears that were agreed on are what cut sessions left: those are paid for by this one, and cannot be resumed beside it. */
  #takeOver(live: LiveSession): void {
    const arrears = live.session.terms?.arrears ?? 0n
    if (arrears === 0n) return
    const cut = [...live.file.cut.values()]
    if (cut.length > 0) this.#book.giveUp(live.file, cut).catch((thrown: unknown) => this.#unstored(new Set([live]), thrown))
    for (const one of this.#roster.beside(live)) {
      if (one.session.status === 'cut') this.run(one, { type: 'fault', code: new TallyError('SESSION_UNKNOWN').wire })
    }
  }

  /** Asks the target to sign the end of the channel at what was signed last. @throws CHANNEL_IN_USE, HEAD_DISAGREES, ... */
  async release(line: ProviderLine, parties: ChannelParties, options: Options = {}): Promise<Released> {
    const channel = await this.channel(parties, { ...options, fresh: true })
    // the stream ended while the chain was asked about the channel: nobody would hear an answer
    if (!this.#read.has(line)) throw new TallyError('STREAM_CUT')
    const amount = channel.last === undefined ? channel.facts.settled : channel.at
    return await this.#releases.ask(line.link, { id: channel.id, parties, amount, epoch: channel.facts.epoch }, options.signal)
  }

  async onFacts(facts: readonly ChainFact[]): Promise<void> {
    await this.#book.onFacts(facts)
    for (const fact of facts) if (fact.type === 'channel') this.coming.goOn(fact.id)
  }

  async #begin(line: ProviderLine, session: PayerSession, file: PayerFile, options: Options): Promise<LiveSession> {
    const { signal, ticks, onPaid } = options
    if (signal?.aborted === true) throw new TallyError('ABORTED', { cause: signal.reason })
    const live = new LiveSession(session, { file, line, desk: this, ticks: ticks ?? this.#init.ticks, onPaid })
    live.note(this.#components.clock.nowMs())
    this.#roster.add(live)
    this.#book.shelf.pick(file, session.id)
    line.link.send(helloOf(session, channelIn(file)))
    // the stream ended while the chain was asked about the channel: nobody would tell this session
    if (!this.#read.has(line)) this.run(live, { type: 'cut' })
    return await live.agreed(signal)
  }

  #onMessage(line: ProviderLine, message: FromPayee): void {
    if (message.type === 'released') return this.#releases.onReleased(line.link, message)
    if (message.type === 'fault' && message.session === undefined) return this.#onStreamFault(line, message.code)
    const id = message.type === 'terms' ? message.terms.session : message.session
    if (id === undefined) return
    const live = this.#roster.get(id) ?? (message.type === 'receipt' ? this.#roster.late(id) : undefined)
    if (live === undefined || live.line !== line) return
    const input = inputOf(message)
    if (message.type === 'charge') live.charge(message)
    else if (input !== undefined) this.run(live, input)
    this.#roster.heard(live)
  }

  /** A fault of the whole stream answers a release that waits on it, else the hellos. */
  #onStreamFault(line: ProviderLine, code: number): void {
    if (this.#releases.fail(line.link, refusal(code))) return
    for (const live of this.#roster.of(line)) if (live.session.status === 'asked') this.run(live, { type: 'fault', code })
  }

  /** One input of one session: step, store, act. What a session says that was resumed, given up or closed since is not heard. */
  run(live: LiveSession, input: PayerInput): void {
    if (!this.#roster.holds(live)) return
    try {
      this.#step(live, input)
    } catch (thrown) {
      // an error in the rules costs this session, never the process or another session; nothing is signed for it any more
      this.#components.log.error(
        { session: live.session.id, input: input.type, err: thrown },
        'an error of this program; the session is given up',
      )
      this.#roster.drop(live)
      live.cutStreams()
      live.onEnded('INTERNAL')
    }
  }

  #step(live: LiveSession, input: PayerInput): void {
    const fresh = input.type === 'terms' && live.session.terms === undefined
    const context = this.#rules.of(live)
    const { state, effects } = stepPayer({ session: live.session, channel: channelIn(live.file) }, input, context)
    live.session = state.session
    live.note(context.nowMs)
    this.#book.shelf.set(live.file, state.channel)
    if (fresh && state.session.status === 'starting') this.#takeOver(live)
    for (const effect of effects) this.#perform(live, effect)
    // the figures cost more than a step: they are worked out for whoever listens
    const { events } = this.#components
    if (events.listenerCount('payer:session') > 0) events.emit('payer:session', live.figures)
  }

  channelOf(live: LiveSession): ChannelOut {
    return channelIn(live.file)
  }

  /** Which limit it is that covers nothing more: the budget, or the deposit. */
  exhausted(live: LiveSession): ErrorCode {
    return codeOfWire(shortReason(live.session, channelIn(live.file))) ?? 'BUDGET_REACHED'
  }

  #perform(live: LiveSession, effect: PayerEffect): void {
    switch (effect.type) {
      case 'send': return live.line.link.send(effect.message)
      case 'store': return this.#store(live, effect.then)
      case 'join': return live.join()
      case 'live': return live.onLive()
      case 'paid': return this.#paid(live, effect.rise)
      case 'refused': return live.refuse(effect.stream)
      case 'cutStreams': return live.cutStreams()
      case 'ended': return this.#end(live, effect.code)
      default: return effect satisfies never
    } // biome-ignore format: a table
  }

  #paid(live: LiveSession, rise: Amount): void {
    live.onPaid?.(live.recorded)
    this.#components.events.emit('payer:paid', { session: live.session, rise })
  }

  #store(live: LiveSession, then: PayerInput | undefined): void {
    const { reserving, status } = live.session
    if (reserving !== undefined) this.#book.mark(live.file, reserving)
    if (status === 'cut') {
      this.#roster.drop(live)
      this.#book.shelf.lay(live.file, live.session)
      live.onCut()
    }
    this.#journal.add(live, then, true)
    // the store is closed soon: nothing may wait for a later turn
    if (this.#stopping) this.#journal.flush()
  }

  /** What is not on the disk is not signed: without a disk nothing more is bought. */
  #unstored(lives: ReadonlySet<LiveSession>, thrown: unknown): void {
    this.#components.log.error({ err: asTallyError(thrown) }, 'the store failed; its sessions are cut')
    for (const live of lives) live.line.link.abort(new TallyError('INTERNAL', { cause: thrown }))
  }

  #end(live: LiveSession, code: ErrorCode | undefined): void {
    this.#roster.end(live)
    live.onEnded(code)
    this.#components.events.emit('payer:ended', { session: live.session, code })
  }

  #tick(): void {
    const nowMs = this.#components.clock.nowMs()
    for (const live of this.#roster.all()) this.run(live, live.onClock(nowMs))
  }
}
