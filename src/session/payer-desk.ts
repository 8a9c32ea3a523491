/**
 * The consumer's desk: the only place where the payer's rules meet I/O, and the single place that signs promises. A budget, a limit at
 * risk and a maximum price are checked in the rules before anything is signed.
 *
 * Owns: the records of channels and sessions in which this node pays. Authority for what was signed and received.
 */
import type { Amount } from '../core/amount.ts'
import { type ChannelOut, NO_CHANNEL } from '../core/channel.ts'
import { asTallyError, codeOfWire, type ErrorCode, TallyError } from '../core/errors.ts'
import { type ChannelId, channelId, type SessionId } from '../core/ids.ts'
import { ZERO_METER } from '../core/meter.ts'
import type { ChannelParties } from '../core/promise.ts'
import type { FromPayee, Released } from '../core/session/messages.ts'
import { atRiskOf, newPayerSession, owedOf, type PayerContext, type PayerEffect, type PayerInput, type PayerSession, stepPayer, usableBytes, usedMeter } from '../core/session/payer.ts'
import type { Wish } from '../core/session/payer-terms.ts'
import type { ChainFact } from '../ports/chain.ts'
import type { DataHeader, OpenedData, PayerLink } from '../ports/link.ts'
import type { PayerDeskComponents } from './components.ts'
import { payerCrypto } from './crypto.ts'
import { LiveSession } from './live-session.ts'
import { PayerRecords } from './records.ts'

/** A provider as the desk reaches it: the control stream, and data streams beside it. */
export interface ProviderLine {
  readonly link: PayerLink
  openData(header: DataHeader, options: { signal?: AbortSignal }): Promise<OpenedData>
}

export class PayerDesk {
  readonly #components: PayerDeskComponents
  readonly #records: PayerRecords
  readonly #channels = new Map<ChannelId, ChannelOut>()
  readonly #live = new Map<SessionId, LiveSession>()
  /** sessions that were cut: their totals may account for a difference of the heads */
  readonly #cut = new Map<SessionId, PayerSession>()
  readonly #releases = new Map<ChannelId, { resolve(message: Released): void; reject(error: TallyError): void }>()
  #timer: NodeJS.Timeout | undefined

  constructor(components: PayerDeskComponents) {
    this.#components = components
    this.#records = new PayerRecords(components.store)
  }

  async start(): Promise<void> {
    for await (const channel of this.#records.channels()) this.#channels.set(channel.id, channel)
    for await (const session of this.#records.openSessions(this.#components.clock.nowMs())) this.#cut.set(session.id, session)
    this.#timer = setInterval(() => this.#tick(), CLOCK_MS)
  }

  async stop(): Promise<void> {
    await Promise.allSettled([...this.#live.values()].map((live) => live.close({ signal: AbortSignal.timeout(STOP_MS) })))
    clearInterval(this.#timer)
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
    try {
      for await (const batch of line.link) for (const message of batch) this.#onMessage(line, message)
    } finally {
      for (const live of [...this.#live.values()]) if (live.line === line) this.run(live, { type: 'cut' })
      for (const [id, waiting] of this.#releases) {
        if (this.#channels.get(id)?.parties.target === line.link.address) waiting.reject(new TallyError('STREAM_CUT'))
      }
    }
  }

  /** What this owner still owes the provider from sessions that ended short, base units: the most that arrears may be. */
  async owedTo(parties: ChannelParties): Promise<Amount> {
    return await this.#records.owedTo(parties)
  }

  /** The record of a channel, with the ledger's facts of now. @throws CHANNEL_UNKNOWN, CHAIN_UNREACHABLE when nothing is known */
  async channel(parties: ChannelParties, options: { signal?: AbortSignal; fresh?: boolean } = {}): Promise<ChannelOut> {
    const id = channelId(parties)
    const known = this.#channels.get(id)
    if (known !== undefined && options.fresh !== true && known.facts.deposit > known.at && known.facts.expiry > this.#components.clock.nowS()) return known
    const view = await this.#components.chain.channel(parties, options).catch((thrown: unknown) => {
      if (known === undefined) throw thrown
      return undefined
    })
    const facts = view === undefined ? known?.facts : (view.confirmed ?? view.latest)
    if (facts === undefined && known === undefined) throw new TallyError('CHANNEL_UNKNOWN')
    const now = this.#channels.get(id)
    const channel: ChannelOut = { ...(now ?? { id, parties, reserved: 0n as Amount, last: undefined, at: 0n as Amount }), facts: facts ?? NO_CHANNEL }
    this.#channels.set(id, channel)
    this.#components.chain.watch([id])
    await this.#components.store.commit([this.#records.putChannel(channel)])
    return channel
  }

  /** Begins a session and waits until it is agreed on. @throws every code with which a provider may refuse, and the payer's own refusals */
  async open(line: ProviderLine, wish: Wish, id: SessionId, options: { signal?: AbortSignal } = {}): Promise<LiveSession> {
    const parties: ChannelParties = { owner: wish.owner, signer: wish.signer, target: wish.provider, token: wish.token }
    const channel = await this.channel(parties, options)
    const session = newPayerSession(id, wish, this.#components.clock.nowMs())
    return await this.#begin(line, session, channel, false, options.signal)
  }

  /** Goes on with a session that was cut: same session, same totals. `usedBytes` is what the caller durably kept of it. */
  async resume(line: ProviderLine, id: SessionId, usedBytes: bigint, options: { signal?: AbortSignal } = {}): Promise<LiveSession> {
    const session = this.#cut.get(id)
    if (session === undefined) throw new TallyError('SESSION_UNKNOWN')
    const { wish } = session
    const channel = await this.channel({ owner: wish.owner, signer: wish.signer, target: wish.provider, token: wish.token }, options)
    const done = session.flow.done > usedBytes ? session.flow.done : usedBytes
    return await this.#begin(line, { ...session, flow: { ...session.flow, done } }, channel, true, options.signal)
  }

  /** Gives a cut session up: it will not be resumed; what it owes stays known. */
  async forget(id: SessionId): Promise<void> {
    const session = this.#cut.get(id)
    if (session === undefined) return
    this.#cut.delete(id)
    await this.#components.store.commit([this.#records.putSession({ ...session, status: 'closed', failure: 'SESSION_UNKNOWN' })])
  }

  /** Asks the target to sign the end of the channel at what was signed last. @throws CHANNEL_IN_USE, HEAD_DISAGREES, ... */
  async release(line: ProviderLine, parties: ChannelParties, options: { signal?: AbortSignal } = {}): Promise<Released> {
    const channel = await this.channel(parties, { ...options, fresh: true })
    const amount = channel.last?.amount ?? channel.facts.settled
    const answer = new Promise<Released>((resolve, reject) => {
      this.#releases.set(channel.id, { resolve, reject })
      options.signal?.addEventListener('abort', () => reject(new TallyError('ABORTED')), { once: true })
    })
    line.link.send({ type: 'release', owner: parties.owner, token: parties.token, amount, epoch: channel.facts.epoch })
    return await answer.finally(() => this.#releases.delete(channel.id))
  }

  async onFacts(facts: readonly ChainFact[]): Promise<void> {
    const ops = []
    for (const fact of facts) {
      if (fact.type !== 'channel' || fact.facts === undefined) continue
      const known = this.#channels.get(fact.id)
      if (known === undefined) continue
      const channel = { ...known, facts: fact.facts }
      this.#channels.set(fact.id, channel)
      ops.push(this.#records.putChannel(channel))
    }
    if (ops.length > 0) await this.#components.store.commit(ops)
  }

  async #begin(line: ProviderLine, session: PayerSession, channel: ChannelOut, resume: boolean, signal: AbortSignal | undefined): Promise<LiveSession> {
    const live = new LiveSession(session, channel.id, line, this)
    this.#live.set(session.id, live)
    this.#cut.delete(session.id)
    const { wish } = session
    const signed = channel.last?.amount ?? (0n as Amount)
    const acked = resume ? usedMeter(session) : ZERO_METER
    line.link.send({ type: 'hello', session: session.id, resume, owner: wish.owner, token: wish.token, service: wish.service, inputs: wish.inputs, signed, acked })
    return await live.agreed(signal)
  }

  #onMessage(line: ProviderLine, message: FromPayee): void {
    if (message.type === 'released') return this.#releases.get(message.channel)?.resolve(message)
    if (message.type === 'fault' && message.session === undefined) return this.#onStreamFault(line, message.code)
    const id = message.type === 'terms' ? message.terms.session : message.session
    const live = id === undefined ? undefined : this.#live.get(id)
    if (live === undefined || live.line !== line) return
    const input = inputOf(message)
    if (input !== undefined) this.run(live, input)
  }

  /** A fault of the whole stream answers whatever waits on it. */
  #onStreamFault(line: ProviderLine, code: number): void {
    for (const [id, waiting] of this.#releases) {
      if (this.#channels.get(id)?.parties.target === line.link.address) waiting.reject(refusal(code))
    }
    for (const live of [...this.#live.values()]) if (live.line === line && live.session.status === 'asked') this.run(live, { type: 'fault', code })
  }

  /** One input of one session: step, store, act. */
  run(live: LiveSession, input: PayerInput): void {
    const { state, effects } = stepPayer({ session: live.session, channel: this.#channelOf(live) }, input, this.#context(live))
    live.session = state.session
    this.#channels.set(live.channel, state.channel)
    for (const effect of effects) this.#perform(live, effect)
    this.#components.events.emit('payer:session', { session: live.session, owed: owedOf(live.session), atRisk: atRiskOf(live.session) })
  }

  /** How many more bytes of the session may be handed to the user; undefined = no limit. */
  usable(live: LiveSession): bigint | undefined {
    return usableBytes({ session: live.session, channel: this.#channelOf(live) })
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
    const reserved = reserving !== undefined && reserving > channel.reserved ? reserving : channel.reserved
    if (status === 'cut') {
      this.#live.delete(live.session.id)
      this.#cut.set(live.session.id, live.session)
      live.onCut()
    }
    this.#components.store.commit([this.#records.putChannel({ ...channel, reserved }), this.#records.putSession(live.session)]).then(
      () => then !== undefined && this.run(live, then),
      (thrown: unknown) => {
        // what is not on the disk is not signed: without a disk nothing more is bought
        this.#components.log.error({ err: asTallyError(thrown) }, 'the store failed; the session is cut')
        live.line.link.abort(new TallyError('INTERNAL', { cause: thrown }))
      },
    )
  }

  #end(live: LiveSession, code: ErrorCode | undefined): void {
    this.#live.delete(live.session.id)
    live.onEnded(code)
    this.#components.events.emit('payer:ended', { session: live.session, code })
  }

  #channelOf(live: LiveSession): ChannelOut {
    const channel = this.#channels.get(live.channel)
    if (channel === undefined) throw new TallyError('INTERNAL', { message: `no record of channel ${live.channel}` })
    return channel
  }

  #context(live: LiveSession): PayerContext {
    const { clock } = this.#components
    const same = (session: PayerSession): boolean => session.id !== live.session.id && session.wish.provider === live.session.wish.provider && session.wish.owner === live.session.wish.owner && session.wish.token === live.session.wish.token
    const cutBeside = [...this.#cut.values()].some(same)
    const alone = !cutBeside && ![...this.#live.values()].some((other) => same(other.session))
    return { nowMs: clock.nowMs(), nowS: clock.nowS(), mayRestate: !cutBeside, alone, ...live.crypto(() => payerCrypto(this.#components.domain, this.#components.self, this.#channelOf(live).parties, live.line.link.publicKey)) }
  }

  #tick(): void {
    for (const live of [...this.#live.values()]) this.run(live, { type: 'clock' })
  }
}

/** how often a payer looks at the clock, ms */
const CLOCK_MS = 200
/** how long a stopping node waits for each of its sessions to be closed, ms */
const STOP_MS = 5_000

/** What a peer's number means to the caller. */
export function refusal(wire: number): TallyError {
  const code = codeOfWire(wire)
  return code === undefined ? new TallyError('PEER_REFUSED', { fields: { wire } }) : new TallyError(code, { fields: { refused_by: 'provider' } })
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
