/** The few words that both ends of the control socket must agree on. */
import { ERRORS, type ErrorCode, TallyError } from '../core/errors.ts'

/** a request or an answer is never larger, bytes */
export const MAX_BODY_BYTES = 1 << 20

export const ROUTES = {
  status: { method: 'GET', path: '/v1/status' },
  balance: { method: 'GET', path: '/v1/balance' },
  channels: { method: 'GET', path: '/v1/channels' },
  channel: { method: 'POST', path: '/v1/channel' },
  find: { method: 'POST', path: '/v1/find' },
  plan: { method: 'POST', path: '/v1/money/plan' },
  carryOut: { method: 'POST', path: '/v1/money' },
} as const

export type RouteName = keyof typeof ROUTES

/** A failure on the socket; the figures behind the sentence stay in the node. */
export interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string | undefined }
}

export function errorBody({ code, message, hint }: TallyError): ErrorBody {
  return { error: { code, message, ...(hint !== undefined && { hint }) } }
}

/** The failure that the node told; undefined when the body is none. */
export function errorOf(body: unknown): TallyError | undefined {
  if (typeof body !== 'object' || body === null || !('error' in body)) return undefined
  const { code, message, hint } = (body as ErrorBody).error
  const known: ErrorCode = code in ERRORS ? (code as ErrorCode) : 'INTERNAL'
  return new TallyError(known, { message: String(message), ...(hint !== undefined && { hint: String(hint) }) })
}
