/**
 * The desks' records on disk. One table per noun; a transition writes all the records it changed in one batch. Sessions that were
 * open when the process ended are loaded as cut: their streams died with it, and they may be resumed.
 */
import type { Amount } from '../core/amount.ts'
import type { ChannelIn, ChannelOut } from '../core/channel.ts'
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
  sessionIdToBytes,
} from '../core/ids.ts'
import { isAgreed, type PayeeSession } from '../core/session/payee-state.ts'
import { owedOf, type PayerSession } from '../core/session/payer.ts'
import { quantumOf } from '../core/session/worth.ts'
import type { Store, StoreOp } from '../ports/store.ts'
import { type Table, table } from '../ports/table.ts'
import {
  channelInCodec,
  channelOutCodec,
  ownerCodec,
  payeeSessionCodec,
  payerSessionCodec,
  poolCodec,
  readOwner,
  readPayeeSession,
  readPayerSession,
} from './record-codecs.ts'

interface OwnerKey {
  readonly owner: Address
  readonly token: Address
}

const POOL = 'newcomers-pool'
const ownerKeyBytes = ({ owner, token }: OwnerKey): Uint8Array => Buffer.concat([addressToBytes(owner), addressToBytes(token)])
const nameBytes = (name: string): Uint8Array => new TextEncoder().encode(name)

export class PayeeRecords {
  readonly #channels: Table<ChannelId, ChannelIn>
  readonly #owners: Table<OwnerKey, OwnerAccount>
  readonly #sessions: Table<SessionId, PayeeSession>
  readonly #pool: Table<string, Pool>
  readonly #anchors: Table<Hash32, true>

  constructor(store: Store) {
    this.#channels = table(store, {
      space: 'channelIn',
      version: 2,
      key: channelIdToBytes,
      ...channelInCodec,
      older: { 1: channelInCodec.read },
    })
    this.#owners = table(store, { space: 'owner', version: 2, key: ownerKeyBytes, ...ownerCodec, older: { 1: readOwner } })
    this.#sessions = table(store, {
      space: 'sessionIn',
      version: 2,
      key: sessionIdToBytes,
      ...payeeSessionCodec,
      older: { 1: readPayeeSession },
    })
    this.#pool = table(store, { space: 'counter', version: 1, key: nameBytes, ...poolCodec })
    this.#anchors = table(store, {
      space: 'anchor',
      version: 1,
      key: hash32ToBytes,
      write: () => undefined,
      read: () => true as const,
    })
  }

  channels = (): AsyncIterable<ChannelIn> => this.#channels.list()
  owners = (): AsyncIterable<OwnerAccount> => this.#owners.list()
  putChannel = (channel: ChannelIn): StoreOp => this.#channels.put(channel.id, channel)
  putOwner = (account: OwnerAccount): StoreOp => this.#owners.put(account, account)
  putSession = (session: PayeeSession): StoreOp => this.#sessions.put(session.id, session)
  delSession = (id: SessionId): StoreOp => this.#sessions.del(id)
  putAnchor = (anchor: Hash32): StoreOp => this.#anchors.put(anchor, true)
  hasAnchor = async (anchor: Hash32): Promise<boolean> => (await this.#anchors.get(anchor)) === true
  putPool = (pool: Pool): StoreOp => this.#pool.put(POOL, pool)
  loadPool = async (): Promise<Pool | undefined> => await this.#pool.get(POOL)

  /** Every session that was agreed on and is not closed, as cut since `nowMs`. */
  async *openSessions(nowMs: number): AsyncGenerator<PayeeSession> {
    for await (const session of this.#sessions.list()) {
      if (session.status !== 'closed' && isAgreed(session)) yield { ...session, status: 'cut', at: nowMs, waitingSince: nowMs }
    }
  }

  async session(id: SessionId): Promise<PayeeSession | undefined> {
    return await this.#sessions.get(id)
  }

  /** All sessions ever, oldest key first. */
  sessions = (): AsyncIterable<PayeeSession> => this.#sessions.list()
}

export class PayerRecords {
  readonly #channels: Table<ChannelId, ChannelOut>
  readonly #sessions: Table<SessionId, PayerSession>

  constructor(store: Store) {
    this.#channels = table(store, { space: 'channelOut', version: 1, key: channelIdToBytes, ...channelOutCodec })
    this.#sessions = table(store, {
      space: 'sessionOut',
      version: 2,
      key: sessionIdToBytes,
      ...payerSessionCodec,
      older: { 1: readPayerSession },
    })
  }

  channels = (): AsyncIterable<ChannelOut> => this.#channels.list()
  putChannel = (channel: ChannelOut): StoreOp => this.#channels.put(channel.id, channel)
  putSession = (session: PayerSession): StoreOp => this.#sessions.put(session.id, session)
  sessions = (): AsyncIterable<PayerSession> => this.#sessions.list()

  async *openSessions(nowMs: number): AsyncGenerator<PayerSession> {
    for await (const session of this.#sessions.list()) {
      if (session.status !== 'closed' && session.terms !== undefined) yield { ...session, status: 'cut', at: nowMs }
    }
  }

  /**
   * What sessions with this provider ended without paying, less what later ones took over as arrears; base units, never below zero. A
   * session that was cut counts: the provider may have given it up. One that is `live` does not. For a session that this node's disk may have
   * forgotten the end of, the provider may claim up to the limit at risk more.
   */
  async owedTo(parties: ChannelParties, live: (id: SessionId) => boolean): Promise<Amount> {
    let owed = 0n
    for await (const session of this.#sessions.list()) {
      const { wish, terms } = session
      const same = wish.owner === parties.owner && wish.provider === parties.target && wish.token === parties.token
      if (!same || terms === undefined || live(session.id)) continue
      const due = owedOf(session)
      const forgotten = session.stale ? wish.limitAtRisk + quantumOf(terms) : 0n
      const known = terms.arrears < wish.owed ? terms.arrears : wish.owed
      owed += (due > session.total ? due - session.total : 0n) + forgotten - known
    }
    return (owed > 0n ? owed : 0n) as Amount
  }
}
