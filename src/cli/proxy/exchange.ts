/** One request of a client of the proxy: to the service, and back as it comes. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { asTallyError, TallyError } from '../../core/errors.ts'
import type { PaidHttp } from '../../node/paid-http.ts'
import type { HttpAnswer } from '../../services/http/index.ts'
import { errorReply } from './replies.ts'

export interface Wanted {
  readonly service: string
  /** path and query */
  readonly path: string
}

export interface ExchangeInit {
  readonly http: PaidHttp
  /** how long an answer may take to begin, ms */
  readonly timeoutMs: number
  /** the same failure with the next step */
  readonly advise: (wanted: Wanted, error: TallyError) => TallyError
  /** something went wrong behind the head of an answer, where the client sees only a broken connection */
  readonly broke: (wanted: Wanted, error: TallyError) => void
}

export async function answerRequest(
  init: ExchangeInit,
  wanted: Wanted,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort(new TallyError('ABORTED', { message: 'the client has gone' }))
  })
  const body = bodyOf(request)
  try {
    const answer = await init.http.call(wanted.service, {
      ...asked(wanted, request), body, upgrade: false, signal: gone.signal, timeoutMs: init.timeoutMs,
      ...(body !== undefined && { send: request.iterator({ destroyOnReturn: false }) }),
    }) // biome-ignore format: a record
    response.sendDate = false
    response.writeHead(answer.status, flat(answer))
    response.flushHeaders()
    // a client that has all of it is done: only we wait for the last charge, while it asks for more
    let left = lengthOf(answer, request.method)
    if (left === 0n) response.end()
    for await (const piece of answer.bytes) {
      if (!(await written(response, piece))) return
      if (left !== undefined) left -= BigInt(piece.length)
      if (left === 0n) response.end()
    }
    if (!response.writableEnded) response.end()
  } catch (thrown) {
    const error = asTallyError(thrown)
    if (gone.signal.aborted || response.writableEnded) return
    if (response.headersSent) {
      init.broke(wanted, error)
      response.destroy()
      return
    }
    const { status, headers, body: text } = errorReply(init.advise(wanted, error))
    response.writeHead(status, [...headers]).end(text)
  }
}

/** A websocket: after 101 both directions are raw. */
export async function answerUpgrade(init: ExchangeInit, wanted: Wanted, request: IncomingMessage, socket: Duplex): Promise<void> {
  const gone = new AbortController()
  socket.on('error', () => undefined)
  socket.once('close', () => gone.abort(new TallyError('ABORTED', { message: 'the client has gone' })))
  try {
    const answer = await init.http.call(wanted.service, {
      ...asked(wanted, request), body: undefined, upgrade: true, signal: gone.signal, timeoutMs: init.timeoutMs,
      send: socket.iterator({ destroyOnReturn: false }),
    }) // biome-ignore format: a record
    const upgrade = answer.status === 101 ? ['connection', 'Upgrade', 'upgrade', 'websocket'] : ['connection', 'close']
    socket.write(headText(answer.status, [...flat(answer), ...upgrade]))
    for await (const piece of answer.bytes) if (!(await written(socket, piece))) return
    socket.end()
  } catch (thrown) {
    if (gone.signal.aborted) return
    const error = asTallyError(thrown)
    init.broke(wanted, error)
    const { status, headers, body } = errorReply(init.advise(wanted, error))
    if (socket.writable) socket.end(headText(status, headers) + body)
  }
}

function asked({ service, path }: Wanted, { method = 'GET', rawHeaders }: IncomingMessage) {
  const headers: [string, string][] = [['host', `${service}.tally`]]
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name, value] = [rawHeaders[at] as string, rawHeaders[at + 1] as string]
    if (name.toLowerCase() !== 'host') headers.push([name, value])
  }
  return { method, path, headers }
}

function bodyOf({ headers }: IncomingMessage): bigint | 'unknown' | undefined {
  if (headers['transfer-encoding'] !== undefined) return 'unknown'
  const length = headers['content-length']
  return length === undefined ? undefined : BigInt(length)
}

/** How many bytes of a body come; undefined = that is not known. */
function lengthOf({ status, body }: HttpAnswer, method = 'GET'): bigint | undefined {
  if (method === 'HEAD' || status === 204 || status === 304) return 0n
  return typeof body === 'bigint' ? body : undefined
}

function flat({ headers, body, status }: HttpAnswer): string[] {
  const length = typeof body === 'bigint' && status !== 101 ? ['content-length', `${body}`] : []
  return [...headers.flat(), ...length]
}

function headText(status: number, headers: readonly string[]): string {
  let text = `HTTP/1.1 ${status} ${status === 101 ? 'Switching Protocols' : 'Tallystick'}\r\n`
  for (let at = 0; at + 1 < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`
  return `${text}\r\n`
}

/** Resolves when more may be written: false when nobody reads it. */
async function written(to: ServerResponse | Duplex, piece: Uint8Array): Promise<boolean> {
  if (to.destroyed) return false
  if (to.write(piece)) return true
  await new Promise<void>((resolve) => {
    const done = (): void => {
      to.off('drain', done)
      to.off('close', done)
      resolve()
    }
    to.on('drain', done)
    to.on('close', done)
  })
  // one that closes as soon as it has everything has got it all the same
  return !to.destroyed || to.writableLength === 0
}
