/** A change of money that was understood: what it would do, and how it is done. */
import type { Amount } from '../core/amount.ts'
import type { Address } from '../core/ids.ts'
import { parseAmount, type TokenInfo } from '../core/token.ts'
import type { Job, LedgerAction, RelayWish } from '../ports/chain.ts'
import type { CallOptions, MoneyRequest } from './control.ts'

export type Change = readonly [what: string, now: Amount, after: bigint]

/** One request that was understood. */
export interface Intent {
  readonly summary: string
  readonly changes: readonly Change[]
  /** what the ledger would be asked; empty when that needs the other end first, or when there is nothing to do */
  readonly actions: readonly LedgerAction[]
  readonly notes: readonly string[]
  /** the provider whose channel is changed */
  readonly provider?: Address
  /** does it, where sending the actions is not enough */
  readonly run?: (options: CallOptions & { readonly relay?: RelayWish }) => Promise<readonly Job[]>
}

/** What the user says of relays. @throws AMOUNT_INVALID */
export function relayOf({ relay }: MoneyRequest, token: TokenInfo): { readonly relay?: RelayWish } {
  if (relay === undefined) return {}
  const { peers, maxFee } = relay
  return { relay: { ...(peers && { peers }), ...(maxFee !== undefined && { maxFee: parseAmount(maxFee, token) }) } }
}
