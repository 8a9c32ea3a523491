/** What a command may ask of a node, whether it runs in this process or in another one. */
import { z } from 'zod'
import type { JobView } from './job-view.ts'
import type { BalanceView, ChannelView, FoundView, StatusView } from './views.ts'

const text = z.string().min(1).max(512)
/** a channel: its id, the beginning of it, or its provider */
const which = text.describe('channel')

/** Who hands the transaction in, and for how much at most; without it a relay is asked only where there is no gas. */
const relay = z.strictObject({ peers: z.array(text).min(1).max(8).optional(), maxFee: text.optional() }).optional()

/** A change of money, in the words of a person. */
export const moneyRequest = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('sweep'), relay }),
  z.strictObject({ kind: z.literal('deposit'), amount: text, relay }),
  z.strictObject({ kind: z.literal('withdraw'), amount: text, to: text, relay }),
  z.strictObject({ kind: z.literal('open'), provider: text, amount: text, days: z.int().min(1).max(730), relay }),
  z.strictObject({ kind: z.literal('settle'), channels: z.union([z.literal('all'), z.array(which).min(1).max(1_000)]), relay }),
  z.strictObject({ kind: z.literal('close'), channel: which, relay }),
  z.strictObject({ kind: z.literal('reclaim'), channel: which, relay }),
])
export type MoneyRequest = z.infer<typeof moneyRequest>

export const findRequest = z.strictObject({
  what: z.enum(['service', 'kind', 'any']),
  name: z.string().regex(/^[a-z0-9._-]{1,64}$/, 'a service is named by 1 to 64 of a-z 0-9 . _ -'),
  /** how long to look before nothing was found, ms */
  timeoutMs: z.int().min(1).max(600_000),
})
export type FindRequest = z.infer<typeof findRequest>

export const channelRequest = z.strictObject({
  id: z.string().regex(/^0x[0-9a-fA-F]{6,64}$/, 'a channel is named by its id or the first 8 or more characters of it'),
})
export type ChannelRequest = z.infer<typeof channelRequest>

/** What a change would do, before it is done. */
export interface Plan {
  readonly summary: string
  /** what is in each place now, and after */
  readonly changes: readonly { readonly what: string; readonly now: string; readonly after: string }[]
  /** transactions that it takes; 0 = there is nothing to do */
  readonly transactions: number
  /** undefined where it is known only when the other end has signed */
  readonly gas: string | undefined
  /** the most that the gas may cost */
  readonly fee_at_most: string | undefined
  /** what relays get instead, and how many hand in */
  readonly relay_fee: string | undefined
  readonly notes: readonly string[]
}

export interface Done {
  readonly summary: string
  readonly jobs: readonly JobView[]
  /** the channel that was changed, if it is one */
  readonly channel: ChannelView | undefined
  readonly balance: BalanceView
}

export interface CallOptions {
  readonly signal?: AbortSignal
}

export interface Control {
  status(options?: CallOptions): Promise<StatusView>
  balance(options?: CallOptions): Promise<BalanceView>
  /** The first thousand: those in which this node pays, then those with something to settle, soonest end first, then the others. */
  channels(options?: CallOptions): Promise<readonly ChannelView[]>
  /** The one whose id begins so. @throws CHANNEL_UNKNOWN */
  channel(request: ChannelRequest, options?: CallOptions): Promise<ChannelView>
  /** The best offer first. @throws OFFER_NOT_FOUND when the time is over */
  find(request: FindRequest, options?: CallOptions): Promise<FoundView>
  /** Changes nothing. @throws what `carryOut` would throw, as far as it can be known before */
  plan(request: MoneyRequest, options?: CallOptions): Promise<Plan>
  /** Resolves when it is mined. @throws TX_REVERTED, TX_UNKNOWN, FUNDS_LOW, GAS_LOW, CHAIN_UNREACHABLE, and what the peer refuses */
  carryOut(request: MoneyRequest, options?: CallOptions): Promise<Done>
}
