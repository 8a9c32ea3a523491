/** The node's end of a command that it runs for another process. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { asTallyError, TallyError } from '../core/errors.ts'
import { checked } from './checked.ts'
import {
  CALLER,
  MAX_RUN_BYTES,
  MAX_STDIN_BYTES,
  RUN_PATH,
  RUN_PROTOCOL,
  type RunRequest,
  runFrame,
  runRequest,
  type Screen,
} from './run-wire.ts'
import { errorBody } from './wire.ts'

/** Runs a command to its end; `signal` fires when it is to stop. Never throws: a failure is printed, and is the exit code. */
export type Runner = (run: RunRequest, screen: Screen, signal: AbortSignal) => Promise<number>

/** how long a caller may take to say what it wants, ms */
const ASK_MS = 5_000
const STDIN_HEADER_BYTES = 5

/** Takes over a connection whose HTTP request asked for it; resolves when everything is said. Never throws. */
export async function serveRun(
  request: IncomingMessage,
  socket: Duplex,
  runner: Runner | undefined,
  stopping: AbortSignal,
): Promise<void> {
  socket.on('error', () => undefined)
  if (request.url !== RUN_PATH || request.headers.upgrade !== RUN_PROTOCOL || runner === undefined)
    return void socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n')
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${RUN_PROTOCOL}\r\n\r\n`)
  try {
    const run = checked(runRequest, JSON.parse(await firstLine(socket)))
    const screen = screenOf(socket)
    const code = await runner(run, screen, stopOf(socket, stopping))
    socket.end(runFrame('exit', Uint8Array.of(code)))
  } catch (thrown) {
    const error =
      thrown instanceof SyntaxError ? new TallyError('USAGE', { message: 'the request is not JSON' }) : asTallyError(thrown)
    socket.end(runFrame('refusal', Buffer.from(JSON.stringify(errorBody(error)))))
  }
}

/** Fires when the caller has said all it wants to say, or is gone, or the node stops. */
function stopOf(socket: Duplex, stopping: AbortSignal): AbortSignal {
  const stop = new AbortController()
  const end = (): void => stop.abort(new TallyError('ABORTED', { message: 'the caller stopped it' }))
  socket.once('end', end)
  socket.once('close', end)
  if (socket.readableEnded || socket.destroyed) end()
  return AbortSignal.any([stop.signal, stopping])
}

function screenOf(socket: Duplex): Screen {
  let isRead = true
  const stdin = new CallerStdin(socket)
  socket.on('data', (bytes: Buffer) => {
    if (!stdin.take(bytes)) isRead = false
  })
  const print = async (kind: 'stdout' | 'stderr', bytes: Uint8Array): Promise<boolean> => {
    if (socket.destroyed) return false
    if (!socket.write(runFrame(kind, bytes))) await Promise.race([once(socket, 'drain'), once(socket, 'close')])
    return !socket.destroyed
  }
  return { stdout: async (bytes) => isRead && (await print('stdout', bytes)), stderr: (bytes) => print('stderr', bytes), stdin }
}

/** What is typed or piped into the caller, asked for piece by piece: what nobody takes is not sent. */
class CallerStdin implements AsyncIterable<Uint8Array> {
  readonly #socket: Duplex
  #rest: Buffer = Buffer.alloc(0)
  #answer: ((piece: Uint8Array) => void) | undefined

  constructor(socket: Duplex) {
    this.#socket = socket
    socket.once('close', () => this.#answer?.(new Uint8Array(0)))
  }

  /** Bytes of the caller; false when it says that nobody reads its stdout any more. */
  take(bytes: Buffer): boolean {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    let isRead = true
    while (this.#rest.length > 0) {
      if (this.#rest[0] === CALLER.closed) {
        isRead = false
        this.#rest = this.#rest.subarray(1)
        continue
      }
      if (this.#rest.length < STDIN_HEADER_BYTES) break
      const length = this.#rest.readUInt32BE(1)
      if (this.#rest[0] !== CALLER.stdin || length > MAX_STDIN_BYTES || this.#answer === undefined) {
        this.#socket.destroy()
        break
      }
      const end = STDIN_HEADER_BYTES + length
      if (this.#rest.length < end) break
      this.#answer(this.#rest.subarray(STDIN_HEADER_BYTES, end))
      this.#answer = undefined
      this.#rest = this.#rest.subarray(end)
    }
    return isRead
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.#socket.destroyed) return
      const piece = await new Promise<Uint8Array>((resolve) => {
        this.#answer = resolve
        this.#socket.write(runFrame('ask', new Uint8Array(0)))
      })
      if (piece.length === 0) return
      yield piece
    }
  }
}

async function firstLine(socket: Duplex): Promise<string> {
  const late = setTimeout(() => socket.destroy(), ASK_MS)
  let text = Buffer.alloc(0)
  try {
    for await (const part of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      text = Buffer.concat([text, part])
      const end = text.indexOf(10)
      if (end >= 0) return text.subarray(0, end).toString('utf8')
      if (text.length > MAX_RUN_BYTES) break
    }
  } finally {
    clearTimeout(late)
  }
  throw new TallyError('USAGE', { message: 'the request is cut off, or too large' })
}
