/**
 * What is sold. A service adapter is a small piece of code that knows bytes and counts and no money: the session pulls its output,
 * and hands it input, only as fast as it is paid for, and stops when it is not.
 */
import type { CallLimits } from '../core/call-limits.ts'

/**
 * What a service counts itself: each a whole number, 0 <= x < 2^64 (as a number: a safe integer). What is left out is zero. A kind
 * that the session's price does not name costs nothing and is not counted: an adapter need not know the price.
 */
export interface Charge {
  readonly calls?: number | bigint
  /** in the unit that the price names, as in 'unit:token' */
  readonly units?: number | bigint
}

/** What was charged on one data stream so far; cumulative. */
export interface Charged {
  /** bytes of the consumer that the service has taken */
  readonly up: bigint
  readonly calls: bigint
  readonly units: bigint
}

/** Counts that are covered, for work whose cost is known only afterwards. Settle it once, with `debit` or `release`. */
export interface Reservation {
  /**
   * Charges so much of it, and releases the rest. Of a stream that has ended meanwhile it is the provider's loss.
   *
   * @param counts @default all that was reserved
   * @throws TallyError USAGE when it is more than was reserved, or settled already
   */
  debit(counts?: Charge): void
  /**
   * Nothing of it is charged: the call failed, and cost nothing worth speaking of. What was neither debited nor released when its
   * stream ends counts as given away: it uses the consumer's credit, else whoever hangs up in time could have it again for nothing.
   *
   * @throws TallyError USAGE when it is settled already
   */
  release(): void
}

/** One data stream of a session, as the provider's adapter sees it. */
export interface ServiceCall {
  /** the request of the data stream's header; the service's own words, at most 4,096 bytes, hostile */
  readonly request: Uint8Array
  /** what `prepare` answered for this session */
  readonly content: Uint8Array
  /**
   * Bytes that the consumer sends on this stream, from when the stream was answered. Where the price names `up`, each piece was
   * counted, and is within what is paid and the credit, before it is handed over.
   */
  readonly input: AsyncIterable<Uint8Array>
  /** aborted when the stream or the session ends; the adapter must let go of everything then */
  readonly signal: AbortSignal
  /**
   * Waits until these counts are within what is paid and the credit, then charges them. Await it before the work is done: nothing is
   * given away beyond the credit. It may be called before the stream is answered; on one that is answered as free nothing is charged.
   *
   * @throws the reason of `signal` once that is aborted: nothing is charged then. TallyError USAGE for counts that are none
   */
  charge(counts: Charge): Promise<void>
  /**
   * Waits until the most that some work may cost is within what is paid and the credit, and keeps it so until the reservation is
   * settled: charge on success, or as much as was used. Settle it before the body ends.
   *
   * @throws as `charge`
   */
  reserve(most: Charge): Promise<Reservation>
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
  /** what it counts beside bytes to the consumer and time: 'up' where it reads its input. A price for anything else is refused. @default nothing */
  readonly charges?: readonly ('up' | 'calls' | 'units')[]
  /** to open a stream is work: it is not asked to before something may be delivered. @default false */
  readonly costly?: boolean
  /** how many streams it answers at a time, where that is limited: one owner of reservations gets half of them, so that others get some. @default no limit */
  readonly slots?: number
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
  /** what the provider has charged on this stream so far, whether or not it is agreed to; all of it once the stream was read to its end */
  readonly charged: Charged
  /** what of it was agreed to, and is paid */
  readonly agreed: Charged
  /**
   * Agrees to calls and units up to here (cumulative over the stream), as far as they were charged. Needed only where `open` was not
   * told the `most`. What is not agreed to by the time the stream is over (see `onCharge`) is never paid.
   */
  agree(upTo: Charge): void
  /** Sends bytes to the service. Where the price names `up`, bytes that budget or deposit do not cover are not sent. @throws TallyError BUDGET_REACHED, AMOUNT_OVER_DEPOSIT, STREAM_CUT */
  write(bytes: Uint8Array): Promise<void>
  closeWrite(): Promise<void>
  abort(error: Error): void
}

export interface OpenOptions {
  readonly signal?: AbortSignal
  /**
   * The calls and units that may be charged on this stream without asking again: they are agreed to, and paid, as they are charged.
   * A charge beyond it ends the stream with CHARGE_REFUSED, and is never paid. Left out: nothing is agreed to but by `agree`.
   */
  readonly most?: Charge
  /** The provider has charged something, and told all of it when `final`: the last moment to `agree`. It may come after the last byte; the stream ends after it. */
  readonly onCharge?: (charged: Charged, final: boolean) => void
  /** The stream was read to its end. The last moment to `agree` where the last charge has come already. */
  readonly onEnd?: () => void
}

/** A session as the consumer's side of a service needs it. */
export interface PaidSession {
  /** the `content` of the signed terms */
  readonly content: Uint8Array
  /** what the buyer lets one call of the service be charged. @default no limit */
  readonly callLimits?: CallLimits
  open(request: Uint8Array, options?: OpenOptions): Promise<PaidStream>
}
