/** Buys one answer of an `http` service: a GET of the path. */
import type { NodeSession } from '../../node/node-session.ts'
import { httpExchange } from '../../services/http/index.ts'
import type { Delivery } from './purchase.ts'
import type { Sink } from './sink.ts'

export interface HttpDeliveryInit {
  /** with a query, without a slash in front */
  readonly path: string
  readonly sink: Sink
  readonly signal: AbortSignal
}

export class HttpDelivery implements Delivery {
  // it may have been done and charged already
  readonly again = false
  readonly #init: HttpDeliveryInit
  bytes = 0n
  status: number | undefined

  constructor(init: HttpDeliveryInit) {
    this.#init = init
  }

  async used(): Promise<undefined> {
    return undefined
  }

  async over(): Promise<void> {
    // nothing is kept between runs
  }

  async run(session: NodeSession): Promise<void> {
    const { path, sink, signal } = this.#init
    const headers = [['host', `${session.offer.service}.tally`], ['user-agent', 'tallystick'], ['accept', '*/*']] as const // biome-ignore format: pairs
    const answer = await httpExchange(session, {
      method: 'GET',
      path: `/${path}`,
      headers,
      body: undefined,
      upgrade: false,
      signal,
    })
    this.status = answer.status
    for await (const piece of answer.bytes) {
      if (!(await sink.write(piece))) return
      this.bytes += BigInt(piece.length)
    }
  }
}
