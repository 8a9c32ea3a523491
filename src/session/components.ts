/** What the two desks are built from. */
import type { EventEmitter } from 'node:events'
import type { Amount } from '../core/amount.ts'
import type { Closing } from '../core/closing.ts'
import type { Domain } from '../core/eip712.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { Address, ChannelId, Seconds } from '../core/ids.ts'
import type { Offer } from '../core/offer.ts'
import type { PayeePolicy, PayeeSession } from '../core/session/payee.ts'
import type { PayerSession } from '../core/session/payer.ts'
import type { Chain } from '../ports/chain.ts'
import type { Clock } from '../ports/clock.ts'
import type { ServiceAdapter } from '../ports/service.ts'
import type { Store } from '../ports/store.ts'
import type { WordChains } from './word-chain.ts'

/** The node's own key: one for the peer id, the promises and the offers. */
export interface Self {
  readonly address: Address
  /** compressed, 33 bytes */
  readonly publicKey: Uint8Array
  /** 65 bytes r | s | v over a 32-byte digest; deterministic (RFC 6979) */
  readonly sign: (digest: Uint8Array) => Uint8Array
  /** the words that this key pays with */
  readonly chains: WordChains
}

/** Structured log of one component: fields first, then a sentence. */
export interface Log {
  debug(fields: object, text: string): void
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}

/** For observers only: nothing in the node listens to these to do its work. Amounts in base units. */
export interface SessionEvents {
  'payee:session': [{ session: PayeeSession; due: Amount; exposure: Amount }]
  'payee:ended': [{ session: PayeeSession; code: ErrorCode | undefined }]
  'payer:session': [{ session: PayerSession; owed: Amount; atRisk: Amount }]
  'payer:paid': [{ session: PayerSession; rise: Amount }]
  'payer:ended': [{ session: PayerSession; code: ErrorCode | undefined }]
}

interface Common {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly events: EventEmitter<SessionEvents>
  readonly domain: Domain
  readonly self: Self
  readonly chain: Pick<Chain, 'channel' | 'watch'>
}

export interface PayeeDeskComponents extends Common {
  /** a channel wants to be settled: its reservation ends, or a session of it has closed */
  readonly settle: (channel: ChannelId, why: 'expiry' | 'close') => void
  readonly signClose: (closing: Closing) => Uint8Array
  /** until when a Close signed now stays good */
  readonly closeDeadline: () => Seconds
}

export type PayerDeskComponents = Common

/** A service and its current signed offer's content; terms repeat the offer of the moment. */
export interface ServiceOnSale {
  readonly adapter: ServiceAdapter
  offer(): Offer
}

/** How a payee deals with those who pay it. */
export interface PayeeDeskInit {
  readonly policy: PayeePolicy & {
    readonly poolPerHour: Amount
    /** the most that promises may count above the confirmed deposit of a channel while more of it stands in a block. @default 0 */
    readonly unconfirmedCredit?: Amount
    readonly patienceMs: number
    readonly maxSessions: number
    readonly sessionLastS: number
    /** after how long without a stream and a payment the payer is asked to close, ms. @default 600,000 */
    readonly idleMs?: number
  }
  /** threads that check signatures where very many promises come; 0 = none. @default one less than there are processors */
  readonly checkThreads?: number
  /** addresses that are refused */
  readonly banned?: ReadonlySet<Address>
}
