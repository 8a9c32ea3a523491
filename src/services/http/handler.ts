/** A handler of this process that speaks the web's Request and Response, such as the `fetch` of a hono app. */
import { ReadableStream } from 'node:stream/web'
import { type Backend, type BackendAnswer, type BackendCall, lengthOf, nothing, proxyHeaders, serviceFailed } from './backend.ts'
import { type Header, isBodiless } from './head.ts'

export type FetchHandler = (request: Request) => Response | Promise<Response>

/** The app sees its requests at `http://<the host the consumer asked for><path>`. It cannot take websockets: those are answered with 501. */
export function handlerBackend(handler: FetchHandler, headTimeoutMs: number): Backend {
  return {
    answer: async (call) => await answer(handler, call, headTimeoutMs),
    close: async () => undefined,
  }
}

async function answer(handler: FetchHandler, call: BackendCall, headTimeoutMs: number): Promise<BackendAnswer> {
  const { head, signal } = call
  if (head.upgrade) throw serviceFailed(501)
  const late = AbortSignal.timeout(headTimeoutMs)
  const gone = AbortSignal.any([signal, late])
  try {
    const response = await Promise.race([handler(requestOf(call)), rejection(gone)])
    const headers = [...response.headers] as Header[]
    const bodiless = isBodiless(head.method, response.status) || response.body === null
    if (isBodiless(head.method, response.status)) await response.body?.cancel()
    return {
      status: response.status,
      headers,
      body: lengthOf(headers),
      bytes: bodiless ? nothing() : (response.body as AsyncIterable<Uint8Array>),
    }
  } catch (thrown) {
    throw serviceFailed(late.aborted ? 504 : 502, thrown)
  }
}

function requestOf({ head, body, signal }: BackendCall): Request {
  const host = head.headers.find(([name]) => name === 'host')?.[1] ?? 'localhost'
  const headers = [...head.headers, ...proxyHeaders(head)].map(([name, value]): [string, string] => [name, value])
  if (typeof head.body === 'bigint') headers.push(['content-length', `${head.body}`])
  const init = { method: head.method, headers, signal }
  if (body === undefined) return new Request(`http://${host}${head.path}`, init)
  // a body that streams must say so
  const streaming = { ...init, body: ReadableStream.from(body), duplex: 'half' } as unknown as RequestInit
  return new Request(`http://${host}${head.path}`, streaming)
}

async function rejection(signal: AbortSignal): Promise<never> {
  return await new Promise<never>((_, reject) => {
    const stop = (): void => reject(signal.reason as Error)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
  })
}
