/**
 * What a consumer has on record: its channels with their durable marks, and the sessions that were cut. Every write of the consumer's
 * desk goes through here.
 *
 * Owns: the records of channels and sessions in which this node pays.
 */
import { type Amount, minAmount } from '../core/amount.ts'
import { type ChannelFacts, type ChannelOut, NO_CHANNEL, newChannelOut } from '../core/channel.ts'
import { TallyError } from '../core/errors.ts'
import { type ChannelId, type ChannelParties, channelId, type SessionId } from '../core/ids.ts'
import type { PayerSession } from '../core/session/payer.ts'
import type { Wish } from '../core/session/payer-terms.ts'
import { factsAhead } from '../core/unconfirmed.ts'
import type { ChainFact, ChannelView } from '../ports/chain.ts'
import type { StoreOp } from '../ports/store.ts'
import type { PayerDeskComponents } from './components.ts'
import { PayerRecords } from './records.ts'

/** The channel that pays for what is wished. */
export const partiesOf = (wish: Wish): ChannelParties => ({
  owner: wish.owner,
  signer: wish.signer,
  target: wish.provider,
  token: wish.token,
})

/** The facts by which is paid while some of the deposit is not confirmed: no more of that counts than the provider lets. */
function countedOf(
  confirmed: ChannelFacts | undefined,
  { latest, most }: { readonly latest: ChannelFacts; readonly most: Amount },
): ChannelFacts {
  const facts = factsAhead(confirmed, latest)
  return { ...facts, deposit: (facts.deposit + minAmount(most, (latest.deposit - facts.deposit) as Amount)) as Amount }
}

const sameChannel = (a: Wish, b: Wish): boolean =>
  a.owner === b.owner && a.signer === b.signer && a.provider === b.provider && a.token === b.token

export class PayerBook {
  readonly #components: Pick<PayerDeskComponents, 'store' | 'clock' | 'chain'>
  readonly #records: PayerRecords
  readonly #flush: () => void
  readonly #channels = new Map<ChannelId, ChannelOut>()
  /** channels of which more stands in a block than is confirmed: the facts of that block, and how much of it the provider lets count */
  readonly #ahead = new Map<ChannelId, { readonly latest: ChannelFacts; readonly most: Amount }>()
  /** sessions that were cut: their totals may account for a difference of the heads */
  readonly #cut = new Map<SessionId, PayerSession>()
  /** marks that are on their way to the disk; in memory they count once they are there */
  readonly #marks = new Map<ChannelId, Amount>()
  /** settles with the last write */
  #written: Promise<void> = Promise.resolve()

  /** `flush` begins to write what waits elsewhere: a record that changes out of its turn is written after it. */
  constructor(components: Pick<PayerDeskComponents, 'store' | 'clock' | 'chain'>, flush: () => void) {
    this.#components = components
    this.#flush = flush
    this.#records = new PayerRecords(components.store)
  }

  /** Reads what is on the disk; sessions that were live are cut. @throws STORE_* */
  async load(): Promise<void> {
    for await (const channel of this.#records.channels()) this.#channels.set(channel.id, channel)
    for await (const session of this.#records.openSessions(this.#components.clock.nowMs())) this.#cut.set(session.id, session)
  }

  channels(): Iterable<ChannelOut> {
    return this.#channels.values()
  }

  /** The record of a channel that has one. @throws INTERNAL when it has none */
  channelOf(id: ChannelId): ChannelOut {
    const channel = this.#channels.get(id)
    if (channel === undefined) throw new TallyError('INTERNAL', { message: `no record of channel ${id}` })
    return channel
  }

  /** Takes the record over in memory; `write` makes it durable. */
  setChannel(channel: ChannelOut): void {
    this.#channels.set(channel.id, channel)
  }

  /**
   * The record of a channel, with the ledger's facts of now; up to `ahead` of what is not confirmed yet counts.
   * @throws CHANNEL_UNKNOWN, CHAIN_UNREACHABLE when nothing is known
   */
  async channel(
    parties: ChannelParties,
    options: { signal?: AbortSignal; fresh?: boolean; ahead?: Amount },
  ): Promise<ChannelOut> {
    const { chain, clock } = this.#components
    const id = channelId(parties)
    const known = this.#channels.get(id)
    const good = known !== undefined && known.facts.deposit > known.at && known.facts.expiry > clock.nowS()
    if (good && options.fresh !== true) return known
    const view = await chain.channel(parties, options).catch((thrown: unknown) => {
      if (known === undefined) throw thrown
      return undefined
    })
    const facts = view === undefined ? known?.facts : this.#countable(view, options.ahead)
    if (facts === undefined && known === undefined) throw new TallyError('CHANNEL_UNKNOWN')
    const now = this.#channels.get(id)
    const channel: ChannelOut = { ...(now ?? newChannelOut(id, parties, NO_CHANNEL)), facts: facts ?? NO_CHANNEL }
    this.#channels.set(id, channel)
    chain.watch([id])
    await this.write([this.#put(channel)])
    return channel
  }

  /** Whether more of its deposit stands in a block than is confirmed. */
  isAhead(id: ChannelId): boolean {
    return this.#ahead.has(id)
  }

  #countable({ id, confirmed, latest }: ChannelView, most = this.#ahead.get(id)?.most): ChannelFacts | undefined {
    this.#ahead.delete(id)
    if (most === undefined || latest === undefined || latest.deposit <= (confirmed?.deposit ?? 0n)) return confirmed ?? latest
    const ahead = { latest, most }
    this.#ahead.set(id, ahead)
    return countedOf(confirmed, ahead)
  }

  /** Confirmed facts of the ledger about channels that are on record. */
  async onFacts(facts: readonly ChainFact[]): Promise<void> {
    const ops = []
    for (const fact of facts) {
      if (fact.type !== 'channel') continue
      const known = this.#channels.get(fact.id)
      if (known === undefined) continue
      const ahead = this.#ahead.get(fact.id)
      const isOver = (fact.facts?.deposit ?? 0n) >= (ahead?.latest.deposit ?? 0n) || fact.causes.includes('reorganised')
      if (isOver) this.#ahead.delete(fact.id)
      // an opening that was taken back covers nothing
      const counted = ahead === undefined || isOver ? (fact.facts ?? NO_CHANNEL) : countedOf(fact.facts, ahead)
      const channel = { ...known, facts: counted }
      this.#channels.set(fact.id, channel)
      ops.push(this.#put(channel))
    }
    if (ops.length > 0) await this.write(ops)
  }

  /** What this owner still owes the provider from sessions that ended short, base units. One that `isLive` is not among them. */
  async owedTo(parties: ChannelParties, isLive: (id: SessionId) => boolean): Promise<Amount> {
    // read after all that was given to the disk
    this.#flush()
    await this.#written
    return await this.#records.owedTo(parties, isLive)
  }

  /** Sessions that were cut and may be resumed. */
  cutSessions(): Iterable<PayerSession> {
    return this.#cut.values()
  }

  /** @throws SESSION_UNKNOWN when the session was not cut, is live again or was given up */
  cutSession(id: SessionId): PayerSession {
    const session = this.#cut.get(id)
    if (session === undefined) throw new TallyError('SESSION_UNKNOWN')
    return session
  }

  /** Cut sessions that the channel of this wish paid for. */
  cutBeside(wish: Wish): PayerSession[] {
    return [...this.#cut.values()].filter((cut) => sameChannel(cut.wish, wish))
  }

  /** The session was cut, and may be resumed. */
  lay(session: PayerSession): void {
    this.#cut.set(session.id, session)
  }

  /** The session goes on: it is no longer among those that were cut. */
  pick(id: SessionId): void {
    this.#cut.delete(id)
  }

  /** Gives a cut session up for good; one that was not cut is left alone. @throws STORE_* */
  async forget(id: SessionId): Promise<void> {
    const session = this.#cut.get(id)
    if (session !== undefined) await this.write(this.forgetting(session))
  }

  /**
   * Gives a cut session up; the result is to be written. A payment that this disk forgot belongs to it: nothing will explain that any more.
   */
  forgetting(session: PayerSession): StoreOp[] {
    this.#cut.delete(session.id)
    const ops = this.#records.putSession({ ...session, status: 'closed', failure: 'SESSION_UNKNOWN' })
    const channel = this.#channels.get(channelId(partiesOf(session.wish)))
    if (channel === undefined || !session.stale) return ops
    const next = { ...channel, abandoned: true }
    this.#channels.set(next.id, next)
    return [...ops, this.#put(next)]
  }

  /** Channels and sessions as they are now, in one write: a channel's figures are the sum of its sessions'. @throws STORE_* */
  async commit(channels: Iterable<ChannelId>, sessions: Iterable<PayerSession>): Promise<void> {
    const ops = [...channels].map((id) => this.#put(this.channelOf(id)))
    await this.#commit([...ops, ...[...sessions].flatMap(this.#records.putSession)])
  }

  /** From now on every write of the channel carries at least this mark; it counts once such a write is durable. */
  mark(id: ChannelId, mark: Amount): void {
    if (mark > (this.#marks.get(id) ?? 0n)) this.#marks.set(id, mark)
  }

  /** Resolves when all of it is durable, and all that waited before it. @throws STORE_* */
  async write(ops: readonly StoreOp[]): Promise<void> {
    this.#flush()
    await this.#commit(ops)
  }

  async #commit(ops: readonly StoreOp[]): Promise<void> {
    const writing = this.#components.store.commit(ops)
    this.#written = writing.catch(() => undefined)
    await writing
  }

  /** Every write of a channel carries the highest mark that was asked for: a later write must not take back what an earlier one reserved. */
  #put(channel: ChannelOut): StoreOp {
    const mark = this.#marks.get(channel.id) ?? (0n as Amount)
    return this.#records.putChannel(mark > channel.reserved ? { ...channel, reserved: mark } : channel)
  }
}
