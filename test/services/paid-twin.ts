import { NO_COUNTS } from '../../src/core/session/counts.ts'
import type { PaidSession, PaidStream, ServiceAdapter } from '../../src/ports/service.ts'
import { UNCHARGED } from './uncharged.ts'

export interface TwinOptions {
  /** how far the provider may be ahead of the acknowledgements; Infinity when left out */
  readonly creditBytes?: number
  /** what a cheating provider makes of each piece of a paid stream that goes out; at = its place in the stream */
  readonly tamper?: (piece: Uint8Array, at: number) => Uint8Array
  /** the same for free streams */
  readonly tamperFree?: (piece: Uint8Array) => Uint8Array
  /** bytes of a piece at most. The real session cuts pieces too */
  readonly pieceBytes?: number
  /** what a cheating provider puts into the signed terms */
  readonly content?: (content: Uint8Array) => Uint8Array
}

/** What a test sees of the money of a session. */
export interface Twin extends PaidSession {
  /** bytes acknowledged on metered streams */
  readonly acknowledged: () => number
  /** bytes handed to the consumer on metered streams */
  readonly delivered: () => number
  readonly aborted: () => readonly Error[]
  readonly openStreams: () => number
}

/** Joins a provider's adapter to a consumer without a network: pulls only as far as credit and acknowledgements allow. */
export async function paidTwin(adapter: ServiceAdapter, inputs: string | Uint8Array, options: TwinOptions = {}): Promise<Twin> {
  const { creditBytes = Infinity, pieceBytes = 1 << 20 } = options
  const bytes = typeof inputs === 'string' ? new TextEncoder().encode(inputs) : inputs
  const prepared = await adapter.prepare(bytes, new AbortController().signal)
  let acknowledged = 0
  let delivered = 0
  let openStreams = 0
  const aborted: Error[] = []

  async function open(request: Uint8Array, { signal }: { signal?: AbortSignal } = {}): Promise<PaidStream> {
    const cut = new AbortController()
    signal?.addEventListener('abort', () => cut.abort(signal.reason))
    const answer = await adapter.open({ request, content: prepared, input: nothing(), signal: cut.signal, ...UNCHARGED })
    openStreams++
    let written = 0
    let acked = 0
    async function* unacknowledged(): AsyncGenerator<Uint8Array> {
      try {
        for await (const whole of answer.body) {
          for (let at = 0; at < whole.length; ) {
            const room = answer.free ? Infinity : creditBytes - (written - acked)
            if (room <= 0) throw new Error('the stream would stand still: no credit, nothing acknowledged')
            const piece = whole.slice(at, at + Math.min(pieceBytes, room))
            const sent = (answer.free ? options.tamperFree?.(piece) : options.tamper?.(piece, written)) ?? piece
            at += piece.length
            written += piece.length
            if (!answer.free) delivered += sent.length
            yield sent
          }
        }
      } finally {
        openStreams--
        cut.abort()
      }
    }
    const stream = unacknowledged()
    const acknowledge = (count: number) => {
      acked += count
      if (!answer.free) acknowledged += count
    }
    return {
      info: answer.info,
      free: answer.free,
      unacknowledged: stream,
      acknowledge,
      charged: NO_COUNTS,
      agreed: NO_COUNTS,
      agree: () => undefined,
      async write() {},
      async closeWrite() {},
      abort(error) {
        aborted.push(error)
        cut.abort(error)
      },
      async *[Symbol.asyncIterator]() {
        for await (const piece of stream) {
          yield piece
          acknowledge(piece.length)
        }
      },
    }
  }
  return {
    content: options.content?.(prepared) ?? prepared,
    open,
    acknowledged: () => acknowledged,
    delivered: () => delivered,
    aborted: () => aborted,
    openStreams: () => openStreams,
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
