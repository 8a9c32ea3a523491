/** Prices of routes as one price of a session and a tariff: routes of different prices count as different numbers of calls. */
import type { Amount } from '../core/amount.ts'
import { TallyError } from '../core/errors.ts'
import { type Chunk, chunkCost, type Price, priceOf, type Rate, rateOf } from '../core/price.ts'
import { parsePrice } from '../core/price-text.ts'
import type { TokenInfo } from '../core/token.ts'
import type { Route, Tariff } from '../services/http/tariff.ts'

const ROUTE = /^\s*(\*|[A-Z-]+)\s+([^\s=]+)\s*=\s*([^\s].*?)(?:\s+usage:(\S+)\s+most:(\d{1,19}))?\s*$/

interface Priced {
  readonly route: Omit<Route, 'calls'>
  readonly price: Price
}

export interface RoutePrices {
  readonly price: Price
  readonly tariff: Tariff
  /** what the dearest request may cost; undefined where none is charged: a payment that covers less would have a request wait for several */
  readonly chunk: Chunk | undefined
}

/**
 * Reads routes such as `POST /v1/* = 0.002/call`, `GET /health = free` and `POST /v1/chat = 0.00002/unit:token usage:$.usage.total_tokens most:8000`
 * beside the price of everything else. The price that comes out names the largest price of which every route costs a whole multiple.
 *
 * @throws TallyError USAGE, PRICE_INVALID
 */
export function routePrices(base: string, routes: readonly string[], chargeFailures: boolean, token: TokenInfo): RoutePrices {
  const all = parsePrice(base, token)
  if (routes.length === 0) {
    const tariff = { chargeFailures, calls: rateOf(all, 'calls') === undefined ? 0 : 1, routes: [] }
    return { price: all, tariff, chunk: undefined }
  }
  const priced = routes.map((text) => read(text, token))
  refuseTiers([all, ...priced.map(({ price }) => price)])
  const call = commonRate([all, ...priced.map(({ price }) => price)].flatMap((price) => rateOf(price, 'calls') ?? []))
  const unit = oneUnit([all, ...priced.map(({ price }) => price)])
  const rates = all.rates.filter(({ kind }) => kind !== 'calls' && kind !== 'units')
  const times = (price: Price): number => (call === undefined ? 0 : timesOf(rateOf(price, 'calls'), call))
  const price = priceOf([...rates, ...(call === undefined ? [] : [call]), ...(unit === undefined ? [] : [unit.rate])], unit?.name)
  const tariff = {
    chargeFailures,
    calls: times(all),
    routes: priced.map((one) => ({ ...one.route, calls: times(one.price) })),
  }
  return { price, tariff, chunk: dearest(price, tariff) }
}

/** Calls of several routes are counted as one, and so are their units: how far a tier of one has come is not known. */
function refuseTiers(prices: readonly Price[]): void {
  const tiers = prices.some(({ rates }) =>
    rates.some(({ kind, from }) => (kind === 'calls' || kind === 'units') && from !== undefined),
  )
  if (tiers) throw new TallyError('USAGE', { message: 'beside routes, calls and units have one rate each, without tiers' })
}

function dearest(price: Price, { calls, routes }: Tariff): Chunk | undefined {
  const steps: Chunk[] = [{ calls, usage: undefined }, ...routes].flatMap((route) => [
    ...(route.calls > 0 ? [{ kind: 'calls', size: BigInt(route.calls) } as const] : []),
    ...(route.usage === undefined ? [] : [{ kind: 'units', size: route.usage.most } as const]),
  ])
  return steps.toSorted((a, b) => (chunkCost(price, a) < chunkCost(price, b) ? 1 : -1))[0]
}

function read(text: string, token: TokenInfo): Priced {
  const found = ROUTE.exec(text)
  const refuse = (why: string): TallyError =>
    new TallyError('USAGE', {
      message: `${JSON.stringify(text.slice(0, 120))} is not a route: ${why}`,
      hint: "write it like 'POST /v1/*=0.002/call', 'GET /health=free' or 'POST /v1/chat=0.00002/unit:token usage:$.usage.total_tokens most:8000'",
    })
  if (found === null) throw refuse('it needs a method, a path, = and a price')
  const [, method = '', path = '', priceText = '', usage, most = '0'] = found
  const price = parsePrice(priceText, token)
  if (price.rates.some(({ kind }) => kind !== 'calls' && kind !== 'units'))
    throw refuse('bytes and time cost the same on every route: they belong into --price')
  if ((rateOf(price, 'units') !== undefined) !== (usage !== undefined))
    throw refuse('units need usage:<JSON path> and most:<units>, and these need units')
  return { route: { method, path, ...(usage !== undefined && { usage: { path: usage, most: BigInt(most) } }) }, price }
}

const gcd = (a: bigint, b: bigint): bigint => (b === 0n ? a : gcd(b, a % b))

/** The largest rate of which each of these is a whole multiple. */
function commonRate(rates: readonly Rate[]): Rate | undefined {
  if (rates.length === 0) return undefined
  const per = rates.reduce((common, rate) => (common / gcd(common, rate.per)) * rate.per, 1n)
  const most = rates.reduce((common, rate) => gcd(common, rate.amount * (per / rate.per)), 0n)
  const shared = gcd(most, per)
  return { kind: 'calls', amount: (most / shared) as Amount, per: per / shared }
}

function timesOf(rate: Rate | undefined, call: Rate): number {
  return rate === undefined ? 0 : Number((rate.amount * call.per) / (rate.per * call.amount))
}

function oneUnit(prices: readonly Price[]): { readonly rate: Rate; readonly name: string | undefined } | undefined {
  const units = prices.flatMap((price) => {
    const rate = rateOf(price, 'units')
    return rate === undefined ? [] : [{ rate, name: price.unitName }]
  })
  const [first] = units
  const same = units.every(
    ({ rate, name }) => name === first?.name && rate.amount === first?.rate.amount && rate.per === first.rate.per,
  )
  if (same) return first
  throw new TallyError('USAGE', {
    message: 'a unit costs the same on every route',
    hint: 'let the service count more or fewer units',
  })
}
