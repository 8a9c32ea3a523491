/** What travels on a hop, as plain data. @see protocols/clearing/SPEC.md section 2 */
import type { Amount } from '../amount.ts'
import { ERRORS, type ErrorCode } from '../errors.ts'
import type { Address, Hash32, Seconds } from '../ids.ts'
import type { SignedPromise } from '../promise.ts'
import type { Tariff } from './tariff.ts'

/** Owner and token: with payer and payee, who are known from the connection, they name the channel. */
interface OfChannel {
  readonly owner: Address
  readonly token: Address
}

/** A hop that follows: whom the payee of this one is to promise the same anchor to, and what. */
export interface OnwardHop {
  /** compressed public key of that hop's payee, 33 bytes */
  readonly peer: Uint8Array
  /** base units a step */
  readonly unit: Amount
  /** base units by which that hop's amount rises at once */
  readonly rent: Amount
  readonly expiry: Seconds
}

/** A link as its payee holds it. */
export interface HeldLink {
  readonly anchor: Hash32
  readonly steps: number
  readonly folded: number
  readonly known: number
  readonly word: Uint8Array
  readonly freed: boolean
}

/** What a payee shows of one link: a word that hashes `known` times to its anchor. */
export interface ClearEntry {
  readonly anchor: Hash32
  readonly known: number
  readonly word: Uint8Array
  /** the rest may be left out of the next promise */
  readonly free: boolean
}

export interface OpenHop extends OfChannel {
  readonly type: 'open'
}
export interface Held extends OfChannel {
  readonly type: 'held'
  readonly promise: SignedPromise | undefined
  readonly links: readonly HeldLink[]
}
export interface Ask {
  readonly type: 'ask'
  readonly token: Address
}
export interface TariffSaid {
  readonly type: 'tariff'
  readonly token: Address
  readonly tariff: Tariff
}
export interface LinkAsked extends OfChannel {
  readonly type: 'link'
  readonly consumer: Address
  readonly promise: SignedPromise
  readonly hops: readonly OnwardHop[]
}
export interface Taken {
  readonly type: 'taken'
  readonly anchor: Hash32
}
export interface Granted {
  readonly type: 'grant'
  readonly anchor: Hash32
  /** of the channel of the last hop */
  readonly owner: Address
  readonly signer: Address
  readonly signature: Uint8Array
}
export interface Clear extends OfChannel {
  readonly type: 'clear'
  readonly entries: readonly ClearEntry[]
}
export interface Fold extends OfChannel {
  readonly type: 'fold'
  readonly promise: SignedPromise
}
export interface FoldStored {
  readonly type: 'stored'
  /** of the promise that is meant, 65 bytes */
  readonly signature: Uint8Array
}
export interface ClearingFault {
  readonly type: 'fault'
  /** undefined: the whole stream */
  readonly anchor: Hash32 | undefined
  readonly code: number
}

export type FromHopPayer = OpenHop | Ask | LinkAsked | Fold | ClearingFault
export type FromHopPayee = Held | TariffSaid | Taken | Granted | Clear | FoldStored | ClearingFault
export type ClearingMessage = FromHopPayer | FromHopPayee

/** A refusal as it travels: only the registered number, INTERNAL where there is none. */
export function faultOf(anchor: Hash32 | undefined, code: ErrorCode): ClearingFault {
  const kind = ERRORS[code]
  return { type: 'fault', anchor, code: 'wire' in kind ? kind.wire : ERRORS.INTERNAL.wire }
}
