/** What a relay asks for gas, in tokens. */
import { type Amount, MAX_AMOUNT, maxAmount } from '../amount.ts'

/** How one token is priced. The operator says what the coin is worth; a margin covers that this, or gas, has moved. */
export interface FeePolicy {
  /** base units of the token that 10^18 wei are worth */
  readonly perCoin: Amount
  /** on top of the cost, in millionths */
  readonly marginPpm: bigint
  /** no request is cheaper, base units */
  readonly minFee: Amount
}

/** What a request uses beside the gas that it is signed for: the transaction, the forwarder's checks and its nonce. */
const OVERHEAD_GAS = 70_000n
/** gas of a byte of calldata that is not zero */
const BYTE_GAS = 16n
const COIN = 10n ** 18n

/** The most gas that a request can cost whoever hands it in. */
export function gasAtMost(gas: number, dataBytes: number): bigint {
  // the forwarder hands on 63/64 of what there is
  return (BigInt(gas) * 64n) / 63n + OVERHEAD_GAS + BYTE_GAS * BigInt(dataBytes)
}

/** What so much gas costs the relay, in base units, rounded up; not above what an amount holds. */
export function costOf(policy: FeePolicy, gas: bigint, gasPriceWei: bigint): Amount {
  const cost = (gas * gasPriceWei * policy.perCoin + COIN - 1n) / COIN
  return (cost > MAX_AMOUNT ? MAX_AMOUNT : cost) as Amount
}

/** What a relay asks for it: the cost and the margin, at least the smallest fee. */
export function feeOf(policy: FeePolicy, gas: bigint, gasPriceWei: bigint): Amount {
  const cost = costOf(policy, gas, gasPriceWei)
  const fee = cost + (cost * policy.marginPpm + 999_999n) / 1_000_000n
  return maxAmount((fee > MAX_AMOUNT ? MAX_AMOUNT : fee) as Amount, policy.minFee)
}
