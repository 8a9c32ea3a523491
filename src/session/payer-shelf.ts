/**
 * The consumer's channels: on the disk all of them, in memory those that somebody uses, with the sessions of theirs that were cut. What is open,
 * what the screens sum up and what a provider is known by is kept with each write, so that nobody has to go through all that ever was.
 */
import type { Amount } from '../core/amount.ts'
import { type ChannelBooks, channelBooks, NO_BOOKS, shiftBooks } from '../core/books.ts'
import { type ChannelOut, signedOf } from '../core/channel.ts'
import { type Address, type ChannelId, type ChannelParties, channelId, type SessionId } from '../core/ids.ts'
import { NO_RECORD, type TradeRecord } from '../core/ranking.ts'
import type { PayerSession } from '../core/session/payer.ts'
import type { Terms } from '../core/terms.ts'
import { shiftRecord, sumRecords, withSession } from '../core/trade-record.ts'
import type { Clock } from '../ports/clock.ts'
import type { Store, StoreOp } from '../ports/store.ts'
import { BooksTable } from './books-table.ts'
import type { Due } from './due-table.ts'
import { indexPayer } from './payer-index.ts'
import { partiesOf } from './payer-parties.ts'
import type { PayerRecords } from './records.ts'
import { Shelf } from './shelf.ts'
import { type TradePartners, TradeTable } from './trade-table.ts'

/** A channel in memory; there is one such object for each channel, whoever asks. */
export interface PayerFile {
  readonly id: ChannelId
  /** undefined: there is no record of it yet. Changed by `PayerShelf.set` alone */
  channel: ChannelOut | undefined
  /** what was given to the store last */
  given: ChannelOut | undefined
  /** sessions that were cut and may be resumed: their totals may account for a difference of the heads */
  readonly cut: Map<SessionId, PayerSession>
  /** the highest mark that was asked for; in memory it counts once it is on the disk */
  mark: Amount
  /** of the sessions that are over */
  trade: TradeRecord
}

/** so many channels are kept that no session uses */
const MAX_IDLE = 5_000

export class PayerShelf {
  readonly #store: Store
  readonly #clock: Clock
  readonly #records: PayerRecords
  readonly #channels: Shelf<PayerFile>
  readonly #table: BooksTable
  readonly #trades: TradeTable
  #books = new Map<Address, ChannelBooks>()
  /** changed and not given to the store yet: they stay in memory */
  readonly #changed = new Set<PayerFile>()
  /** what sessions that are over count as, by their terms: a receipt may come late, and they are written again */
  readonly #counted = new WeakMap<Terms, TradeRecord>()

  constructor(store: Store, clock: Clock, records: PayerRecords, maxIdle = MAX_IDLE) {
    this.#store = store
    this.#clock = clock
    this.#records = records
    this.#channels = new Shelf(maxIdle)
    this.#table = new BooksTable(store, 'books-out')
    this.#trades = new TradeTable(store)
  }

  /** Reads the sums; the database of an older program is gone through once. @throws STORE_* */
  async load(): Promise<void> {
    const books = await this.#table.load()
    this.#books = books ?? (await indexPayer(this.#store, this.#records, this.#table, this.#trades))
  }

  /** The channel's one object, read if it is not in memory. @throws STORE_* */
  async file(id: ChannelId): Promise<PayerFile> {
    return await this.#channels.fetch(id, async () => {
      await this.given()
      const channel = await this.#records.channel(id)
      const file: PayerFile = { id, channel, given: channel, cut: new Map(), mark: 0n as Amount, trade: NO_RECORD }
      if (channel !== undefined) await this.#fill(file, channel.parties)
      return file
    })
  }

  async #fill(file: PayerFile, parties: ChannelParties): Promise<void> {
    file.trade = (await this.#trades.get(parties)) ?? NO_RECORD
    for await (const session of this.#records.openWith(parties))
      if (session.status !== 'closed' && session.wish.signer === parties.signer) this.lay(file, this.#cutOf(session))
  }

  /** As it is read from the disk: its stream died with the process, or was cut before. */
  #cutOf(session: PayerSession): PayerSession {
    return { ...session, status: 'cut', at: this.#clock.nowMs() }
  }

  /** Sessions that were cut and may be resumed, of all channels or of those between two; as of what was given to the store. @throws STORE_* */
  async *cut(partners?: TradePartners): AsyncGenerator<PayerSession> {
    await this.given()
    const open = partners === undefined ? this.#records.openSessions() : this.#records.openWith(partners)
    for await (const session of open) {
      if (session.status === 'closed') continue
      // a live one has its channel in memory, and is not among those that were cut
      const file = this.#channels.get(channelId(partiesOf(session.wish)))
      const cut = file === undefined ? this.#cutOf(session) : file.cut.get(session.id)
      if (cut !== undefined) yield cut
    }
  }

  /** The channel of a session that was cut, and may be resumed; undefined for any other session. @throws STORE_* */
  async cutFile(id: SessionId): Promise<PayerFile | undefined> {
    await this.given()
    const session = await this.#records.session(id)
    if (session === undefined || session.status === 'closed') return undefined
    const file = await this.file(channelId(partiesOf(session.wish)))
    return file.cut.has(id) ? file : undefined
  }

  /** Resolves when what is read next is not older than what was given to the store. @throws STORE_* */
  async given(): Promise<void> {
    await this.#store.commit([])
  }

  /** What is in memory of that channel. */
  known(id: ChannelId): ChannelOut | undefined {
    return this.#channels.get(id)?.channel
  }

  /** Takes the record over in memory; it stays there until it was given to the store. */
  set(file: PayerFile, channel: ChannelOut): void {
    if (channel === file.channel) return
    file.channel = channel
    this.#changed.add(file)
  }

  /**
   * The session was cut, and may be resumed. Its channel stays in memory from now on: a record that is read again counts for what it was when the
   * process ended, and a payee could claim once more what may have been forgotten then.
   */
  lay(file: PayerFile, session: PayerSession): void {
    file.cut.set(session.id, session)
    this.#channels.pin(file)
  }

  /** The session goes on, or was given up: it is no longer among those that were cut. */
  pick(file: PayerFile, id: SessionId): void {
    file.cut.delete(id)
    if (file.cut.size === 0) this.#channels.unpin(file)
  }

  /** These channels, and sessions with their channels, and what is kept beside them; to be committed at once, before anything else is. */
  ops(files: Iterable<PayerFile>, sessions: Iterable<readonly [PayerSession, PayerFile]> = []): StoreOp[] {
    const ops: StoreOp[] = []
    const tokens = new Set<Address>()
    for (const file of files) {
      const { channel, given, mark } = file
      if (channel === undefined) continue
      // a later write must not take back what an earlier one reserved
      ops.push(this.#records.putChannel(mark > channel.reserved ? { ...channel, reserved: mark } : channel))
      if (channel === given) continue
      if (this.#count(given, channel)) tokens.add(channel.parties.token)
      ops.push(...this.#records.free.ops(given, channel))
      file.given = channel
      this.#changed.delete(file)
    }
    for (const [session, file] of sessions) ops.push(...this.#records.putSession(session), ...this.#ended(session, file))
    if (tokens.size > 0) ops.push(...this.#table.ops(this.#books, tokens))
    return ops
  }

  /** Whether it changes a sum. */
  #count(before: ChannelOut | undefined, after: ChannelOut): boolean {
    if (before !== undefined && before.facts === after.facts && signedOf(before) === signedOf(after)) return false
    const sum = this.#books.get(after.parties.token) ?? NO_BOOKS
    this.#books.set(after.parties.token, shiftBooks(sum, booksOf(after), booksOf(before)))
    return true
  }

  #ended(session: PayerSession, file: PayerFile): StoreOp[] {
    const { status, terms, wish } = session
    if (status !== 'closed') return []
    const before = (terms === undefined ? undefined : this.#counted.get(terms)) ?? NO_RECORD
    const now = withSession(NO_RECORD, session)
    if (now.completed === before.completed && now.failed === before.failed && now.paid === before.paid) return []
    if (terms !== undefined) this.#counted.set(terms, now)
    const trade = shiftRecord(file.trade, now, before)
    file.trade = trade
    return [this.#trades.put(partiesOf(wish), trade)]
  }

  /** The sum over all channels of one token, as it is now. */
  books(token: Address): ChannelBooks {
    let sum = this.#books.get(token) ?? NO_BOOKS
    for (const { channel, given } of this.#changed)
      if (channel?.parties.token === token) sum = shiftBooks(sum, booksOf(channel), booksOf(given))
    return sum
  }

  /** All channels, in the order of their ids, as they are now; `from`: the first bytes of an id. @throws STORE_* */
  async *channels(from?: Uint8Array): AsyncGenerator<ChannelOut> {
    for await (const channel of this.#records.channels(from)) yield this.known(channel.id) ?? channel
  }

  /** Channels of which something was not used, soonest expiry first. @throws STORE_* */
  free(): AsyncIterable<Due> {
    return this.#records.free.list()
  }

  /** What the sessions with a provider say of it, those that are not over included; as of what was given to the store. @throws STORE_* */
  async tradeWith(partners: TradePartners): Promise<TradeRecord> {
    let record = sumRecords(await Array.fromAsync(this.#trades.of(partners)))
    // one that ends meanwhile is missing once, and never there twice
    for await (const session of this.#records.openWith(partners))
      if (session.status !== 'closed') record = withSession(record, session)
    return record
  }
}

const booksOf = (channel: ChannelOut | undefined): ChannelBooks =>
  channel === undefined ? NO_BOOKS : channelBooks(channel.facts, signedOf(channel))
