import { asTallyError, type TallyError } from '../core/errors.ts'
import type { PaidStream } from '../ports/service.ts'

/** Bytes that are on their way to a service. */
export interface Sending {
  /** why not all of them could be sent, where that ended the stream */
  readonly failure: TallyError | undefined
  /** nothing more is sent */
  stop(): void
}

/** Sends all of `input`, while the caller reads, and ends this side of the stream. What cannot be sent or read ends all of it. */
export function sendAll(stream: PaidStream, input: AsyncIterable<Uint8Array> | undefined): Sending {
  let failure: TallyError | undefined
  let isOver = false
  const send = async (): Promise<void> => {
    if (input !== undefined) {
      for await (const piece of input) {
        if (isOver) return
        await stream.write(piece)
      }
    }
    if (!isOver) await stream.closeWrite()
  }
  send().catch((thrown: unknown) => {
    // one that has ended takes no more: what it said until then is all that counts
    const error = asTallyError(thrown)
    if (isOver || error.code === 'STREAM_CUT') return
    failure = error
    stream.abort(error)
  })
  return {
    get failure() {
      return failure
    },
    stop: () => {
      isOver = true
    },
  }
}
