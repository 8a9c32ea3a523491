/**
 * What an accountant remembers: its hops in and out, and how they are joined.
 * @see protocols/clearing/SPEC.md
 */
import type { Amount } from '../amount.ts'
import type { ChannelFacts } from '../channel.ts'
import type { ErrorCode } from '../errors.ts'
import type { Address, ChannelId, Hash32, Seconds } from '../ids.ts'
import type { Lock } from '../lock.ts'
import type { SignedPromise } from '../promise.ts'
import type { Grant } from './grant.ts'
import type { Hop } from './hop.ts'
import type { ClearEntry, ClearingMessage, Fold, Granted, Held, LinkAsked, OnwardHop } from './messages.ts'
import type { Tariff } from './tariff.ts'

/** One link as an accountant has it: what it was promised, and what it promised for that. */
export interface Route {
  readonly anchor: Hash32
  readonly inHop: ChannelId
  readonly outHop: ChannelId
  readonly consumer: Address
  /** what is promised outwards */
  readonly lock: Lock
  /** by how much the hop out rises for it at once, base units */
  readonly rent: Amount
  /** the hops behind the next one */
  readonly onward: readonly OnwardHop[]
  /** waiting: nothing was signed outwards. promised, failed: it was, and the next payee has it, or says that it has not */
  readonly status: 'waiting' | 'promised' | 'granted' | 'failed'
  /** the most that any promise with this lock could ever pay, base units; undefined: none was signed */
  readonly ceiling: bigint | undefined
  /** every anchor with which its lock out ever began, and at which step: what the ledger may name it by */
  readonly begins: ReadonlyMap<Hash32, number>
  /** the deepest step that was shown to this node by anybody, and its word */
  readonly known: number
  readonly word: Uint8Array
  readonly grant: Granted | undefined
}

export interface Books {
  readonly ins: ReadonlyMap<ChannelId, Hop>
  readonly outs: ReadonlyMap<ChannelId, Hop>
  readonly routes: ReadonlyMap<Hash32, Route>
}

export const NO_BOOKS: Books = { ins: new Map(), outs: new Map(), routes: new Map() }

export interface AccountantPolicy {
  /** its `marginS` is what lies between the expiries of the two hops */
  readonly tariff: Tariff
  /** the part of the margin that a settlement needs: confirmations and inclusion, seconds. The rest is how long this node may be away */
  readonly claimS: number
  /** what the links of one payer, and to one payee, may at most make it promise; base units of the hop out */
  readonly maxPerPayer: Amount
  readonly maxPerPayee: Amount
  readonly maxLinksPerPayer: number
}

export interface AccountantContext {
  /** the later of the node's clock and the chain's newest block */
  readonly nowS: Seconds
  /** time of the newest confirmed block whose logs are known */
  readonly chainS: Seconds
  readonly policy: AccountantPolicy
  readonly verify: (hop: Hop, promise: SignedPromise) => boolean
  readonly sign: (hop: Hop, amount: Amount, locks: readonly Lock[]) => SignedPromise
  readonly signGrant: (grant: Grant) => Uint8Array
  readonly isAnchorUsed: (anchor: Hash32) => boolean
  /** whether the stream of the hop is there */
  readonly isUp: (hop: ChannelId) => boolean
  /** whether the payee of that hop out is an accountant itself (K8) */
  readonly forwards: (hop: ChannelId) => boolean
}

export type AccountantInput =
  /** `outHop`: the channel to the peer of the next hop; undefined: there is none */
  | { readonly type: 'link'; readonly hop: ChannelId; readonly message: LinkAsked; readonly outHop: ChannelId | undefined }
  | { readonly type: 'fold'; readonly hop: ChannelId; readonly message: Fold }
  | { readonly type: 'taken'; readonly hop: ChannelId; readonly anchor: Hash32 }
  | { readonly type: 'grant'; readonly hop: ChannelId; readonly message: Granted }
  | { readonly type: 'stored'; readonly hop: ChannelId; readonly signature: Uint8Array }
  | { readonly type: 'fault'; readonly hop: ChannelId; readonly anchor: Hash32 | undefined; readonly code: number }
  | { readonly type: 'clear'; readonly hop: ChannelId; readonly entries: readonly ClearEntry[] }
  /** the ledger's log of a word, which hashes k times to the anchor; `blockS` is the time of its block */
  | { readonly type: 'word'; readonly anchor: Hash32; readonly word: Uint8Array; readonly k: number; readonly blockS: Seconds }
  | { readonly type: 'facts'; readonly hop: ChannelId; readonly facts: ChannelFacts }
  /** the payer of a hop in opened it; the payee of a hop out said what it holds */
  | { readonly type: 'open'; readonly hop: ChannelId }
  | { readonly type: 'held'; readonly hop: ChannelId; readonly message: Held }
  | { readonly type: 'clock' }

export type AccountantEffect =
  /** write the books in one synced batch before anything that follows */
  | { readonly type: 'store' }
  | { readonly type: 'send'; readonly hop: ChannelId; readonly message: ClearingMessage }
  /** settle this hop in now, with every word that is known */
  | { readonly type: 'settle'; readonly hop: ChannelId }
  /** the peer broke the rules in a way that ends its stream */
  | { readonly type: 'drop'; readonly hop: ChannelId; readonly code: ErrorCode }

export interface AccountantStep {
  readonly books: Books
  readonly effects: readonly AccountantEffect[]
}
