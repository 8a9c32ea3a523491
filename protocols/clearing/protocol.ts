import type { ClearingMessage } from '../../src/core/accountant/messages.ts'
import type { RateLimit } from '../framing/rate-limiter.ts'

/** The protocol as data: what the tables of the specification say, in one place for codec, service and tests. @see SPEC.md */
export const CLEARING_PROTOCOL = '/tallystick/clearing/1.0.0'

/** Largest frame of the protocol, in bytes. */
export const MAX_CLEARING_FRAME_BYTES = 8192

/** Hops that may follow the first one. */
export const MAX_ONWARD_HOPS = 3

export type HopEnd = 'payer' | 'payee'

interface ClearingKind {
  readonly type: number
  readonly by: HopEnd | 'both'
  readonly maxBytes: number
}

/** Number, sender and largest size of each message. */
export const CLEARING_MESSAGES = {
  open: { type: 2, by: 'payer', maxBytes: 41 },
  held: { type: 4, by: 'payee', maxBytes: 8192 },
  ask: { type: 6, by: 'payer', maxBytes: 21 },
  tariff: { type: 8, by: 'payee', maxBytes: 58 },
  link: { type: 10, by: 'payer', maxBytes: 3700 },
  taken: { type: 12, by: 'payee', maxBytes: 33 },
  grant: { type: 14, by: 'payee', maxBytes: 138 },
  clear: { type: 16, by: 'payee', maxBytes: 4400 },
  fold: { type: 18, by: 'payer', maxBytes: 3500 },
  stored: { type: 20, by: 'payee', maxBytes: 66 },
  fault: { type: 22, by: 'both', maxBytes: 35 },
} as const satisfies Record<ClearingMessage['type'], ClearingKind>

/** Messages per second on one stream; a burst may be as large as one second's worth. `others` is the sum of all other types. */
export const CLEARING_RATES = {
  link: { perSecond: 20, burst: 20 },
  clear: { perSecond: 4, burst: 4 },
  others: { perSecond: 100, burst: 100 },
} as const satisfies Record<string, RateLimit>
