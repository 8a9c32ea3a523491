/** The protocol as data: what the specification says, in one place for codec, service and tests. @see SPEC.md */
export const DATA_PROTOCOL = '/tallystick/data/1.0.0'

/** Largest header frame, in either direction, in bytes. */
export const MAX_HEADER_BYTES = 4200

/** Largest request of a consumer and largest info of a provider, in bytes. */
export const MAX_REQUEST_BYTES = 4096
export const MAX_INFO_BYTES = 4096

/** Data streams that one peer may open, per second. */
export const OPEN_RATE = { perSecond: 2_000, burst: 2_000 } as const

/** The header must be there within this time, in milliseconds. */
export const HEADER_TIMEOUT_MS = 10_000
