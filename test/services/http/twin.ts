// Joins an HTTP service to a consumer without a network, both directions; every count is covered.
import { TallyError } from '../../../src/core/errors.ts'
import type { PaidSession, ServiceAdapter } from '../../../src/ports/service.ts'
import { UNCHARGED } from '../uncharged.ts'

const NONE = { up: 0n, calls: 0n, units: 0n }

export async function httpTwin(service: ServiceAdapter): Promise<PaidSession> {
  const content = await service.prepare(new Uint8Array(), new AbortController().signal)
  return {
    content,
    async open(request) {
      const cut = new AbortController()
      const up = new TransformStream<Uint8Array, Uint8Array>()
      const writer = up.writable.getWriter()
      const broken = (thrown: unknown): never => {
        throw new TallyError('STREAM_CUT', { cause: thrown })
      }
      async function* input(): AsyncGenerator<Uint8Array> {
        const reader = up.readable.getReader()
        for (;;) {
          const next = await reader.read().catch(broken)
          if (next.done) return
          yield next.value
        }
      }
      const answer = await service.open({ request, content, input: input(), signal: cut.signal, ...UNCHARGED })
      const body = answer.body[Symbol.asyncIterator]()
      const abort = (error: Error): void => {
        cut.abort(error)
        void writer.abort(error).catch(() => undefined)
      }
      async function* down(): AsyncGenerator<Uint8Array> {
        try {
          for (;;) {
            const next = await body.next()
            if (next.done === true) return
            yield next.value
          }
        } finally {
          abort(new TallyError('STREAM_CUT'))
        }
      }
      const bytes = down()
      return {
        info: answer.info, free: false, charged: NONE, agreed: NONE, unacknowledged: bytes, acknowledge: () => undefined, agree: () => undefined, abort,
        write: async (piece) => await writer.write(piece),
        closeWrite: async () => await writer.close(),
        [Symbol.asyncIterator]: () => bytes,
      } // biome-ignore format: a record
    },
  }
}
