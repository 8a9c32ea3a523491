import { TallyError } from '../../src/core/errors.ts'
import { ByteQueue, type Bytes } from './byte-queue.ts'

/** Bytes of the length prefix in front of each frame. @see SPEC.md section 2 */
export const FRAME_HEADER_BYTES = 4

/** The largest frame any protocol may allow, in bytes: a receiver must be able to hold one. @see SPEC.md section 2 */
export const MAX_FRAME_BYTES = 1 << 20

/**
 * Checks a payload before it is sent.
 *
 * @throws TallyError MALFORMED when empty, FRAME_TOO_LARGE above `maxFrameBytes`
 */
export function checkFrameLength(length: number, maxFrameBytes: number): void {
  if (length === 0) throw new TallyError('MALFORMED', { message: 'a frame of zero bytes is not allowed' })
  if (length > maxFrameBytes) {
    throw new TallyError('FRAME_TOO_LARGE', {
      message: `a frame of ${length} bytes is larger than the ${maxFrameBytes} bytes that the protocol allows`,
      fields: { length, max_frame_bytes: maxFrameBytes },
    })
  }
}

/** Writes the length prefix of a payload of `length` bytes at `offset`. */
export function writeFrameHeader(target: Uint8Array, offset: number, length: number): void {
  target[offset] = length >>> 24
  target[offset + 1] = length >>> 16
  target[offset + 2] = length >>> 8
  target[offset + 3] = length
}

/**
 * One payload with its length prefix, as a new array.
 *
 * @throws TallyError MALFORMED, FRAME_TOO_LARGE
 */
export function encodeFrame(payload: Uint8Array, maxFrameBytes: number): Uint8Array {
  checkFrameLength(payload.byteLength, maxFrameBytes)
  const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.byteLength)
  writeFrameHeader(frame, 0, payload.byteLength)
  frame.set(payload, FRAME_HEADER_BYTES)
  return frame
}

/**
 * Takes the next whole frame from the front of `queue`; undefined while it is not complete. The length is judged as soon as
 * its four bytes are there, so the body of an oversized frame is never waited for. A refused frame stays at the front: every
 * later call refuses it again.
 *
 * The frame is a view on received bytes where possible. Whoever keeps a part of it for long must copy that part, or a
 * signature of 65 bytes keeps a block of 64 KiB alive.
 *
 * @throws TallyError MALFORMED for a zero length, FRAME_TOO_LARGE above `maxFrameBytes`
 */
export function takeFrame(queue: ByteQueue, maxFrameBytes: number): Uint8Array | undefined {
  const length = queue.peekUint32()
  if (length === undefined) return undefined
  checkFrameLength(length, maxFrameBytes)
  if (queue.byteLength < FRAME_HEADER_BYTES + length) return undefined
  queue.skip(FRAME_HEADER_BYTES)
  return queue.take(length)
}

/** The error of a stream that ended, cleanly or not, while a frame was incomplete. */
export function cutInsideFrame(): TallyError {
  return new TallyError('STREAM_CUT', { message: 'the stream ended inside a frame' })
}

/** A decoder without a stream: bytes in, frames out. For tests, vectors and tools; streams use `takeFrame` on their own queue. */
export class FrameDecoder {
  readonly #queue = new ByteQueue()
  readonly #maxFrameBytes: number

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes
  }

  /** Bytes held of a frame that is not complete yet. */
  get pendingBytes(): number {
    return this.#queue.byteLength
  }

  /**
   * The frames that `bytes` complete, in order. Any split of the same bytes gives the same frames.
   *
   * @throws TallyError MALFORMED, FRAME_TOO_LARGE; frames in front of the bad one in the same call are lost with it
   */
  push(bytes: Bytes): Uint8Array[] {
    this.#queue.push(bytes)
    const frames: Uint8Array[] = []
    for (;;) {
      const frame = takeFrame(this.#queue, this.#maxFrameBytes)
      if (frame === undefined) return frames
      frames.push(frame)
    }
  }

  /** States that no more bytes come. @throws TallyError STREAM_CUT inside a frame */
  end(): void {
    if (this.#queue.byteLength > 0) throw cutInsideFrame()
  }
}
