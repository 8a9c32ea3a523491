import type { RequestListener } from 'node:http'
import { asTallyError, TallyError } from '../../core/errors.ts'
import type { ServiceAdapter, ServiceAnswer, ServiceCall } from '../../ports/service.ts'
import { refuseAborted } from '../abort.ts'
import { type Backend, type BackendAnswer, type BackendCall, failureStatus, serviceFailed } from './backend.ts'
import { decodeRequest, encodeAnswer, isAnswer } from './codec.ts'
import { type FetchHandler, handlerBackend } from './handler.ts'
import { type AnswerHead, carried, type FailureHead, type RequestHead } from './head.ts'
import { costOf, encodeTariff, ONE_CALL_EACH, type Tariff } from './tariff.ts'
import { Upload } from './upload.ts'
import { listenerBackend, upstreamBackend } from './upstream.ts'
import { UsageReader } from './usage.ts'

/** What is sold: a server by its URL, the `fetch` of an app such as hono's, or a request listener such as an express app. */
export type HttpTarget = { readonly target: string } | { readonly fetch: FetchHandler } | { readonly app: RequestListener }

export type HttpInit = HttpTarget & {
  /** how long the service may take before it answers, and then between two pieces, ms. @default 120,000 */
  readonly timeoutMs?: number
  /** calls at the same time, over all sessions. @default 256 */
  readonly maxCalls?: number
  /** as how many calls and units each route counts. @default each request that does not fail is one call */
  readonly tariff?: Tariff
}

const NO_INFO = new Uint8Array(0)
/** why the signal of a call that is over was aborted: one for all of them, for its trace costs more than it tells */
const OVER = new TallyError('ABORTED', { message: 'the call is over' })
const TIMEOUT_MS = 120_000
const MAX_CALLS = 256

/**
 * Sells an HTTP service: each data stream is one request. It passes on what a consumer may say and nothing else, and asks the service only
 * once the answer could be paid for. @see protocols/http/SPEC.md
 *
 * @throws TallyError USAGE when the target is not an http or https URL, or the tariff is none
 */
export function httpService(init: HttpInit): ServiceAdapter {
  const timeoutMs = init.timeoutMs ?? TIMEOUT_MS
  return new HttpService(backendOf(init, timeoutMs), init.tariff ?? ONE_CALL_EACH, timeoutMs, init.maxCalls ?? MAX_CALLS)
}

function backendOf(init: HttpTarget, timeoutMs: number): Backend {
  if ('target' in init) return upstreamBackend(init.target, timeoutMs)
  return 'fetch' in init ? handlerBackend(init.fetch, timeoutMs) : listenerBackend(init.app, timeoutMs)
}

class HttpService implements ServiceAdapter {
  readonly kind = 'http'
  readonly inputs = 'nothing'
  readonly outputs = 'what a web server answers to each request'
  readonly charges = ['up', 'calls', 'units'] as const
  readonly #backend: Backend
  readonly #tariff: Tariff
  readonly #content: Uint8Array
  readonly #timeoutMs: number
  readonly slots: number
  /** one for each call that is running */
  readonly #running = new Set<AbortController>()
  #closed = false

  constructor(backend: Backend, tariff: Tariff, timeoutMs: number, maxCalls: number) {
    this.#backend = backend
    this.#tariff = tariff
    this.#content = encodeTariff(tariff)
    this.#timeoutMs = timeoutMs
    this.slots = maxCalls
  }

  async prepare(inputs: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    refuseAborted(signal)
    if (inputs.length > 0) throw new TallyError('REQUEST_INVALID', { message: 'a session of this service takes no input' })
    return this.#content.slice()
  }

  async open(call: ServiceCall): Promise<ServiceAnswer> {
    const head = decodeRequest(call.request)
    refuseAborted(call.signal)
    if (this.#closed) throw new TallyError('SHUTTING_DOWN')
    if (this.#running.size >= this.slots)
      throw new TallyError('BUSY', { message: `${this.slots} calls of this service are running already` })
    return { info: NO_INFO, free: false, body: this.#answer(head, call) }
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const running of this.#running) running.abort(new TallyError('SHUTTING_DOWN'))
    await this.#backend.close()
  }

  /** The head, then the body. It begins when the first byte is asked for: not before it may be written (W2). */
  async *#answer(head: RequestHead, call: ServiceCall): AsyncGenerator<Uint8Array> {
    const gone = new AbortController()
    const { signal } = gone
    const cut = (): void => gone.abort(call.signal.reason)
    call.signal.addEventListener('abort', cut, { once: true })
    if (call.signal.aborted) cut()
    if (this.#closed) gone.abort(new TallyError('SHUTTING_DOWN'))
    this.#running.add(gone)
    try {
      const cost = costOf(this.#tariff, head)
      const bill = await call.reserve({ calls: cost.calls, units: cost.usage?.most ?? 0 })
      const upload = new Upload(call.input, head, gone)
      const answer = await this.#ask({ head: cost.usage === undefined ? head : unpacked(head), body: upload.body, signal })
      const first = headOf(answer)
      if (answer instanceof TallyError || first === undefined) {
        bill.release()
        return yield framed({ type: 'failure', status: failureStatus(answer) })
      }
      const isCharged = first.status < 400 || this.#tariff.chargeFailures
      if (!isCharged) bill.release()
      yield framed(first)
      // not before the head could be written: nobody agrees to a charge for an answer that is not seen, and what is not agreed to is not paid
      const usage = isCharged && cost.usage !== undefined ? new UsageReader(cost.usage, first) : undefined
      if (isCharged && usage === undefined) bill.debit()
      yield* this.#pieces(answer, usage)
      if (usage !== undefined) bill.debit({ calls: cost.calls, units: usage.end() })
    } catch (thrown) {
      refuseAborted(signal)
      throw thrown instanceof TallyError ? thrown : serviceFailed(502, thrown)
    } finally {
      this.#running.delete(gone)
      call.signal.removeEventListener('abort', cut)
      gone.abort(OVER)
    }
  }

  /** The answer, or the failure that takes its place. */
  async #ask(call: BackendCall): Promise<BackendAnswer | TallyError> {
    try {
      const answer = await this.#backend.answer(call)
      return answer.status === 101 && !call.head.upgrade ? serviceFailed(502) : answer
    } catch (thrown) {
      refuseAborted(call.signal)
      return asTallyError(thrown)
    }
  }

  /** Each piece as it comes. A service that falls silent in the middle is given up, unless both ends may be silent for as long as they like. */
  async *#pieces({ bytes, status }: BackendAnswer, usage: UsageReader | undefined): AsyncGenerator<Uint8Array> {
    const pieces = bytes[Symbol.asyncIterator]()
    try {
      for (;;) {
        const next = pieces.next()
        const piece = status === 101 ? await next : await within(this.#timeoutMs, next)
        if (piece.done === true) return
        usage?.add(piece.value)
        if (piece.value.length > 0) yield piece.value
      }
    } finally {
      await pieces.return?.()
    }
  }
}

/** A count can be read only in an answer that is not compressed. */
function unpacked(head: RequestHead): RequestHead {
  return { ...head, headers: head.headers.filter(([name]) => name !== 'accept-encoding') }
}

/** What cannot travel is no answer. */
function headOf(answer: BackendAnswer | TallyError): AnswerHead | undefined {
  if (answer instanceof TallyError) return undefined
  const { status, headers, body } = answer
  const head: AnswerHead = { type: 'answer', status, headers: carried(headers, 'answer'), body }
  return isAnswer(head) ? head : undefined
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
