// A TCP proxy that misbehaves on demand, for tests and benchmarks: the kernel here has no netem.
import net from 'node:net'

/** 'up': from the side that dialled; 'down': towards it. */
export type Direction = 'up' | 'down'

export interface Faults {
  /** Delay of each byte in each direction, in milliseconds. */
  latencyMs?: number
  /** Bytes per second in each direction. */
  bytesPerSecond?: number
  /** Nothing passes and nobody is told, not even of a close: a dead network. Turned off again, what was held passes. */
  blackHole?: boolean
  /** Flips one bit in the next bytes that pass from ('up') or to ('down') the dialler, once; the proxy then clears it. */
  corrupt?: Direction | undefined
  /** New connections are reset. */
  refuse?: boolean
}

export interface FaultProxy {
  readonly port: number
  /** Connections that pass through now. */
  readonly connections: number
  /** Bytes that came in from the side that dialled. */
  readonly bytesIn: number
  /** Changes faults while bytes flow; the others stay. */
  set(faults: Faults): void
  /** Cuts all connections with a TCP reset on both sides. */
  reset(): void
  /** Cuts all connections and stops listening. */
  close(): Promise<void>
}

const MAX_HELD_BYTES = 4 << 20

interface Held {
  readonly dueMs: number
  /** Undefined: the sender closed its half. */
  readonly bytes: Buffer | undefined
}

/** One direction of one connection. */
class Lane {
  readonly #from: net.Socket
  readonly #to: net.Socket
  readonly #faults: Faults
  readonly #direction: Direction
  #held: Held[] = []
  #heldBytes = 0
  #lineFreeMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor(from: net.Socket, to: net.Socket, faults: Faults, direction: Direction, onBytes: (count: number) => void) {
    this.#direction = direction
    this.#from = from
    this.#to = to
    this.#faults = faults
    from.on('data', (bytes) => {
      onBytes(bytes.byteLength)
      this.#hold(bytes)
    })
    from.on('end', () => this.#hold(undefined))
    to.on('drain', () => this.run())
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#held = []
  }

  /** Passes on what is due. */
  run(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    while (!this.#faults.blackHole && !this.#to.writableNeedDrain) {
      const next = this.#held[0]
      if (next === undefined) break
      const waitMs = next.dueMs - performance.now()
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.run(), waitMs)
        break
      }
      this.#held.shift()
      this.#pass(next.bytes)
    }
    if (this.#heldBytes < MAX_HELD_BYTES && !this.#faults.blackHole) this.#from.resume()
  }

  #pass(bytes: Buffer | undefined): void {
    if (bytes === undefined) {
      this.#to.end()
      return
    }
    this.#heldBytes -= bytes.byteLength
    const middle = bytes.byteLength >> 1
    if (this.#faults.corrupt === this.#direction) {
      this.#faults.corrupt = undefined
      bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle)
    }
    this.#to.write(bytes)
  }

  #hold(bytes: Buffer | undefined): void {
    const { latencyMs = 0, bytesPerSecond, blackHole } = this.#faults
    const now = performance.now()
    const size = bytes?.byteLength ?? 0
    if (bytesPerSecond !== undefined) this.#lineFreeMs = Math.max(this.#lineFreeMs, now) + (size / bytesPerSecond) * 1000
    // Never before what is held already: bytes keep their order when the faults change under way.
    const dueMs = Math.max(now, bytesPerSecond === undefined ? 0 : this.#lineFreeMs) + latencyMs
    this.#held.push({ dueMs: Math.max(dueMs, this.#held.at(-1)?.dueMs ?? 0), bytes })
    this.#heldBytes += size
    if (blackHole || this.#heldBytes >= MAX_HELD_BYTES) this.#from.pause()
    if (this.#timer === undefined) this.run()
  }
}

/** One connection through the proxy: two sockets, two lanes. */
class Link {
  readonly #sockets: readonly net.Socket[]
  readonly #lanes: readonly Lane[]

  constructor(
    near: net.Socket,
    port: number,
    faults: Faults,
    events: { onBytesIn(count: number): void; onGone(link: Link): void },
  ) {
    const far = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    this.#sockets = [near, far]
    this.#lanes = [new Lane(near, far, faults, 'up', events.onBytesIn), new Lane(far, near, faults, 'down', () => {})]
    const onClose = (other: net.Socket, hadError: boolean): void => {
      if (faults.blackHole) return
      if (hadError) other.resetAndDestroy()
      if (near.destroyed && far.destroyed) events.onGone(this)
    }
    near.on('error', () => {}).on('close', (hadError) => onClose(far, hadError))
    far.on('error', () => {}).on('close', (hadError) => onClose(near, hadError))
  }

  run(): void {
    for (const lane of this.#lanes) lane.run()
  }

  stop(): void {
    for (const lane of this.#lanes) lane.stop()
  }

  cut(how: (socket: net.Socket) => void): void {
    for (const socket of this.#sockets) how(socket)
    this.stop()
  }
}

/** Starts a proxy on a free port of the loopback in front of `port`. Close it in `after`. */
export async function faultProxy(port: number, initial: Faults = {}): Promise<FaultProxy> {
  const faults: Faults = { ...initial }
  const links = new Set<Link>()
  let bytesIn = 0
  const onBytesIn = (count: number): void => {
    bytesIn += count
  }
  const onGone = (link: Link): void => {
    link.stop()
    links.delete(link)
  }
  const cutAll = (how: (socket: net.Socket) => void): void => {
    for (const link of links) link.cut(how)
    links.clear()
  }
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    if (faults.refuse) near.resetAndDestroy()
    else links.add(new Link(near, port, faults, { onBytesIn, onGone }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return {
    port: address.port,
    get connections() {
      return links.size
    },
    get bytesIn() {
      return bytesIn
    },
    set(change) {
      Object.assign(faults, change)
      for (const link of links) link.run()
    },
    reset: () => cutAll((socket) => socket.resetAndDestroy()),
    async close() {
      cutAll((socket) => socket.destroy())
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
