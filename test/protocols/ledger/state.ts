/** What a sequence of calls in one token leaves behind, and how it is read. */
import { type ChannelFacts, NO_CHANNEL } from '../../../src/core/channel.ts'
import { type Address, type ChannelId, type ChannelParties, channelId, ZERO_ADDRESS } from '../../../src/core/ids.ts'

/** All that a refused call has to leave as it was. */
class Maps {
  readonly wallets = new Map<Address, bigint>()
  readonly balances = new Map<Address, bigint>()
  readonly channels = new Map<ChannelId, ChannelFacts>()
  readonly payouts = new Map<Address, Address>()
  readonly proposals = new Map<Address, Address>()
  readonly nonces = new Map<Address, bigint>()
  /** by payout and target */
  readonly fees = new Map<string, bigint>()
}

/** One token in the ledger. */
export class State {
  protected maps = new Maps()

  channel(parties: ChannelParties): ChannelFacts {
    return this.maps.channels.get(channelId(parties)) ?? NO_CHANNEL
  }

  setChannel(parties: ChannelParties, facts: ChannelFacts): void {
    this.maps.channels.set(channelId(parties), facts)
  }

  wallet(account: Address): bigint {
    return this.maps.wallets.get(account) ?? 0n
  }

  fundWallet(account: Address, amount: bigint): void {
    this.maps.wallets.set(account, this.wallet(account) + amount)
  }

  balance(account: Address): bigint {
    return this.maps.balances.get(account) ?? 0n
  }

  payoutOf(target: Address): Address {
    return this.maps.payouts.get(target) ?? target
  }

  proposedOf(target: Address): Address {
    return this.maps.proposals.get(target) ?? ZERO_ADDRESS
  }

  nonceOf(target: Address): bigint {
    return this.maps.nonces.get(target) ?? 0n
  }

  feeOf(target: Address): bigint {
    return this.maps.fees.get(`${this.payoutOf(target)}>${target}`) ?? 0n
  }

  /** All tokens that the ledger must hold. */
  held(): bigint {
    let sum = 0n
    for (const balance of this.maps.balances.values()) sum += balance
    for (const { deposit, settled } of this.maps.channels.values()) sum += deposit - settled
    return sum
  }
}
