/** The protocol as data: what the specification says, in one place for codec, service and tests. @see SPEC.md */
export const OFFER_PROTOCOL = '/tallystick/offer/1.0.0'

/** Largest request and largest answer, in bytes. */
export const MAX_REQUEST_BYTES = 66
export const MAX_ANSWER_BYTES = 65_536

/** Largest service name, in bytes; offers of one answer. */
export const MAX_SERVICE_BYTES = 64
export const MAX_OFFERS = 16

/** O3: requests per second of one peer, and how many of them at once. */
export const REQUEST_RATE = { perSecond: 20, burst: 20 } as const
export const MAX_AT_ONCE = 8

/** Request and answer must each be there within this time, in milliseconds. */
export const EXCHANGE_TIMEOUT_MS = 10_000
