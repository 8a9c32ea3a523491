/** The port that programs know: an HTTP proxy and SOCKS5 in one. */
import http, { type IncomingMessage } from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TallyError } from '../../core/errors.ts'
import { serviceOfHost, splitAuthority } from './destination.ts'
import { answerRequest, answerUpgrade, type ExchangeInit, type Wanted } from './exchange.ts'
import { errorReply, notHere } from './replies.ts'
import { GRANTED, NOT_ALLOWED, socksReply, socksTarget } from './socks.ts'

const MAX_CONNECTIONS = 512
const OPENING_MS = 10_000
const SOCKS = 5

export class ProxyServer {
  readonly #init: ExchangeInit
  readonly #front: net.Server
  readonly #http: http.Server
  /** connections that lead to one service: opened by SOCKS5 or CONNECT */
  readonly #tunnels = new WeakMap<Duplex, string>()
  readonly #sockets = new Set<Socket>()

  constructor(init: ExchangeInit) {
    this.#init = init
    this.#http = http.createServer({ headersTimeout: OPENING_MS, requestTimeout: 0, maxHeaderSize: 16_384 })
    this.#http.on('request', (request, response) => {
      const wanted = this.#wanted(request)
      if (wanted !== undefined) return void answerRequest(this.#init, wanted, request, response)
      const { status, headers, body } = errorReply(notHere('this leads to no service'), 403)
      response.writeHead(status, [...headers]).end(body)
    })
    this.#http.on('upgrade', (request: IncomingMessage, socket: Duplex, first: Buffer) => {
      const wanted = this.#wanted(request)
      if (first.length > 0) socket.unshift(first)
      if (wanted === undefined || request.headers.upgrade?.toLowerCase() !== 'websocket') return refuse(socket)
      void answerUpgrade(this.#init, wanted, request, socket)
    })
    this.#http.on('connect', (request: IncomingMessage, socket: Duplex, first: Buffer) => this.#connect(request, socket, first))
    this.#front = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket))
    this.#front.maxConnections = MAX_CONNECTIONS
  }

  /** @throws TallyError USAGE when the port is taken or not ours to take */
  async listen(host: string, port: number): Promise<AddressInfo> {
    await new Promise<void>((resolve, reject) => {
      this.#front.once('error', (cause) =>
        reject(new TallyError('USAGE', { message: `${host}:${port} cannot be listened on: ${cause.message}`, cause })),
      )
      this.#front.listen(port, host, resolve)
    })
    return this.#front.address() as AddressInfo
  }

  /** Ends what is going on at once. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#front.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
    this.#http.close()
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.on('error', () => undefined)
    socket.setTimeout(OPENING_MS, () => socket.destroy())
    socket.once('readable', () => {
      const first = socket.read() as Buffer | null
      if (first === null) return void socket.destroy()
      socket.unshift(first)
      if (first[0] === SOCKS) void this.#socks(socket).catch(() => socket.destroy())
      else this.#serve(socket)
    })
  }

  #serve(socket: Duplex): void {
    if (socket instanceof net.Socket) socket.setTimeout(0)
    this.#http.emit('connection', socket)
  }

  async #socks(socket: Socket): Promise<void> {
    const target = await socksTarget(socket)
    if (target === undefined) return
    const service = serviceOfHost(target.host, target.port)
    if (service === undefined) return socksReply(socket, NOT_ALLOWED)
    this.#tunnels.set(socket, service)
    socksReply(socket, GRANTED)
    this.#serve(socket)
  }

  /** What is inside is HTTP all the same: there is no certificate for such a name, and the way to the provider is encrypted. */
  #connect({ url = '' }: IncomingMessage, socket: Duplex, first: Buffer): void {
    const target = splitAuthority(url)
    const service = target === undefined ? undefined : serviceOfHost(target.host, target.port)
    if (service === undefined) return refuse(socket)
    this.#tunnels.set(socket, service)
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
    if (first.length > 0) socket.unshift(first)
    this.#serve(socket)
  }

  /** The whole URL, as clients of a proxy write it; in a tunnel the path alone. Anything else was not meant for a proxy, and is not taken for one. */
  #wanted({ url = '', socket }: IncomingMessage): Wanted | undefined {
    const tunnel = this.#tunnels.get(socket)
    if (tunnel !== undefined && url.startsWith('/')) return { service: tunnel, path: url }
    if (!URL.canParse(url)) return undefined
    const { protocol, hostname, port, pathname, search } = new URL(url)
    const service =
      protocol === 'http:' || protocol === 'ws:'
        ? serviceOfHost(hostname, port === '' ? 80 : Number.parseInt(port, 10))
        : undefined
    return service === undefined ? undefined : { service, path: pathname + search }
  }
}

function refuse(socket: Duplex): void {
  const { status, headers, body } = errorReply(notHere('this leads to no service'), 403)
  let head = `HTTP/1.1 ${status} Forbidden\r\n`
  for (let at = 0; at + 1 < headers.length; at += 2) head += `${headers[at]}: ${headers[at + 1]}\r\n`
  socket.end(`${head}\r\n${body}`)
}
