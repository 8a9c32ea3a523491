import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface RpcCall {
  readonly id: number
  readonly method: string
  readonly params: readonly unknown[]
}

/**
 * pass: forward it. cut: close the connection and forward nothing. deaf: never answer. lose: forward it and close the connection
 * instead of giving the answer. An object is the error to answer with; a function changes the true result.
 */
export type Verdict =
  | 'pass'
  | 'cut'
  | 'deaf'
  | 'lose'
  | { readonly code: number; readonly message: string }
  | ((result: unknown) => unknown)

export interface RpcProxy {
  readonly url: string
  /** Every call that came, oldest first. */
  readonly calls: RpcCall[]
  judge: (call: RpcCall) => Verdict
  /** Where calls go; may be moved to another chain while it runs. */
  target: string
  /** Stops listening and cuts all connections; `up` listens again at the same port. */
  down(): Promise<void>
  up(): Promise<void>
}

/** A faulty RPC: a real HTTP server before a real node. */
export async function startRpcProxy(target: string, judge: (call: RpcCall) => Verdict = () => 'pass'): Promise<RpcProxy> {
  const server = createServer((request, response) => {
    handle(proxy, request, response).catch(() => response.destroy())
  })
  const port = await listen(server, 0)
  const proxy: RpcProxy = {
    url: `http://127.0.0.1:${port}`,
    calls: [],
    judge,
    target,
    down: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
    async up() {
      await listen(server, port)
    },
  }
  return proxy
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

async function handle(proxy: RpcProxy, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = []
  for await (const part of request as AsyncIterable<Buffer>) parts.push(part)
  const body = JSON.parse(Buffer.concat(parts).toString('utf8')) as RpcCall | RpcCall[]
  const calls = Array.isArray(body) ? body : [body]
  proxy.calls.push(...calls)
  const verdicts = calls.map((call) => proxy.judge(call))
  if (verdicts.includes('deaf')) return
  if (verdicts.includes('cut')) {
    response.destroy()
    return
  }
  const answers = await Promise.all(calls.map((call, i) => answerTo(proxy.target, call, verdicts[i] ?? 'pass')))
  if (verdicts.includes('lose')) {
    response.destroy()
    return
  }
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(Array.isArray(body) ? answers : answers[0]))
}

async function answerTo(target: string, call: RpcCall, verdict: Verdict): Promise<unknown> {
  if (typeof verdict === 'object') return { jsonrpc: '2.0', id: call.id, error: verdict }
  const reply = await fetch(target, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(call),
  })
  const answer = (await reply.json()) as { result?: unknown }
  return typeof verdict === 'function' ? { jsonrpc: '2.0', id: call.id, result: verdict(answer.result) } : answer
}
