/** What `connect` and `pipe` have in common with `get`: whom to buy from, and for how much. */
import { TallyError } from '../../core/errors.ts'
import type { Cli } from '../context.ts'
import { quotePurchase } from '../get/quote.ts'
import { type GetFlags, type Order, understand, withProvider } from '../get/run.ts'
import { parseTarget, type Target } from '../get/target.ts'

export type TunnelFlags = Pick<GetFlags, 'budget' | 'provider' | 'maxPrice' | 'limitAtRisk' | 'pay'>

/** @throws USAGE */
export function tunnelTarget(what: string, { budget, provider }: TunnelFlags): Target {
  const target = withProvider(parseTarget(what), provider)
  if (target.path !== '')
    throw new TallyError('USAGE', {
      message: `there is no "${target.path.slice(0, 80)}" in a connection`,
      hint: 'name the service alone; files are bought with `tallystick get`',
    })
  if (budget !== undefined) return target
  throw new TallyError('USAGE', {
    message: 'a purchase needs a budget: the most that may be spent',
    hint: "add --budget '0.5 tUSDC'",
  })
}

/** Finds the seller; undefined when only the price was asked for, and told. @throws as `understand` */
export async function tunnelOrder(
  cli: Cli,
  opened: Order['opened'],
  target: Target,
  flags: TunnelFlags,
): Promise<Order | undefined> {
  const order = await understand(cli, opened, target, { ...flags, budget: flags.budget ?? '' })
  if (cli.options.dryRun !== true) return order
  await quotePurchase(cli, opened.node, order.found, target, order.init)
  return undefined
}
