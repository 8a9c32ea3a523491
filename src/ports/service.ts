/**
 * What is sold. A service adapter is a small piece of code that knows bytes and no money: the session pulls its output only as
 * fast as it is paid for, and stops pulling when it is not.
 */

/** One data stream of a session, as the provider's adapter sees it. */
export interface ServiceCall {
  /** the request of the data stream's header; the service's own words, at most 4,096 bytes, hostile */
  readonly request: Uint8Array
  /** what `prepare` answered for this session */
  readonly content: Uint8Array
  /** bytes that the consumer sends on this stream */
  readonly input: AsyncIterable<Uint8Array>
  /** aborted when the stream or the session ends; the adapter must let go of everything then */
  readonly signal: AbortSignal
}

export interface ServiceAnswer {
  /** the service's own words to the consumer, at most 4,096 bytes */
  readonly info: Uint8Array
  /** true: these bytes are not metered (an index, a manifest). Must be small and bounded by the adapter. */
  readonly free: boolean
  /** the delivery; pieces of any size up to 1 MiB. `return()` is called when nobody wants more. */
  readonly body: AsyncIterable<Uint8Array>
}

/** The provider's side of a service. Throws only TallyError (NOT_FOUND, REQUEST_INVALID, CONTENT_CHANGED, SERVICE_FAILED). */
export interface ServiceAdapter {
  /** what sort of service this is: 'files', 'stream', ... */
  readonly kind: string
  /** one line each for the offer: what a request holds, what comes out */
  readonly inputs: string
  readonly outputs: string
  /** bytes that a buyer can use at the least, together: a payment for fewer would be waited for. @default 1 */
  readonly leastChunkBytes?: number
  /** Checks the inputs of a hello and says what the session will sell: the `content` of its terms, at most 1,024 bytes. */
  prepare(inputs: Uint8Array, signal: AbortSignal): Promise<Uint8Array>
  /** Answers one data stream. */
  open(call: ServiceCall): Promise<ServiceAnswer>
  close(): Promise<void>
}

/** One data stream of a session, as the consumer sees it. */
export interface PaidStream extends AsyncIterable<Uint8Array> {
  readonly info: Uint8Array
  readonly free: boolean
  /**
   * Iterating the stream itself acknowledges each piece when the next one is asked for: what was handed over was used.
   * `unacknowledged` yields the same bytes without that; the caller calls `acknowledge` once it has checked and kept them.
   * Bytes that are not acknowledged are not paid for.
   */
  readonly unacknowledged: AsyncIterable<Uint8Array>
  /** the next `bytes` bytes of this stream were used */
  acknowledge(bytes: number): void
  write(bytes: Uint8Array): Promise<void>
  closeWrite(): Promise<void>
  abort(error: Error): void
}

/** A session as the consumer's side of a service needs it. */
export interface PaidSession {
  /** the `content` of the signed terms */
  readonly content: Uint8Array
  open(request: Uint8Array, options?: { signal?: AbortSignal }): Promise<PaidStream>
}
