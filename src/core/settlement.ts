/**
 * When a payee turns promises into tokens. The policy only decides; sending the transaction is the shell's work.
 */
import type { Amount } from './amount.ts'
import { type ChannelIn, isFrozen, unsettled } from './channel.ts'
import type { Seconds } from './ids.ts'

export interface SettlementPolicy {
  /** settle a channel when at least this much is unsettled, base units */
  readonly settleAt: Amount
  /** settle when a session of the channel has closed, whatever the amount */
  readonly onClose: boolean
  /** settle any amount this long before the expiry of the reservation, seconds */
  readonly marginS: number
}

export type SettleReason = 'amount' | 'close' | 'expiry' | 'asked'

/** Why this channel should be settled now; undefined = it can wait. Nothing unsettled: never. */
export function settleReason(
  channel: ChannelIn,
  policy: SettlementPolicy,
  now: Seconds,
  sessionClosed: boolean,
): SettleReason | undefined {
  const open = payable(channel)
  if (open === 0n) return undefined
  // also when a Close was signed: the payer may never send it, and reclaim everything after the expiry
  if (now >= channel.facts.expiry - policy.marginS) return 'expiry'
  if (isFrozen(channel, now)) return undefined
  if (open >= policy.settleAt) return 'amount'
  return policy.onClose && sessionClosed ? 'close' : undefined
}

/** What a settle of the best promise would pay now: never more than the deposit holds, in base units. */
export function payable(channel: ChannelIn): Amount {
  const room = channel.facts.deposit - channel.facts.settled
  const open = unsettled(channel)
  return (open < room ? open : room) as Amount
}
