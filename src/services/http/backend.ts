/** The HTTP service that is sold, whatever it is: a server elsewhere, or code of this process. */
import { TallyError } from '../../core/errors.ts'
import type { BodyLength, Header, RequestHead } from './head.ts'

export interface BackendCall {
  /** checked */
  readonly head: RequestHead
  /** exactly the bytes of the body, or, for an upgrade, all that the consumer sends; undefined = there is none */
  readonly body: AsyncIterable<Uint8Array> | undefined
  /** aborted when nobody wants the answer any more, and when the call is over */
  readonly signal: AbortSignal
}

export interface BackendAnswer {
  readonly status: number
  /** as the service said them: those that do not travel are taken out later */
  readonly headers: readonly Header[]
  readonly body: BodyLength
  /** empty where HTTP sends no body; throws when it breaks off */
  readonly bytes: AsyncIterable<Uint8Array>
}

export interface Backend {
  /** @throws TallyError SERVICE_FAILED with the HTTP status of the failure in its field `status` */
  answer(call: BackendCall): Promise<BackendAnswer>
  close(): Promise<void>
}

const WORDS: Readonly<Record<number, string>> = {
  501: 'the service does not do that',
  503: 'the service has no room for more calls',
  504: 'the service did not answer in time',
}

/** The service gave no answer. */
export function serviceFailed(status: number, cause?: unknown): TallyError {
  const message = WORDS[status] ?? 'the service does not answer'
  return new TallyError('SERVICE_FAILED', { message, fields: { status }, cause })
}

/** The status of a failure. */
export function failureStatus(thrown: unknown): number {
  const status = thrown instanceof TallyError ? thrown.fields.status : undefined
  return typeof status === 'number' && status >= 400 && status <= 599 ? status : 502
}

/** Headers that a service gets beside those of the consumer: what a proxy says of its client. */
export function proxyHeaders(head: RequestHead): Header[] {
  const host = head.headers.find(([name]) => name === 'host')?.[1]
  return [
    ...(host === undefined ? [] : [['x-forwarded-host', host] as const]),
    ['x-forwarded-proto', 'http'],
    ['via', '1.1 tallystick'],
  ]
}

/** The length that the headers tell; 'unknown' when they tell none, or none that is a number. */
export function lengthOf(headers: readonly Header[]): BodyLength {
  const told = headers.find(([name]) => name.toLowerCase() === 'content-length')?.[1]
  return told !== undefined && /^\d{1,15}$/.test(told) ? BigInt(told) : 'unknown'
}

export async function* nothing(): AsyncGenerator<Uint8Array> {
  // a body without bytes
}
