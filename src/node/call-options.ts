/** What the calls of a node are given: to sell, to buy, to go on, and to reserve by itself. */
import type { Chunk, Price } from '../core/price.ts'
import type { Found } from '../discovery/market.ts'
import type { ServiceAdapter } from '../ports/service.ts'
import type { AmountLike, PayMode } from './options.ts'
import type { Allowance, ReserveOrder } from './reservations.ts'

export interface ServeOptions {
  /** 1 to 64 of a-z 0-9 . _ - */
  readonly name: string
  readonly service: ServiceAdapter
  /** such as '0.01 USDC/MiB', '0.001/s', '0.1/GiB+0.0001/s', '0.001/call+0.5/Mtoken', '0.02/MiB>10MiB,0.01/MiB>1GiB', 'free' */
  readonly price: string | Price
  /** after how much a payment is due, such as '64 KiB', '1 s' or '10 call'. @default 64 KiB; 1 s where only time is priced; the dearest step where calls or units are */
  readonly chunk?: string | Chunk
  readonly description?: string
  readonly minReservation?: AmountLike
  readonly minTimeToExpiryS?: number
}

export interface OpenOptions {
  /** the name of the service, or what `find` found */
  readonly service: string | Found
  /** a peer id or multiaddr: buy from this provider and no other */
  readonly provider?: string
  /** what is wanted of the service; a text is sent as UTF-8 */
  readonly inputs?: string | Uint8Array
  /** never sign more than this for the session */
  readonly budget: AmountLike
  /** such as '0.02/MiB' */
  readonly maxPrice?: string | Price
  /** never be further ahead of the delivery than this. @default '0.05 token' */
  readonly limitAtRisk?: AmountLike
  /** how many bytes will be bought at most, if known: nothing beyond is prepaid */
  readonly expectBytes?: bigint
  /** how chunks are paid. @default as the node does */
  readonly pay?: PayMode
  /**
   * reserves by itself what is missing, before and while it pays, early enough for how fast it is spent; 'auto' = as much as the budget. A stream
   * that outruns the chain all the same waits for what is on its way. @default never
   */
  readonly reserve?: ReserveOptions | 'auto'
  readonly signal?: AbortSignal
}

/** How a purchase reserves by itself. */
export interface ReserveOptions {
  /** so much is to be free for the provider; it is filled up when less than half of it is. @default the budget */
  readonly upTo?: AmountLike
  /** the most that is added to reservations; purchases that share one share the limit. @default the higher one of budget and `upTo` */
  readonly allowance?: Allowance
  /** how long it is reserved, s. @default 30 days */
  readonly forS?: number
  /** told before a step, and when it is done or has failed */
  readonly tell?: ReserveOrder['tell']
  /** by a relay, although there may be gas */
  readonly relay?: ReserveOrder['relay']
}

export interface ResumeOptions {
  /** bytes of the session that the caller durably kept */
  readonly usedBytes?: bigint
  /** how chunks are paid. @default as the node does */
  readonly pay?: PayMode
  /** as in `open` */
  readonly reserve?: ReserveOptions | 'auto'
  readonly signal?: AbortSignal
}
