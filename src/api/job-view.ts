/** What a transaction shows of itself, and amounts of the coin that pays for it. */
import { formatDecimal } from '../core/decimal.ts'
import { formatAddress } from '../core/ids.ts'
import { formatAmount, type TokenInfo } from '../core/token.ts'
import type { Job } from '../ports/chain.ts'

export interface JobView {
  readonly id: string
  readonly kind: string
  readonly summary: string
  readonly state: string
  readonly hash: string | undefined
  readonly block: number | undefined
  readonly gas_used: string | undefined
  /** in the gas coin, or in tokens for a relay */
  readonly fee: string | undefined
  /** the account of the relay that has it, or handed it in */
  readonly relay: string | undefined
  readonly error: string | undefined
}

/** An amount of the gas coin: '0.021 ETH'. */
export function formatGas(wei: bigint): string {
  return `${formatDecimal(wei, 18)} ETH`
}

export function jobView(
  { id, kind, summary, state, hash, block, gasUsed, feeWei, relay, error }: Job,
  token: TokenInfo,
): JobView {
  // a node has one token, and an action pays its relay in that
  const relayFee = relay === undefined ? undefined : formatAmount(relay.fee, token)
  const fee = relayFee ?? (feeWei === undefined ? undefined : formatGas(feeWei))
  return {
    id,
    kind,
    summary,
    state,
    hash,
    block,
    gas_used: gasUsed?.toString(),
    fee,
    relay: relay && formatAddress(relay.account),
    error: error?.message,
  }
}
