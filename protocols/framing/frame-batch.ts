import { FRAME_HEADER_BYTES, writeFrameHeader } from './frame-codec.ts'

const FIRST_BYTES = 1024

/**
 * Frames gathered for one write. Payloads are copied in, so the caller may reuse its buffer, and a batch of any number of
 * frames is one block of memory.
 */
export class FrameBatch {
  #bytes = new Uint8Array(0)
  #used = 0

  get byteLength(): number {
    return this.#used
  }

  /** Appends one payload with its length prefix. The caller has checked the length. */
  add(payload: Uint8Array): void {
    const start = this.#used
    const end = start + FRAME_HEADER_BYTES + payload.byteLength
    if (end > this.#bytes.byteLength) this.#grow(end)
    writeFrameHeader(this.#bytes, start, payload.byteLength)
    this.#bytes.set(payload, start + FRAME_HEADER_BYTES)
    this.#used = end
  }

  /** Gives the gathered bytes away and starts anew: the transport may hold on to them for long. */
  take(): Uint8Array {
    const bytes = this.#bytes.subarray(0, this.#used)
    this.clear()
    return bytes
  }

  clear(): void {
    this.#bytes = new Uint8Array(0)
    this.#used = 0
  }

  #grow(needed: number): void {
    const bytes = Buffer.allocUnsafe(Math.max(needed, FIRST_BYTES, this.#bytes.byteLength * 2))
    bytes.set(this.#bytes.subarray(0, this.#used))
    this.#bytes = bytes
  }
}
