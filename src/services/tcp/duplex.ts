/** A data stream as the rest of Node knows streams. */
import { Duplex } from 'node:stream'
import type { PaidStream } from '../../ports/service.ts'

/**
 * Both directions of a data stream. Bytes are acknowledged, and so paid, when the next ones are read: whoever stops reading stops
 * paying. `end()` ends the consumer's side, the other end may still answer; when the other end has said all, this side ends too.
 * `destroy()` is a reset.
 */
export function duplexOf(stream: PaidStream): Duplex {
  return new StreamDuplex(stream)
}

class StreamDuplex extends Duplex {
  readonly #stream: PaidStream
  readonly #pieces: AsyncIterator<Uint8Array>
  #isOver = false

  constructor(stream: PaidStream) {
    // nothing is read ahead: what waits in a buffer is not used, and would be paid all the same
    super({ allowHalfOpen: false, readableHighWaterMark: 0, decodeStrings: true })
    this.#stream = stream
    this.#pieces = stream[Symbol.asyncIterator]()
  }

  override _read(): void {
    this.#pieces.next().then(
      ({ done, value }) => {
        this.#isOver ||= done === true
        this.push(done === true ? null : value)
      },
      (thrown: Error) => {
        this.#isOver = true
        this.destroy(thrown)
      },
    )
  }

  override _write(bytes: Uint8Array, _: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#stream.write(bytes).then(() => done(), done)
  }

  override _final(done: (error?: Error | null) => void): void {
    // the end of the other side has ended this one already
    if (this.#isOver) return done()
    this.#stream.closeWrite().then(() => done(), done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#isOver) this.#stream.abort(error ?? new Error('the connection was given up'))
    done(error)
  }
}
