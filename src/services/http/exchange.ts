/** The consumer's side: one request over one data stream of a session. */
import { asTallyError, TallyError } from '../../core/errors.ts'
import type { PaidSession, PaidStream } from '../../ports/service.ts'
import { abortError } from '../abort.ts'
import { endable } from '../endable.ts'
import { serviceFailed } from './backend.ts'
import { Bill } from './bill.ts'
import { decodeAnswer, encodeRequest } from './codec.ts'
import { type AnswerHead, carried, isBodiless, MAX_HEAD_BYTES, type RequestHead } from './head.ts'

export interface HttpCall extends Omit<RequestHead, 'headers'> {
  /** those that do not travel are left out */
  readonly headers: Iterable<readonly [string, string]>
  /** the body, or what is sent after an upgrade */
  readonly send?: AsyncIterable<Uint8Array>
  /** how long the head of the answer may take, ms. @default 300,000 */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface HttpAnswer extends AnswerHead {
  /** what it takes to know the answer was read to its end: it throws when the answer broke off. A piece counts as used when the next one is asked for. */
  readonly bytes: AsyncGenerator<Uint8Array, void, undefined>
}

const TIMEOUT_MS = 300_000

/**
 * Sends a request and waits for the head of the answer. Read or return `bytes`, else the stream stays open.
 *
 * @throws TallyError PRICE_TOO_HIGH (nothing was sent), REQUEST_INVALID, SERVICE_FAILED (its field `status` is 501 to 504), CONTENT_WRONG, STREAM_CUT, ABORTED, and as `open` of a session
 */
export async function httpExchange(session: PaidSession, call: HttpCall): Promise<HttpAnswer> {
  const { signal, send, timeoutMs = TIMEOUT_MS } = call
  const request = encodeRequest({ ...call, headers: carried(call.headers, 'request') })
  const bill = new Bill(session, call)
  const stream = await session.open(request, {
    onCharge: () => bill.settle(),
    onEnd: () => bill.onEnd(),
    ...(signal !== undefined && { signal }),
  })
  bill.stream = stream
  const late = setTimeout(() => stream.abort(serviceFailed(504)), timeoutMs)
  const stop = (): void => stream.abort(signal === undefined ? new TallyError('ABORTED') : abortError(signal))
  signal?.addEventListener('abort', stop, { once: true })
  if (signal?.aborted === true) stop()
  const over = (): void => signal?.removeEventListener('abort', stop)
  const upload = send === undefined ? undefined : pour(send, stream, call)
  const reader = new Reader(stream)
  try {
    const head = await reader.head()
    if (head.status === 101 && !call.upgrade) throw new TallyError('CONTENT_WRONG', { message: 'nobody asked for an upgrade' })
    bill.onHead(head)
    // a body that broke off before its answer was told of: the answer stands
    upload?.catch(() => undefined)
    const bytes = bodyOf(reader, isBodiless(call.method, head.status) ? 0n : head.body, bill, over)
    return { ...head, bytes: endable(bytes, async () => await stopped(reader, over)) }
  } catch (thrown) {
    over()
    stream.abort(asTallyError(thrown))
    const failed = await upload?.then(() => undefined, (error: unknown) => error) // biome-ignore format: one thought
    throw failed instanceof BodyBroken
      ? new TallyError('ABORTED', { message: 'the body of the request broke off', cause: failed.cause })
      : thrown
  } finally {
    clearTimeout(late)
  }
}

/** The source of a request's body failed, not the stream it goes to. */
class BodyBroken extends Error {}

async function pour(send: AsyncIterable<Uint8Array>, stream: PaidStream, { body, upgrade }: HttpCall): Promise<void> {
  const pieces = send[Symbol.asyncIterator]()
  let left = typeof body === 'bigint' ? body : undefined
  const broken = (cause: unknown): BodyBroken => {
    stream.abort(new TallyError('ABORTED'))
    return new BodyBroken('the body broke off', { cause })
  }
  try {
    for (;;) {
      const piece = await pieces.next().catch((cause: unknown) => Promise.reject(broken(cause)))
      if (piece.done === true) break
      if (left !== undefined) left -= BigInt(piece.value.length)
      if (left !== undefined && left < 0n) throw broken(new Error('it is longer than it says'))
      await stream.write(piece.value)
    }
    if (left !== undefined && left > 0n) throw broken(new Error('it is shorter than it says'))
    if (upgrade || body === 'unknown') await stream.closeWrite()
  } finally {
    await pieces.return?.()
  }
}

async function* bodyOf(
  reader: Reader,
  length: AnswerHead['body'],
  bill: Bill,
  over: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = typeof length === 'bigint' ? length : undefined
  if (left === 0n) over()
  try {
    for (;;) {
      const piece = await reader.next()
      if (piece === undefined) break
      if (left !== undefined) left -= BigInt(piece.length)
      if (left !== undefined && left < 0n)
        throw new TallyError('CONTENT_WRONG', { message: 'the body is longer than the answer says' })
      bill.onPiece(piece)
      // who has it all may leave: only the provider's last word is waited for
      if (left === 0n) over()
      yield piece
      reader.used(piece)
    }
    if (left !== undefined && left > 0n)
      throw new TallyError('STREAM_CUT', { message: 'the body is shorter than the answer says' })
  } finally {
    await stopped(reader, over)
  }
}

async function stopped(reader: Reader, over: () => void): Promise<void> {
  over()
  await reader.stop()
}

/** A head and then bytes, out of the pieces of a stream. */
class Reader {
  readonly #stream: PaidStream
  readonly #pieces: AsyncIterator<Uint8Array>
  #rest: Uint8Array = new Uint8Array(0)

  constructor(stream: PaidStream) {
    this.#stream = stream
    this.#pieces = stream.unacknowledged[Symbol.asyncIterator]()
  }

  /** A failure, and what is no head, is not acknowledged (W1, W5). */
  async head(): Promise<AnswerHead> {
    const size = await this.#take(2)
    const length = ((size[0] as number) << 8) | (size[1] as number)
    if (length > MAX_HEAD_BYTES) throw new TallyError('CONTENT_WRONG', { message: 'the head of the answer is too long' })
    const head = decodeAnswer(await this.#take(length))
    if (head.type === 'failure') throw serviceFailed(head.status)
    this.#stream.acknowledge(2 + length)
    return head
  }

  async next(): Promise<Uint8Array | undefined> {
    const rest = this.#rest
    this.#rest = new Uint8Array(0)
    return rest.length > 0 ? rest : await this.#more()
  }

  used(piece: Uint8Array): void {
    this.#stream.acknowledge(piece.length)
  }

  async stop(): Promise<void> {
    await this.#pieces.return?.()
  }

  async #take(count: number): Promise<Uint8Array> {
    while (this.#rest.length < count) {
      const piece = await this.#more()
      if (piece === undefined) throw new TallyError('STREAM_CUT', { message: 'the answer ended before it began' })
      this.#rest = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece])
    }
    const taken = this.#rest.subarray(0, count)
    this.#rest = this.#rest.subarray(count)
    return taken
  }

  async #more(): Promise<Uint8Array | undefined> {
    const next = await this.#pieces.next()
    return next.done === true ? undefined : next.value
  }
}
