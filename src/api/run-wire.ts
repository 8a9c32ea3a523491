/**
 * A command that a running node carries out for another process: its words go there, what it prints comes back as it is printed. It uses
 * a connection of its own, taken over from HTTP by an upgrade.
 */
import { request as httpRequest } from 'node:http'
import type { Socket } from 'node:net'
import { z } from 'zod'
import { TallyError } from '../core/errors.ts'
import { errorOf } from './wire.ts'

export const RUN_PROTOCOL = 'tallystick-run-1'
export const RUN_PATH = '/v1/run'
/** the words of a command are never longer, bytes */
export const MAX_RUN_BYTES = 1 << 18

const word = z.string().max(4_096)

export const runRequest = z.strictObject({
  /** the words behind `tallystick` */
  argv: z.array(word).min(1).max(64),
  /** names of files are relative to this folder */
  cwd: word.startsWith('/'),
  /** whether a person watches stderr, with colours, and how wide it is */
  terminal: z.strictObject({ live: z.boolean(), color: z.boolean(), columns: z.int().min(1).max(10_000) }),
  /** the caller's own limits hold, not those of the node's settings */
  consumer: z.strictObject({ limitAtRisk: word, maxPrice: word.optional() }),
})
export type RunRequest = z.infer<typeof runRequest>

/** What a run prints. Resolves when more may be printed: false = nobody reads any more. */
export interface Screen {
  stdout(bytes: Uint8Array): Promise<boolean>
  stderr(bytes: Uint8Array): Promise<boolean>
  /** what is typed or piped into the command. @default nothing */
  readonly stdin?: AsyncIterable<Uint8Array>
}

/** kind u8 | length u32 | bytes; an exit code is one byte, and the last frame; a refusal is an error body; `ask` wants a piece of stdin */
const KINDS = { stdout: 1, stderr: 2, exit: 3, refusal: 4, ask: 5 } as const
const HEADER_BYTES = 5

/**
 * What the caller says: that nobody reads its stdout any more, or a piece of its stdin, once for each `ask`; an empty one is its end. The
 * end of what it says is the wish to stop.
 */
export const CALLER = { closed: 0, stdin: 1 } as const
const CLOSED = Uint8Array.of(CALLER.closed)
/** a piece of stdin is never larger, bytes */
export const MAX_STDIN_BYTES = 1 << 20

export function runFrame(kind: keyof typeof KINDS, bytes: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + bytes.length)
  frame.writeUInt8(KINDS[kind])
  frame.writeUInt32BE(bytes.length, 1)
  frame.set(bytes, HEADER_BYTES)
  return frame
}

/**
 * Has the node on this socket run a command; answers its exit code. When `signal` fires the node ends the command in order, and what it
 * still prints is printed.
 *
 * @throws TallyError PEER_UNREACHABLE when the node goes away, and what it refuses
 */
export async function runInNode(path: string, run: RunRequest, screen: Screen, signal: AbortSignal): Promise<number> {
  const socket = await upgraded(path)
  const stop = (): void => void socket.end()
  signal.addEventListener('abort', stop, { once: true })
  try {
    socket.write(`${JSON.stringify(run)}\n`)
    if (signal.aborted) stop()
    return await printed(socket, screen, stdinFor(socket, screen.stdin))
  } finally {
    signal.removeEventListener('abort', stop)
    socket.destroy()
  }
}

async function upgraded(path: string): Promise<Socket> {
  const headers = { connection: 'Upgrade', upgrade: RUN_PROTOCOL }
  const request = httpRequest({ socketPath: path, agent: false, method: 'GET', path: RUN_PATH, headers })
  return await new Promise((resolve, reject) => {
    request.once('upgrade', (_, socket) => resolve(socket as Socket))
    request.once('response', ({ statusCode }) => {
      request.destroy()
      reject(new TallyError('UNSUPPORTED', { message: `the running node does not run commands (status ${statusCode})` }))
    })
    request.once('error', (cause) => reject(unreachable(path, cause)))
    request.end()
  })
}

/** Answers one `ask`. The caller's stdin is not touched before the first. */
function stdinFor(socket: Socket, stdin: Screen['stdin']): () => void {
  let pieces: AsyncIterator<Uint8Array> | undefined
  const say = (bytes: Uint8Array): void => {
    const header = Buffer.alloc(HEADER_BYTES, CALLER.stdin)
    header.writeUInt32BE(bytes.length, 1)
    if (socket.writable) socket.write(Buffer.concat([header, bytes]))
  }
  return () => {
    pieces ??= stdin?.[Symbol.asyncIterator]()
    // one that cannot be read has ended
    const next = pieces?.next() ?? Promise.resolve({ done: true, value: undefined })
    next.then(({ done, value }) => say(done === true ? new Uint8Array(0) : value), () => say(new Uint8Array(0))) // biome-ignore format: one thought
  }
}

async function printed(socket: Socket, screen: Screen, ask: () => void): Promise<number> {
  let rest: Buffer = Buffer.alloc(0)
  try {
    for await (const part of socket as AsyncIterable<Buffer>) {
      rest = rest.length === 0 ? part : Buffer.concat([rest, part])
      while (rest.length >= HEADER_BYTES) {
        const end = HEADER_BYTES + rest.readUInt32BE(1)
        if (rest.length < end) break
        const [kind, bytes] = [rest.readUInt8(), rest.subarray(HEADER_BYTES, end)]
        rest = rest.subarray(end)
        if (kind === KINDS.exit) return bytes[0] ?? 1
        if (kind === KINDS.refusal) throw refusal(bytes)
        if (kind === KINDS.ask) {
          ask()
          continue
        }
        const more = kind === KINDS.stdout ? await screen.stdout(bytes) : await screen.stderr(bytes)
        if (!more) socket.write(CLOSED)
      }
    }
  } catch (thrown) {
    throw thrown instanceof TallyError ? thrown : unreachable('its socket', thrown)
  }
  throw unreachable('its socket')
}

function refusal(bytes: Buffer): TallyError {
  const body: unknown = JSON.parse(bytes.toString('utf8'))
  return errorOf(body) ?? new TallyError('INTERNAL', { message: 'the running node refuses, and does not say why' })
}

const unreachable = (where: string, cause?: unknown): TallyError =>
  new TallyError('PEER_UNREACHABLE', {
    message: `the running node does not answer on ${where}`,
    hint: 'what was bought is kept: type the same command again',
    cause,
  })
