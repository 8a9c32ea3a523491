/**
 * The desks' records on disk. One table per noun; a transition writes all the records it changed in one batch. Sessions that were
 * open when the process ended are loaded as cut: their streams died with it, and they may be resumed.
 */
import { type Amount, MAX_AMOUNT, readAmount } from '../core/amount.ts'
import { channelBooks } from '../core/books.ts'
import { type ByteReader, type ByteWriter, toHex } from '../core/bytes.ts'
import { type ChannelIn, type ChannelOut, signedOf } from '../core/channel.ts'
import type { OwnerAccount, Pool } from '../core/credit.ts'
import {
  type Address,
  addressToBytes,
  type ChannelId,
  type ChannelParties,
  channelIdToBytes,
  type Hash32,
  hash32ToBytes,
  type SessionId,
  sessionIdFromBytes,
  sessionIdToBytes,
} from '../core/ids.ts'
import { isAgreed, type PayeeSession } from '../core/session/payee-state.ts'
import { owedOf, type PayerSession } from '../core/session/payer.ts'
import { quantumOf } from '../core/session/worth.ts'
import { payable } from '../core/settlement.ts'
import type { Terms } from '../core/terms.ts'
import type { ListRange, Store, StoreOp } from '../ports/store.ts'
import { type Table, table } from '../ports/table.ts'
import { DueTable } from './due-table.ts'
import {
  channelInCodec,
  channelOutCodec,
  ownerCodec,
  payeeSessionCodec,
  payerSessionCodec,
  poolCodec,
  readChannelIn,
  readOwner,
  readPayeeSession,
  readPayerSession,
} from './record-codecs.ts'
import { type SessionTable, sessionTable } from './session-table.ts'

interface OwnerKey {
  readonly owner: Address
  readonly token: Address
}

const POOL = 'newcomers-pool'
const ownerKeyBytes = ({ owner, token }: OwnerKey): Uint8Array => Buffer.concat([addressToBytes(owner), addressToBytes(token)])
const nameBytes = (name: string): Uint8Array => new TextEncoder().encode(name)

/**
 * The newcomers' pool. Every start reads it, so that its version says which programs may open the database: one of before version 2 would not keep
 * the space `dueIn`, and one of before version 3 not `openOut`. They are refused here instead of forgetting a settlement, or what a session owes.
 */
export class PoolRecord {
  readonly #table: Table<string, Pool>

  constructor(store: Store) {
    const older = { 1: poolCodec.read, 2: poolCodec.read }
    this.#table = table(store, { space: 'counter', version: 3, key: nameBytes, ...poolCodec, older })
  }

  put = (pool: Pool): StoreOp => this.#table.put(POOL, pool)
  load = async (): Promise<Pool | undefined> => await this.#table.get(POOL)
  /** As it is, in the version of now. */
  renewed = async (): Promise<StoreOp> => this.put((await this.load()) ?? { hour: 0, left: 0n as Amount })
}

export class PayeeRecords {
  readonly due: DueTable<ChannelIn>
  readonly #channels: Table<ChannelId, ChannelIn>
  readonly #owners: Table<OwnerKey, OwnerAccount>
  readonly #sessions: SessionTable<PayeeSession>
  readonly #pool: PoolRecord
  readonly #anchors: Table<Hash32, true>

  constructor(store: Store) {
    this.due = new DueTable(store, 'dueIn', (channel) => payable(channel) > 0n)
    this.#channels = table(store, {
      space: 'channelIn',
      version: 3,
      key: channelIdToBytes,
      ...channelInCodec,
      older: { 1: readChannelIn, 2: readChannelIn },
    })
    this.#owners = table(store, { space: 'owner', version: 2, key: ownerKeyBytes, ...ownerCodec, older: { 1: readOwner } })
    this.#sessions = sessionTable(store, {
      open: 'sessionIn',
      past: 'sessionInPast',
      codec: payeeSessionCodec,
      older: readPayeeSession,
      isOver: (session) => session.status === 'closed' || !isAgreed(session),
    })
    this.#pool = new PoolRecord(store)
    this.#anchors = table(store, {
      space: 'anchor',
      version: 1,
      key: hash32ToBytes,
      write: () => undefined,
      read: () => true as const,
    })
  }

  channel = async (id: ChannelId): Promise<ChannelIn | undefined> => await this.#channels.get(id)
  owner = async (key: OwnerKey): Promise<OwnerAccount | undefined> => await this.#owners.get(key)
  /** All of them, as they are on the disk: for lists, never for work. `from`: the first bytes of an id. */
  channels = (from?: Uint8Array): AsyncIterable<ChannelIn> => this.#channels.list(from === undefined ? {} : { gte: from })
  owners = (): AsyncIterable<OwnerAccount> => this.#owners.list()
  putChannel = (channel: ChannelIn): StoreOp => this.#channels.put(channel.id, channel)
  putOwner = (account: OwnerAccount): StoreOp => this.#owners.put(account, account)
  putSession = (session: PayeeSession): StoreOp[] => this.#sessions.put(session)
  delSession = (id: SessionId): StoreOp[] => this.#sessions.del(id)
  putAnchor = (anchor: Hash32): StoreOp => this.#anchors.put(anchor, true)
  hasAnchor = (anchor: Hash32): boolean => this.#anchors.has(anchor)
  putPool = (pool: Pool): StoreOp => this.#pool.put(pool)
  loadPool = async (): Promise<Pool | undefined> => await this.#pool.load()
  session = async (id: SessionId): Promise<PayeeSession | undefined> => await this.#sessions.get(id)
  sessions = (): AsyncIterable<PayeeSession> => this.#sessions.all()

  /** Every session that was agreed on and is not closed, as cut since `nowMs`. */
  async *openSessions(nowMs: number): AsyncGenerator<PayeeSession> {
    await this.#sessions.tidy()
    for await (const session of this.#sessions.open()) yield { ...session, status: 'cut', at: nowMs, waitingSince: nowMs }
  }
}

interface OwedKey {
  readonly owner: Address
  readonly target: Address
  readonly token: Address
}
const owedPrefix = ({ owner, target, token }: OwedKey): Uint8Array =>
  Buffer.concat([owner, target, token].map((one) => addressToBytes(one)))
const ID_BYTES = 16
/** behind every session id */
const END_OF_IDS = new Uint8Array(ID_BYTES + 1).fill(0xff)
function rangeOf(parties: OwedKey): ListRange {
  const prefix = owedPrefix(parties)
  return { gte: prefix, lt: Buffer.concat([prefix, END_OF_IDS]) }
}
const owedKeyBytes = ({ id, wish }: PayerSession): Uint8Array =>
  Buffer.concat([owedPrefix({ ...wish, target: wish.provider }), sessionIdToBytes(id)])
const owedCodec = {
  write: (writer: ByteWriter, left: bigint): void => void writer.u8(left < 0n ? 1 : 0).u96(left < 0n ? -left : left),
  read: (reader: ByteReader): bigint => (reader.u8() === 1 ? -readAmount(reader) : readAmount(reader)),
}

/** What a session left unpaid; below zero what it paid of what others had left. Never more than an amount can hold. */
function leftBy(session: PayerSession): bigint {
  const { wish, terms, total } = session
  if (terms === undefined) return 0n
  const due = owedOf(session)
  const forgotten = session.stale ? wish.limitAtRisk + quantumOf(terms) : 0n
  const known = terms.arrears < wish.owed ? terms.arrears : wish.owed
  const left = (due > total ? due - total : 0n) + forgotten - known
  return left < MAX_AMOUNT ? left : MAX_AMOUNT
}

export class PayerRecords {
  readonly free: DueTable<ChannelOut>
  readonly #store: Store
  readonly #channels: Table<ChannelId, ChannelOut>
  readonly #sessions: SessionTable<PayerSession>
  readonly #owed: Table<PayerSession, bigint>
  readonly #index: Table<PayerSession, true>
  /** by their terms, which do not change: a session is written again with each mark, its entry of the index once */
  readonly #indexed = new WeakSet<Terms>()

  constructor(store: Store) {
    this.#store = store
    this.free = new DueTable(store, 'freeOut', (channel) => channelBooks(channel.facts, signedOf(channel)).free > 0n)
    this.#channels = table(store, { space: 'channelOut', version: 1, key: channelIdToBytes, ...channelOutCodec })
    this.#owed = table(store, { space: 'owedOut', version: 1, key: owedKeyBytes, ...owedCodec })
    this.#index = table(store, {
      space: 'openOut',
      version: 1,
      key: owedKeyBytes,
      write: () => undefined,
      read: () => true as const,
    })
    this.#sessions = sessionTable(store, {
      open: 'sessionOut',
      past: 'sessionOutPast',
      codec: payerSessionCodec,
      older: readPayerSession,
      isOver: (session) => session.status === 'closed' || session.terms === undefined,
      beside: (session) => {
        const left = leftBy(session)
        return [this.#index.del(session), left === 0n ? this.#owed.del(session) : this.#owed.put(session, left)]
      },
      withOpen: (session) => {
        const { terms } = session
        if (terms === undefined || this.#indexed.has(terms)) return []
        this.#indexed.add(terms)
        return [this.#index.put(session, true)]
      },
    })
  }

  channel = async (id: ChannelId): Promise<ChannelOut | undefined> => await this.#channels.get(id)
  /** All of them, as they are on the disk: for lists, never for work. `from`: the first bytes of an id. */
  channels = (from?: Uint8Array): AsyncIterable<ChannelOut> => this.#channels.list(from === undefined ? {} : { gte: from })
  putChannel = (channel: ChannelOut): StoreOp => this.#channels.put(channel.id, channel)
  putSession = (session: PayerSession): StoreOp[] => this.#sessions.put(session)
  session = async (id: SessionId): Promise<PayerSession | undefined> => await this.#sessions.get(id)
  sessions = (): AsyncIterable<PayerSession> => this.#sessions.all()
  /** Those that are not over, as they are on the disk. */
  openSessions = (): AsyncIterable<PayerSession> => this.#sessions.open()
  /** The entry of the index for a session that an older program left open. */
  indexOp = (session: PayerSession): StoreOp => this.#index.put(session, true)
  tidy = async (): Promise<void> => await this.#sessions.tidy()

  /** The sessions between these two that are not over, or were not when this began. @throws STORE_* */
  async *openWith(parties: OwedKey): AsyncGenerator<PayerSession> {
    for await (const [key] of this.#store.list('openOut', rangeOf(parties))) {
      const session = await this.#sessions.get(sessionIdFromBytes(key.subarray(-ID_BYTES)))
      if (session !== undefined) yield session
    }
  }

  /**
   * What sessions with this provider ended without paying, less what later ones took over as arrears; base units, never below zero. A
   * session that was cut counts: the provider may have given it up. One that is `live` does not. For a session that this node's disk may have
   * forgotten the end of, the provider may claim up to the limit at risk more.
   */
  async owedTo(parties: ChannelParties, live: (id: SessionId) => boolean): Promise<Amount> {
    let owed = 0n
    const counted = new Set<string>()
    for await (const session of this.openWith(parties)) {
      if (live(session.id)) continue
      counted.add(toHex(owedKeyBytes(session)))
      owed += leftBy(session)
    }
    // one that ended since it was looked at above is there by now: a provider could claim it twice
    for await (const [key, left] of this.#owed.entries(rangeOf(parties))) if (!counted.has(toHex(key))) owed += left
    return (owed > 0n ? owed : 0n) as Amount
  }
}
