import type { RequestListener } from 'node:http'
import { asTallyError, TallyError } from '../../core/errors.ts'
import type { ServiceAdapter, ServiceAnswer, ServiceCall } from '../../ports/service.ts'
import { refuseAborted } from '../abort.ts'
import { type Backend, failureStatus, serviceFailed } from './backend.ts'
import { decodeRequest, encodeAnswer } from './codec.ts'
import { type FetchHandler, handlerBackend } from './handler.ts'
import { type AnswerHead, carried, type FailureHead, type RequestHead } from './head.ts'
import { Upload } from './upload.ts'
import { listenerBackend, upstreamBackend } from './upstream.ts'

/** What is sold: a server by its URL, the `fetch` of an app such as hono's, or a request listener such as an express app. */
export type HttpTarget = { readonly target: string } | { readonly fetch: FetchHandler } | { readonly app: RequestListener }

export type HttpInit = HttpTarget & {
  /** how long the service may take before it answers, and then between two pieces, ms. @default 120,000 */
  readonly timeoutMs?: number
  /** calls at the same time, over all sessions. @default 256 */
  readonly maxCalls?: number
}

const CONTENT = Uint8Array.of(1)
const TIMEOUT_MS = 120_000
const MAX_CALLS = 256

/**
 * Sells an HTTP service: each data stream is one request. It passes on what a consumer may say and nothing else, and asks the service only
 * once the answer could be paid for. @see protocols/http/SPEC.md
 *
 * @throws TallyError USAGE when the target is not an http or https URL
 */
export function httpService(init: HttpInit): ServiceAdapter {
  const timeoutMs = init.timeoutMs ?? TIMEOUT_MS
  return new HttpService(backendOf(init, timeoutMs), timeoutMs, init.maxCalls ?? MAX_CALLS)
}

function backendOf(init: HttpTarget, timeoutMs: number): Backend {
  if ('target' in init) return upstreamBackend(init.target, timeoutMs)
  return 'fetch' in init ? handlerBackend(init.fetch, timeoutMs) : listenerBackend(init.app, timeoutMs)
}

class HttpService implements ServiceAdapter {
  readonly kind = 'http'
  readonly inputs = 'nothing'
  readonly outputs = 'what a web server answers to each request'
  readonly #backend: Backend
  readonly #timeoutMs: number
  readonly #maxCalls: number
  readonly #closing = new AbortController()
  #calls = 0

  constructor(backend: Backend, timeoutMs: number, maxCalls: number) {
    this.#backend = backend
    this.#timeoutMs = timeoutMs
    this.#maxCalls = maxCalls
  }

  async prepare(inputs: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    refuseAborted(signal)
    if (inputs.length > 0) throw new TallyError('REQUEST_INVALID', { message: 'a session of this service takes no input' })
    return CONTENT.slice()
  }

  async open(call: ServiceCall): Promise<ServiceAnswer> {
    const head = decodeRequest(call.request)
    const signal = AbortSignal.any([call.signal, this.#closing.signal])
    refuseAborted(signal)
    if (this.#calls >= this.#maxCalls)
      throw new TallyError('BUSY', { message: `${this.#maxCalls} calls of this service are running already` })
    return { info: new Uint8Array(), free: false, body: this.#answer(head, call, signal) }
  }

  async close(): Promise<void> {
    this.#closing.abort(new TallyError('SHUTTING_DOWN'))
    await this.#backend.close()
  }

  /** The head, then the body. It begins when the first byte is asked for: not before it may be written (W2). */
  async *#answer(head: RequestHead, call: ServiceCall, ended: AbortSignal): AsyncGenerator<Uint8Array> {
    const gone = new AbortController()
    const signal = AbortSignal.any([ended, gone.signal])
    const upload = new Upload(call.input, head, (error) => gone.abort(error))
    this.#calls += 1
    try {
      const answer = await this.#backend.answer({ head, body: upload.body, signal }).catch((thrown: unknown) => thrown as Error)
      if (answer instanceof Error) return yield framed({ type: 'failure', status: failureStatus(answer) })
      const { status, headers, body } = answer
      if (status === 101 && !head.upgrade) return yield framed({ type: 'failure', status: 502 })
      const pieces = answer.bytes[Symbol.asyncIterator]()
      try {
        yield headOf({ type: 'answer', status, headers: carried(headers, 'answer'), body })
        yield* this.#pieces(pieces, status === 101)
      } finally {
        await pieces.return?.()
      }
    } catch (thrown) {
      refuseAborted(signal)
      throw thrown instanceof TallyError ? thrown : serviceFailed(502, thrown)
    } finally {
      this.#calls -= 1
      gone.abort(new TallyError('ABORTED'))
    }
  }

  /** Each piece as it comes. A service that falls silent in the middle is given up, unless both ends may be silent for as long as they like. */
  async *#pieces(pieces: AsyncIterator<Uint8Array>, patient: boolean): AsyncGenerator<Uint8Array> {
    for (;;) {
      const next = pieces.next()
      const piece = patient ? await next : await within(this.#timeoutMs, next)
      if (piece.done === true) return
      if (piece.value.length > 0) yield piece.value
    }
  }
}

/** What cannot travel is no answer. */
function headOf(head: AnswerHead): Uint8Array {
  try {
    return framed(head)
  } catch (thrown) {
    if (asTallyError(thrown).code !== 'CONTENT_WRONG') throw thrown
    return framed({ type: 'failure', status: 502 })
  }
}

function framed(head: AnswerHead | FailureHead): Uint8Array {
  const bytes = encodeAnswer(head)
  return Uint8Array.of(bytes.length >> 8, bytes.length & 0xff, ...bytes)
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(serviceFailed(504)), ms)
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
    promise.catch(() => undefined)
  }
}
