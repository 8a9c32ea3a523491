import { connect, type Socket } from 'node:net'
import { TallyError } from '../../core/errors.ts'
import type { ServiceAdapter, ServiceAnswer, ServiceCall } from '../../ports/service.ts'
import { abortError, refuseAborted } from '../abort.ts'
import { prepareWordless, refuseWords } from '../wordless.ts'
import type { Endpoint } from './target.ts'

export interface TcpInit {
  /** the only place that is ever connected to */
  readonly target: Endpoint
  /** how long the target may take to accept a connection. @default 5,000 */
  readonly connectTimeoutMs?: number
  /** a connection on which no byte moves for so long is reset. @default 3,600,000 */
  readonly idleTimeoutMs?: number
  /** connections at the same time, over all sessions. @default 256 */
  readonly maxConnections?: number
}

const MAX_CONNECTIONS = 256
const ALWAYS = 'its target is always the same'

/**
 * Sells connections to one TCP port: each data stream is one connection to the target, bytes pass in both directions as fast as
 * they are paid and taken. Nothing that a consumer sends says where to: no other host and no other port can be reached.
 *
 * A call is one connection, charged once the target has accepted it.
 */
export function tcpService(init: TcpInit): ServiceAdapter {
  return new TcpService(init)
}

class TcpService implements ServiceAdapter {
  readonly kind = 'tcp'
  readonly inputs = 'nothing; each data stream is a connection'
  readonly outputs = 'what the target sends'
  readonly charges = ['up', 'calls'] as const
  readonly costly = true
  readonly #init: TcpInit
  readonly #closing = new AbortController()
  /** one for each connection, from before it is made until it is gone */
  readonly #lives = new Set<Promise<void>>()

  readonly slots: number

  constructor(init: TcpInit) {
    this.#init = init
    this.slots = init.maxConnections ?? MAX_CONNECTIONS
  }

  async prepare(inputs: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    return prepareWordless(inputs, ALWAYS, signal)
  }

  async open(call: ServiceCall): Promise<ServiceAnswer> {
    refuseWords(call.request, ALWAYS)
    const signal = AbortSignal.any([call.signal, this.#closing.signal])
    refuseAborted(signal)
    const maxConnections = this.slots
    if (this.#lives.size >= maxConnections)
      throw new TallyError('BUSY', { message: `${maxConnections} connections are open already`, fields: { maxConnections } })
    const gone = Promise.withResolvers<void>()
    this.#lives.add(gone.promise)
    void gone.promise.then(() => this.#lives.delete(gone.promise))
    try {
      const socket = await this.#connected(call, signal, gone.resolve)
      return { info: new Uint8Array(), free: false, body: joined(socket, call.input, signal) }
    } catch (thrown) {
      gone.resolve()
      throw thrown
    }
  }

  /** Resolves when every connection is gone. */
  async close(): Promise<void> {
    this.#closing.abort(new TallyError('SHUTTING_DOWN'))
    await Promise.all(this.#lives)
  }

  /** A connection that nobody accepted is not charged. */
  async #connected(call: ServiceCall, signal: AbortSignal, onGone: () => void): Promise<Socket> {
    const reserved = await call.reserve({ calls: 1 })
    try {
      const socket = await reach(this.#init, signal)
      socket.once('close', onGone)
      reserved.debit()
      return socket
    } catch (thrown) {
      reserved.release()
      throw thrown
    }
  }
}

/** @throws TallyError SERVICE_FAILED when the target does not accept, or the abort of `signal` */
async function reach(
  { target, connectTimeoutMs = 5_000, idleTimeoutMs = 3_600_000 }: TcpInit,
  signal: AbortSignal,
): Promise<Socket> {
  const socket = connect({ host: target.host, port: target.port, allowHalfOpen: true, noDelay: true })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const late = setTimeout(
    () => reject(failed(`the target accepts no connection within ${connectTimeoutMs} ms`)),
    connectTimeoutMs,
  )
  const onAbort = (): void => reject(abortError(signal))
  signal.addEventListener('abort', onAbort, { once: true })
  socket.once('connect', resolve)
  socket.once('error', (cause) => reject(failed('the target does not accept connections', cause)))
  // whoever moves its bytes sees its errors too; before and after that they must not end this process
  socket.on('error', () => undefined)
  try {
    await promise
    refuseAborted(signal)
  } catch (thrown) {
    socket.destroy()
    throw thrown
  } finally {
    clearTimeout(late)
    signal.removeEventListener('abort', onAbort)
  }
  socket.setTimeout(idleTimeoutMs, () => socket.destroy(failed(`nothing moved for ${idleTimeoutMs} ms`)))
  return socket
}

/**
 * Joins the two at once, also while nobody may be sent a byte yet: the consumer's bytes go to the target, and what the target sends is
 * the body. When the consumer ends its side, so does the connection, and the target may still answer. When the target ends its side, all
 * is over. Whatever else happens is a reset on both sides: nobody takes the part for the whole.
 */
function joined(socket: Socket, input: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncIterable<Uint8Array> {
  let isWhole = false
  const end = (): void => void (isWhole ? socket.destroySoon() : socket.resetAndDestroy())
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  pour(input, socket).catch(end)
  return said()

  async function* said(): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) yield piece
      if (!socket.readableEnded) throw failed('the connection broke off')
      isWhole = true
    } catch (thrown) {
      if (signal.aborted) throw abortError(signal)
      throw thrown instanceof TallyError ? thrown : failed('the connection broke off', thrown)
    } finally {
      end()
    }
  }
}

/** Takes no more from the consumer than the target does. */
async function pour(input: AsyncIterable<Uint8Array>, socket: Socket): Promise<void> {
  for await (const piece of input) {
    await new Promise<void>((resolve, reject) => socket.write(piece, (error) => (error ? reject(error) : resolve())))
  }
  socket.end()
}

const failed = (message: string, cause?: unknown): TallyError => new TallyError('SERVICE_FAILED', { message, cause })
