/** What a relay shows of itself. */
import type { Amount } from '../core/amount.ts'
import { formatAmount } from '../core/token.ts'
import type { TallyNode } from '../node/node.ts'
import { formatGas } from './job-view.ts'

/** What being a relay has brought. */
export interface RelayView {
  readonly handed_in: number
  readonly failed: number
  readonly under_way: number
  readonly fees: string
  readonly gas: string
}

/** undefined where the node is none. */
export function relayView({ relaying, token }: TallyNode): RelayView | undefined {
  if (relaying === undefined) return undefined
  const { done, failed, open, fees, gasWei } = relaying
  const earned = formatAmount(fees.get(token.address) ?? (0n as Amount), token)
  return { handed_in: done, failed, under_way: open, fees: earned, gas: formatGas(gasWei) }
}
