/** An answer that broke off is gone on with at its byte, where HTTP says how: a range of the very same bytes. @see RFC 9110, sections 13 and 14 */
import { asTallyError, TallyError } from '../../core/errors.ts'
import type { HttpAnswer, HttpCall } from './exchange.ts'
import type { Header } from './head.ts'

/** A request of which nobody can tell whether it was made once or twice. */
export function isRepeatable({ method, body, upgrade }: HttpCall): boolean {
  return ['GET', 'HEAD', 'OPTIONS'].includes(method) && body === undefined && !upgrade
}

/** The bytes that an answer has of what it is an answer about. */
interface Span {
  readonly from: bigint
  /** the last one */
  readonly to: bigint
  /** the entity tag that names these bytes and no others */
  readonly tag: string
}

/** goes on so often without a byte in between */
const MAX_AGAIN = 3
const RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(?:\d{1,15}|\*)$/

/**
 * The same answer, whose bytes go on after a break. Each further request is charged like any other.
 *
 * @param again asks the service; it is told a request that differs from the first one in the bytes that it wants
 * @param isAway whether a failure may be one of the way, not of the answer
 */
export function resumed(
  call: HttpCall,
  answer: HttpAnswer,
  { again, isAway }: { again: (call: HttpCall) => Promise<HttpAnswer>; isAway: (error: TallyError) => boolean },
): HttpAnswer['bytes'] | undefined {
  const span = spanOf(call, answer)
  return span === undefined ? undefined : going(span)

  async function* going({ from, to, tag }: Span): HttpAnswer['bytes'] {
    let at = from
    let part = answer
    for (let tries = 0; ; ) {
      try {
        for await (const piece of part.bytes) {
          at += BigInt(piece.length)
          tries = 0
          yield piece
        }
        return
      } catch (thrown) {
        const error = asTallyError(thrown)
        if (at > to) return
        if (call.signal?.aborted === true || !isAway(error) || ++tries > MAX_AGAIN) throw error
      }
      part = await again(restOf(call, { from: at, to, tag }))
      await refuseOther(part, { from: at, to, tag })
    }
  }
}

/** undefined where no rest of it can be asked for. */
function spanOf(call: HttpCall, { status, headers, body }: HttpAnswer): Span | undefined {
  const tag = tagOf(headers)
  if (call.method !== 'GET' || !isRepeatable(call) || typeof body !== 'bigint' || body === 0n || tag === undefined)
    return undefined
  if (status === 200) return headerOf(headers, 'accept-ranges') === 'bytes' ? { from: 0n, to: body - 1n, tag } : undefined
  const range = status === 206 ? rangeOf(headers) : undefined
  return range !== undefined && range.to - range.from + 1n === body ? { ...range, tag } : undefined
}

function restOf(call: HttpCall, { from, to, tag }: Span): HttpCall {
  const headers = [...call.headers].filter(([name]) => !['range', 'if-range'].includes(name.toLowerCase()))
  return { ...call, headers: [...headers, ['range', `bytes=${from}-${to}`], ['if-range', tag]] }
}

/** @throws TallyError STREAM_CUT when it is not the rest that was asked for */
async function refuseOther({ status, headers, bytes }: HttpAnswer, { from, to, tag }: Span): Promise<void> {
  const range = status === 206 ? rangeOf(headers) : undefined
  if (range?.from === from && range.to === to && tagOf(headers) === tag) return
  await bytes.return()
  throw new TallyError('STREAM_CUT', { message: 'the answer broke off, and the service has no more of the same bytes' })
}

/** A weak tag is not enough, nor is a date: they may stay when the bytes change. */
function tagOf(headers: readonly Header[]): string | undefined {
  const tag = headerOf(headers, 'etag')
  return tag?.startsWith('"') ? tag : undefined
}

function rangeOf(headers: readonly Header[]): { readonly from: bigint; readonly to: bigint } | undefined {
  const found = RANGE.exec(headerOf(headers, 'content-range') ?? '')
  return found === null ? undefined : { from: BigInt(found[1] as string), to: BigInt(found[2] as string) }
}

const headerOf = (headers: readonly Header[], name: string): string | undefined =>
  headers.find((header) => header[0] === name)?.[1]
