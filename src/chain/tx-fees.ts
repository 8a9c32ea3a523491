/** Wei for each unit of gas. Without `tip`: a chain without EIP-1559, where `maxFee` is the gas price. */
export interface Fees {
  readonly maxFee: bigint
  readonly tip?: bigint
}

/** What a transaction should offer now: twice the base fee, so that it stays good through six full blocks in a row. */
export function marketFees(baseFee: bigint | undefined, tip: bigint): Fees {
  return baseFee === undefined ? { maxFee: tip } : { maxFee: baseFee * 2n + tip, tip }
}

/**
 * The fees of the next attempt with the same nonce: both an eighth higher (nodes ask for a tenth, some for an eighth), and not below
 * the market. Undefined when that would exceed `cap`: the attempt that is out stays.
 */
export function bumpedFees(last: Fees, market: Fees, cap: bigint): Fees | undefined {
  const maxFee = larger(raised(last.maxFee), market.maxFee)
  if (maxFee > cap) return undefined
  if (last.tip === undefined) return { maxFee }
  return { maxFee, tip: larger(raised(last.tip), market.tip ?? 0n) }
}

/** 12.5 % more, rounded up, and at least 1 wei more. */
function raised(fee: bigint): bigint {
  return fee + (fee + 7n) / 8n + (fee === 0n ? 1n : 0n)
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
