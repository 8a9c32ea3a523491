/**
 * The control socket of a running node: a unix socket in its home folder, for other processes of the same user, so that nobody has to
 * open the locked database. There is no TCP port.
 */
import { chmod, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { asTallyError, TallyError } from '../core/errors.ts'
import { unlessAborted } from '../services/abort.ts'
import { checked } from './checked.ts'
import { isAnswered } from './client.ts'
import { type CallOptions, type Control, channelRequest, findRequest, moneyRequest } from './control.ts'
import { type Runner, serveRun } from './run-server.ts'
import { errorBody, MAX_BODY_BYTES, ROUTES, type RouteName } from './wire.ts'

export interface ApiServer {
  readonly path: string
  /**
   * Answers what has begun, then takes the socket away. What takes longer than a while is stopped, and answered with SHUTTING_DOWN; what
   * was sent to the chain goes on there. Idempotent.
   */
  close(): Promise<void>
}

/** how long work that has begun may take when the node is stopped, ms */
const GRACE_MS = 5_000

type Handler = (control: Control, body: unknown, options: CallOptions) => Promise<unknown>

const HANDLERS: Readonly<Record<RouteName, Handler>> = {
  status: (control, _, options) => control.status(options),
  balance: (control, _, options) => control.balance(options),
  channels: (control, _, options) => control.channels(options),
  channel: (control, body, options) => control.channel(checked(channelRequest, body), options),
  find: (control, body, options) => control.find(checked(findRequest, body), options),
  plan: (control, body, options) => control.plan(checked(moneyRequest, body), options),
  carryOut: (control, body, options) => control.carryOut(checked(moneyRequest, body), options),
}

/**
 * Listens on `path`, readable and writable by the owner alone. What a dead process left there is removed; the caller holds the lock of
 * the database, so a live one cannot be there.
 *
 * @throws STORE_LOCKED when somebody answers on that socket, STORE_FAILED when it cannot be made
 */
export async function startApi(
  path: string,
  control: Control,
  { graceMs = GRACE_MS, runner }: { readonly graceMs?: number; readonly runner?: Runner } = {},
): Promise<ApiServer> {
  if (await isAnswered(path)) throw new TallyError('STORE_LOCKED', { message: `another node answers on ${path}` })
  await rm(path, { force: true })
  const stopping = new AbortController()
  const server = createServer((request, response) => void answer(request, response, control, stopping.signal))
  // commands that were begun; their connections are no longer the server's
  const ending = new AbortController()
  const runs = new Map<Duplex, Promise<void>>()
  server.on('upgrade', (request, socket) => {
    runs.set(socket, serveRun(request, socket, runner, ending.signal).finally(() => runs.delete(socket))) // biome-ignore format: a record
  })
  server.headersTimeout = 5_000
  server.requestTimeout = 10_000
  server.maxConnections = 64
  const before = process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(path, () => resolve())
    })
    await chmod(path, 0o600)
  } catch (cause) {
    throw new TallyError('STORE_FAILED', {
      message: `the control socket ${path} cannot be made`,
      hint: 'its path may be too long: a unix socket has about 100 characters',
      cause,
    })
  } finally {
    process.umask(before)
  }
  let closing: Promise<void> | undefined
  return {
    path,
    close() {
      closing ??= new Promise<void>((resolve) => {
        ending.abort(new TallyError('SHUTTING_DOWN'))
        void Promise.all(runs.values()).then(() => server.close(() => resolve()))
        server.closeIdleConnections()
        // whoever waits for a peer that is silent, or says nothing itself, does not keep the node from ending
        const late = setTimeout(() => {
          stopping.abort(new TallyError('SHUTTING_DOWN'))
          for (const socket of runs.keys()) socket.destroy()
          setImmediate(() => server.closeAllConnections())
        }, graceMs)
        server.once('close', () => clearTimeout(late))
      }).then(() => rm(path, { force: true }))
      return closing
    },
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  control: Control,
  stopping: AbortSignal,
): Promise<void> {
  // whoever asks and goes away does not keep the node busy; money that moves is not stopped by it
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  try {
    const name = routeOf(request)
    const body = ROUTES[name].method === 'POST' ? await bodyOf(request) : undefined
    const signal = name === 'carryOut' ? stopping : AbortSignal.any([stopping, gone.signal])
    // not all work looks at its signal in all it does: the answer does not wait for it
    const result = await unlessAborted(HANDLERS[name](control, body, { signal }), signal)
    reply(response, 200, result ?? null)
  } catch (thrown) {
    reply(response, 400, errorBody(asTallyError(thrown)))
  }
}

function routeOf({ method, url }: IncomingMessage): RouteName {
  const found = Object.entries(ROUTES).find(([, route]) => route.method === method && route.path === url)
  if (found === undefined)
    throw new TallyError('USAGE', {
      message: `the node knows no ${String(method)} ${String(url).slice(0, 80)}`,
      hint: 'is the running node of another version?',
    })
  return found[0] as RouteName
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > MAX_BODY_BYTES) throw new TallyError('USAGE', { message: 'the request is too large' })
    parts.push(part)
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'))
  } catch (cause) {
    throw new TallyError('USAGE', { message: 'the request is not JSON', cause })
  }
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  if (response.destroyed) return
  const text = Buffer.from(JSON.stringify(body))
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': text.length })
  response.end(text)
}
