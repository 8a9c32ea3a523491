/** What `pipe` does with a session: once through, and nothing again: what was sent up is gone. */
import type { NodeSession } from '../../node/node-session.ts'
import { abortError, refuseAborted } from '../../services/abort.ts'
import { type CallEnd, callProgram } from '../../services/exec/index.ts'
import { sendAll } from '../../services/send-all.ts'
import type { Delivery } from '../get/purchase.ts'
import type { Sink } from '../get/sink.ts'

interface PipeInit {
  readonly sink: Sink
  /** undefined: the service takes no input */
  readonly stdin: AsyncIterable<Uint8Array> | undefined
  readonly signal: AbortSignal
}

abstract class Once implements Delivery {
  readonly again = false
  readonly idles = true
  protected readonly init: PipeInit
  #isUsed = false
  #broken: unknown
  bytes = 0n

  constructor(init: PipeInit) {
    this.init = init
  }

  async used(): Promise<undefined> {
    return undefined
  }

  async over(): Promise<void> {
    // nothing is kept between runs
  }

  /** After a break there is nothing to go on with: some of the input was taken already. */
  async run(session: NodeSession): Promise<void> {
    if (this.#isUsed) throw this.#broken
    this.#isUsed = true
    try {
      await this.once(session)
    } catch (thrown) {
      this.#broken = thrown
      throw thrown
    }
  }

  protected abstract once(session: NodeSession): Promise<void>

  protected async take(piece: Uint8Array): Promise<boolean> {
    if (!(await this.init.sink.write(piece))) return false
    this.bytes += BigInt(piece.length)
    return true
  }
}

/** Runs a program once. */
export class CallDelivery extends Once {
  end: CallEnd | undefined
  log: Uint8Array | undefined

  protected async once(session: NodeSession): Promise<void> {
    const { stdin, signal } = this.init
    const output = (piece: Uint8Array): Promise<boolean> => this.take(piece)
    const { end, log } = await callProgram(session, { output, signal, ...(stdin !== undefined && { input: stdin }) })
    this.end = end
    this.log = log
  }
}

/** One connection, or one run of a stream. */
export class PipeDelivery extends Once {
  protected async once(session: NodeSession): Promise<void> {
    const { stdin, signal } = this.init
    refuseAborted(signal)
    const stream = await session.open(undefined, { signal, most: { calls: 1 } })
    const onAbort = (): void => stream.abort(abortError(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    const sending = sendAll(stream, stdin)
    try {
      for await (const piece of stream.unacknowledged) {
        if (!(await this.take(piece))) return
        stream.acknowledge(piece.length)
      }
    } catch (thrown) {
      // whoever stops a connection has had what was wanted of it
      if (!signal.aborted) throw sending.failure ?? thrown
    } finally {
      sending.stop()
      signal.removeEventListener('abort', onAbort)
    }
  }
}
