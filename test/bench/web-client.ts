/** A process of the benchmark: an HTTP client that costs little, so that what it asks is what is measured. */
import { once } from 'node:events'
import net from 'node:net'
import { answer } from './child.ts'

export interface Target {
  readonly port: number
  /** a whole URL through a proxy, else a path */
  readonly url: string
}

interface Asked {
  readonly requests: number
  readonly ms: number
}

const END = Buffer.from('\r\n\r\n')

/** One connection that is kept: one request after the other. */
class Connection {
  readonly #socket: net.Socket
  readonly #request: Buffer
  #got: Buffer = Buffer.alloc(0)
  #answered: PromiseWithResolvers<void> | undefined

  constructor({ port, url }: Target) {
    this.#request = Buffer.from(`GET ${url} HTTP/1.1\r\nhost: web.tally\r\n\r\n`)
    this.#socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    this.#socket.on('error', (error) => this.#answered?.reject(error))
    this.#socket.on('close', () => this.#answered?.reject(new Error('the connection was closed')))
    this.#socket.on('data', (bytes: Buffer) => this.#take(bytes))
  }

  /** @throws for any answer but a whole 200 */
  async ask(): Promise<void> {
    const answered = Promise.withResolvers<void>()
    this.#answered = answered
    this.#socket.write(this.#request)
    await answered.promise
  }

  close(): void {
    this.#answered = undefined
    this.#socket.destroy()
  }

  #take(bytes: Buffer): void {
    this.#got = this.#got.length === 0 ? bytes : Buffer.concat([this.#got, bytes])
    const at = this.#got.indexOf(END)
    if (at < 0) return
    const head = this.#got.toString('latin1', 0, at)
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1])
    if (!head.startsWith('HTTP/1.1 200 ') || Number.isNaN(length))
      return this.#answered?.reject(new Error(`an answer was ${this.#got.toString('latin1', 0, 600)}`))
    if (this.#got.length < at + END.length + length) return
    this.#got = Buffer.alloc(0)
    this.#answered?.resolve()
  }
}

const answers = {
  /** As many requests as go through in this time, over so many kept connections. */
  async ask({ connections, ms, ...target }: Target & { connections: number; ms: number }): Promise<Asked> {
    const all = Array.from({ length: connections }, () => new Connection(target))
    const begin = performance.now()
    const end = begin + ms
    let requests = 0
    const busy = all.map(async (connection) => {
      while (performance.now() < end) {
        await connection.ask()
        requests += 1
      }
    })
    try {
      await Promise.all(busy)
      return { requests, ms: performance.now() - begin }
    } finally {
      for (const connection of all) connection.close()
    }
  },

  /** How long so many events of a stream were on their way, each, microseconds; each says when it was sent. */
  async hear({ count, port, url }: Target & { count: number }): Promise<number[]> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    socket.write(`GET ${url} HTTP/1.1\r\nhost: web.tally\r\naccept: text/event-stream\r\n\r\n`)
    const found: number[] = []
    let text = ''
    let next = 0
    for await (const bytes of socket) {
      const now = process.hrtime.bigint()
      text += (bytes as Buffer).toString('latin1')
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const event = /data: (\d+) (\d+)/.exec(text.slice(0, end))
        text = text.slice(end + 2)
        if (event === null) continue
        if (Number(event[1]) !== next++) throw new Error(`event ${event[1]} came where ${next - 1} was to come`)
        found.push(Number(now - BigInt(event[2] as string)) / 1000)
      }
      if (found.length >= count) break
    }
    socket.destroy()
    if (found.length < count) throw new Error(`only ${found.length} events came: ${text}`)
    return found.slice(0, count)
  },
}
export type WebClientAnswers = typeof answers

answer(answers)
