import http from 'node:http'
import https from 'node:https'
import { type FetchGetUrlFunc, FetchRequest } from 'ethers'
import { TallyError } from '../core/errors.ts'

export interface TransportLimits {
  /** One request, from the first byte sent to the last byte read. */
  readonly timeoutMs: number
  /** Largest answer that is read; a larger one fails the request. */
  readonly maxReplyBytes: number
}

export interface Transport {
  /** For ethers: a request that is bound in time and size and dies with this transport. */
  readonly request: FetchRequest
  /** The RPC without its secrets: scheme, host and port. */
  readonly name: string
  close(): void
}

type Reply = Awaited<ReturnType<FetchGetUrlFunc>>

/**
 * HTTP for one RPC endpoint. ethers' own transport waits 5 minutes, reads without a limit, retries 12 times when the RPC is busy, and cannot be closed; a
 * node must not hang on its RPC, so this one is bound in time and size, leaves retries to the caller, and ends every request when it is closed.
 *
 * Throws CONFIG_INVALID when the address is not an http(s) URL.
 */
export function createTransport(rpcUrl: string, limits: TransportLimits): Transport {
  const url = parseRpcUrl(rpcUrl)
  const name = `${url.protocol}//${url.host}`
  const secure = url.protocol === 'https:'
  const agent = secure ? new https.Agent({ keepAlive: true, maxSockets: 8 }) : new http.Agent({ keepAlive: true, maxSockets: 8 })
  const closing = new AbortController()
  const authorization = takeCredentials(url)

  const request = new FetchRequest(url.href)
  request.timeout = limits.timeoutMs
  if (authorization !== undefined) request.setHeader('authorization', authorization)
  // A busy RPC (429) is an answer for the caller, who knows whether to wait; ethers would retry in silence.
  request.retryFunc = async () => false
  request.getUrlFunc = (req) => exchange(req, true)

  function exchange(req: FetchRequest, first: boolean): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (closing.signal.aborted) return reject(new Error('the connection to the RPC is closed'))
      const headers = { ...req.headers, 'accept-encoding': 'identity' }
      const call = (secure ? https : http).request(req.url, { method: req.method, headers, agent, signal: closing.signal })
      const timer = setTimeout(() => call.destroy(new Error(`no answer within ${limits.timeoutMs} ms`)), limits.timeoutMs)
      const fail = (error: NodeJS.ErrnoException) => {
        clearTimeout(timer)
        // The server closed an idle connection just as it was used again: nothing was read, and every call here is harmless twice.
        if (first && call.reusedSocket && error.code === 'ECONNRESET') resolve(exchange(req, false))
        else reject(error)
      }
      call.once('error', fail)
      const cut = () => fail(new Error('the RPC cut the connection'))
      call.once('close', cut)
      call.once('response', (response) => {
        // From here on the answer itself says when it is cut.
        call.removeListener('close', cut)
        readReply(response, limits.maxReplyBytes).then(
          (reply) => {
            clearTimeout(timer)
            resolve(reply)
          },
          (error: Error) => {
            call.destroy()
            fail(error)
          },
        )
      })
      call.end(req.body ?? undefined)
    })
  }

  return {
    request,
    name,
    close() {
      closing.abort()
      agent.destroy()
    },
  }
}

async function readReply(response: http.IncomingMessage, maxBytes: number): Promise<Reply> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of response as AsyncIterable<Buffer>) {
    size += part.length
    if (size > maxBytes) throw new Error(`the answer is larger than ${maxBytes} bytes`)
    parts.push(part)
  }
  const headers: Record<string, string> = {}
  for (const [key, value] of Object.entries(response.headers)) if (value !== undefined) headers[key] = String(value)
  return {
    statusCode: response.statusCode ?? 0,
    statusMessage: response.statusMessage ?? '',
    headers,
    body: Buffer.concat(parts),
  }
}

function parseRpcUrl(rpcUrl: string): URL {
  const url = URL.canParse(rpcUrl) ? new URL(rpcUrl) : undefined
  if (url !== undefined && (url.protocol === 'http:' || url.protocol === 'https:')) return url
  throw new TallyError('CONFIG_INVALID', {
    message: 'the address of the chain RPC is not an http or https URL',
    hint: 'set it to something like http://127.0.0.1:8545',
  })
}

/** Moves user:password out of the URL, so that it is in no error text and no log. */
function takeCredentials(url: URL): string | undefined {
  if (url.username === '' && url.password === '') return undefined
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  url.username = ''
  url.password = ''
  return `Basic ${Buffer.from(pair).toString('base64')}`
}
