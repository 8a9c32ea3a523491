/** How a node asks others to hand its signed calls in. */
import type { Amount } from '../core/amount.ts'
import type { Address, Hash32 } from '../core/ids.ts'
import type { SignedForward } from '../core/relay/request.ts'
import type { CallOptions } from './chain.ts'

/** One relay's fee for one call, base units. */
export interface RelayOffer {
  /** how it is reached: the text that it was named by, or its peer id */
  readonly peer: string
  /** who gets the fee */
  readonly account: Address
  readonly fee: Amount
  /** the relay's own name of the quote */
  readonly id: Uint8Array
}

/** What a relay says of a request: it will hand it in, it has, or it will not. A hint, not a fact. */
export interface RelayWord {
  readonly isGoing: boolean
}

export interface Relays {
  /** Whether any are set up to be asked without being named. */
  readonly areSet: boolean
  /** the most that a call may cost unless it says otherwise, base units */
  readonly maxFee: Amount
  /** What relays ask for a call, the cheapest first. Those that do not answer, or refuse, are left out. @throws USAGE for a text that names no peer */
  offers(
    wanted: {
      readonly token: Address
      readonly gas: number
      readonly bytes: number
      readonly peers?: readonly string[] | undefined
    },
    options?: CallOptions,
  ): Promise<readonly RelayOffer[]>
  /** Hands a request over. @throws PEER_UNREACHABLE, UNSUPPORTED (it has not been said), STREAM_CUT (it may have been), or what the relay refuses with */
  submit(offer: Pick<RelayOffer, 'peer' | 'id'>, signed: SignedForward, options?: CallOptions): Promise<RelayWord>
  /** @throws as submit */
  status(peer: string, digest: Hash32, options?: CallOptions): Promise<RelayWord>
}
