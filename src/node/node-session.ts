/** A bought session, as programs use it: iterate it, open streams on it, close it for a receipt. */
import type { Amount } from '../core/amount.ts'
import { type CallLimits, callLimits } from '../core/call-limits.ts'
import type { Domain } from '../core/eip712.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { SessionId } from '../core/ids.ts'
import type { Meter } from '../core/meter.ts'
import type { Offer } from '../core/offer.ts'
import { signReceipt } from '../core/receipt.ts'
import type { ReceiptDocument } from '../core/receipt-document.ts'
import { usedMeter } from '../core/session/payer.ts'
import type { OpenOptions, PaidSession, PaidStream } from '../ports/service.ts'
import { fetchFile } from '../services/files/index.ts'
import type { Self } from '../session/components.ts'
import type { LiveSession } from '../session/live-session.ts'

/** The figures of a session at one moment; amounts in base units of the session's token. */
export interface SessionFigures {
  readonly delivered: Meter
  readonly owed: Amount
  readonly signed: Amount
  readonly atRisk: Amount
  readonly left: Amount
}

export interface ClosedSession {
  /** undefined = completed; otherwise why it ended */
  readonly code: ErrorCode | undefined
  readonly figures: SessionFigures
  /** signed by both ends; undefined when the provider did not send one that is right */
  readonly receipt: ReceiptDocument | undefined
}

export class NodeSession implements PaidSession, AsyncIterable<Uint8Array> {
  readonly id: SessionId
  readonly offer: Offer
  readonly #live: LiveSession
  readonly #domain: Domain
  readonly #self: Self

  constructor(live: LiveSession, offer: Offer, domain: Domain, self: Self) {
    this.id = live.session.id
    this.offer = offer
    this.#live = live
    this.#domain = domain
    this.#self = self
  }

  get content(): Uint8Array {
    return this.#live.content
  }

  get callLimits(): CallLimits {
    const { price } = this.offer
    const { maxPrice, limitAtRisk } = this.#live.recorded.wish
    return callLimits(price, maxPrice, limitAtRisk)
  }

  get figures(): SessionFigures {
    const { session, owed, atRisk } = this.#live.figures
    const left = (session.wish.budget - session.total) as Amount
    return { delivered: usedMeter(session), owed, signed: session.total, atRisk, left }
  }

  /** Resolves when the session is over for good, or cut. */
  get ended(): Promise<{ readonly code: ErrorCode | undefined }> {
    return this.#live.ended
  }

  /** A data stream: `request` is in the service's own words; `most` is what may be charged on it beside bytes and time. */
  async open(request: Uint8Array = new Uint8Array(0), options: OpenOptions = {}): Promise<PaidStream> {
    return await this.#live.open(request, options)
  }

  /**
   * What the session sells, from its beginning: the checked bytes of a file, or the stream itself. Pays as it is read; to stop
   * reading is to stop paying. The session stays open: close it.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.offer.kind !== 'files') return yield* await this.open()
    yield* await fetchFile(this, { path: new TextDecoder().decode(this.#live.session.wish.inputs) })
  }

  /** Pays what is owed, closes, checks and countersigns the receipt. Safe to call more than once. */
  async close(options: { signal?: AbortSignal; code?: ErrorCode } = {}): Promise<ClosedSession> {
    const { code, receipt, session } = await this.#live.close(options)
    const { terms } = session
    if (receipt === undefined || terms === undefined) return { code, figures: this.figures, receipt: undefined }
    // only a receipt that says what happened was countersigned by the rules; signing it again gives the same bytes
    const fair = code !== 'RECEIPT_WRONG' && session.status === 'closed' && session.failure === undefined
    const consumerSignature = fair ? signReceipt(this.#domain, receipt.receipt, this.#self.sign) : undefined
    const document = {
      domain: this.#domain,
      terms,
      receipt: receipt.receipt,
      providerSignature: receipt.signature,
      consumerSignature,
    }
    return { code, figures: this.figures, receipt: document }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
