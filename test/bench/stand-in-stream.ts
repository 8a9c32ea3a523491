/**
 * A libp2p stream whose far end is in the same process: bytes arrive when it is told so, what is sent is handed over. It takes the place
 * of the transport alone (socket, noise, yamux); framing, rates and codec in front of it are the real ones.
 */
import { type Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'

export class StandInStream extends EventTarget {
  status = 'open'
  readStatus = 'readable'
  writeStatus = 'writable'
  remoteReadStatus = 'readable'
  remoteWriteStatus = 'writable'
  readonly readBufferLength = 0
  readonly writeBufferLength = 0
  readonly writableNeedsDrain = false
  readonly #onSent: (bytes: Uint8Array) => void

  constructor(onSent: (bytes: Uint8Array) => void) {
    super()
    this.#onSent = onSent
  }

  /** As protocols see it: only what they use of a stream is here. */
  get asStream(): Stream {
    return this as unknown as Stream
  }

  /** A run of bytes from the far end, cut anywhere. */
  arrive(bytes: Uint8Array): void {
    if (this.status === 'open') this.dispatchEvent(new StreamMessageEvent(bytes))
  }

  send(bytes: { subarray(): Uint8Array }): boolean {
    this.#onSent(bytes.subarray())
    return true
  }

  pause(): void {
    throw new Error('more bytes wait unread than the far end ever has on their way')
  }

  resume(): void {}

  async close(): Promise<void> {
    this.writeStatus = 'closed'
  }

  abort(error: Error): void {
    if (this.status !== 'open') return
    this.status = 'aborted'
    this.readStatus = 'closed'
    this.writeStatus = 'closed'
    this.dispatchEvent(new StreamCloseEvent(true, error))
  }
}
