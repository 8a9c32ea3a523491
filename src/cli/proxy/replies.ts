/** What the proxy says itself, as HTTP. Its header `tallystick-error` never comes from a service: such headers do not travel. */
import { ERRORS, TallyError } from '../../core/errors.ts'

export interface Reply {
  readonly status: number
  readonly headers: readonly string[]
  readonly body: string
}

/** The status that a client understands best. */
export function statusOf({ code, fields, kind }: TallyError): number {
  if (code === 'SERVICE_FAILED') return typeof fields.status === 'number' ? fields.status : 502
  if (code === 'REQUEST_INVALID' || code === 'USAGE') return 400
  if (code === 'BUSY' || code === 'RATE_EXCEEDED' || code === 'SHUTTING_DOWN') return 503
  if (code === 'TERMS_REFUSED' || code === 'CHANNEL_UNKNOWN' || code === 'CHANNEL_EXPIRED') return 402
  // 6: no offer within the price, 7: the budget, 8: not enough is there or reserved
  const isMoney =
    code !== 'OFFER_NOT_FOUND' && code !== 'OFFER_EXPIRED' && code !== 'OFFER_FOREIGN' && [6, 7, 8].includes(kind.exit)
  return isMoney ? 402 : 502
}

export function errorReply(error: TallyError, status = statusOf(error)): Reply {
  const { code, message, hint } = error
  const body = `${JSON.stringify({ error: { code, message, ...(hint !== undefined && { hint }), retryable: ERRORS[code].retry } })}\n`
  const headers = [
    'content-type', 'application/json', 'content-length', `${Buffer.byteLength(body)}`, 'tallystick-error', code, 'connection', 'close',
  ] // biome-ignore format: pairs
  return { status, headers, body }
}

export const notHere = (what: string): TallyError =>
  new TallyError('USAGE', { message: `${what}: this proxy leads to services only`, hint: 'ask for http://<service>.tally/…' })
