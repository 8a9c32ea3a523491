/**
 * The provider's desk: the only place where the payee's rules meet I/O. Every message, timer and byte becomes an input of `stepPayee`;
 * what it answers is stored first and done then.
 *
 * Owns: the records of channels, owners and sessions in which this node is paid. Authority for what was delivered and paid.
 */
import type { Amount } from '../core/amount.ts'
import type { ChannelIn } from '../core/channel.ts'
import { creditLimit, newOwner, type OwnerAccount, type Pool, takeGrant } from '../core/credit.ts'
import { asTallyError, type ErrorCode, TallyError } from '../core/errors.ts'
import { type Address, type ChannelId, channelId, type SessionId } from '../core/ids.ts'
import { chunkCost } from '../core/price.ts'
import type { ChannelParties } from '../core/promise.ts'
import type { FromPayer, Hello, Release, TermsOffered } from '../core/session/messages.ts'
import {
  ackedMeter,
  allowance,
  creditLeft,
  dueOf,
  exposureOf,
  newPayeeSession,
  onceDurable,
  type PayeeContext,
  type PayeeEffect,
  type PayeeInput,
  type PayeePolicy,
  type PayeeSession,
  stepPayee,
} from '../core/session/payee.ts'
import { judgeHello, termsFor } from '../core/session/payee-hello.ts'
import { isAgreed } from '../core/session/payee-state.ts'
import type { ChainFact } from '../ports/chain.ts'
import type { IncomingData, PayeeLink } from '../ports/link.ts'
import type { ServiceAdapter } from '../ports/service.ts'
import type { StoreOp } from '../ports/store.ts'
import type { PayeeDeskComponents, ServiceOnSale } from './components.ts'
import { type PayeeCrypto, payeeCrypto } from './crypto.ts'
import { Delivery } from './delivery.ts'
import { Journal } from './journal.ts'
import { PayeeRecords } from './records.ts'

export interface PayeeDeskInit {
  readonly policy: PayeePolicy & {
    readonly poolPerHour: Amount
    readonly patienceMs: number
    readonly maxSessions: number
    readonly sessionLastS: number
  }
  /** addresses that are refused */
  readonly banned?: ReadonlySet<Address>
}

/** D6 of the data protocol */
const MAX_STREAMS = 32
/** the session protocol's: live on one stream */
const MAX_SESSIONS_PER_LINK = 64
/** how many sessions that ended are remembered for what is still on its way; per stream */
const MAX_RECENT = 64
/** how long a service may take to look at the inputs of a hello */
const PREPARE_MS = 60_000

/** A session in memory: its state, its stream, its deliveries. */
interface Live {
  session: PayeeSession
  readonly channel: ChannelId
  readonly ownerKey: string
  link: PayeeLink | undefined
  readonly crypto: PayeeCrypto
  readonly deliveries: Map<number, Delivery>
  readonly service: string
  /** what this session uses of its owner's credit: kept, because every step of the owner's other sessions asks for it */
  exposed: Amount
  /** what the session sells; undefined for one from the disk, which goes on with what has its name now */
  adapter?: ServiceAdapter
}

const ownerKey = (owner: Address, token: Address): string => `${owner}${token}`

export class PayeeDesk {
  readonly #components: PayeeDeskComponents
  readonly #init: PayeeDeskInit
  readonly #records: PayeeRecords
  readonly #journal: Journal<Live, PayeeInput>
  readonly #services = new Map<string, ServiceOnSale>()
  readonly #channels = new Map<ChannelId, ChannelIn>()
  readonly #owners = new Map<string, OwnerAccount>()
  readonly #live = new Map<SessionId, Live>()
  readonly #byOwner = new Map<string, Set<Live>>()
  readonly #links = new Map<Address, PayeeLink>()
  /** sessions that ended on a stream that is still open: a payment may have been on its way, and the countersignature is */
  readonly #recent = new Map<SessionId, Live>()
  #pool: Pool = { hour: 0, left: 0n as Amount }
  #timer: NodeJS.Timeout | undefined
  #stopping = false

  constructor(components: PayeeDeskComponents, init: PayeeDeskInit) {
    this.#components = components
    this.#init = init
    this.#records = new PayeeRecords(components.store)
    this.#journal = new Journal({
      write: (lives) => this.#write(lives),
      done: (live, inputs) => this.#stored(live, inputs),
      failed: (lives, thrown) => this.#unstored(lives, thrown),
    })
  }

  /** Loads what was going on; sessions that were live are cut and may be resumed. */
  async start(): Promise<void> {
    this.#pool = (await this.#records.loadPool()) ?? this.#pool
    for await (const channel of this.#records.channels()) this.#channels.set(channel.id, channel)
    for await (const owner of this.#records.owners()) this.#owners.set(ownerKey(owner.owner, owner.token), owner)
    for await (const session of this.#records.openSessions(this.#components.clock.nowMs())) this.#adopt(session)
    this.#timer = setInterval(() => this.#tick(), this.#init.policy.clockMs)
  }

  sell(service: ServiceOnSale): void {
    this.#services.set(service.offer().service, service)
  }

  /** Serves one control stream until it ends. A second one of the same peer is served only after the first is closed. */
  async attach(link: PayeeLink): Promise<void> {
    this.#holds(link)
    try {
      for await (const batch of link) for (const message of batch) this.#onMessage(link, message)
    } catch (thrown) {
      // the payer must learn that nobody reads it any more; else its next stream would be a second one, and refused
      link.abort(new TallyError('INTERNAL', { cause: thrown }))
      throw thrown
    } finally {
      if (this.#links.get(link.address) === link) this.#links.delete(link.address)
      for (const live of [...this.#live.values()]) if (live.link === link) this.#cut(live)
      for (const [id, live] of this.#recent) if (live.link === link) this.#recent.delete(id)
    }
  }

  /** Whether this is the control stream of its peer; the first one is, and the next one once that is closed. */
  #holds(link: PayeeLink): boolean {
    const holder = this.#links.get(link.address)
    if (holder === undefined) this.#links.set(link.address, link)
    return holder === undefined || holder === link
  }

  /** Answers one data stream: checks that it belongs to a live session of that peer, asks the service, delivers as far as it is paid. */
  async serve(incoming: IncomingData): Promise<void> {
    const { session: id, stream, request } = incoming.header
    const live = this.#live.get(id)
    const adapter = live === undefined ? undefined : (live.adapter ?? this.#services.get(live.service)?.adapter)
    if (live === undefined || adapter === undefined || live.session.terms.signer !== incoming.address)
      return incoming.refuse(new TallyError('SESSION_UNKNOWN'))
    if (
      live.session.status !== 'live' ||
      live.session.stopping !== undefined ||
      live.deliveries.has(stream) ||
      live.session.flow.open.has(stream)
    ) {
      return incoming.refuse(new TallyError('WRONG_STATE'))
    }
    if (live.deliveries.size >= MAX_STREAMS || live.session.flow.open.size >= 2 * MAX_STREAMS)
      return incoming.refuse(new TallyError('RATE_EXCEEDED'))
    const delivery = new Delivery(incoming, {
      opened: () => this.#run(live, { type: 'opened', stream }),
      allowance: () =>
        allowance({ session: live.session, channel: this.#channelOf(live), owner: this.#ownerOf(live) }, this.#context(live)),
      wrote: (bytes) => this.#run(live, { type: 'wrote', stream, bytes }),
      blocked: () => {
        this.#journal.flush()
        this.#run(live, { type: 'blocked' })
      },
    })
    live.deliveries.set(stream, delivery)
    try {
      await delivery.run(adapter, request, live.session.terms.content)
    } catch (thrown) {
      this.#components.log.debug({ session: id, stream, err: asTallyError(thrown).code }, 'delivery ended early')
    } finally {
      if (live.deliveries.get(stream) === delivery) live.deliveries.delete(stream)
    }
  }

  /** Asks every payer to close, waits until they have or their patience is over. */
  async stop(signal?: AbortSignal): Promise<void> {
    this.#stopping = true
    for (const live of [...this.#live.values()]) this.#run(live, { type: 'stop', code: 'SHUTTING_DOWN' })
    const open = (): Live[] => [...this.#live.values()].filter((live) => live.link !== undefined)
    const wake = (): void => this.#tellEnded()
    signal?.addEventListener('abort', wake)
    while (open().length > 0 && signal?.aborted !== true) await new Promise<void>((resolve) => this.#ended.add(resolve))
    signal?.removeEventListener('abort', wake)
    clearInterval(this.#timer)
    for (const live of this.#live.values()) this.#cutDeliveries(live)
    this.#journal.flush()
  }

  readonly #ended = new Set<() => void>()

  /** Confirmed facts of the ledger, as the watcher tells them. */
  async onFacts(facts: readonly ChainFact[]): Promise<void> {
    const ops = []
    for (const fact of facts) {
      if (fact.type !== 'channel') continue
      const known = this.#channels.get(fact.id)
      if (known === undefined || fact.facts === undefined) continue
      const channel = { ...known, facts: fact.facts }
      this.#channels.set(fact.id, channel)
      ops.push(this.#records.putChannel(channel))
    }
    if (ops.length > 0) await this.#commit(ops)
  }

  channels(): Iterable<ChannelIn> {
    return this.#channels.values()
  }

  owners(): Iterable<OwnerAccount> {
    return this.#owners.values()
  }

  /** Sessions in memory: live, closing, or cut and resumable. */
  sessions(): Iterable<PayeeSession> {
    return [...this.#live.values()].map((live) => live.session)
  }

  #onMessage(link: PayeeLink, message: FromPayer): void {
    if (message.type === 'hello')
      return void this.#answerHello(link, message).catch((thrown: unknown) => this.#refuse(link, message.session, thrown))
    if (message.type === 'release')
      return void this.#answerRelease(link, message).catch((thrown: unknown) => this.#refuse(link, undefined, thrown))
    if (message.type === 'fault' && message.session === undefined) return
    const live =
      message.session === undefined ? undefined : (this.#live.get(message.session) ?? this.#recent.get(message.session))
    if (live === undefined || live.link !== link) {
      if (message.type === 'countersign')
        return void this.#late(link, message).catch((thrown: unknown) =>
          this.#components.log.warn({ err: asTallyError(thrown).code }, 'countersignature not stored'),
        )
      return this.#refuse(link, message.session, new TallyError('SESSION_UNKNOWN'))
    }
    const input = inputOf(message)
    // nobody reads this stream any more; the last word on a free one is only that it is not metered
    const left =
      message.type === 'ack' && message.final && live.session.flow.open.has(message.stream) ? message.stream : undefined
    if (input !== undefined) this.#run(live, input)
    if (left !== undefined) live.deliveries.get(left)?.cut()
  }

  #refuse(link: PayeeLink, session: SessionId | undefined, thrown: unknown): void {
    const error = asTallyError(thrown)
    if (error.kind.wire === undefined || error.code === 'INTERNAL')
      this.#components.log.error({ err: error }, 'refused with an internal error')
    link.send({ type: 'fault', session, code: error.wire })
  }

  async #answerHello(link: PayeeLink, hello: Hello): Promise<void> {
    if (!this.#holds(link)) throw new TallyError('BUSY')
    if (this.#stopping) throw new TallyError('SHUTTING_DOWN')
    const parties: ChannelParties = {
      owner: hello.owner,
      signer: link.address,
      target: this.#components.self.address,
      token: hello.token,
    }
    const known = this.#live.get(hello.session)
    if (known === undefined && hello.resume) return await this.#answerOld(link, hello)
    if (known !== undefined && known.session.terms.signer !== link.address) throw new TallyError('SESSION_UNKNOWN')
    const service = this.#services.get(hello.service)
    // a node that has just come back listens before everything is on sale again: a session that it knows can wait
    if (service === undefined && known !== undefined) throw new TallyError('BUSY')
    if (service !== undefined) await this.#lookUp(parties)
    this.#judge(link, hello, parties, known)
    if (service === undefined) throw new TallyError('SERVICE_UNKNOWN')
    if (known !== undefined) return await this.#resume(link, hello, known)
    const content = await service.adapter.prepare(hello.inputs, AbortSignal.timeout(PREPARE_MS))
    // much can have changed while the service looked at the inputs
    if (this.#stopping) throw new TallyError('SHUTTING_DOWN')
    if (this.#links.get(link.address) !== link) return
    if (this.#live.has(hello.session)) throw new TallyError('WRONG_STATE')
    this.#judge(link, hello, parties, undefined)
    await this.#offer(link, hello, parties, service, content)
  }

  /** @throws the first demand of the offer that is not met */
  #judge(link: PayeeLink, hello: Hello, parties: ChannelParties, known: Live | undefined): void {
    const { clock } = this.#components
    const { policy, banned } = this.#init
    const here = [...this.#live.values()].filter((live) => live.link === link && live !== known).length
    const code = judgeHello(hello, {
      offer: this.#services.get(hello.service)?.offer(), channel: this.#channels.get(channelId(parties)),
      live: here >= MAX_SESSIONS_PER_LINK ? policy.maxSessions : this.#live.size - (known === undefined ? 0 : 1), maxSessions: policy.maxSessions,
      banned: banned?.has(link.address) === true || banned?.has(hello.owner) === true,
      nowS: clock.nowS(), marginS: policy.marginS, patienceS: Math.ceil(policy.patienceMs / 1000), unreserved: policy.unreserved,
    }) // biome-ignore format: a record
    if (code !== undefined) throw new TallyError(code)
  }

  async #offer(
    link: PayeeLink,
    hello: Hello,
    parties: ChannelParties,
    service: ServiceOnSale,
    content: Uint8Array,
  ): Promise<void> {
    const { self, domain, clock } = this.#components
    const { policy } = this.#init
    const offer = service.offer()
    const owner = this.#grant(parties, chunkCost(offer.price, offer.chunk))
    const arrearsTaken = [...(this.#byOwner.get(ownerKey(owner.owner, owner.token)) ?? [])].some(
      (live) => live.session.terms.arrears > 0n,
    )
    const terms = termsFor(hello, offer, owner, {
      signer: link.address, content, patienceMs: policy.patienceMs, nowS: clock.nowS(), lastS: policy.sessionLastS, arrearsTaken,
    }) // biome-ignore format: a record
    const crypto = payeeCrypto(domain, self, parties, link.publicKey, terms)
    const live = this.#adopt(newPayeeSession(terms, crypto.termsDigest, crypto.termsSignature, clock.nowMs()), link, crypto)
    live.adapter = service.adapter
    await this.#sendTerms(live)
  }

  async #resume(link: PayeeLink, hello: Hello, live: Live): Promise<void> {
    if (!hello.resume) throw new TallyError('WRONG_STATE')
    // its last payment or its receipt is on the way to the disk
    if (live.session.status !== 'cut' || (live.link !== undefined && live.link !== link)) throw new TallyError('BUSY')
    live.link = link
    this.#run(live, { type: 'resume', acked: hello.acked })
    await this.#sendTerms(live)
  }

  /** A session that is not in memory: closed, and then the receipt is the answer, or never heard of. */
  async #answerOld(link: PayeeLink, hello: Hello): Promise<void> {
    const old = await this.#records.session(hello.session)
    if (old?.receipt === undefined || old.terms.signer !== link.address) throw new TallyError('SESSION_UNKNOWN')
    link.send({ type: 'receipt', session: hello.session, receipt: old.receipt })
  }

  async #late(link: PayeeLink, message: FromPayer & { type: 'countersign' }): Promise<void> {
    const old = await this.#records.session(message.session)
    if (old === undefined || old.receipt === undefined || old.countersignature !== undefined || old.terms.signer !== link.address)
      return
    const parties = { owner: old.terms.owner, signer: old.terms.signer, target: old.terms.provider, token: old.terms.token }
    const crypto = payeeCrypto(this.#components.domain, this.#components.self, parties, link.publicKey, old.terms)
    if (!crypto.verifyReceipt(old.receipt.receipt, message.signature)) return
    await this.#commit([this.#records.putSession({ ...old, countersignature: message.signature })])
  }

  /** Only what is on the disk is said: a payer takes the head and the total of the terms for confirmed. */
  async #sendTerms(live: Live): Promise<void> {
    const { session, link } = live
    const state = { session, channel: this.#channelOf(live), owner: this.#ownerOf(live) }
    const owner = this.#durableOwner(live.ownerKey, [live])
    const message: TermsOffered = {
      type: 'terms', terms: session.terms, signature: session.termsSignature, head: state.channel.best, total: session.total,
      acked: ackedMeter(session), credit: creditLeft(state, this.#context(live)),
    } // biome-ignore format: a record
    const agreed = isAgreed(session) ? [this.#records.putSession(onceDurable(session, owner).session)] : []
    await this.#commit([this.#records.putPool(this.#pool), this.#records.putOwner(owner), ...agreed])
    if (live.session.status === 'offered' && live.link === link) link?.send(message)
  }

  /** The channel's record; facts are asked from the chain when the channel is new here or its reservation looks used up or over. */
  async #lookUp(parties: ChannelParties): Promise<void> {
    const id = channelId(parties)
    const known = this.#channels.get(id)
    const fresh =
      known !== undefined &&
      known.facts.expiry > this.#components.clock.nowS() &&
      known.facts.deposit > (known.best?.amount ?? 0n)
    if (fresh) return
    const view = await this.#components.chain.channel(parties).catch((thrown: unknown) => {
      if (known !== undefined) return { id, confirmed: known.facts }
      throw new TallyError('BUSY', { cause: thrown })
    })
    if (view.confirmed === undefined || view.confirmed.deposit === 0n) return
    const channel: ChannelIn = {
      ...(this.#channels.get(id) ?? { id, parties, best: undefined, frozen: undefined }),
      facts: view.confirmed,
    }
    this.#channels.set(id, channel)
    this.#components.chain.watch([id])
    await this.#commit([this.#records.putChannel(channel)])
  }

  #grant(parties: ChannelParties, want: Amount): OwnerAccount {
    const key = ownerKey(parties.owner, parties.token)
    const account = this.#owners.get(key) ?? newOwner(parties.owner, parties.token)
    const taken = takeGrant(this.#pool, account, want, this.#init.policy, this.#components.clock.nowS())
    this.#pool = taken.pool
    this.#owners.set(key, taken.account)
    return taken.account
  }

  async #answerRelease(link: PayeeLink, message: Release): Promise<void> {
    const parties = { owner: message.owner, signer: link.address, target: this.#components.self.address, token: message.token }
    const id = channelId(parties)
    if (!this.#holds(link)) throw new TallyError('BUSY')
    const channel = this.#channels.get(id)
    if (channel === undefined) throw new TallyError('CHANNEL_UNKNOWN')
    if ([...this.#live.values()].some((live) => live.channel === id)) throw new TallyError('CHANNEL_IN_USE')
    if (message.epoch !== channel.facts.epoch || message.amount !== (channel.best?.amount ?? channel.facts.settled))
      throw new TallyError('HEAD_DISAGREES')
    const deadline = this.#components.closeDeadline()
    const frozen = { ...channel, frozen: { until: deadline, epoch: message.epoch } }
    this.#channels.set(id, frozen)
    await this.#commit([this.#records.putChannel(frozen)])
    const signature = this.#components.signClose({ channel: id, amount: message.amount, deadline, epoch: message.epoch })
    link.send({ type: 'released', channel: id, amount: message.amount, deadline, epoch: message.epoch, signature })
  }

  #adopt(session: PayeeSession, link?: PayeeLink, crypto?: PayeeCrypto): Live {
    const { terms } = session
    const parties = { owner: terms.owner, signer: terms.signer, target: terms.provider, token: terms.token }
    const key = ownerKey(terms.owner, terms.token)
    const live: Live = {
      session, channel: channelId(parties), ownerKey: key, link, service: terms.service, deliveries: new Map(), exposed: exposureOf(session),
      crypto: crypto ?? payeeCrypto(this.#components.domain, this.#components.self, parties, undefined, terms),
    } // biome-ignore format: a record
    this.#live.set(session.id, live)
    const mine = this.#byOwner.get(key) ?? new Set()
    this.#byOwner.set(key, mine.add(live))
    return live
  }

  #channelOf(live: Live): ChannelIn {
    const channel = this.#channels.get(live.channel)
    if (channel === undefined) throw new TallyError('INTERNAL', { message: `no record of channel ${live.channel}` })
    return channel
  }

  #ownerOf(live: Live): OwnerAccount {
    return this.#owners.get(live.ownerKey) ?? newOwner(live.session.terms.owner, live.session.terms.token)
  }

  #context(live: Live): PayeeContext {
    const { clock } = this.#components
    let other = 0n
    for (const one of this.#byOwner.get(live.ownerKey) ?? []) if (one !== live) other += one.exposed
    return { nowMs: clock.nowMs(), nowS: clock.nowS(), policy: this.#init.policy, otherExposure: other as Amount, ...live.crypto }
  }

  /** One input of one session. An error in the rules costs this session, never the process or another session. */
  #run(live: Live, input: PayeeInput): void {
    try {
      this.#step(live, input)
    } catch (thrown) {
      this.#components.log.error(
        { session: live.session.id, input: input.type, err: thrown },
        'an error of this program; the session is given up',
      )
      this.#live.delete(live.session.id)
      this.#byOwner.get(live.ownerKey)?.delete(live)
      this.#cutDeliveries(live)
      live.link?.send({ type: 'fault', session: live.session.id, code: new TallyError('INTERNAL').wire })
      this.#tellEnded()
    }
  }

  #step(live: Live, input: PayeeInput): void {
    const before = { session: live.session, channel: this.#channelOf(live), owner: this.#ownerOf(live) }
    const { state, effects } = stepPayee(before, input, this.#context(live))
    live.session = state.session
    live.exposed = exposureOf(state.session)
    this.#channels.set(live.channel, state.channel)
    this.#owners.set(live.ownerKey, state.owner)
    for (const effect of effects) this.#perform(live, effect)
    const { events } = this.#components
    if (events.listenerCount('payee:session') > 0)
      events.emit('payee:session', { session: live.session, due: dueOf(live.session), exposure: live.exposed })
  }

  #perform(live: Live, effect: PayeeEffect): void {
    switch (effect.type) {
      case 'send': return live.link?.send(effect.message)
      case 'store': return this.#store(live, effect.then)
      case 'serve': return this.#wake(live)
      case 'cutStreams': return this.#cutDeliveries(live)
      case 'drop': return live.link?.abort(new TallyError(effect.code))
      case 'settle': return this.#components.settle(live.channel, 'expiry')
      case 'ended': return this.#end(live, effect.code)
      default: return effect satisfies never
    } // biome-ignore format: a table
  }

  /** The owner's account as it is once all that was given to the disk is on it; its sessions write into one record. */
  #durableOwner(key: string, lives: Iterable<Live>): OwnerAccount {
    let owner = this.#owners.get(key)
    for (const { session } of new Set([...(this.#byOwner.get(key) ?? []), ...lives])) {
      owner ??= newOwner(session.terms.owner, session.terms.token)
      if (session.paid < session.total) owner = onceDurable(session, owner).owner
    }
    if (owner === undefined) throw new TallyError('INTERNAL', { message: 'no session and no record of an owner' })
    return owner
  }

  #store(live: Live, then: PayeeInput | undefined): void {
    const payment = then?.type === 'stored' && then.what === 'payment'
    this.#journal.add(live, then, !payment || this.#isWaitedFor(live))
    // the store is closed soon: nothing may wait for a later turn
    if (this.#stopping) this.#journal.flush()
  }

  /** Whether a payment should be on the disk at once: nothing is being delivered, or what is has used half of the credit. */
  #isWaitedFor(live: Live): boolean {
    if (live.session.status !== 'live' || live.session.paused || live.deliveries.size === 0) return true
    let exposed = 0n
    for (const one of this.#byOwner.get(live.ownerKey) ?? []) exposed += one.exposed
    return 2n * exposed >= creditLimit(this.#ownerOf(live), this.#init.policy)
  }

  /** Other records of the desk, after those that wait: the records of a channel and of its sessions are never apart on the disk. */
  async #commit(ops: StoreOp[]): Promise<void> {
    this.#journal.flush()
    await this.#components.store.commit(ops)
  }

  async #write(lives: ReadonlySet<Live>): Promise<void> {
    const ops: StoreOp[] = []
    const channels = new Set<ChannelId>()
    const owners = new Map<string, Live[]>()
    for (const live of lives) {
      ops.push(this.#records.putSession(onceDurable(live.session, this.#ownerOf(live)).session))
      if (!channels.has(live.channel)) ops.push(this.#records.putChannel(this.#channelOf(live)))
      channels.add(live.channel)
      const mine = owners.get(live.ownerKey)
      if (mine === undefined) owners.set(live.ownerKey, [live])
      else mine.push(live)
    }
    for (const [key, mine] of owners) ops.push(this.#records.putOwner(this.#durableOwner(key, mine)))
    await this.#components.store.commit(ops)
  }

  /** Totals are cumulative: of several payments that became durable together, the last one says it all. */
  #stored(live: Live, inputs: readonly PayeeInput[]): void {
    const isPayment = (input: PayeeInput | undefined): boolean => input?.type === 'stored' && input.what === 'payment'
    inputs.forEach((input, at) => {
      if (!isPayment(input) || !isPayment(inputs[at + 1])) this.#run(live, input)
    })
  }

  /** What is not on the disk is not paid: without a disk nothing more is delivered. */
  #unstored(lives: ReadonlySet<Live>, thrown: unknown): void {
    this.#components.log.error({ err: asTallyError(thrown) }, 'the store failed; its sessions are cut')
    for (const live of lives) live.link?.abort(new TallyError('INTERNAL'))
  }

  #wake(live: Live): void {
    for (const one of this.#byOwner.get(live.ownerKey) ?? []) for (const delivery of one.deliveries.values()) delivery.wake()
  }

  #cutDeliveries(live: Live): void {
    for (const delivery of live.deliveries.values()) delivery.cut()
    live.deliveries.clear()
  }

  #cut(live: Live): void {
    live.link = undefined
    this.#run(live, { type: 'cut' })
    this.#tellEnded()
  }

  #end(live: Live, code: ErrorCode | undefined): void {
    this.#live.delete(live.session.id)
    this.#byOwner.get(live.ownerKey)?.delete(live)
    if (this.#byOwner.get(live.ownerKey)?.size === 0) this.#byOwner.delete(live.ownerKey)
    this.#remember(live)
    this.#components.settle(live.channel, 'close')
    this.#components.events.emit('payee:ended', { session: live.session, code })
    this.#tellEnded()
  }

  #remember(live: Live): void {
    if (live.link === undefined || live.session.receipt === undefined) return
    this.#recent.set(live.session.id, live)
    const mine = [...this.#recent].filter(([, one]) => one.link === live.link)
    for (const [id] of mine.slice(0, -MAX_RECENT)) this.#recent.delete(id)
  }

  #tellEnded(): void {
    for (const resolve of this.#ended) resolve()
    this.#ended.clear()
  }

  #tick(): void {
    for (const live of [...this.#live.values()]) this.#run(live, { type: 'clock' })
  }
}

/** The messages that are inputs of a session as they are; hello and release begin something. */
function inputOf(message: FromPayer): PayeeInput | undefined {
  switch (message.type) {
    case 'restate':
    case 'promise':
    case 'close': return { type: message.type, message } as PayeeInput
    case 'accept': return { type: 'accept', signature: message.signature }
    case 'ack': return { type: 'ack', stream: message.stream, bytes: message.bytes, ms: message.ms, final: message.final }
    case 'countersign': return { type: 'countersign', signature: message.signature }
    case 'fault': return { type: 'fault', code: message.code }
    case 'hello':
    case 'release': return undefined
    default: return message satisfies never
  } // biome-ignore format: a table
}
