/** What a purchase would be, without a session and without money. */

import { formatGas } from '../../api/job-view.ts'
import { formatAddress } from '../../core/ids.ts'
import { meterOf } from '../../core/meter.ts'
import { chunkCost, due } from '../../core/price.ts'
import { formatCount, formatPrice, quote } from '../../core/price-text.ts'
import { formatAmount } from '../../core/token.ts'
import type { Found } from '../../discovery/market.ts'
import type { TallyNode } from '../../node/node.ts'
import type { Cli } from '../context.ts'
import { facts } from '../output.ts'
import type { PurchaseInit } from './delivery.ts'
import { planText } from './reserve.ts'
import type { Target } from './target.ts'

const DRY_RUN = 10
/** for the line that makes a price easy to grasp */
const GRASP = { down: 1n << 30n, up: 1n << 30n, ms: 3_600_000n, calls: 1_000n, units: 1_000n }

export async function quotePurchase(cli: Cli, node: TallyNode, found: Found, target: Target, init: PurchaseInit): Promise<void> {
  const { peer, provider, offer } = found
  const { token, money } = node
  const { price, chunk } = offer
  // how it would begin; what the session uses up is filled up in the same way
  const plan = init.reserve === undefined ? undefined : await node.planReserve(found, init.budget, init.reserve, init)
  const free = money.payingTo(provider)?.free
  const whole = init.expectBytes === undefined ? undefined : due(price, meterOf({ down: init.expectBytes }))
  const view = {
    what: `${target.service}${target.path === '' ? '' : `/${target.path}`}`,
    provider: peer.toString(),
    account: formatAddress(provider),
    price: formatPrice(price, token),
    for_example: [...new Set(price.rates.map(({ kind }) => kind))].map((kind) =>
      quote({ ...price, rates: price.rates.filter((rate) => rate.kind === kind) }, kind, GRASP[kind], token),
    ),
    chunk: `${formatCount(chunk.kind, chunk.size, price.unitName)} = ${formatAmount(chunkCost(price, chunk), token)}`,
    ...(whole !== undefined && { cost: formatAmount(whole, token) }),
    budget: formatAmount(init.budget, token),
    limit_at_risk: formatAmount(init.limitAtRisk, token),
    reserved: free === undefined ? 'nothing' : formatAmount(free, token),
    ...(plan !== undefined && {
      would_reserve: planText(plan, token),
      transactions: `${plan.run.transactions}`,
      ...(plan.run.relay === undefined
        ? { gas: `${plan.run.gas}, at most ${formatGas(plan.run.feeWei)}` }
        : { relay: `${formatAmount(plan.run.relay.fee, token)}, no gas` }),
    }),
  }
  cli.out.data({ dry_run: true, ...view })
  const rows = Object.entries(view).map(
    ([name, value]) => [name.replaceAll('_', ' '), Array.isArray(value) ? value.join(', ') : String(value)] as const,
  )
  cli.out.text(...facts(rows), 'dry run: nothing was bought')
  cli.exitCode = DRY_RUN
}
