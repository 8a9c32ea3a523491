/** What can be called in a random sequence, in the words that the model and the chain share. */
import type { Amount } from '../../../src/core/amount.ts'
import type { Address, ChannelParties } from '../../../src/core/ids.ts'
import type { ShownLock } from '../../../src/core/lock.ts'

/** A promise as it is handed in. A row that is not `genuine` carries somebody else's signature. */
export interface Row {
  readonly parties: ChannelParties
  readonly amount: Amount
  readonly shown: readonly ShownLock[]
  readonly genuine: boolean
}

interface By {
  /** who makes the call; where the caller is a part of the channel there is no `from` */
  readonly from: Address
}

/** Tokens that come in. `sweep` takes what lies at `box`, the deposit address of `account`. */
type Paying =
  | (By & { readonly fn: 'deposit' | 'depositWithPermit'; readonly account: Address; readonly amount: bigint })
  | (By & {
      readonly fn: 'depositWithAuthorization'
      /** who signed, so whose tokens are taken, and the account it signed for */
      readonly holder: Address
      readonly signedFor: Address
      readonly account: Address
      readonly amount: bigint
    })
  | (By & { readonly fn: 'sweep'; readonly account: Address; readonly box: Address })

type Moving = By & { readonly fn: 'withdraw' | 'transfer'; readonly to: Address; readonly amount: bigint }

type Reserving =
  | {
      readonly fn: 'open' | 'depositAndOpen' | 'depositAndOpenWithPermit'
      readonly parties: ChannelParties
      readonly amount: bigint
      readonly expiry: bigint
    }
  | (By & {
      readonly fn: 'depositAndOpenWithAuthorization'
      readonly parties: ChannelParties
      readonly amount: bigint
      readonly expiry: bigint
      readonly signedExpiry: bigint
    })
  | (By & { readonly fn: 'topUp'; readonly parties: ChannelParties; readonly amount: bigint })

type Ending =
  | { readonly fn: 'reclaim'; readonly parties: ChannelParties }
  | {
      readonly fn: 'close'
      readonly parties: ChannelParties
      readonly amount: bigint
      readonly deadline: bigint
      readonly signedEpoch: bigint
    }

/** `cut` is how many bytes are missing at the end, fewer than a row has. */
type Settling =
  | (By & { readonly fn: 'settle' | 'settleDirect'; readonly row: Row; readonly cut: number })
  | (By & { readonly fn: 'settleBatch'; readonly target: Address; readonly rows: readonly Row[]; readonly cut: number })

type Naming =
  | (By & { readonly fn: 'proposePayout'; readonly target: Address; readonly payout: Address })
  | (By & { readonly fn: 'acceptPayout'; readonly target: Address })
  | (By & {
      readonly fn: 'acceptPayoutWithSignature'
      readonly target: Address
      readonly payout: Address
      readonly deadline: bigint
      readonly signedNonce: bigint
    })
  | (By & { readonly fn: 'setMaxRelayFee'; readonly target: Address; readonly amount: bigint })

/** One call in one token. */
export type Call = Paying | Moving | Reserving | Ending | Settling | Naming

/** An event: its name and its arguments in their order, addresses in lower case. */
export type LedgerEvent = readonly [name: string, ...args: unknown[]]
