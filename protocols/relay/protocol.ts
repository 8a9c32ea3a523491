/** The protocol as data: what the specification says, in one place for codec, service and tests. @see SPEC.md */
export const RELAY_PROTOCOL = '/tallystick/relay/1.0.0'

/** Largest request and largest answer, in bytes; the data of a call in it. */
export const MAX_ASK_BYTES = 60_200
export const MAX_ANSWER_BYTES = 64
export const MAX_DATA_BYTES = 60_000

export const QUOTE_ID_BYTES = 16

/** What is asked, by the first byte. */
export const ASKS = { quote: 1, submit: 2, status: 3 } as const

/** How far a request is, by its byte. */
export const STATES = { taken: 1, sent: 2, mined: 3, failed: 4, dropped: 5 } as const

/** R8: asks per second of one peer, and how many of them at once. */
export const ASK_RATE = { perSecond: 10, burst: 20 } as const
export const MAX_AT_ONCE = 4

/** R8: an ask must be there and answered within this time, in milliseconds. */
export const EXCHANGE_TIMEOUT_MS = 20_000
