/**
 * The provider's desk: the only place where the payee's rules meet I/O. Every message, timer and byte becomes an input of `stepPayee`;
 * what it answers is stored first and done then.
 *
 * Owns: the records of channels, owners and sessions in which this node is paid. Authority for what was delivered and paid.
 */
import { creditLimit } from '../core/credit.ts'
import { asTallyError, type ErrorCode, TallyError } from '../core/errors.ts'
import type { Address, Hash32, SessionId } from '../core/ids.ts'
import { isOpen } from '../core/session/flow.ts'
import type { FromPayer } from '../core/session/messages.ts'
import {
  dueOf,
  type PayeeContext,
  type PayeeEffect,
  type PayeeInput,
  type PayeeSession,
  stepPayee,
} from '../core/session/payee.ts'
import { quantumOf } from '../core/session/worth.ts'
import type { ChainFact } from '../ports/chain.ts'
import type { IncomingData, PayeeLink } from '../ports/link.ts'
import type { PayeeDeskComponents, PayeeDeskInit, ServiceOnSale } from './components.ts'
import { isBlank, type Live, PayeeBook, remember, type Visit } from './payee-book.ts'
import { PayeeChannels, trustPolicyOf } from './payee-channels.ts'
import { PayeeChecks } from './payee-checks.ts'
import { PayeeClosings } from './payee-closings.ts'
import { PayeeDeliveries } from './payee-deliveries.ts'
import { HelloDesk } from './payee-hello-desk.ts'
import { inputOf } from './payee-inputs.ts'
import type { PayeeShelf } from './payee-shelf.ts'
import { PayeeTicks } from './payee-ticks.ts'

const IDLE_MS = 600_000

export class PayeeDesk {
  readonly #components: PayeeDeskComponents
  readonly #init: PayeeDeskInit
  readonly #book: PayeeBook
  readonly #channels: PayeeChannels
  readonly #hellos: HelloDesk
  readonly #closings: PayeeClosings
  readonly #deliveries: PayeeDeliveries
  readonly #ticks: PayeeTicks
  readonly #checks: PayeeChecks
  readonly #services = new Map<string, ServiceOnSale>()
  /** the control stream of each peer */
  readonly #visits = new Map<Address, Visit>()
  readonly #ended = new Set<() => void>()
  readonly #isAnchorUsed = (anchor: Hash32): boolean => this.#book.anchors.isUsed(anchor)
  #timer: NodeJS.Timeout | undefined
  #stopping = false

  constructor(components: PayeeDeskComponents, init: PayeeDeskInit) {
    this.#components = components
    this.#init = init
    const book = new PayeeBook(components, {
      stored: (live, inputs) => this.#stored(live, inputs),
      unstored: (lives, thrown) => this.#unstored(lives, thrown),
    })
    const run = this.#run.bind(this)
    const context = this.#context.bind(this)
    const services = this.#services
    this.#book = book
    this.#channels = new PayeeChannels(book, components, trustPolicyOf(init))
    this.#closings = new PayeeClosings(book, components)
    this.#deliveries = new PayeeDeliveries({ book, services, log: components.log, run, context })
    this.#checks = new PayeeChecks({ book, log: components.log, threads: init.checkThreads })
    this.#ticks = new PayeeTicks({ book, unreserved: init.policy.unreserved, run })
    this.#hellos = new HelloDesk({
      ...init, components, book, services, run, context, channels: this.#channels,
      isOpen: (visit) => this.#visits.get(visit.link.address) === visit, isStopping: () => this.#stopping,
    }) // biome-ignore format: a record
  }

  /** Loads what was going on; sessions that were live are cut and may be resumed. */
  async start(): Promise<void> {
    await this.#book.load()
    this.#timer = setInterval(() => this.#tick(), this.#init.policy.clockMs)
  }

  sell(service: ServiceOnSale): void {
    this.#services.set(service.offer().service, service)
  }

  /** Serves one control stream until it ends. A second one of the same peer is served only after the first is closed. */
  async attach(link: PayeeLink): Promise<void> {
    const visit: Visit = { link, lives: new Set(), recent: new Map(), hellos: 0, isLate: false }
    this.#holds(visit)
    try {
      for await (const batch of link) {
        const ahead = this.#checks.ahead(visit, batch)
        if (ahead !== undefined) await ahead
        for (const message of batch) {
          if (message.type === 'tick' && this.#ticks.take(visit, message)) continue
          if (message.type !== 'ack') this.#ticks.handIn()
          const asked =
            message.type === 'promise' || message.type === 'tick' ? this.#channels.askFirst(visit, message) : undefined
          if (asked !== undefined) await asked
          this.#onMessage(visit, message)
        }
        this.#ticks.handIn()
      }
    } catch (thrown) {
      // the payer must learn that nobody reads it any more; else its next stream would be a second one, and refused
      link.abort(new TallyError('INTERNAL', { cause: thrown }))
      throw thrown
    } finally {
      this.#ticks.handIn()
      if (this.#visits.get(link.address) === visit) this.#visits.delete(link.address)
      for (const live of [...visit.lives]) this.#cut(live)
      visit.recent.clear()
    }
  }

  /** Whether this is the control stream of its peer; the first one is, and the next one once that is closed. */
  #holds(visit: Visit): boolean {
    const holder = this.#visits.get(visit.link.address)
    if (holder === undefined) this.#visits.set(visit.link.address, visit)
    return holder === undefined || holder === visit
  }

  /** Answers one data stream; resolves when it is over, whatever became of it. */
  async serve(incoming: IncomingData): Promise<void> {
    await this.#deliveries.serve(incoming)
  }

  /** Asks every payer to close, waits until they have or their patience is over. */
  async stop(signal?: AbortSignal): Promise<void> {
    this.#stopping = true
    for (const live of this.#book.lives()) this.#run(live, { type: 'stop', code: 'SHUTTING_DOWN' })
    const isOpen = (): boolean => this.#book.lives().some((live) => live.visit !== undefined)
    const wake = (): void => this.#tellEnded()
    signal?.addEventListener('abort', wake)
    while (isOpen() && signal?.aborted !== true) await new Promise<void>((resolve) => this.#ended.add(resolve))
    signal?.removeEventListener('abort', wake)
    clearInterval(this.#timer)
    for (const live of this.#book.lives()) this.#deliveries.cut(live)
    this.#book.flush()
    await this.#checks.stop()
  }

  /** Confirmed facts of the ledger, as the watcher tells them. */
  onFacts = async (facts: readonly ChainFact[]): Promise<void> => await this.#channels.onFacts(facts)

  /** The records of channels and owners, as far as they are not in a session's hands. */
  get shelf(): PayeeShelf {
    return this.#book.shelf
  }

  /** Sessions in memory: live, closing, or cut and resumable. */
  sessions(): Iterable<PayeeSession> {
    return this.#book.lives().map((live) => live.session)
  }

  #onMessage(visit: Visit, message: FromPayer): void {
    const failed = (thrown: unknown): void => this.#refuse(visit, message.type === 'hello' ? message.session : undefined, thrown)
    if (message.type === 'hello' || message.type === 'release') {
      if (!this.#holds(visit)) return failed(new TallyError('BUSY'))
      const answer = message.type === 'hello' ? this.#hellos.answer(visit, message) : this.#closings.release(visit, message)
      return void answer.catch(failed)
    }
    if (message.session === undefined) return
    const live = this.#book.live(message.session)
    if (live?.visit === visit) return this.#onSessionMessage(live, message)
    const recent = visit.recent.get(message.session)
    if (recent !== undefined) return this.#onRecentMessage(recent, message)
    if (message.type !== 'countersign') return this.#refuse(visit, message.session, new TallyError('SESSION_UNKNOWN'))
    this.#closings
      .countersign(visit, message)
      .catch((thrown: unknown) => this.#components.log.warn({ err: asTallyError(thrown).code }, 'countersignature not stored'))
  }

  #onSessionMessage(live: Live, message: FromPayer): void {
    const input = inputOf(message)
    // nobody reads this stream any more; the last word on a free one is only that it is not metered
    const left = message.type === 'ack' && message.final && isOpen(live.session.flow, message.stream) ? message.stream : undefined
    if (input !== undefined) this.#run(live, input)
    if (left !== undefined) live.deliveries.get(left)?.cut()
  }

  /** Of a session that is over one countersignature is looked at: each costs as much as a payment, and brings nothing. */
  #onRecentMessage(live: Live, message: FromPayer): void {
    if (message.type === 'countersign' && live.isCountersigned) return
    if (message.type === 'countersign') live.isCountersigned = true
    this.#onSessionMessage(live, message)
  }

  #refuse({ link }: Visit, session: SessionId | undefined, thrown: unknown): void {
    const error = asTallyError(thrown)
    if (error.kind.wire === undefined || error.code === 'INTERNAL')
      this.#components.log.error({ err: error }, 'refused with an internal error')
    link.send({ type: 'fault', session, code: error.wire })
  }

  /** Made once for a session: a step is made for every piece, and only these three figures differ from step to step. */
  #context(live: Live): PayeeContext {
    const { clock } = this.#components
    const nowMs = clock.nowMs()
    const nowS = clock.nowS()
    const otherExposure = this.#book.otherExposure(live)
    live.context ??= { ...live.crypto, policy: this.#init.policy, isAnchorUsed: this.#isAnchorUsed, nowMs, nowS, otherExposure }
    return Object.assign(live.context, { nowMs, nowS, otherExposure })
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
      this.#book.remove(live)
      this.#deliveries.cut(live)
      live.visit?.link.send({ type: 'fault', session: live.session.id, code: new TallyError('INTERNAL').wire })
      this.#tellEnded()
    }
  }

  #step(live: Live, input: PayeeInput): void {
    const before = live.session
    const { state, effects } = stepPayee(this.#book.state(live), input, this.#context(live))
    this.#book.setState(live, state)
    const { flow, total, status } = state.session
    if (flow !== before.flow || total !== before.total || status !== before.status)
      live.idleSince = this.#components.clock.nowMs()
    for (const effect of effects) this.#perform(live, effect)
    // a payment that nobody was waiting for when it came
    if (input.type === 'wrote' && live.session.paid < live.session.total && this.#isWaitedFor(live)) this.#book.hurry()
    const { events } = this.#components
    if (events.listenerCount('payee:session') > 0)
      events.emit('payee:session', { session: live.session, due: dueOf(live.session), exposure: live.exposed })
  }

  #perform(live: Live, effect: PayeeEffect): void {
    switch (effect.type) {
      case 'send': return live.visit?.link.send(effect.message)
      case 'store': return this.#store(live, effect.then)
      case 'serve': return this.#deliveries.wake(live)
      case 'cutStreams': return this.#deliveries.cut(live)
      case 'drop': return live.visit?.link.abort(new TallyError(effect.code))
      case 'forget': return void live.visit?.recent.delete(live.session.id)
      case 'settle': return this.#components.settle(live.channel, 'expiry')
      case 'ended': return this.#end(live, effect.code)
      default: return effect satisfies never
    } // biome-ignore format: a table
  }

  #store(live: Live, then: PayeeInput | undefined): void {
    const payment = then?.type === 'stored' && then.what === 'payment'
    this.#book.store(live, then, !payment || this.#isWaitedFor(live))
    // the store is closed soon: nothing may wait for a later turn
    if (this.#stopping) this.#book.flush()
  }

  /** Whether a payment should be on the disk at once: nothing is being delivered, or what is has used half of the credit. */
  #isWaitedFor({ session, deliveries, file }: Live): boolean {
    if (session.status !== 'live' || session.paused || deliveries.size === 0) return true
    return 2n * file.exposed >= creditLimit(file.account, this.#init.policy)
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
    for (const live of lives) live.visit?.link.abort(new TallyError('INTERNAL'))
  }

  #cut(live: Live): void {
    live.visit?.lives.delete(live)
    live.visit = undefined
    this.#run(live, { type: 'cut' })
    // nobody has anything to come back for: the slot is for others
    if (live.session.status === 'cut' && isBlank(live.session))
      this.#run(live, { type: 'fault', code: new TallyError('ABORTED').wire })
    this.#tellEnded()
  }

  #end(live: Live, code: ErrorCode | undefined): void {
    this.#book.remove(live)
    remember(live)
    this.#components.settle(live.channel, 'close')
    this.#components.events.emit('payee:ended', { session: live.session, code })
    this.#tellEnded()
  }

  #tellEnded(): void {
    for (const resolve of this.#ended) resolve()
    this.#ended.clear()
  }

  #tick(): void {
    const nowMs = this.#components.clock.nowMs()
    for (const live of this.#book.lives()) {
      this.#run(live, { type: 'clock' })
      if (live.deliveries.size > 0) live.idleSince = nowMs
      if (live.session.paused) this.#channels.lookForMore(live, quantumOf(live.session.terms))
      const isIdle = live.session.status === 'live' && nowMs - live.idleSince > (this.#init.policy.idleMs ?? IDLE_MS)
      // what it owes below a chunk nobody waits for; asked to close, the payer pays that too
      if (isIdle) this.#run(live, { type: 'stop', code: 'PATIENCE_OVER' })
    }
  }
}
