import type { Message } from '../../src/core/session/messages.ts'
import type { RateLimit } from '../framing/rate-limiter.ts'

/** The protocol as data: what the tables of the specification say, in one place for codec, service and tests. @see SPEC.md */
export const SESSION_PROTOCOL = '/tallystick/session/1.0.0'

/** Largest frame of the protocol, in bytes. */
export const MAX_SESSION_FRAME_BYTES = 8192

/** Bytes of answers that may wait for a peer that does not read; above it the stream is cut. */
export const MAX_WAITING_BYTES = 1 << 20

/** Largest service name and inputs of a hello, in bytes of UTF-8. */
export const MAX_SERVICE_BYTES = 64
export const MAX_INPUT_BYTES = 1024

export type Sender = 'payer' | 'payee'

export interface MessageKind {
  readonly type: number
  readonly by: Sender | 'both'
  readonly maxBytes: number
}

/** Number, sender and largest size of each message. */
export const MESSAGES = {
  hello: { type: 2, by: 'payer', maxBytes: 1280 },
  terms: { type: 4, by: 'payee', maxBytes: 8192 },
  restate: { type: 6, by: 'payer', maxBytes: 3500 },
  accept: { type: 8, by: 'payer', maxBytes: 82 },
  ready: { type: 10, by: 'payee', maxBytes: 29 },
  promise: { type: 12, by: 'payer', maxBytes: 3500 },
  ack: { type: 14, by: 'payer', maxBytes: 38 },
  meter: { type: 16, by: 'payee', maxBytes: 82 },
  close: { type: 18, by: 'payer', maxBytes: 71 },
  closing: { type: 20, by: 'payee', maxBytes: 19 },
  receipt: { type: 22, by: 'payee', maxBytes: 512 },
  countersign: { type: 24, by: 'payer', maxBytes: 82 },
  fault: { type: 26, by: 'both', maxBytes: 19 },
  release: { type: 28, by: 'payer', maxBytes: 56 },
  released: { type: 30, by: 'payee', maxBytes: 118 },
  tick: { type: 32, by: 'payer', maxBytes: 51 },
  charge: { type: 34, by: 'payee', maxBytes: 46 },
  agree: { type: 36, by: 'payer', maxBytes: 45 },
} as const satisfies Record<Message['type'], MessageKind>

/** Messages per second on one stream; a burst may be as large as one second's worth. `others` is the sum of all other types. */
export const RATES = {
  hello: { perSecond: 20, burst: 20 },
  release: { perSecond: 2, burst: 2 },
  others: { perSecond: 50_000, burst: 50_000 },
} as const satisfies Record<string, RateLimit>
