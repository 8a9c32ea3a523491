/**
 * What a consumer has on record: its channels with their durable marks, and the sessions that were cut. Every write of the consumer's
 * desk goes through here.
 *
 * Owns: the records of channels and sessions in which this node pays.
 */
import { type Amount, minAmount } from '../core/amount.ts'
import { type ChannelFacts, type ChannelOut, NO_CHANNEL, newChannelOut } from '../core/channel.ts'
import { asTallyError, TallyError } from '../core/errors.ts'
import { type ChannelId, type ChannelParties, channelId, type SessionId } from '../core/ids.ts'
import type { TradeRecord } from '../core/ranking.ts'
import type { PayerSession } from '../core/session/payer.ts'
import { factsAhead } from '../core/unconfirmed.ts'
import type { ChainFact, ChannelView } from '../ports/chain.ts'
import type { PayerDeskComponents } from './components.ts'
import { type PayerFile, PayerShelf } from './payer-shelf.ts'
import { PayerRecords } from './records.ts'
import type { TradePartners } from './trade-table.ts'

/** The facts by which is paid while some of the deposit is not confirmed: no more of that counts than the provider lets. */
function countedOf(
  confirmed: ChannelFacts | undefined,
  { latest, most }: { readonly latest: ChannelFacts; readonly most: Amount },
): ChannelFacts {
  const facts = factsAhead(confirmed, latest)
  return { ...facts, deposit: (facts.deposit + minAmount(most, (latest.deposit - facts.deposit) as Amount)) as Amount }
}

export class PayerBook {
  readonly #components: Pick<PayerDeskComponents, 'store' | 'clock' | 'chain' | 'log'>
  readonly #records: PayerRecords
  readonly shelf: PayerShelf
  readonly #flush: () => void
  /** channels of which more stands in a block than is confirmed: the facts of that block, and how much of it the provider lets count */
  readonly #ahead = new Map<ChannelId, { readonly latest: ChannelFacts; readonly most: Amount }>()

  /** `flush` begins to write what waits elsewhere: a record that changes out of its turn is written after it. */
  constructor(components: Pick<PayerDeskComponents, 'store' | 'clock' | 'chain' | 'log'>, flush: () => void) {
    const { store, clock } = components
    this.#components = components
    this.#flush = flush
    this.#records = new PayerRecords(store)
    this.shelf = new PayerShelf(store, clock, this.#records)
  }

  /** Reads the sums; channels and sessions are read when somebody asks for them. @throws STORE_* */
  async load(): Promise<void> {
    await this.shelf.load()
  }

  /**
   * The channel in memory, with the ledger's facts of now; up to `ahead` of what is not confirmed yet counts.
   * @throws CHANNEL_UNKNOWN, CHAIN_UNREACHABLE when nothing is known; STORE_*
   */
  async file(parties: ChannelParties, options: { signal?: AbortSignal; fresh?: boolean; ahead?: Amount }): Promise<PayerFile> {
    const { chain, clock } = this.#components
    const id = channelId(parties)
    const file = await this.shelf.file(id)
    const known = file.channel
    const good = known !== undefined && known.facts.deposit > known.at && known.facts.expiry > clock.nowS()
    if (good && options.fresh !== true) return file
    const view = await chain.channel(parties, options).catch((thrown: unknown) => {
      if (known === undefined) throw thrown
      return undefined
    })
    const facts = view === undefined ? known?.facts : this.#countable(view, options.ahead)
    if (facts === undefined && known === undefined) throw new TallyError('CHANNEL_UNKNOWN')
    this.shelf.set(file, { ...(file.channel ?? newChannelOut(id, parties, NO_CHANNEL)), facts: facts ?? NO_CHANNEL })
    chain.watch([id])
    await this.#write([file])
    return file
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
    const files = []
    for (const fact of facts) {
      if (fact.type !== 'channel') continue
      const file = await this.#fileOf(fact.id)
      if (file?.channel === undefined) continue
      const ahead = this.#ahead.get(fact.id)
      const isOver = (fact.facts?.deposit ?? 0n) >= (ahead?.latest.deposit ?? 0n) || fact.causes.includes('reorganised')
      if (isOver) this.#ahead.delete(fact.id)
      // an opening that was taken back covers nothing
      const counted = ahead === undefined || isOver ? (fact.facts ?? NO_CHANNEL) : countedOf(fact.facts, ahead)
      this.shelf.set(file, { ...file.channel, facts: counted })
      files.push(file)
    }
    if (files.length > 0) await this.#write(files)
  }

  /** One record that cannot be read must not keep the others from what the ledger says. */
  async #fileOf(id: ChannelId): Promise<PayerFile | undefined> {
    return await this.shelf.file(id).catch((thrown: unknown) => {
      const error = asTallyError(thrown)
      if (error.code !== 'STORE_CORRUPT') throw error
      this.#components.log.error({ channel: id, err: error.code }, 'the record of a channel cannot be read')
      return undefined
    })
  }

  /** What this owner still owes the provider from sessions that ended short, base units. One that `isLive` is not among them. */
  async owedTo(parties: ChannelParties, isLive: (id: SessionId) => boolean): Promise<Amount> {
    await this.#given()
    return await this.#records.owedTo(parties, isLive)
  }

  /** What the sessions with a provider say of it. @throws STORE_* */
  async tradeWith(partners: TradePartners): Promise<TradeRecord> {
    await this.#given()
    return await this.shelf.tradeWith(partners)
  }

  /** What is read next is not older than what anybody had in memory. */
  async #given(): Promise<void> {
    this.#flush()
    await this.shelf.given()
  }

  /** Sessions that were cut and may be resumed, with everybody or between two. @throws STORE_* */
  async *cutSessions(partners?: TradePartners): AsyncGenerator<PayerSession> {
    this.#flush()
    yield* this.shelf.cut(partners)
  }

  /** The channel of a session that was cut, and may be resumed; undefined for any other session. @throws STORE_* */
  async cutFile(id: SessionId): Promise<PayerFile | undefined> {
    this.#flush()
    return await this.shelf.cutFile(id)
  }

  /** The session, if it was cut and may be resumed. @throws STORE_* */
  async cutSession(id: SessionId): Promise<PayerSession | undefined> {
    return (await this.cutFile(id))?.cut.get(id)
  }

  /** Gives a cut session up for good; one that was not cut is left alone. @throws STORE_* */
  async forget(id: SessionId): Promise<void> {
    const file = await this.cutFile(id)
    const session = file?.cut.get(id)
    if (file !== undefined && session !== undefined) await this.giveUp(file, [session])
  }

  /** Gives these cut sessions of a channel up. A payment that this disk forgot belongs to one: nothing will explain that any more. @throws STORE_* */
  async giveUp(file: PayerFile, sessions: readonly PayerSession[]): Promise<void> {
    for (const { id } of sessions) this.shelf.pick(file, id)
    const abandoned = sessions.some(({ stale }) => stale)
    if (abandoned) this.shelf.set(file, { ...channelIn(file), abandoned })
    this.#flush()
    const over = sessions.map((one) => [{ ...one, status: 'closed', failure: 'SESSION_UNKNOWN' }, file] as const)
    await this.commit(abandoned ? [file] : [], over)
  }

  /** Channels and sessions as they are now, in one write: a channel's figures are the sum of its sessions'. @throws STORE_* */
  async commit(files: Iterable<PayerFile>, sessions: Iterable<readonly [PayerSession, PayerFile]> = []): Promise<void> {
    await this.#components.store.commit(this.shelf.ops(files, sessions))
  }

  /** From now on every write of the channel carries at least this mark; it counts once such a write is durable. */
  mark(file: PayerFile, mark: Amount): void {
    if (mark > file.mark) file.mark = mark
  }

  /** Resolves when all of it is durable, and all that waited before it. @throws STORE_* */
  async #write(files: readonly PayerFile[]): Promise<void> {
    this.#flush()
    await this.commit(files)
  }
}

/** The record of a channel that has one. @throws INTERNAL when it has none */
export function channelIn({ id, channel }: PayerFile): ChannelOut {
  if (channel === undefined) throw new TallyError('INTERNAL', { message: `no record of channel ${id}` })
  return channel
}
