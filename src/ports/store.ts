/**
 * Where a node keeps what it must not lose. One numbered namespace per noun; a retired number is never used again.
 * The store knows no money: it keeps bytes, atomically and durably.
 */
export const SPACES = {
  /** 'genesis' -> { node address, chain id, ledger, created } */
  meta: 1,
  /** channel id (32) -> what the payee knows and holds of it: chain facts, best promise, frozen until */
  channelIn: 2,
  /** channel id (32) -> what the payer knows of it: chain facts, reserved mark, last signed promise */
  channelOut: 3,
  /** session id (16) -> the payee's record of a session that is not over */
  sessionIn: 4,
  /** session id (16) -> the payer's record of a session that is not over */
  sessionOut: 5,
  /** owner address (20) -> the payee's credit account of that owner */
  owner: 6,
  /** intent id (16) -> transaction intent, written before it is sent */
  tx: 7,
  /** block number (8) -> block hash, for noticing a reorganisation; 'cursor' -> last block read */
  block: 8,
  /** session id (16) -> countersigned receipt */
  receipt: 9,
  /** offer name -> last sequence number used */
  offer: 10,
  /** payee's newcomers' pool and other single counters, by name */
  counter: 11,
  /** anchor (32) -> nothing: it stood in a lock that the payee has accepted */
  anchor: 12,
  /** session id (16) -> the payee's record of a session that is over; only one of the two spaces has it */
  sessionInPast: 20,
  /** session id (16) -> the payer's record of a session that is over; only one of the two spaces has it */
  sessionOutPast: 21,
  /** owner (20), provider (20), token (20), session id (16) -> what that session left unpaid, or paid of what others had left */
  owedOut: 22,
  /** expiry (5), channel id (32) -> nothing: a settlement of that channel would pay something */
  dueIn: 23,
  /** digest of a request (32) -> what this relay has agreed to hand in, and how that ended */
  relayIn: 40,
  /** signer (20) -> how its requests went at this relay */
  relaySigner: 41,
} as const
export type Space = keyof typeof SPACES

export type StoreOp =
  | { readonly type: 'put'; readonly space: Space; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly space: Space; readonly key: Uint8Array }

export interface ListRange {
  /** first key, inclusive */
  readonly gte?: Uint8Array
  /** end, exclusive */
  readonly lt?: Uint8Array
  readonly limit?: number
  readonly reverse?: boolean
}

/**
 * A durable key-value store. `commit` is the only way to write: all ops of one call are applied together or not at all, and when
 * the promise resolves they survive kill -9 and power loss. Calls that arrive while one sync is running share the next one.
 * Commits are applied in the order of their calls; one without ops resolves when all before it are durable.
 *
 * Throws TallyError STORE_CLOSED after close(), STORE_CORRUPT when a value does not carry its checksum.
 */
export interface Store {
  get(space: Space, key: Uint8Array): Promise<Uint8Array | undefined>
  /** Whether there is a record, answered at once: what was committed and is not durable yet may be missing. Its value is not looked at. */
  has(space: Space, key: Uint8Array): boolean
  list(space: Space, range?: ListRange): AsyncIterable<readonly [key: Uint8Array, value: Uint8Array]>
  commit(ops: readonly StoreOp[]): Promise<void>
  close(): Promise<void>
}
