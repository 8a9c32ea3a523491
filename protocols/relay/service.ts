import type { Connection, DialTarget, PeerId, Startable, Stream } from '@libp2p/interface'
import { asTallyError, TallyError } from '../../src/core/errors.ts'
import type { Hash32 } from '../../src/core/ids.ts'
import { HANDLE, openStream, type ProtocolComponents } from '../dial.ts'
import { answerOn, ask } from '../exchange.ts'
import { type RawStream, rawStream } from '../framing/raw-stream.ts'
import { PeerGate } from '../peer-gate.ts'
import {
  type Ask,
  decodeAsk,
  decodeProgress,
  decodeQuote,
  encodeAsk,
  encodeProgress,
  encodeQuote,
  encodeRefusal,
  type Progress,
  type Quote,
  type QuoteAsk,
  type Submission,
} from './codec.ts'
import { ASK_RATE, EXCHANGE_TIMEOUT_MS, MAX_ANSWER_BYTES, MAX_ASK_BYTES, MAX_AT_ONCE, RELAY_PROTOCOL } from './protocol.ts'

/** What a relay answers. What it throws is told by its number; without one, as INTERNAL. */
export interface RelayHandler {
  quote(ask: QuoteAsk, peer: PeerId): Promise<Quote>
  submit(submission: Submission, peer: PeerId): Promise<Progress>
  status(digest: Hash32, peer: PeerId): Promise<Progress>
}

export interface RelayServiceInit {
  /** Without it the node is no relay: no handler is registered. */
  readonly handler?: RelayHandler
  /** How long an exchange may take from either end, in milliseconds. @default 20,000 */
  readonly timeoutMs?: number
  /** Milliseconds of a monotonic clock, for the rate. @default performance.now */
  readonly nowMs?: () => number
}

interface Options {
  readonly signal?: AbortSignal | undefined
}

/**
 * Asking relays, and being one. A service of libp2p: it is started and stopped with its node.
 *
 * Every call throws PEER_UNREACHABLE or UNSUPPORTED when nothing was said to the relay, STREAM_CUT when it gave no answer (it may have understood
 * all the same), MALFORMED, FRAME_TOO_LARGE, ABORTED, or what the relay refuses with.
 */
export interface RelayService extends Startable {
  quote(target: DialTarget, ask: QuoteAsk, options?: Options): Promise<Quote>
  submit(target: DialTarget, submission: Submission, options?: Options): Promise<Progress>
  status(target: DialTarget, digest: Hash32, options?: Options): Promise<Progress>
}

/** Makes the service, for the `services` of a libp2p node. @see SPEC.md */
export function relayService(init: RelayServiceInit = {}): (components: ProtocolComponents) => RelayService {
  return (components) => new Relays(components, init)
}

class Relays implements RelayService {
  readonly #components: ProtocolComponents
  readonly #init: RelayServiceInit
  readonly #gate = new PeerGate({ ...ASK_RATE, maxOpen: MAX_AT_ONCE })
  readonly #nowMs: () => number
  readonly #timeoutMs: number
  #started = false

  constructor(components: ProtocolComponents, init: RelayServiceInit) {
    this.#components = components
    this.#init = init
    this.#nowMs = init.nowMs ?? (() => performance.now())
    this.#timeoutMs = init.timeoutMs ?? EXCHANGE_TIMEOUT_MS
  }

  async start(): Promise<void> {
    if (this.#started) return
    this.#started = true
    const { handler } = this.#init
    if (handler === undefined) return
    const serve = (stream: Stream, connection: Connection) => this.#serve(stream, connection, handler)
    await this.#components.registrar.handle(RELAY_PROTOCOL, serve, HANDLE)
  }

  async stop(): Promise<void> {
    if (!this.#started) return
    this.#started = false
    if (this.#init.handler !== undefined) await this.#components.registrar.unhandle(RELAY_PROTOCOL)
  }

  async quote(target: DialTarget, what: QuoteAsk, options: Options = {}): Promise<Quote> {
    return decodeQuote(await this.#exchange(target, { ask: 'quote', ...what }, options))
  }

  async submit(target: DialTarget, submission: Submission, options: Options = {}): Promise<Progress> {
    return decodeProgress(await this.#exchange(target, { ask: 'submit', ...submission }, options))
  }

  async status(target: DialTarget, digest: Hash32, options: Options = {}): Promise<Progress> {
    return decodeProgress(await this.#exchange(target, { ask: 'status', digest }, options))
  }

  async #exchange(target: DialTarget, what: Ask, options: Options): Promise<Uint8Array> {
    const request = encodeAsk(what)
    // an answer is small, but what is written may be as long as an ask
    const attach = (stream: Stream): RawStream => rawStream(stream, { maxFrameBytes: MAX_ASK_BYTES })
    const raw = await openStream(this.#components, target, RELAY_PROTOCOL, attach, options)
    const cut = (message: string): TallyError => new TallyError('STREAM_CUT', { message })
    return await ask(raw, request, {
      timeoutMs: this.#timeoutMs,
      signal: options.signal,
      late: () => cut('the relay does not answer'),
      cut: () => cut('the relay closed the stream without an answer'),
      // a refusal is an answer: it ends the stream in order
      read: (frame) => frame,
    })
  }

  async #serve(stream: Stream, connection: Connection, handler: RelayHandler): Promise<void> {
    const leave = this.#gate.enter(connection.remotePeer.toString(), this.#nowMs())
    if (leave === undefined) {
      stream.abort(new TallyError('RATE_EXCEEDED'))
      return
    }
    try {
      await answerOn(stream, {
        maxAskBytes: MAX_ASK_BYTES,
        maxAnswerBytes: MAX_ANSWER_BYTES,
        timeoutMs: this.#timeoutMs,
        // bytes that are no ask reset the stream; what is asked and refused gets its number
        answer: async (frame) => await answerOf(decodeAsk(frame), connection.remotePeer, handler),
      })
    } finally {
      leave()
    }
  }
}

async function answerOf(ask: Ask, peer: PeerId, handler: RelayHandler): Promise<Uint8Array> {
  try {
    switch (ask.ask) {
      case 'quote':
        return encodeQuote(await handler.quote({ token: ask.token, gas: ask.gas, bytes: ask.bytes }, peer))
      case 'submit':
        return encodeProgress(await handler.submit({ quote: ask.quote, signed: ask.signed }, peer))
      case 'status':
        return encodeProgress(await handler.status(ask.digest, peer))
    }
  } catch (thrown) {
    return encodeRefusal(asTallyError(thrown))
  }
}
