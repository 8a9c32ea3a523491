import type { PeerId, Stream } from '@libp2p/interface'
import { asTallyError, codeOfWire, TallyError } from '../../src/core/errors.ts'
import type { Address } from '../../src/core/ids.ts'
import type { Fault, FromPayee, FromPayer, Message } from '../../src/core/session/messages.ts'
import { type FramedStream, framed } from '../framing/framed-stream.ts'
import { type RateLimiter, rateLimiter } from '../framing/rate-limiter.ts'
import type { PeerIdentity } from '../peer-identity.ts'
import { encodeShared } from './codec.ts'
import { MAX_SESSION_FRAME_BYTES, MAX_WAITING_BYTES, RATES } from './protocol.ts'

/**
 * One end of a control stream: messages instead of bytes. Iterating gives batches of decoded messages, in order, never an empty
 * one; a loop that is slow stops the peer. Iterate it exactly once and until it ends: nothing is read otherwise.
 *
 * The iteration never throws. It ends with the stream, and `closed` says why: undefined when the peer closed cleanly, the code of
 * its fault when it refused the stream, the rule that the peer broke, or STREAM_CUT.
 */
export interface ControlLink<In extends Message, Out extends Message> extends AsyncIterable<readonly In[]> {
  readonly peer: PeerId
  /** the Ethereum address of the peer's key, proven by the handshake of the connection */
  readonly address: Address
  /** the peer's compressed secp256k1 key, 33 bytes */
  readonly publicKey: Uint8Array
  /** Resolves when the link is over, with the reason. Never rejects. */
  readonly closed: Promise<TallyError | undefined>
  /**
   * Queues a message; all of one tick leave in one write. Never throws: on a stream that is over the message is dropped, and
   * `closed` tells. A peer that lets 1 MiB wait is cut (STREAM_CUT). A message that has no encoding ends the link (INTERNAL).
   */
  send(message: Out): void
  /** Sends what is queued and ends the stream in order; the peer is given a short time to do the same. Never rejects. */
  close(): Promise<void>
  /** Refuses the peer: a fault of the whole stream with the number of the error, never its text, then the end. */
  abort(error: TallyError): void
}

/** The payer's end: reads what the payee says. */
export type PayerLink = ControlLink<FromPayee, FromPayer>
/** The payee's end: reads what the payer says. */
export type PayeeLink = ControlLink<FromPayer, FromPayee>

export interface LinkInit<In extends Message> {
  readonly stream: Stream
  readonly peer: PeerIdentity
  /** undefined for an unknown odd type. @throws TallyError */
  readonly decode: (frame: Uint8Array) => In | undefined
  /** milliseconds of a monotonic clock */
  readonly nowMs: () => number
  /** how long an end in order may take before the stream is reset, in milliseconds */
  readonly lingerMs: number
}

/** Puts messages on a control stream. Call it in the tick in which the stream was handed over. @see SPEC.md */
export function controlLink<In extends Message, Out extends Message>(init: LinkInit<In>): ControlLink<In, Out> {
  return new Link<In, Out>(init)
}

class Link<In extends Message, Out extends Message> implements ControlLink<In, Out> {
  readonly peer: PeerId
  readonly address: Address
  readonly publicKey: Uint8Array
  readonly closed: Promise<TallyError | undefined>
  readonly #init: LinkInit<In>
  readonly #frames: FramedStream
  readonly #rates: { readonly hello: RateLimiter; readonly release: RateLimiter; readonly others: RateLimiter }
  readonly #settle: (error: TallyError | undefined) => void
  #ending: Promise<void> | undefined
  /** Why this end gave the stream up, or which fault the peer reported of it. */
  #reason: TallyError | undefined

  constructor(init: LinkInit<In>) {
    this.#init = init
    this.peer = init.peer.peer
    this.address = init.peer.address
    this.publicKey = init.peer.publicKey
    this.#frames = framed(init.stream, {
      maxFrameBytes: MAX_SESSION_FRAME_BYTES,
      maxQueueBytes: MAX_WAITING_BYTES,
      closeTimeoutMs: init.lingerMs,
    })
    const nowMs = init.nowMs()
    this.#rates = {
      hello: rateLimiter({ ...RATES.hello, nowMs }),
      release: rateLimiter({ ...RATES.release, nowMs }),
      others: rateLimiter({ ...RATES.others, nowMs }),
    }
    const { promise, resolve } = Promise.withResolvers<TallyError | undefined>()
    this.closed = promise
    this.#settle = resolve
  }

  send(message: Out): void {
    if (this.#ending !== undefined) return
    try {
      this.#frames.send(encodeShared(message))
    } catch (thrown) {
      const error = asTallyError(thrown)
      if (error.code === 'STREAM_CUT') this.#over(error)
      else this.#refuse(new TallyError('INTERNAL', { message: `a ${message.type} message has no encoding`, cause: error }))
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly In[], void, undefined> {
    for (;;) {
      const batch = await this.#next()
      if (batch === undefined) return
      if (batch.length > 0) yield batch
    }
  }

  close(): Promise<void> {
    this.#ending ??= this.#end()
    return this.#ending
  }

  abort(error: TallyError): void {
    this.#refuse(error)
  }

  /** The messages of the next frames; undefined at the end of the stream. Messages in front of a broken one are still given. */
  async #next(): Promise<In[] | undefined> {
    const messages: In[] = []
    try {
      const frames = this.#ending === undefined ? await this.#frames.readBatch() : undefined
      if (frames === undefined) {
        void this.close()
        this.#over(undefined)
        return undefined
      }
      const nowMs = this.#init.nowMs()
      for (const frame of frames) {
        const message = this.#init.decode(frame)
        if (!this.#allows(message, nowMs)) throw tooFast(message)
        if (message === undefined) continue
        this.#note(message)
        messages.push(message)
      }
    } catch (thrown) {
      const error = asTallyError(thrown)
      if (error.code === 'STREAM_CUT') this.#over(error)
      else this.#refuse(error)
      if (messages.length === 0) return undefined
    }
    return messages
  }

  #allows(message: In | undefined, nowMs: number): boolean {
    if (message?.type === 'hello') return this.#rates.hello.take(nowMs)
    if (message?.type === 'release') return this.#rates.release.take(nowMs)
    return this.#rates.others.take(nowMs)
  }

  #note(message: Message): void {
    if (message.type === 'fault' && message.session === undefined) this.#reason ??= faultError(message)
  }

  /** Tells the peer the number, never the text, and ends the stream. */
  #refuse(error: TallyError): void {
    this.#reason ??= error
    if (this.#ending === undefined) {
      const fault: Fault = { type: 'fault', session: undefined, code: error.wire }
      try {
        this.#frames.send(encodeShared(fault))
      } catch {
        // The stream is gone already: nobody is left to be told.
      }
      this.#ending = this.#end()
    }
    this.#over(error)
  }

  #over(error: TallyError | undefined): void {
    this.#settle(this.#reason ?? error)
  }

  async #end(): Promise<void> {
    try {
      await this.#frames.close()
    } catch {
      // The framing has aborted the stream.
    } finally {
      this.#over(undefined)
    }
  }
}

/** A refusal as an error of this end. A number that this version does not know stays visible in the fields. */
function faultError(fault: Fault): TallyError {
  return new TallyError(codeOfWire(fault.code) ?? 'PEER_REFUSED', { fields: { wire: fault.code } })
}

function tooFast(message: Message | undefined): TallyError {
  const type = message?.type ?? 'unknown'
  return new TallyError('RATE_EXCEEDED', { message: `too many messages per second (${type})`, fields: { type } })
}
