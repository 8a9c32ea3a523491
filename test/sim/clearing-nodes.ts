// The nodes of a simulated history: what each remembers, and what of it is on its disk.
import { type Books, NO_BOOKS } from '../../src/core/accountant/books.ts'
import { type ConsumerState, newConsumer, type Wanted } from '../../src/core/accountant/consumer.ts'
import type { Hop } from '../../src/core/accountant/hop.ts'
import type { Tariff } from '../../src/core/accountant/tariff.ts'
import type { Address, Hash32, Seconds } from '../../src/core/ids.ts'
import type { Chain } from './clearing-chains.ts'

/** What all nodes have. */
class Actor {
  readonly address: Address
  readonly cheats: boolean
  /** until when it is away */
  awayUntil = 0
  /** and until when it stays after that */
  staysUntil = 0
  /** time of the newest block that it knows all of */
  chainS = 0 as Seconds
  /** words of the log that it has read */
  seen = 0
  /** anchors that it has taken before */
  readonly anchors = new Set<Hash32>()

  constructor(address: Address, cheats: boolean) {
    this.address = address
    this.cheats = cheats
  }
}

export class ConsumerNode extends Actor {
  state: ConsumerState
  stored: ConsumerState
  /** of all links that it asked for */
  rents = 0n

  constructor(address: Address, cheats: boolean, hop: Hop) {
    super(address, cheats)
    this.state = newConsumer(hop)
    this.stored = this.state
  }
}

export class AccountantNode extends Actor {
  readonly tariff: Tariff
  books: Books = NO_BOOKS
  stored: Books = NO_BOOKS

  constructor(address: Address, cheats: boolean, tariff: Tariff) {
    super(address, cheats)
    this.tariff = tariff
  }
}

export class ProviderNode extends Actor {
  /** what it counted of each link, base units */
  readonly earned = new Map<Hash32, bigint>()
  hop: Hop
  stored: Hop

  constructor(address: Address, cheats: boolean, hop: Hop) {
    super(address, cheats)
    this.hop = hop
    this.stored = hop
  }
}

export type AnyNode = ConsumerNode | AccountantNode | ProviderNode

export interface Stream {
  readonly anchor: Hash32
  readonly chain: Chain
  readonly consumer: ConsumerNode
  readonly provider: ProviderNode
  readonly wanted: Wanted
  /** the anchor is somebody else's, and so are the words */
  readonly isStolen: boolean
  status: 'asked' | 'granted' | 'over'
  /** deepest step that was revealed to the provider */
  revealed: number
  counted: number
}
