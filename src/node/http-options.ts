/** How HTTP is bought with a node. */
import type { Amount } from '../core/amount.ts'
import type { Address, SessionId } from '../core/ids.ts'
import type { Price } from '../core/price.ts'
import type { PayerSession } from '../core/session/payer.ts'
import type { TokenInfo } from '../core/token.ts'
import type { Found } from '../discovery/market.ts'
import type { ResumeOptions } from './call-options.ts'
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
  /** who is to sell a service, of those that are not named: they are away just now. @default as `open` of a node chooses */
  readonly find?: (service: string, without: readonly Address[]) => Promise<Found>
  /** called when a session is over, with its receipt */
  readonly onClosed?: (closed: ClosedSession, session: NodeSession) => void | Promise<void>
}

type OneService<Service> = Pick<HttpOptions, 'provider' | 'budget' | 'maxPrice' | 'limitAtRisk' | 'pay'> & {
  readonly service: Service
}

/** What is needed of the node. */
export interface HttpMarket {
  readonly token: TokenInfo
  choose(options: OneService<string>, without: readonly Address[]): Promise<Found>
  open(options: OneService<Found>): Promise<NodeSession>
  resume(id: SessionId, found: Found, options: ResumeOptions): Promise<NodeSession>
  /** the session, if it was cut and may be gone on with */
  cut(id: SessionId): Promise<PayerSession | undefined>
  forget(id: SessionId): Promise<void>
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
    find: find ?? (async (service, without) => await market.choose({ ...rules, budget, service }, without)),
    open: async (service, most) => await market.open({ ...rules, service, budget: most }),
    resume: async (id, found, signal) =>
      await market.resume(id, found, { ...(pay !== undefined && { pay }), ...(signal !== undefined && { signal }) }),
    cut: async (id) => await market.cut(id),
    forget: async (id) => await market.forget(id),
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
