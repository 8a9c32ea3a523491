/** What a node is put together from. */
import type { EventEmitter } from 'node:events'
import type { Domain } from '../core/eip712.ts'
import type { TokenInfo } from '../core/token.ts'
import type { Market } from '../discovery/market.ts'
import type { Chain, Unfollow } from '../ports/chain.ts'
import type { Clock } from '../ports/clock.ts'
import type { Store } from '../ports/store.ts'
import type { RelayDesk } from '../relay/desk.ts'
import type { Log, Self, SessionEvents } from '../session/components.ts'
import type { PayeeDesk } from '../session/payee-desk.ts'
import type { PayerDesk } from '../session/payer-desk.ts'
import type { Settler } from '../settlement/settler.ts'
import type { Appraiser } from './appraiser.ts'
import type { Network } from './libp2p.ts'
import type { Lines } from './lines.ts'
import type { Money } from './money.ts'
import type { providerPolicy } from './options.ts'
import type { Reservations } from './reservations.ts'
import type { Shelf } from './shelf.ts'

export interface NodeParts {
  readonly self: Self
  readonly domain: Domain
  readonly token: TokenInfo
  readonly store: Store
  readonly chain: Chain
  readonly clock: Clock
  readonly log: Log
  readonly events: EventEmitter<SessionEvents>
  readonly payer: PayerDesk
  readonly payee: PayeeDesk
  readonly settler: Settler
  readonly network: Network
  readonly shelf: Shelf
  readonly market: Market
  readonly lines: Lines
  readonly money: Money
  readonly appraiser: Appraiser
  readonly reservations: Reservations
  /** where this node is a relay */
  readonly relay: RelayDesk | undefined
  readonly policy: ReturnType<typeof providerPolicy>
  readonly unfollow: Unfollow
}
