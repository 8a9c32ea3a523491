/** A local port, each connection of which is a data stream of one paid session. */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { asTallyError, TallyError } from '../../core/errors.ts'
import type { NodeSession } from '../../node/node-session.ts'
import type { PaidStream } from '../../ports/service.ts'
import { duplexOf, type Endpoint, formatEndpoint } from '../../services/tcp/index.ts'
import type { Delivery } from '../get/delivery.ts'

export interface PaidPortInit {
  readonly signal: AbortSignal
  /** a connection could not be carried */
  readonly tell: (line: string) => void
}

/** D6 of the data protocol: so many at once in a session; the others wait in line */
const MAX_STREAMS = 32
const MAX_WAITING = 256
/** a provider that is asked for too many streams in too short a time is asked again */
const AGAIN_MS = 100
const MAX_AGAIN = 100
/** how long a program may go on to write after the other end has said all, ms */
const LINGER_MS = 10_000

export class PaidPort implements Delivery {
  readonly again = false
  readonly idles = true
  readonly #init: PaidPortInit
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** those that wait for a session, or for one of its streams */
  readonly #waits = new Set<Socket>()
  readonly #line: (() => void)[] = []
  #session: NodeSession | undefined
  #streams = 0
  /** connections that were accepted */
  connections = 0
  /** bytes that came down */
  bytes = 0n

  private constructor(server: Server, init: PaidPortInit) {
    this.#init = init
    this.#server = server
    server.on('connection', (socket) => void this.#carry(socket))
  }

  /** Listens before anything is bought. @throws USAGE when the port cannot be had */
  static async listen(at: Endpoint, init: PaidPortInit): Promise<PaidPort> {
    const server = createServer({ allowHalfOpen: true, noDelay: true })
    server.maxConnections = MAX_WAITING
    server.listen(at)
    try {
      await once(server, 'listening')
    } catch (cause) {
      const why =
        (cause as NodeJS.ErrnoException).code === 'EADDRINUSE' ? 'another program listens on it' : (cause as Error).message
      throw new TallyError('USAGE', {
        message: `${formatEndpoint(at)} cannot be listened on: ${why}`,
        hint: 'nothing was bought; choose another port, or :0 for any that is free',
        cause,
      })
    }
    return new PaidPort(server, init)
  }

  get address(): string {
    const at = this.#server.address()
    return typeof at === 'object' && at !== null ? formatEndpoint({ host: at.address, port: at.port }) : ''
  }

  /** open connections */
  get open(): number {
    return this.#sockets.size
  }

  async used(): Promise<undefined> {
    return undefined
  }

  async over(): Promise<void> {
    // nothing is kept of a connection
  }

  /** Carries connections until somebody says stop, which is the good end, or the session is over. */
  async run(session: NodeSession): Promise<void> {
    const { signal } = this.#init
    const stopped = Promise.withResolvers<undefined>()
    const stop = (): void => stopped.resolve(undefined)
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    this.#session = session
    this.#next()
    const ended = await Promise.race([session.ended, stopped.promise])
    signal.removeEventListener('abort', stop)
    this.#session = undefined
    // a connection does not outlive its session: whoever waits for an answer is told at once
    for (const socket of this.#sockets) if (!this.#waits.has(socket) || ended === undefined) socket.resetAndDestroy()
    if (ended !== undefined) throw new TallyError(ended.code ?? 'STREAM_CUT')
  }

  /** Nobody is answered any more. */
  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.resetAndDestroy()
    this.#next()
  }

  async #carry(socket: Socket): Promise<void> {
    this.connections += 1
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      this.#next()
    })
    try {
      const session = await this.#turn(socket)
      if (session === undefined) return
      this.#streams += 1
      try {
        const duplex = duplexOf(await openStream(session))
        duplex.on('data', (piece: Uint8Array) => (this.bytes += BigInt(piece.length)))
        await joined(socket, duplex)
      } finally {
        this.#streams -= 1
        this.#next()
      }
    } catch (thrown) {
      const why = thrown instanceof TallyError ? thrown.message : 'the program here broke it off'
      if (this.#session !== undefined) this.#init.tell(`a connection was not carried: ${why}`)
    } finally {
      // after a good end it is closed already
      socket.resetAndDestroy()
    }
  }

  /** Waits for a session with a stream to spare; undefined when the program has gone away meanwhile. */
  async #turn(socket: Socket): Promise<NodeSession | undefined> {
    this.#waits.add(socket)
    while (!socket.destroyed && (this.#session === undefined || this.#streams >= MAX_STREAMS))
      await new Promise<void>((resolve) => this.#line.push(resolve))
    this.#waits.delete(socket)
    return socket.destroyed ? undefined : this.#session
  }

  #next(): void {
    for (const go of this.#line.splice(0)) go()
  }
}

async function openStream(session: NodeSession): Promise<PaidStream> {
  for (let tries = 0; ; tries++) {
    try {
      return await session.open(new Uint8Array(0), { most: { calls: 1 } })
    } catch (thrown) {
      if (asTallyError(thrown).code !== 'RATE_EXCEEDED' || tries >= MAX_AGAIN) throw thrown
      await delay(AGAIN_MS)
    }
  }
}

/** Joins the two until both are done; either's reset is the other's. Throws what ended the stream early. */
async function joined(socket: Socket, duplex: Duplex): Promise<void> {
  let failure: unknown
  duplex.once('error', (thrown) => {
    failure = thrown
    socket.resetAndDestroy()
  })
  duplex.once('close', () => {
    // what the program still says nobody hears; it is read, or its own reading might be cut short by a reset
    socket.unpipe(duplex)
    socket.resume()
    socket.setTimeout(LINGER_MS, () => socket.destroy())
  })
  socket.once('close', () => duplex.destroy())
  socket.pipe(duplex)
  duplex.pipe(socket)
  if (socket.destroyed) duplex.destroy()
  else await once(socket, 'close')
  if (failure !== undefined) throw failure
}
