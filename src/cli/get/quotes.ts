/** `tallystick quote`: what a purchase would come to at each provider. No session is opened, and nothing is sent to the chain. */
import { join } from 'node:path'
import { formatGas } from '../../api/job-view.ts'
import { PeerBook } from '../../api/peer-book.ts'
import { type Amount, maxAmount } from '../../core/amount.ts'
import { asTallyError, TallyError } from '../../core/errors.ts'
import { meterOf } from '../../core/meter.ts'
import { type Chunk, chunkCost, due, type Price, rateOf } from '../../core/price.ts'
import { formatCount, formatPrice, parseChunk, parsePrice } from '../../core/price-text.ts'
import { formatAmount } from '../../core/token.ts'
import type { Found } from '../../discovery/market.ts'
import { pulledOut, type ReservePlan } from '../../node/reservations.ts'
import type { Cli } from '../context.ts'
import type { OpenedNode } from '../open-node.ts'
import { table } from '../output.ts'
import { chooseSeveral } from './choose.ts'
import { withProvider } from './run.ts'
import { parseTarget } from './target.ts'

export interface QuoteFlags {
  readonly provider?: string
  readonly providers: number
  readonly maxPrice?: string
}

/** One provider's answer; amounts with their token. */
interface Quote {
  readonly provider: string
  readonly price: string
  /** of the amount that was asked for; null when none was */
  readonly cost: string | null
  /** the least that must be reserved and unspent */
  readonly demanded: string
  /** what is reserved there and not promised */
  readonly reserved: string
  /** what would be added to the reservation; null when that cannot be told, and then why */
  readonly to_reserve: string | null
  /** how much of that would come out of the wallet */
  readonly to_deposit: string | null
  readonly gas: string
  readonly fee_at_most: string
  readonly problem?: string
}

const FIND_MS = 15_000
const DAY_S = 86_400

export async function runQuote(cli: Cli, what: string, amount: string | undefined, flags: QuoteFlags): Promise<void> {
  const target = withProvider(parseTarget(what), flags.provider)
  await cli.withNode({}, async (opened) => {
    const { node, home, settings } = opened
    const most = flags.maxPrice ?? settings.config.consumer.maxPrice
    const found = await chooseSeveral(node, target, {
      book: new PeerBook(join(home.paths.dir, 'peers.json')),
      maxPrice: most === undefined ? undefined : parsePrice(most, node.token),
      timeoutMs: Math.min(cli.options.timeout ?? FIND_MS, FIND_MS),
      signal: cli.stop.signal,
      tell: (line) => cli.out.note(line),
    })
    const quotes: Quote[] = []
    for (const one of found.slice(0, flags.providers)) quotes.push(await quoteOf(cli, opened, one, amount))
    cli.out.data({ what, amount: amount ?? null, quotes })
    const rows = quotes.map((quote) => [
      quote.provider, quote.price, quote.cost ?? '', quote.demanded, quote.reserved, quote.to_reserve ?? '?', quote.to_deposit ?? '?', quote.fee_at_most,
    ]) // biome-ignore format: a row
    const header = ['provider', 'price', amount === undefined ? 'cost' : `${amount} cost`, 'demands', 'reserved', 'to reserve', 'of it from the wallet', 'gas at most'] // biome-ignore format: a row
    cli.out.text(...table(header, rows))
    for (const { provider, problem } of quotes) if (problem !== undefined) cli.out.warn(`${provider}: ${problem}`)
  })
}

async function quoteOf(cli: Cli, { node, settings }: OpenedNode, found: Found, text: string | undefined): Promise<Quote> {
  const { token, money } = node
  const { peer, provider, offer } = found
  const show = (amount: Amount): string => formatAmount(amount, token)
  const amount = text === undefined ? undefined : amountOf(text, offer.price)
  const cost = amount === undefined ? undefined : due(offer.price, meterOf({ [amount.kind]: amount.size }))
  const free = money.payingTo(provider)?.free ?? (0n as Amount)
  // for an amount that is not known: enough to begin with
  const wanted = maxAmount(cost ?? maxAmount(chunkCost(offer.price, offer.chunk), offer.minReservation), 1n as Amount)
  // what the offer demands is told as it is, whatever the purchase costs
  const reserve = {
    allowance: { left: maxAmount(wanted, offer.minReservation) },
    forS: settings.config.consumer.reservationDays * DAY_S,
  }
  let plan: ReservePlan | undefined
  let problem: string | undefined
  try {
    plan = await node.planReserve(found, wanted, reserve, { signal: cli.stop.signal })
  } catch (thrown) {
    cli.stop.signal.throwIfAborted()
    const { message, hint } = asTallyError(thrown)
    problem = hint === undefined ? message : `${message} (${hint})`
  }
  const toReserve = plan?.step.amount ?? (0n as Amount)
  return {
    provider: peer.toString(),
    price: `${formatPrice(offer.price, token)}, each ${formatCount(offer.chunk.kind, offer.chunk.size, offer.price.unitName)}`,
    cost: cost === undefined ? null : show(cost),
    demanded: show(offer.minReservation),
    reserved: show(free),
    to_reserve: problem === undefined ? show(toReserve) : null,
    to_deposit: problem === undefined ? show(plan === undefined ? (0n as Amount) : pulledOut(plan.action)) : null,
    gas: `${plan?.run.gas ?? 0n}`,
    fee_at_most: plan?.run.relay === undefined ? formatGas(plan?.run.feeWei ?? 0n) : show(plan.run.relay.fee),
    ...(problem !== undefined && { problem }),
  }
}

/** '1 GiB', '10 min': a count of what the price is for. @throws USAGE */
function amountOf(text: string, price: Price): Chunk {
  let amount: Chunk | undefined
  try {
    amount = parseChunk(text, price)
  } catch (cause) {
    const hint = 'write it like `1 GiB`, `10 min` or `100 call`'
    throw new TallyError('USAGE', { message: `"${text.slice(0, 40)}" is not an amount that can be bought`, hint, cause })
  }
  if (price.rates.length === 0 || rateOf(price, amount.kind) !== undefined) return amount
  throw new TallyError('USAGE', {
    message: `the price of the service is not for "${text.slice(0, 40)}"`,
    hint: 'ask without an amount to see what it is for',
  })
}
