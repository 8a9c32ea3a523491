import type { Connection, DialTarget, Startable, Stream } from '@libp2p/interface'
import { TallyError } from '../../src/core/errors.ts'
import { within } from '../deadline.ts'
import { HANDLE, openStream, type ProtocolComponents } from '../dial.ts'
import { type RawStream, rawStream } from '../framing/raw-stream.ts'
import { PeerGate } from '../peer-gate.ts'
import { type DataHeader, decodeAnswer, encodeHeader, isAccepted, refusalError } from './codec.ts'
import { type IncomingData, IncomingStream } from './incoming.ts'
import { DATA_PROTOCOL, HEADER_TIMEOUT_MS, MAX_HEADER_BYTES, OPEN_RATE } from './protocol.ts'

/** Data streams of one connection; the limits of session and peer are the narrower ones. */
const MAX_INBOUND_STREAMS = 1000

/** How long a provider may think about a request, in milliseconds. */
const ANSWER_TIMEOUT_MS = 30_000

export interface DataServiceInit {
  /**
   * A peer asks for a data stream. Answer it with `accept` or `refuse`; what this throws is told as a number. Without it the node
   * sells nothing: no handler is registered.
   */
  readonly onStream?: (incoming: IncomingData) => void | Promise<void>
  /** @default 10,000 */
  readonly headerTimeoutMs?: number
  /** @default 30,000 */
  readonly answerTimeoutMs?: number
  /** Milliseconds of a monotonic clock, for the rate. @default performance.now */
  readonly nowMs?: () => number
}

/** A data stream as the consumer has it. */
export interface OpenedData {
  /** the bytes of this stream are not metered */
  readonly free: boolean
  /** the service's own answer, at most 4,096 bytes */
  readonly info: Uint8Array
  /** the raw bytes behind the answer */
  readonly bytes: RawStream
}

export interface OpenDataOptions {
  readonly signal?: AbortSignal | undefined
}

/** The data streams of a node, in both roles. A service of libp2p: it is started and stopped with its node. */
export interface DataService extends Startable {
  /**
   * Opens a data stream of a live session, as the consumer.
   *
   * @throws TallyError the code of the provider's refusal (PEER_REFUSED for a number that is not registered here),
   * PEER_UNREACHABLE (also when no answer comes in time), UNSUPPORTED, STREAM_CUT, MALFORMED, FRAME_TOO_LARGE, ABORTED
   */
  openData(target: DialTarget, header: DataHeader, options?: OpenDataOptions): Promise<OpenedData>
}

/** Makes the service, for the `services` of a libp2p node. @see SPEC.md */
export function dataService(init: DataServiceInit = {}): (components: ProtocolComponents) => DataService {
  return (components) => new DataStreams(components, init)
}

class DataStreams implements DataService {
  readonly #components: ProtocolComponents
  readonly #init: DataServiceInit
  readonly #gate = new PeerGate(OPEN_RATE)
  readonly #nowMs: () => number
  #started = false

  constructor(components: ProtocolComponents, init: DataServiceInit) {
    this.#components = components
    this.#init = init
    this.#nowMs = init.nowMs ?? (() => performance.now())
  }

  async start(): Promise<void> {
    if (this.#started) return
    this.#started = true
    const { onStream } = this.#init
    if (onStream === undefined) return
    const options = { ...HANDLE, maxInboundStreams: MAX_INBOUND_STREAMS }
    await this.#components.registrar.handle(
      DATA_PROTOCOL,
      (stream, connection) => this.#serve(stream, connection, onStream),
      options,
    )
  }

  async stop(): Promise<void> {
    if (!this.#started) return
    this.#started = false
    if (this.#init.onStream !== undefined) await this.#components.registrar.unhandle(DATA_PROTOCOL)
  }

  async openData(target: DialTarget, header: DataHeader, options: OpenDataOptions = {}): Promise<OpenedData> {
    const request = encodeHeader(header)
    const attach = (stream: Stream): RawStream => rawStream(stream, { maxFrameBytes: MAX_HEADER_BYTES })
    const raw = await openStream(this.#components, target, DATA_PROTOCOL, attach, options)
    try {
      const late = (): TallyError => new TallyError('PEER_UNREACHABLE', { message: 'the provider does not answer the request' })
      return await within(this.#init.answerTimeoutMs ?? ANSWER_TIMEOUT_MS, late, options.signal, async (signal) => {
        await raw.writeFrame(request, { signal })
        const frame = await raw.readFrame({ signal })
        if (frame === undefined)
          throw new TallyError('STREAM_CUT', { message: 'the provider closed the stream without an answer' })
        const answer = decodeAnswer(frame)
        if (!isAccepted(answer)) throw refusalError(answer)
        return { free: answer.free, info: answer.info, bytes: raw }
      })
    } catch (thrown) {
      raw.abort(thrown instanceof Error ? thrown : new TallyError('INTERNAL', { cause: thrown }))
      throw thrown
    }
  }

  async #serve(
    stream: Stream,
    connection: Connection,
    onStream: (incoming: IncomingData) => void | Promise<void>,
  ): Promise<void> {
    const incoming = new IncomingStream(rawStream(stream, { maxFrameBytes: MAX_HEADER_BYTES }), connection.remotePeer)
    const peer = connection.remotePeer.toString()
    try {
      incoming.identify()
      const leave = this.#gate.enter(peer, this.#nowMs())
      if (leave === undefined)
        throw new TallyError('RATE_EXCEEDED', { message: 'this peer opens too many data streams per second' })
      stream.addEventListener('close', leave, { once: true })
      await incoming.readHeader(this.#init.headerTimeoutMs ?? HEADER_TIMEOUT_MS)
      await onStream(incoming)
    } catch (thrown) {
      incoming.fail(thrown)
    }
  }
}
