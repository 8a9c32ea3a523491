import type { Connection, DialTarget, PeerId, Startable, Stream } from '@libp2p/interface'
import { TallyError } from '../../src/core/errors.ts'
import type { SignedOffer } from '../../src/core/offer.ts'
import { HANDLE, openStream, type ProtocolComponents } from '../dial.ts'
import { answerOn, ask } from '../exchange.ts'
import { type RawStream, rawStream } from '../framing/raw-stream.ts'
import { PeerGate } from '../peer-gate.ts'
import { decodeOffers, decodeRequest, encodeOffers, encodeRequest } from './codec.ts'
import {
  EXCHANGE_TIMEOUT_MS,
  MAX_ANSWER_BYTES,
  MAX_AT_ONCE,
  MAX_OFFERS,
  MAX_REQUEST_BYTES,
  OFFER_PROTOCOL,
  REQUEST_RATE,
} from './protocol.ts'

export interface OfferServiceInit {
  /**
   * The offers of a service, or all for an empty name; the first 16 are sent. The peer may be anybody, with a key of any type.
   * What this throws resets the stream. Without it the node sells nothing: no handler is registered.
   */
  readonly offersFor?: (service: string, peer: PeerId) => readonly SignedOffer[] | Promise<readonly SignedOffer[]>
  /** How long an exchange may take from either end, in milliseconds. @default 10,000 */
  readonly timeoutMs?: number
  /** Milliseconds of a monotonic clock, for the rate. @default performance.now */
  readonly nowMs?: () => number
}

export interface FetchOptions {
  readonly signal?: AbortSignal | undefined
}

/** Asking for offers and giving them. A service of libp2p: it is started and stopped with its node. */
export interface OfferService extends Startable {
  /**
   * The signed offers of a peer for one service (empty name: for all), decoded. Nothing of O1 is checked: who signed, for which
   * chain and token, and until when is for the caller.
   *
   * @throws TallyError PEER_UNREACHABLE (also when no answer comes in time), UNSUPPORTED, STREAM_CUT (also how a provider refuses),
   * MALFORMED, FRAME_TOO_LARGE, ABORTED
   */
  fetchOffers(target: DialTarget, service: string, options?: FetchOptions): Promise<SignedOffer[]>
}

/** Makes the service, for the `services` of a libp2p node. @see SPEC.md */
export function offerService(init: OfferServiceInit = {}): (components: ProtocolComponents) => OfferService {
  return (components) => new Offers(components, init)
}

class Offers implements OfferService {
  readonly #components: ProtocolComponents
  readonly #init: OfferServiceInit
  readonly #gate = new PeerGate({ ...REQUEST_RATE, maxOpen: MAX_AT_ONCE })
  readonly #nowMs: () => number
  readonly #timeoutMs: number
  #started = false

  constructor(components: ProtocolComponents, init: OfferServiceInit) {
    this.#components = components
    this.#init = init
    this.#nowMs = init.nowMs ?? (() => performance.now())
    this.#timeoutMs = init.timeoutMs ?? EXCHANGE_TIMEOUT_MS
  }

  async start(): Promise<void> {
    if (this.#started) return
    this.#started = true
    const { offersFor } = this.#init
    if (offersFor === undefined) return
    const serve = (stream: Stream, connection: Connection): Promise<void> => this.#serve(stream, connection, offersFor)
    await this.#components.registrar.handle(OFFER_PROTOCOL, serve, HANDLE)
  }

  async stop(): Promise<void> {
    if (!this.#started) return
    this.#started = false
    if (this.#init.offersFor !== undefined) await this.#components.registrar.unhandle(OFFER_PROTOCOL)
  }

  async fetchOffers(target: DialTarget, service: string, options: FetchOptions = {}): Promise<SignedOffer[]> {
    const request = encodeRequest(service)
    const attach = (stream: Stream): RawStream => rawStream(stream, { maxFrameBytes: MAX_ANSWER_BYTES })
    const raw = await openStream(this.#components, target, OFFER_PROTOCOL, attach, options)
    return await ask(raw, request, {
      timeoutMs: this.#timeoutMs,
      signal: options.signal,
      late: () => new TallyError('PEER_UNREACHABLE', { message: 'the peer does not answer with its offers' }),
      cut: () => new TallyError('STREAM_CUT', { message: 'the peer closed the stream without an answer' }),
      read: decodeOffers,
    })
  }

  async #serve(stream: Stream, connection: Connection, offersFor: NonNullable<OfferServiceInit['offersFor']>): Promise<void> {
    const leave = this.#gate.enter(connection.remotePeer.toString(), this.#nowMs())
    if (leave === undefined) {
      stream.abort(new TallyError('RATE_EXCEEDED'))
      return
    }
    try {
      await answerOn(stream, {
        maxAskBytes: MAX_REQUEST_BYTES,
        maxAnswerBytes: MAX_ANSWER_BYTES,
        timeoutMs: this.#timeoutMs,
        answer: async (frame) => {
          const offers = await offersFor(decodeRequest(frame), connection.remotePeer)
          return encodeOffers(offers.slice(0, MAX_OFFERS))
        },
      })
    } finally {
      leave()
    }
  }
}
