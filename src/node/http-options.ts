/** How HTTP is bought with a node. */
import type { Amount } from '../core/amount.ts'
import type { Price } from '../core/price.ts'
import { parsePrice } from '../core/price-text.ts'
import type { TokenInfo } from '../core/token.ts'
import type { Found } from '../discovery/market.ts'
import type { ClosedSession, NodeSession } from './node-session.ts'
import { type AmountLike, type PayMode, toAmount } from './options.ts'
import { PaidHttp } from './paid-http.ts'

/** As for a session, for any service. */
export interface HttpOptions {
  /** never sign more than this, over all services */
  readonly budget: AmountLike
  /** such as '0.02/MiB' or '0.001/call'; a route that counts as several calls costs no more than this either */
  readonly maxPrice?: string | Price
  /** a peer id or multiaddr: buy from this provider and no other */
  readonly provider?: string
  /** never be further ahead of the delivery than this, with each service. @default '0.05 token' */
  readonly limitAtRisk?: AmountLike
  /** how chunks are paid. @default as the node does */
  readonly pay?: PayMode
  /** how long a session that nobody uses is kept, ms. @default 60,000 */
  readonly idleMs?: number
  /** who is to sell a service. @default as `open` of a node chooses */
  readonly find?: (service: string) => Promise<Found>
  /** called when a session is over, with its receipt */
  readonly onClosed?: (closed: ClosedSession, session: NodeSession) => void | Promise<void>
}

type OneService<Service> = Pick<HttpOptions, 'provider' | 'budget' | 'maxPrice' | 'limitAtRisk' | 'pay'> & {
  readonly service: Service
}

/** What is needed of the node. */
export interface HttpMarket {
  readonly token: TokenInfo
  choose(options: OneService<string>): Promise<Found>
  open(options: OneService<Found>): Promise<NodeSession>
}

const IDLE_MS = 60_000

export function openHttp(options: HttpOptions, market: HttpMarket): PaidHttp {
  const { idleMs = IDLE_MS, find, onClosed, provider, maxPrice, limitAtRisk, pay } = options
  const { token } = market
  const rules = {
    ...(provider !== undefined && { provider }), ...(maxPrice !== undefined && { maxPrice }),
    ...(limitAtRisk !== undefined && { limitAtRisk }), ...(pay !== undefined && { pay }),
  } // biome-ignore format: a record
  const budget: Amount = toAmount('budget', options.budget, '', token)
  return new PaidHttp({
    budget,
    maxPrice: typeof maxPrice === 'string' ? parsePrice(maxPrice, token) : maxPrice,
    find: find ?? (async (service) => await market.choose({ ...rules, budget, service })),
    open: async (service, most) => await market.open({ ...rules, service, budget: most }),
    idleMs,
    onClosed,
  })
}

/** One request; the options that are not of the web are taken out. */
export async function fetchOnce(
  http: PaidHttp,
  input: string | URL | Request,
  init: RequestInit & HttpOptions,
): Promise<Response> {
  const { budget, maxPrice, provider, limitAtRisk, pay, idleMs, find, onClosed, ...request } = init
  return await http.fetch(input, request)
}
