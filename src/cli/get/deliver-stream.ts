/** Buys a live stream until it ends, a limit is reached, or somebody says stop. */
import { TallyError } from '../../core/errors.ts'
import type { NodeSession } from '../../node/node-session.ts'
import type { PaidStream } from '../../ports/service.ts'
import { abortError, refuseAborted } from '../../services/abort.ts'
import type { Delivery } from './delivery.ts'
import type { Sink } from './sink.ts'

export interface StreamDeliveryInit {
  readonly sink: Sink
  /** so many bytes and no more */
  readonly maxBytes: bigint | undefined
  /** so long and no longer, from the first byte that is asked for, ms */
  readonly maxMs: number | undefined
  readonly signal: AbortSignal
}

export class StreamDelivery implements Delivery {
  // a program that failed would fail again, and each run of it is paid
  readonly again = false
  // another provider's program is another stream
  readonly movable = false
  readonly #init: StreamDeliveryInit
  #begunMs: number | undefined
  bytes = 0n

  constructor(init: StreamDeliveryInit) {
    this.#init = init
  }

  async used(): Promise<undefined> {
    return undefined
  }

  async over(): Promise<void> {
    // nothing is kept between runs
  }

  async run(session: NodeSession): Promise<void> {
    const { signal, maxMs } = this.#init
    refuseAborted(signal)
    this.#begunMs ??= performance.now()
    const left = maxMs === undefined ? undefined : maxMs - (performance.now() - this.#begunMs)
    if (left !== undefined && left <= 0) return
    const stream = await session.open(undefined, { signal })
    let isTime = false
    const timer = left === undefined ? undefined : setTimeout(() => {
      isTime = true
      stream.abort(new TallyError('ABORTED'))
    }, left) // biome-ignore format: one thought
    const onAbort = (): void => stream.abort(abortError(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await this.#read(stream)
    } catch (thrown) {
      // a stream has no end of its own: whoever stops it has got what was wanted
      if (!isTime && !signal.aborted) throw thrown
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
  }

  async #read(stream: PaidStream): Promise<void> {
    const { sink, maxBytes } = this.#init
    for await (const piece of stream.unacknowledged) {
      const left = maxBytes === undefined ? undefined : maxBytes - this.bytes
      const wanted = left !== undefined && left < piece.length ? piece.subarray(0, Number(left)) : piece
      if (wanted.length > 0 && !(await sink.write(wanted))) return
      this.bytes += BigInt(wanted.length)
      stream.acknowledge(wanted.length)
      if (maxBytes !== undefined && this.bytes >= maxBytes) return
    }
  }
}
