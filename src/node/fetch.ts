/** The web's `fetch` over paid HTTP. */
import { TallyError } from '../core/errors.ts'
import { isServiceName } from '../core/offer.ts'
import type { HttpAnswer, HttpCall } from '../services/http/index.ts'

/** One request to a service. */
type Call = (service: string, call: HttpCall) => Promise<HttpAnswer>

const DOMAIN = '.tally'

/** The service and the path of `tally://name/path`, `http://name.tally/path` or `name`. @throws TallyError USAGE */
export function serviceUrl(text: string): { readonly service: string; readonly url: URL } {
  const url = URL.canParse(text) ? new URL(text) : isServiceName(text) ? new URL(`tally://${text}`) : undefined
  const service = url === undefined ? undefined : serviceOf(url)
  if (url === undefined || service === undefined || !isServiceName(service))
    throw new TallyError('USAGE', {
      message: `${JSON.stringify(text.slice(0, 200))} names no service`,
      hint: 'write tally://name/path or http://name.tally/path',
    })
  return { service, url: new URL(`http://${service}${DOMAIN}${url.pathname === '' ? '/' : url.pathname}${url.search}`) }
}

function serviceOf({ protocol, hostname, port }: URL): string | undefined {
  if (protocol === 'tally:' && port === '') return decodeURIComponent(hostname)
  return protocol === 'http:' && port === '' && hostname.endsWith(DOMAIN) ? hostname.slice(0, -DOMAIN.length) : undefined
}

/** @throws TallyError as `call` of PaidHttp */
export async function paidFetch(call: Call, input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
  const { service, url } = serviceUrl(input instanceof Request ? input.url : String(input))
  const streams = (input instanceof Request ? input.body : init.body) instanceof ReadableStream && init.body !== null
  const request = new Request(url, input instanceof Request ? copyOf(input, init) : init)
  // a body that is in memory has a length
  const whole = request.body === null || streams ? undefined : new Uint8Array(await request.arrayBuffer())
  const send = whole === undefined ? (request.body ?? undefined) : [whole]
  const answer = await call(service, {
    method: request.method,
    path: url.pathname + url.search,
    headers: [['host', url.host], ...request.headers],
    body: whole === undefined ? (request.body === null ? undefined : 'unknown') : BigInt(whole.length),
    upgrade: false,
    signal: request.signal,
    ...(send !== undefined && { send: pieces(send) }),
  })
  return responseOf(answer, request.method === 'HEAD')
}

function copyOf(request: Request, init: RequestInit): RequestInit {
  const { method, headers, body, signal } = request
  return { method, headers, signal, ...(body !== null && { body, duplex: 'half' }), ...init } as RequestInit
}

async function* pieces(source: Iterable<Uint8Array> | ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* source as AsyncIterable<Uint8Array>
}

async function responseOf({ status, headers, bytes }: HttpAnswer, isHead: boolean): Promise<Response> {
  const all = headers.map(([name, value]): [string, string] => [name, value])
  // nobody reads a body that cannot be: its stream ends here
  if (isHead || status === 204 || status === 205 || status === 304) {
    await bytes.next()
    await bytes.return()
    return new Response(null, { status, headers: all })
  }
  // nothing is asked for before it is read: what was asked for is paid
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await bytes.next()
        if (next.done === true) controller.close()
        else controller.enqueue(next.value)
      },
      cancel: async () => void (await bytes.return()),
    },
    { highWaterMark: 0 },
  )
  return new Response(body, { status, headers: all })
}
