/**
 * The provider's books: the sessions in which this node is paid, with the channels and owners that they use, in memory and on the disk. What
 * an owner's sessions expose is kept as a sum: every step of every session asks for it.
 */
import type { Amount } from '../core/amount.ts'
import type { OwnerAccount, Pool } from '../core/credit.ts'
import { TallyError } from '../core/errors.ts'
import { type ChannelId, channelId, type SessionId } from '../core/ids.ts'
import { countsOf, someCount } from '../core/session/counts.ts'
import { exposedOf } from '../core/session/flow.ts'
import {
  dueOf,
  exposureOf,
  onceDurable,
  type PayeeContext,
  type PayeeInput,
  type PayeeSession,
  type PayeeState,
} from '../core/session/payee.ts'
import { exposedMeter } from '../core/session/payee-state.ts'
import { worthOf } from '../core/session/worth.ts'
import { termsChannel } from '../core/terms.ts'
import type { PayeeLink } from '../ports/link.ts'
import type { ServiceAdapter } from '../ports/service.ts'
import type { StoreOp } from '../ports/store.ts'
import type { PayeeDeskComponents } from './components.ts'
import { type PayeeCrypto, payeeCrypto } from './crypto.ts'
import type { Delivery } from './delivery.ts'
import { Journal } from './journal.ts'
import { PayeeAnchors } from './payee-anchors.ts'
import { type ChannelFile, type OwnerFile, PayeeShelf } from './payee-shelf.ts'
import { PayeeRecords } from './records.ts'

/** One control stream, as long as it is read. */
export interface Visit {
  readonly link: PayeeLink
  readonly lives: Set<Live>
  /** sessions that ended here: a payment may have been on its way, and the countersignature is */
  readonly recent: Map<SessionId, Live>
  /** hellos that are being answered */
  hellos: number
  /** whether the countersignature of an old session is being looked at */
  isLate: boolean
}

/** A session in memory: its state, its stream, its deliveries. */
export interface Live {
  session: PayeeSession
  readonly channel: ChannelId
  /** its channel, and its owner: in memory as long as the session is */
  readonly record: ChannelFile
  readonly file: OwnerFile
  visit: Visit | undefined
  readonly crypto: PayeeCrypto
  /** what its rules ask for beside its records, once it has been asked for; for one step */
  context?: PayeeContext
  readonly deliveries: Map<number, Delivery>
  /** its part of the owner's sum */
  exposed: Amount
  /** monotonic time since which nothing was delivered, acknowledged or paid, ms */
  idleSince: number
  /** bytes of streams that are not metered */
  freeBytes: number
  /** its one countersignature has come, good or not */
  isCountersigned: boolean
  /** what the session sells; undefined for one from the disk, which goes on with what has its name now */
  adapter?: ServiceAdapter
}

/** What is told about records that were given to the disk. */
export interface BookInit {
  readonly stored: (live: Live, inputs: readonly PayeeInput[]) => void
  readonly unstored: (lives: ReadonlySet<Live>, thrown: unknown) => void
}

/** Nothing was delivered in it and nothing paid: there is nothing to go on with, and nothing to remember. */
export function isBlank(session: PayeeSession): boolean {
  const { terms, total, flow, counts } = session
  if (total > 0n || exposedOf(flow) > 0n || someCount(countsOf(counts, exposedOf))) return false
  return worthOf(terms, exposedMeter(session)) === terms.arrears && dueOf(session) === terms.arrears
}

/** how many sessions that ended are remembered for what is still on its way; per stream */
const MAX_RECENT = 64

/** What is still on its way for a session that is over finds it as long as its stream is open, and not too many came after it. */
export function remember(live: Live): void {
  const { visit, session } = live
  if (visit === undefined || session.receipt === undefined) return
  visit.recent.set(session.id, live)
  const [oldest] = visit.recent.keys()
  if (visit.recent.size > MAX_RECENT && oldest !== undefined) visit.recent.delete(oldest)
}

export class PayeeBook {
  readonly records: PayeeRecords
  readonly shelf: PayeeShelf
  readonly #components: PayeeDeskComponents
  readonly anchors: PayeeAnchors
  readonly #journal: Journal<Live, PayeeInput>
  readonly #live = new Map<SessionId, Live>()
  pool: Pool = { hour: 0, left: 0n as Amount }

  constructor(components: PayeeDeskComponents, { stored, unstored }: BookInit) {
    this.#components = components
    this.records = new PayeeRecords(components.store)
    this.shelf = new PayeeShelf(components.store, this.records)
    this.anchors = new PayeeAnchors(this.records)
    this.#journal = new Journal({ write: (lives) => this.#write(lives), done: stored, failed: unstored })
  }

  /** Loads what was going on; sessions that were live are cut. */
  async load(): Promise<void> {
    await this.shelf.load()
    this.pool = (await this.records.loadPool()) ?? this.pool
    for await (const session of this.records.openSessions(this.#components.clock.nowMs())) {
      const { owner, token } = session.terms
      const record = await this.shelf.channel(channelId(termsChannel(session.terms)))
      this.adopt(session, record, await this.shelf.owner(owner, token))
    }
  }

  /** A list, because whoever goes through it may end sessions. */
  lives(): Live[] {
    return [...this.#live.values()]
  }

  live(id: SessionId): Live | undefined {
    return this.#live.get(id)
  }

  get size(): number {
    return this.#live.size
  }

  /** The session is in memory from now on; without a visit as one that was cut. */
  adopt(session: PayeeSession, record: ChannelFile, file: OwnerFile, visit?: Visit, crypto?: PayeeCrypto): Live {
    const { terms } = session
    const { domain, self, clock } = this.#components
    const parties = termsChannel(terms)
    const live: Live = {
      session, channel: record.id, record, file, visit, deliveries: new Map(), exposed: 0n as Amount,
      crypto: crypto ?? payeeCrypto(domain, self, parties, undefined, terms), idleSince: clock.nowMs(), freeBytes: 0, isCountersigned: false,
    } // biome-ignore format: a record
    this.#live.set(session.id, live)
    live.file.lives.add(live)
    this.#expose(live)
    visit?.lives.add(live)
    return live
  }

  /** The session is over: it uses nothing of its owner's credit any more. */
  remove(live: Live): void {
    if (this.#live.get(live.session.id) === live) this.#live.delete(live.session.id)
    if (live.file.lives.delete(live)) live.file.exposed -= live.exposed
    live.visit?.lives.delete(live)
    this.shelf.left(live)
  }

  state(live: Live): PayeeState {
    const { channel } = live.record
    if (channel === undefined) throw new TallyError('INTERNAL', { message: `no record of channel ${live.channel}` })
    return { session: live.session, channel, owner: live.file.account }
  }

  setState(live: Live, { session, channel, owner }: PayeeState): void {
    this.anchors.note(live.record.channel?.best, channel.best)
    live.session = session
    live.file.account = owner
    live.record.channel = channel
    if (session.paid < session.total && !live.file.lives.has(live)) live.file.late.add(live)
    else live.file.late.delete(live)
    this.#expose(live)
  }

  #expose(live: Live): void {
    const exposed = exposureOf(live.session)
    if (live.file.lives.has(live)) live.file.exposed += exposed - live.exposed
    live.exposed = exposed
  }

  /** What the owner's other sessions use of its credit, base units. */
  otherExposure(live: Live): Amount {
    const own = live.file.lives.has(live) ? live.exposed : 0n
    return (live.file.exposed - own) as Amount
  }

  /** The owner's account as it is once all that was given to the disk is on it; its sessions write into one record. */
  durableOwner(file: OwnerFile, ended: Iterable<Live>): OwnerAccount {
    let owner = file.account
    const add = ({ session }: Live): void => {
      if (session.paid < session.total) owner = onceDurable(session, owner).owner
    }
    // what one of them has paid is on the disk before this is: another write must not take it back
    for (const live of new Set([...file.lives, ...file.late, ...ended])) add(live)
    return owner
  }

  /** Writes the session's records; in a hurry with the next write, else with the next that somebody is in a hurry for. */
  store(live: Live, then: PayeeInput | undefined, hurry: boolean): void {
    this.#journal.add(live, then, hurry)
  }

  /** What waits to be written goes with the next write. */
  hurry(): void {
    this.#journal.hurry()
  }

  flush(): void {
    this.#journal.flush()
  }

  /** Other records of the desk, after those that wait: the records of a channel and of its sessions are never apart on the disk. */
  async commit(ops: readonly StoreOp[], channels: Iterable<ChannelFile> = []): Promise<void> {
    this.#journal.flush()
    await this.#components.store.commit([...ops, ...this.shelf.ops(channels)])
  }

  async #write(lives: ReadonlySet<Live>): Promise<void> {
    const ops = this.anchors.take()
    const channels = new Set<ChannelFile>()
    const owners = new Map<OwnerFile, Live[]>()
    for (const live of lives) {
      const { session, owner } = this.state(live)
      const isForgotten = session.status === 'closed' && isBlank(session)
      const { delSession, putSession } = this.records
      ops.push(...(isForgotten ? delSession(session.id) : putSession(onceDurable(session, owner).session)))
      channels.add(live.record)
      const mine = owners.get(live.file)
      if (mine === undefined) owners.set(live.file, [live])
      else mine.push(live)
    }
    for (const [file, mine] of owners) ops.push(this.records.putOwner(this.durableOwner(file, mine)))
    ops.push(...this.shelf.ops(channels))
    await this.#components.store.commit(ops)
  }
}
