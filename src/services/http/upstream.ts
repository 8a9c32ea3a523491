/** A server that speaks HTTP/1.1: somewhere on the network, or a request listener of this process over a pipe in memory. */
import http, { type ClientRequest, type IncomingMessage } from 'node:http'
import https from 'node:https'
import { type Duplex, duplexPair } from 'node:stream'
import { TallyError } from '../../core/errors.ts'
import { type Backend, type BackendAnswer, type BackendCall, lengthOf, nothing, proxyHeaders, serviceFailed } from './backend.ts'
import { type Header, isBodiless, pairs } from './head.ts'

const MAX_SOCKETS = 256
const IDEMPOTENT: readonly string[] = ['GET', 'HEAD', 'OPTIONS']

interface Server {
  readonly request: typeof http.request
  readonly agent: http.Agent
  readonly hostname: string
  readonly port: string
  /** what the server is asked for as its own name */
  readonly host: string
  /** what every path begins with, without a slash at its end */
  readonly base: string
  readonly headTimeoutMs: number
  close(): void
}

/** @throws TallyError USAGE when the target is not an http or https URL */
export function upstreamBackend(target: string, headTimeoutMs: number): Backend {
  const url = URL.canParse(target) ? new URL(target) : undefined
  if (
    url === undefined ||
    !['http:', 'https:'].includes(url.protocol) ||
    url.search !== '' ||
    url.hash !== '' ||
    url.username !== ''
  )
    throw new TallyError('USAGE', {
      message: `"${target.slice(0, 200)}" is not the URL of a web server`,
      hint: 'such as http://127.0.0.1:3000 or https://api.example.org/v1',
    })
  const { request, Agent } = url.protocol === 'https:' ? https : http
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS })
  return new Upstream({
    request, agent, hostname: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: url.port, host: url.host, base: url.pathname.replace(/\/+$/, ''), headTimeoutMs,
    close: () => agent.destroy(),
  }) // biome-ignore format: a record
}

/** An app of this process, such as one of express: each call is a connection of its own, in memory. */
export function listenerBackend(listener: http.RequestListener, headTimeoutMs: number): Backend {
  const server = http.createServer(listener)
  const agent = new PipeAgent(server)
  return new Upstream({
    request: http.request, agent, hostname: 'localhost', port: '', host: 'localhost', base: '', headTimeoutMs,
    close: () => void server.closeAllConnections(),
  }) // biome-ignore format: a record
}

class PipeAgent extends http.Agent {
  readonly #server: http.Server

  constructor(server: http.Server) {
    super({ keepAlive: false, maxSockets: MAX_SOCKETS })
    this.#server = server
  }

  override createConnection(): Duplex {
    const [ours, theirs] = duplexPair()
    this.#server.emit('connection', theirs)
    return ours
  }
}

class Upstream implements Backend {
  readonly #server: Server

  constructor(server: Server) {
    this.#server = server
  }

  async answer(call: BackendCall): Promise<BackendAnswer> {
    let isLate = false
    let request: ClientRequest | undefined
    const late = setTimeout(() => {
      isLate = true
      request?.destroy(new Error('no answer in time'))
    }, this.#server.headTimeoutMs)
    try {
      for (let first = true; ; first = false) {
        request = this.#request(call)
        try {
          return await answered(request, call)
        } catch (thrown) {
          request.destroy()
          if (isLate) throw serviceFailed(504, thrown)
          // a connection that was kept may have been closed at the other end just now
          const stale = request.reusedSocket && IDEMPOTENT.includes(call.head.method) && call.body === undefined
          if (!(first && stale) || call.signal.aborted) throw serviceFailed(502, thrown)
        }
      }
    } finally {
      clearTimeout(late)
    }
  }

  async close(): Promise<void> {
    this.#server.close()
  }

  #request({ head }: BackendCall): ClientRequest {
    const { request, agent, hostname, port, host, base } = this.#server
    return request({
      agent,
      hostname,
      port,
      setHost: false,
      method: head.method,
      path: base + head.path,
      headers: headersOf(head, host),
    })
  }
}

/** What the server is told: each name once, with all its values. */
function headersOf(head: BackendCall['head'], host: string): Record<string, string | string[]> {
  const all = new Map<string, string[]>([['host', [host]]])
  const add = ([name, value]: Header): unknown => all.get(name)?.push(value) ?? all.set(name, [value])
  for (const header of head.headers) if (header[0] !== 'host') add(header)
  for (const header of proxyHeaders(head)) add(header)
  if (head.upgrade)
    for (const header of [['connection', 'Upgrade'], ['upgrade', 'websocket']] as const) add(header) // biome-ignore format: a pair
  else if (head.body === 'unknown') add(['transfer-encoding', 'chunked'])
  else if (head.body !== undefined) add(['content-length', `${head.body}`])
  return Object.fromEntries([...all].map(([name, values]) => [name, values.length === 1 ? (values[0] as string) : values]))
}

/** Sends the body and waits for the head of the answer. */
async function answered(request: ClientRequest, { head, body, signal }: BackendCall): Promise<BackendAnswer> {
  const got = Promise.withResolvers<BackendAnswer>()
  const stop = (): void => void request.destroy(new Error('nobody waits for the answer'))
  request.once('error', got.reject)
  request.once('close', () => signal.removeEventListener('abort', stop))
  request.once('response', (response) => got.resolve(answerOf(response, head.method)))
  request.once('upgrade', (response, socket: Duplex, first: Buffer) => {
    if (!head.upgrade) return got.reject(new Error('the server upgrades what was not to be upgraded'))
    if (first.length > 0) socket.unshift(first)
    if (body !== undefined) void pour(body, socket)
    const close = (): void => void socket.destroy()
    signal.addEventListener('abort', close, { once: true })
    got.resolve({ status: 101, headers: pairs(response.rawHeaders), body: 'unknown', bytes: socket })
  })
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  if (head.upgrade || body === undefined) request.end()
  else void pour(body, request)
  try {
    return await got.promise
  } finally {
    // from here on an error of the request is one of the answer's body
    request.on('error', () => undefined)
  }
}

function answerOf(response: IncomingMessage, method: string): BackendAnswer {
  const status = response.statusCode ?? 502
  const headers = pairs(response.rawHeaders)
  const bodiless = isBodiless(method, status)
  if (bodiless) response.resume()
  return { status, headers, body: lengthOf(headers), bytes: bodiless ? nothing() : response }
}

/** Writes all of the body, as fast as it is taken; a body that breaks off breaks the writing off. */
async function pour(body: AsyncIterable<Uint8Array>, to: ClientRequest | Duplex): Promise<void> {
  to.on('error', () => undefined)
  try {
    for await (const piece of body) {
      if (to.destroyed || to.writableEnded) return
      if (!to.write(piece)) await drained(to)
    }
    to.end()
  } catch (thrown) {
    to.destroy(thrown instanceof Error ? thrown : new Error('the body broke off'))
  }
}

async function drained(to: ClientRequest | Duplex): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      to.off('drain', done)
      to.off('close', done)
      resolve()
    }
    to.on('drain', done)
    to.on('close', done)
  })
}
