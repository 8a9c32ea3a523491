import type { PeerId } from '@libp2p/interface'
import { asTallyError, ERRORS, TallyError } from '../../src/core/errors.ts'
import type { Address } from '../../src/core/ids.ts'
import { within } from '../deadline.ts'
import type { RawStream } from '../framing/raw-stream.ts'
import { type PeerIdentity, peerIdentity } from '../peer-identity.ts'
import { type DataHeader, decodeHeader, encodeAnswer } from './codec.ts'

/** The provider's words on a data stream that it takes. */
export interface DataGrant {
  /** the bytes of this stream are not metered. @default false */
  readonly free?: boolean
  /** the service's own answer, at most 4,096 bytes. @default empty */
  readonly info?: Uint8Array
}

/** A data stream that a peer asks for. Answer it once. */
export interface IncomingData {
  readonly peer: PeerId
  /** the Ethereum address of the peer's key, proven by the handshake */
  readonly address: Address
  readonly header: DataHeader
  /** Takes the stream: the answer is on its way, raw bytes may follow. @throws TallyError STREAM_CUT, WRONG_STATE (answered already) */
  accept(grant?: DataGrant): Promise<RawStream>
  /** Refuses the stream with the number of the error, never its text, and ends it. The first answer holds; a later one changes nothing. */
  refuse(error: TallyError): void
}

/** The provider's half of the opening. It lives until the stream is answered. */
export class IncomingStream implements IncomingData {
  readonly peer: PeerId
  readonly #raw: RawStream
  #identity: PeerIdentity | undefined
  #header: DataHeader | undefined
  #answered = false

  constructor(raw: RawStream, peer: PeerId) {
    this.#raw = raw
    this.peer = peer
  }

  get address(): Address {
    return known(this.#identity).address
  }

  get header(): DataHeader {
    return known(this.#header)
  }

  /** @throws TallyError UNSUPPORTED */
  identify(): void {
    this.#identity = peerIdentity(this.peer)
  }

  /** @throws TallyError MALFORMED, FRAME_TOO_LARGE, STREAM_CUT, also when it is late */
  async readHeader(timeoutMs: number): Promise<void> {
    const late = (): TallyError => new TallyError('STREAM_CUT', { message: `no header within ${timeoutMs} ms` })
    const frame = await within(timeoutMs, late, undefined, (signal) => this.#raw.readFrame({ signal }))
    if (frame === undefined) throw new TallyError('STREAM_CUT', { message: 'the stream ended without a header' })
    this.#header = decodeHeader(frame)
  }

  async accept(grant: DataGrant = {}): Promise<RawStream> {
    if (this.#answered) throw new TallyError('WRONG_STATE', { message: 'this data stream has been answered already' })
    this.#answered = true
    const answer = encodeAnswer({ status: 0, free: grant.free ?? false, info: grant.info ?? new Uint8Array(0) })
    try {
      await this.#raw.writeFrame(answer)
    } catch (thrown) {
      this.#raw.abort(asTallyError(thrown))
      throw thrown
    }
    return this.#raw
  }

  refuse(error: TallyError): void {
    if (this.#answered) return
    this.#answered = true
    void this.#tell(error)
  }

  /** What was thrown on the way: told as a number, or a reset where nothing can be told. */
  fail(thrown: unknown): void {
    const error = asTallyError(thrown)
    if (error.code === 'STREAM_CUT' || this.#answered) this.#raw.abort(error)
    else this.refuse(error)
  }

  async #tell(error: TallyError): Promise<void> {
    try {
      await this.#raw.writeFrame(encodeAnswer({ status: error.wire }))
      await this.#raw.close()
    } catch {
      this.#raw.abort(error)
    }
  }
}

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new TallyError('WRONG_STATE', { message: ERRORS.WRONG_STATE.text })
  return value
}
