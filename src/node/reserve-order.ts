/** What a purchase lets a node reserve by itself, from what its caller said. */
import { type Amount, maxAmount } from '../core/amount.ts'
import type { TokenInfo } from '../core/token.ts'
import type { Found } from '../discovery/market.ts'
import type { ReserveOptions } from './call-options.ts'
import { RESERVED_S } from './money.ts'
import { toAmount } from './options.ts'
import type { ReserveOrder } from './reservations.ts'

/** The order, and how much is to be free before the purchase begins, base units. `budget`: of the purchase. @throws AMOUNT_INVALID */
export function reserveOrder(
  found: Found,
  budget: Amount,
  reserve: ReserveOptions | 'auto',
  token: TokenInfo,
): { readonly order: ReserveOrder; readonly free: Amount } {
  const { upTo, allowance, forS = RESERVED_S, tell, relay } = reserve === 'auto' ? {} : reserve
  const free = upTo === undefined ? budget : toAmount('reserve', upTo, '', token)
  const most = allowance ?? { left: maxAmount(free, budget) }
  return { order: { found, upTo: free, allowance: most, forS, tell, relay }, free }
}
