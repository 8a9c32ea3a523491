/** How a payer's desk, and one session of it, is to pay. */
import type { Amount } from '../core/amount.ts'
import type { PayerContext, PayerSession } from '../core/session/payer.ts'

export interface Options {
  readonly signal?: AbortSignal
  /** whether this session pays with ticks. @default as the desk does */
  readonly ticks?: PayerContext['ticks']
  /** so much of a deposit that is not confirmed counts, base units: the provider's offer says so */
  readonly ahead?: Amount
  /** called after each payment of the session, with its record */
  readonly onPaid?: (session: PayerSession, taken?: Amount) => void
}

export interface PayerDeskInit {
  /** a promise for each chunk as it becomes due, also where the credit would let several be paid by one. @default false */
  readonly payEach?: boolean
  /** whether sessions pay with ticks, unless they say otherwise. @default 'never' */
  readonly ticks?: PayerContext['ticks']
}
