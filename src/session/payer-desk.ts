/**
 * The consumer's desk: the only place where the payer's rules meet I/O, and the single place that signs promises. A budget, a limit at
 * risk and a maximum price are checked in the rules before anything is signed.
 *
 * Owns: the records of channels and sessions in which this node pays. Authority for what was signed and received.
 */
import type { Amount } from '../core/amount.ts'
import { type ChannelOut, NO_CHANNEL, newChannelOut } from '../core/channel.ts'
import { asTallyError, codeOfWire, type ErrorCode, TallyError } from '../core/errors.ts'
import { type ChannelId, channelId, type SessionId } from '../core/ids.ts'
import { ZERO_METER } from '../core/meter.ts'
import type { ChannelParties } from '../core/promise.ts'
import type { FromPayee, Released } from '../core/session/messages.ts'
import {
  atRiskOf,
  newPayerSession,
  owedOf,
  type PayerContext,
  type PayerEffect,
  type PayerInput,
  type PayerSession,
  stepPayer,
  usableBytes,
  usedMeter,
} from '../core/session/payer.ts'
import { shortReason } from '../core/session/payer-state.ts'
import type { Wish } from '../core/session/payer-terms.ts'
import type { ChainFact } from '../ports/chain.ts'
import type { DataHeader, OpenedData, PayerLink } from '../ports/link.ts'
import type { StoreOp } from '../ports/store.ts'
import type { PayerDeskComponents } from './components.ts'
import { payerCrypto } from './crypto.ts'
import { Journal } from './journal.ts'
import { LiveSession } from './live-session.ts'
import { PayerRecords } from './records.ts'
import { Releases } from './releases.ts'

/** A provider as the desk reaches it: the control stream, and data streams beside it. */
export interface ProviderLine {
  readonly link: PayerLink
  openData(header: DataHeader, options: { signal?: AbortSignal }): Promise<OpenedData>
}

export class PayerDesk {
  readonly #components: PayerDeskComponents
  readonly #records: PayerRecords
  readonly #journal: Journal<LiveSession, PayerInput>
  readonly #channels = new Map<ChannelId, ChannelOut>()
  readonly #live = new Map<SessionId, LiveSession>()
  /** lines whose messages are being read */
  readonly #read = new Set<ProviderLine>()
  /** sessions that were cut: their totals may account for a difference of the heads */
  readonly #cut = new Map<SessionId, PayerSession>()
  /** marks that are on their way to the disk; in memory they count once they are there */
  readonly #marks = new Map<ChannelId, Amount>()
  /** sessions that ended without a receipt: the provider's may still come on the same stream */
  readonly #late = new Map<SessionId, LiveSession>()
  readonly #releases: Releases
  /** settles with the last write */
  #written: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #stopping = false

  constructor(components: PayerDeskComponents) {
    this.#components = components
    this.#records = new PayerRecords(components.store)
    this.#journal = new Journal({
      write: (lives) => this.#writeAll(lives),
      done: (live, inputs) => inputs.forEach((input) => this.run(live, input)),
      failed: (lives, thrown) => this.#unstored(lives, thrown),
    })
    this.#releases = new Releases(components)
  }

  async start(): Promise<void> {
    for await (const channel of this.#records.channels()) this.#channels.set(channel.id, channel)
    for await (const session of this.#records.openSessions(this.#components.clock.nowMs())) this.#cut.set(session.id, session)
    this.#timer = setInterval(() => this.#tick(), CLOCK_MS)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.allSettled([...this.#live.values()].map((live) => live.close({ signal: AbortSignal.timeout(STOP_MS) })))
    clearInterval(this.#timer)
    this.#journal.flush()
  }

  channels(): Iterable<ChannelOut> {
    return this.#channels.values()
  }

  /** Sessions that were cut and may be resumed, newest record of each. */
  cutSessions(): Iterable<PayerSession> {
    return this.#cut.values()
  }

  liveSessions(): Iterable<PayerSession> {
    return [...this.#live.values()].map((live) => live.session)
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
      for (const live of [...this.#live.values()]) if (live.line === line) this.run(live, { type: 'cut' })
      for (const [id, live] of this.#late) if (live.line === line) this.#late.delete(id)
      this.#releases.fail(line.link.address, new TallyError('STREAM_CUT'))
    }
  }

  /** What this owner still owes the provider from sessions that ended short, base units: the most that arrears may be. */
  async owedTo(parties: ChannelParties): Promise<Amount> {
    // read after all that was given to the disk
    this.#journal.flush()
    await this.#written
    return await this.#records.owedTo(parties, (id) => (this.#live.get(id)?.session.status ?? 'cut') !== 'cut')
  }

  /** The record of a channel, with the ledger's facts of now. @throws CHANNEL_UNKNOWN, CHAIN_UNREACHABLE when nothing is known */
  async channel(parties: ChannelParties, options: { signal?: AbortSignal; fresh?: boolean } = {}): Promise<ChannelOut> {
    const id = channelId(parties)
    const known = this.#channels.get(id)
    if (
      known !== undefined &&
      options.fresh !== true &&
      known.facts.deposit > known.at &&
      known.facts.expiry > this.#components.clock.nowS()
    )
      return known
    const view = await this.#components.chain.channel(parties, options).catch((thrown: unknown) => {
      if (known === undefined) throw thrown
      return undefined
    })
    const facts = view === undefined ? known?.facts : (view.confirmed ?? view.latest)
    if (facts === undefined && known === undefined) throw new TallyError('CHANNEL_UNKNOWN')
    const now = this.#channels.get(id)
    const channel: ChannelOut = { ...(now ?? newChannelOut(id, parties, NO_CHANNEL)), facts: facts ?? NO_CHANNEL }
    this.#channels.set(id, channel)
    this.#components.chain.watch([id])
    await this.#write([this.#put(channel)])
    return channel
  }

  /** Begins a session and waits until it is agreed on. @throws every code with which a provider may refuse, and the payer's own refusals */
  async open(line: ProviderLine, wish: Wish, id: SessionId, options: { signal?: AbortSignal } = {}): Promise<LiveSession> {
    const channel = await this.channel(partiesOf(wish), options)
    const session = newPayerSession(id, wish, this.#components.clock.nowMs())
    return await this.#begin(line, session, channel, false, options.signal)
  }

  /** Goes on with a session that was cut: same session, same totals. `usedBytes` is what the caller durably kept of it. */
  async resume(
    line: ProviderLine,
    id: SessionId,
    usedBytes: bigint,
    options: { signal?: AbortSignal } = {},
  ): Promise<LiveSession> {
    const session = this.#cut.get(id)
    if (session === undefined) throw new TallyError('SESSION_UNKNOWN')
    const channel = await this.channel(partiesOf(session.wish), options)
    if (!this.#cut.has(id)) throw new TallyError('SESSION_UNKNOWN')
    const done = session.flow.done > usedBytes ? session.flow.done : usedBytes
    const { clock } = this.#components
    return await this.#begin(
      line,
      { ...session, at: clock.nowMs(), flow: { ...session.flow, done } },
      channel,
      true,
      options.signal,
    )
  }

  /** Gives a cut session up: it will not be resumed; what it owes stays known. */
  async forget(id: SessionId): Promise<void> {
    const session = this.#cut.get(id)
    if (session === undefined) return
    await this.#write(this.#forgetting(session))
  }

  /** A payment that this disk forgot belongs to a session that is given up: nothing will explain it any more. */
  #forgetting(session: PayerSession): StoreOp[] {
    this.#cut.delete(session.id)
    const ops = [this.#records.putSession({ ...session, status: 'closed', failure: 'SESSION_UNKNOWN' })]
    const id = channelId(partiesOf(session.wish))
    const channel = this.#channels.get(id)
    if (channel === undefined || !session.stale) return ops
    const next = { ...channel, abandoned: true }
    this.#channels.set(id, next)
    return [...ops, this.#put(next)]
  }

  /** Arrears that were agreed on are what cut sessions left: those are paid for by this one, and cannot be resumed beside it. */
  #takeOver(live: LiveSession): void {
    const arrears = live.session.terms?.arrears ?? 0n
    if (arrears === 0n) return
    const ops = [...this.#cut.values()]
      .filter((cut) => sameChannel(cut.wish, live.session.wish))
      .flatMap((cut) => this.#forgetting(cut))
    if (ops.length > 0) this.#write(ops).catch((thrown: unknown) => this.#unstored(new Set([live]), thrown))
    for (const one of this.#beside(live)) {
      if (one.session.status === 'cut') this.run(one, { type: 'fault', code: new TallyError('SESSION_UNKNOWN').wire })
    }
  }

  /** Asks the target to sign the end of the channel at what was signed last. @throws CHANNEL_IN_USE, HEAD_DISAGREES, ... */
  async release(line: ProviderLine, parties: ChannelParties, options: { signal?: AbortSignal } = {}): Promise<Released> {
    const channel = await this.channel(parties, { ...options, fresh: true })
    const amount = channel.last === undefined ? channel.facts.settled : channel.at
    return await this.#releases.ask(line.link, { id: channel.id, parties, amount, epoch: channel.facts.epoch }, options.signal)
  }

  async onFacts(facts: readonly ChainFact[]): Promise<void> {
    const ops = []
    for (const fact of facts) {
      if (fact.type !== 'channel' || fact.facts === undefined) continue
      const known = this.#channels.get(fact.id)
      if (known === undefined) continue
      const channel = { ...known, facts: fact.facts }
      this.#channels.set(fact.id, channel)
      ops.push(this.#put(channel))
    }
    if (ops.length > 0) await this.#write(ops)
  }

  async #begin(
    line: ProviderLine,
    session: PayerSession,
    channel: ChannelOut,
    resume: boolean,
    signal: AbortSignal | undefined,
  ): Promise<LiveSession> {
    const live = new LiveSession(session, channel.id, line, this)
    live.standsFor(this.#components.clock.nowMs())
    this.#live.set(session.id, live)
    this.#cut.delete(session.id)
    const { wish } = session
    const signed = channel.last?.amount ?? (0n as Amount)
    const acked = resume ? usedMeter(session) : ZERO_METER
    line.link.send({
      type: 'hello',
      session: session.id,
      resume,
      owner: wish.owner,
      token: wish.token,
      service: wish.service,
      inputs: wish.inputs,
      signed,
      acked,
    })
    // the stream ended while the chain was asked about the channel: nobody would tell this session
    if (!this.#read.has(line)) this.run(live, { type: 'cut' })
    return await live.agreed(signal)
  }

  #onMessage(line: ProviderLine, message: FromPayee): void {
    if (message.type === 'released') return this.#releases.onReleased(line.link.address, message)
    if (message.type === 'fault' && message.session === undefined) return this.#onStreamFault(line, message.code)
    const id = message.type === 'terms' ? message.terms.session : message.session
    const live =
      id === undefined ? undefined : (this.#live.get(id) ?? (message.type === 'receipt' ? this.#late.get(id) : undefined))
    if (live === undefined || live.line !== line) return
    this.#late.delete(live.session.id)
    const input = inputOf(message)
    if (input !== undefined) this.run(live, input)
  }

  /** A fault of the whole stream answers a release that waits on it, else the hellos. */
  #onStreamFault(line: ProviderLine, code: number): void {
    if (this.#releases.fail(line.link.address, refusal(code))) return
    for (const live of [...this.#live.values()])
      if (live.line === line && live.session.status === 'asked') this.run(live, { type: 'fault', code })
  }

  /** One input of one session: step, store, act. */
  run(live: LiveSession, input: PayerInput): void {
    try {
      this.#step(live, input)
    } catch (thrown) {
      // an error in the rules costs this session, never the process or another session; nothing is signed for it any more
      this.#components.log.error(
        { session: live.session.id, input: input.type, err: thrown },
        'an error of this program; the session is given up',
      )
      this.#live.delete(live.session.id)
      live.cutStreams()
      live.onEnded('INTERNAL')
    }
  }

  #step(live: LiveSession, input: PayerInput): void {
    const fresh = input.type === 'terms' && live.session.terms === undefined
    const { state, effects } = stepPayer({ session: live.session, channel: this.#channelOf(live) }, input, this.#context(live))
    live.session = state.session
    live.standsFor(this.#components.clock.nowMs())
    this.#channels.set(live.channel, state.channel)
    if (fresh && state.session.status === 'starting') this.#takeOver(live)
    for (const effect of effects) this.#perform(live, effect)
    this.#tell(live)
  }

  /** The figures cost more than a step: they are worked out for whoever listens. */
  #tell(live: LiveSession): void {
    const { events } = this.#components
    if (events.listenerCount('payer:session') === 0) return
    events.emit('payer:session', { session: live.session, owed: owedOf(live.session), atRisk: atRiskOf(live.session) })
  }

  /** How many more bytes of the session may be handed to the user; undefined = no limit. */
  usable(live: LiveSession): bigint | undefined {
    return usableBytes({ session: live.recorded, channel: this.#channelOf(live) })
  }

  /** Which limit it is that covers nothing more: the budget, or the deposit. */
  exhausted(live: LiveSession): ErrorCode {
    return codeOfWire(shortReason(live.session, this.#channelOf(live))) ?? 'BUDGET_REACHED'
  }

  #perform(live: LiveSession, effect: PayerEffect): void {
    switch (effect.type) {
      case 'send': return live.line.link.send(effect.message)
      case 'store': return this.#store(live, effect.then)
      case 'live': return live.onLive()
      case 'paid': return void this.#components.events.emit('payer:paid', { session: live.session, rise: effect.rise })
      case 'cutStreams': return live.cutStreams()
      case 'ended': return this.#end(live, effect.code)
      default: return effect satisfies never
    } // biome-ignore format: a table
  }

  #store(live: LiveSession, then: PayerInput | undefined): void {
    const channel = this.#channelOf(live)
    const { reserving, status } = live.session
    if (reserving !== undefined && reserving > (this.#marks.get(channel.id) ?? 0n)) this.#marks.set(channel.id, reserving)
    if (status === 'cut') {
      this.#live.delete(live.session.id)
      this.#cut.set(live.session.id, live.session)
      live.onCut()
    }
    this.#journal.add(live, then, true)
    // the store is closed soon: nothing may wait for a later turn
    if (this.#stopping) this.#journal.flush()
  }

  /** The records of these sessions. A channel's figures are the sum of its sessions': they are stored together. */
  async #writeAll(lives: ReadonlySet<LiveSession>): Promise<void> {
    const sessions = new Map<SessionId, PayerSession>()
    const channels = new Map<ChannelId, StoreOp>()
    for (const live of lives) {
      sessions.set(live.session.id, live.session)
      channels.set(live.channel, this.#put(this.#channelOf(live)))
    }
    // a session that was resumed meanwhile counts as it is now
    for (const { channel, session } of this.#live.values()) if (channels.has(channel)) sessions.set(session.id, session)
    await this.#commit([...channels.values(), ...[...sessions.values()].map(this.#records.putSession)])
  }

  /** The other sessions of the same channel. */
  #beside(live: LiveSession): LiveSession[] {
    return [...this.#live.values()].filter((one) => one !== live && one.channel === live.channel)
  }

  /** Every write of a channel carries the highest mark that was asked for: a later write must not take back what an earlier one reserved. */
  #put(channel: ChannelOut): StoreOp {
    const mark = this.#marks.get(channel.id) ?? (0n as Amount)
    return this.#records.putChannel(mark > channel.reserved ? { ...channel, reserved: mark } : channel)
  }

  /** Other records of the desk, after those that wait. */
  async #write(ops: readonly StoreOp[]): Promise<void> {
    this.#journal.flush()
    await this.#commit(ops)
  }

  async #commit(ops: readonly StoreOp[]): Promise<void> {
    const writing = this.#components.store.commit(ops)
    this.#written = writing.catch(() => undefined)
    await writing
  }

  /** What is not on the disk is not signed: without a disk nothing more is bought. */
  #unstored(lives: ReadonlySet<LiveSession>, thrown: unknown): void {
    this.#components.log.error({ err: asTallyError(thrown) }, 'the store failed; its sessions are cut')
    for (const live of lives) live.line.link.abort(new TallyError('INTERNAL', { cause: thrown }))
  }

  #end(live: LiveSession, code: ErrorCode | undefined): void {
    this.#live.delete(live.session.id)
    if (live.session.receipt === undefined && live.session.terms !== undefined) this.#late.set(live.session.id, live)
    live.onEnded(code)
    this.#components.events.emit('payer:ended', { session: live.session, code })
  }

  #channelOf(live: LiveSession): ChannelOut {
    const channel = this.#channels.get(live.channel)
    if (channel === undefined) throw new TallyError('INTERNAL', { message: `no record of channel ${live.channel}` })
    return channel
  }

  #context(live: LiveSession): PayerContext {
    const { clock, domain, self } = this.#components
    const beside = (): PayerSession[] => this.#beside(live).map(({ session }) => session)
    const crypto = live.crypto(() => payerCrypto(domain, self, this.#channelOf(live).parties, live.line.link.publicKey))
    return {
      nowMs: clock.nowMs(), nowS: clock.nowS(), ...crypto,
      // asked for once a session, while a step is made for every piece
      moving: () => beside().some(({ status }) => status === 'starting' || status === 'live' || status === 'closing'),
      alone: () => !beside().some(({ terms }) => terms !== undefined) && ![...this.#cut.values()].some((cut) => sameChannel(cut.wish, live.session.wish)),
    } // biome-ignore format: a record
  }

  #tick(): void {
    const nowMs = this.#components.clock.nowMs()
    for (const live of [...this.#live.values()]) {
      const silent = live.standsFor(nowMs) > (SILENCE_MS[live.session.status] ?? Infinity)
      this.run(live, silent ? { type: 'cut' } : { type: 'clock', handed: live.handed })
    }
  }
}

const partiesOf = (wish: Wish): ChannelParties => ({
  owner: wish.owner,
  signer: wish.signer,
  target: wish.provider,
  token: wish.token,
})
const sameChannel = (a: Wish, b: Wish): boolean =>
  a.owner === b.owner && a.signer === b.signer && a.provider === b.provider && a.token === b.token

/** how often a payer looks at the clock, ms */
const CLOCK_MS = 200
/** how long a provider may be silent where it owes an answer, ms: it may have to read a file before it knows its terms */
const SILENCE_MS: Partial<Record<PayerSession['status'], number>> = { asked: 90_000, starting: 30_000, closing: 30_000 }
/** how long a stopping node waits for each of its sessions to be closed, ms */
const STOP_MS = 5_000

/** What a peer's number means to the caller. */
export function refusal(wire: number): TallyError {
  const code = codeOfWire(wire)
  return code === undefined
    ? new TallyError('PEER_REFUSED', { fields: { wire } })
    : new TallyError(code, { fields: { refused_by: 'provider' } })
}

function inputOf(message: FromPayee): PayerInput | undefined {
  switch (message.type) {
    case 'terms':
    case 'ready':
    case 'meter': return { type: message.type, message } as PayerInput
    case 'closing': return { type: 'closing', reason: message.reason }
    case 'receipt': return { type: 'receipt', receipt: message.receipt }
    case 'fault': return { type: 'fault', code: message.code }
    case 'released': return undefined
    default: return message satisfies never
  } // biome-ignore format: a table
}
