/**
 * The provider's channels and owners: on the disk all of them, in memory those that somebody uses. What must be settled and what the screens
 * sum up is kept with each write, so that nobody has to go through all that ever was.
 */
import { type ChannelBooks, channelBooks, NO_BOOKS, shiftBooks } from '../core/books.ts'
import { bestAmount, type ChannelIn } from '../core/channel.ts'
import { newOwner, type OwnerAccount } from '../core/credit.ts'
import type { Address, ChannelId } from '../core/ids.ts'
import { payable } from '../core/settlement.ts'
import type { Store, StoreOp } from '../ports/store.ts'
import { BooksTable } from './books-table.ts'
import type { Due } from './due-table.ts'
import type { Live } from './payee-book.ts'
import type { PayeeRecords } from './records.ts'
import { Shelf } from './shelf.ts'

/** A channel in memory; there is one such object for each channel, whoever asks. */
export interface ChannelFile {
  readonly id: ChannelId
  /** undefined: there is no record of it yet */
  channel: ChannelIn | undefined
  /** what was given to the store last */
  given: ChannelIn | undefined
  /** the block at which the ledger was as the record has it, where this process knows it */
  block?: number
}

/** All that concerns one owner of one token. */
export interface OwnerFile {
  account: OwnerAccount
  readonly lives: Set<Live>
  /** sessions that are over, with a late payment that is on its way to the disk */
  readonly late: Set<Live>
  /** what its sessions use of its credit, base units */
  exposed: bigint
}

/** so many channels, and owners, are kept that no session uses */
const MAX_IDLE = 5_000
/** so many are put into the index in one commit, when an older program's database is opened */
const MOVED_AT_ONCE = 1_000

export class PayeeShelf {
  readonly #store: Store
  readonly #records: PayeeRecords
  readonly #channels: Shelf<ChannelFile>
  readonly #owners: Shelf<OwnerFile>
  readonly #table: BooksTable
  #books = new Map<Address, ChannelBooks>()
  /** channels with something to settle whose record has changed */
  #changed = new Set<ChannelId>()

  constructor(store: Store, records: PayeeRecords, maxIdle = MAX_IDLE) {
    this.#channels = new Shelf(maxIdle)
    this.#owners = new Shelf(maxIdle)
    this.#store = store
    this.#records = records
    this.#table = new BooksTable(store, 'books-in')
  }

  /** Reads the sums; the database of an older program is gone through once. @throws STORE_* */
  async load(): Promise<void> {
    await this.#given()
    this.#books = (await this.#table.load()) ?? (await this.#build())
  }

  /** Index and sums of a database that has none. They count when the sums are there, which come last: a crash before begins anew. */
  async #build(): Promise<Map<Address, ChannelBooks>> {
    let ops: StoreOp[] = []
    // of an earlier try, after which the older program may have gone on
    for await (const due of this.#records.due.list()) ops.push(this.#records.due.del(due))
    for await (const channel of this.#records.channels()) {
      this.#count(undefined, channel)
      ops.push(...this.#records.due.ops(undefined, channel))
      if (ops.length < MOVED_AT_ONCE) continue
      await this.#store.commit(ops)
      ops = []
    }
    const pool = (await this.#records.loadPool()) ?? { hour: 0, left: 0n as ChannelBooks['free'] }
    await this.#store.commit([...ops, this.#records.putPool(pool), ...this.#table.ops(this.#books), this.#table.complete()])
    return this.#books
  }

  /** The channel's one object, read if it is not in memory. @throws STORE_* */
  async channel(id: ChannelId): Promise<ChannelFile> {
    return await this.#channels.fetch(id, async () => {
      await this.#given()
      const channel = await this.#records.channel(id)
      return { id, channel, given: channel }
    })
  }

  /** The owner's one object, read if it is not in memory; a new account if there is none. @throws STORE_* */
  async owner(owner: Address, token: Address): Promise<OwnerFile> {
    return await this.#owners.fetch(`${owner}${token}`, async () => {
      await this.#given()
      const account = (await this.#records.owner({ owner, token })) ?? newOwner(owner, token)
      return { account, lives: new Set<Live>(), late: new Set<Live>(), exposed: 0n }
    })
  }

  /** What is read next is not older than what anybody had in memory. */
  async #given(): Promise<void> {
    await this.#store.commit([])
  }

  /** Whether a session that is live or may be resumed uses the channel. */
  isInUse({ parties, id }: ChannelIn): boolean {
    const file = this.#owners.get(`${parties.owner}${parties.token}`)
    if (file === undefined) return false
    for (const live of file.lives) if (live.channel === id) return true
    return false
  }

  /** The records of these channels where they have changed, with what is kept beside them; to be committed at once, before anything else is. */
  ops(files: Iterable<ChannelFile>): StoreOp[] {
    const ops: StoreOp[] = []
    const tokens = new Set<Address>()
    for (const file of files) {
      const { channel, given } = file
      if (channel === undefined || channel === given) continue
      ops.push(this.#records.putChannel(channel), ...this.#records.due.ops(given, channel))
      this.#count(given, channel)
      tokens.add(channel.parties.token)
      file.given = channel
      this.#channels.unpin(file)
      if (payable(channel) > 0n) this.#changed.add(channel.id)
    }
    if (tokens.size > 0) ops.push(...this.#table.ops(this.#books, tokens))
    return ops
  }

  /** A session is gone. What it changed and did not write, as after an error of this program, must not be read from the disk as it was before. */
  left({ session, record, file }: Live): void {
    if (record.channel !== record.given) this.#channels.pin(record)
    if (session.status !== 'closed') this.#owners.pin(file)
  }

  #count(before: ChannelIn | undefined, { parties, facts, best }: ChannelIn): void {
    const was = before === undefined ? NO_BOOKS : booksOf(before)
    const is = booksOf({ facts, best })
    const sum = this.#books.get(parties.token) ?? NO_BOOKS
    this.#books.set(parties.token, shiftBooks(sum, is, was))
  }

  /** The sum over all channels of one token, as it was given to the store. */
  books(token: Address): ChannelBooks {
    return this.#books.get(token) ?? NO_BOOKS
  }

  /** Channels with something to settle whose record was written since the last call. */
  takeChanged(): Iterable<ChannelId> {
    const changed = this.#changed
    if (changed.size > 0) this.#changed = new Set()
    return changed
  }

  /** Channels for which a settlement would pay something, soonest expiry first. @throws STORE_* */
  due(after?: Due): AsyncIterable<Due> {
    return this.#records.due.list(after)
  }

  /** All channels, in the order of their ids, as they are now. @throws STORE_* */
  async *channels(from?: Uint8Array): AsyncGenerator<ChannelIn> {
    for await (const channel of this.#records.channels(from)) yield this.#channels.get(channel.id)?.channel ?? channel
  }

  /** All owners, as they are now. @throws STORE_* */
  async *owners(): AsyncGenerator<OwnerAccount> {
    for await (const account of this.#records.owners())
      yield this.#owners.get(`${account.owner}${account.token}`)?.account ?? account
  }
}

const booksOf = ({ facts, best }: Pick<ChannelIn, 'facts' | 'best'>): ChannelBooks =>
  channelBooks(facts, bestAmount({ best } as ChannelIn))
