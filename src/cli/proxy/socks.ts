/** The opening of SOCKS5 (RFC 1928), without passwords: which host a connection wants. */
import type { Socket } from 'node:net'

const VERSION = 5
const NO_PASSWORD = 0
const CONNECT = 1
const DOMAIN_NAME = 3
const UNACCEPTABLE = 0xff
export const GRANTED = 0
export const NOT_ALLOWED = 2
const COMMAND_UNKNOWN = 7
const ADDRESS_UNKNOWN = 8

export interface SocksTarget {
  readonly host: string
  readonly port: number
}

/** Reads what the client wants; undefined when it was refused here. Answer with `socksReply`. */
export async function socksTarget(socket: Socket): Promise<SocksTarget | undefined> {
  const [, count = 0] = await take(socket, 2)
  const methods = await take(socket, count)
  if (!methods.includes(NO_PASSWORD)) return refuse(socket, Buffer.of(VERSION, UNACCEPTABLE))
  socket.write(Buffer.of(VERSION, NO_PASSWORD))
  const [version, command, , kind] = await take(socket, 4)
  if (version !== VERSION || command !== CONNECT) return refuse(socket, reply(COMMAND_UNKNOWN))
  // an address in numbers names no service
  if (kind !== DOMAIN_NAME) return refuse(socket, reply(ADDRESS_UNKNOWN))
  const [length = 0] = await take(socket, 1)
  const host = (await take(socket, length)).toString('latin1')
  return { host, port: (await take(socket, 2)).readUInt16BE() }
}

export function socksReply(socket: Socket, code: number): void {
  if (code === GRANTED) socket.write(reply(code))
  else refuse(socket, reply(code))
}

const reply = (code: number): Buffer => Buffer.of(VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0)

function refuse(socket: Socket, bytes: Buffer): undefined {
  socket.end(bytes)
}

/** The next bytes, all of them. Throws when the connection ends before. */
async function take(socket: Socket, count: number): Promise<Buffer> {
  if (count === 0) return Buffer.alloc(0)
  for (;;) {
    const bytes = socket.read(count) as Buffer | null
    if (bytes !== null && bytes.length === count) return bytes
    if (bytes !== null || socket.readableEnded || socket.destroyed) throw new Error('the connection ended early')
    await new Promise<void>((resolve) => {
      const done = (): void => {
        for (const event of ['readable', 'end', 'close']) socket.off(event, done)
        resolve()
      }
      for (const event of ['readable', 'end', 'close']) socket.on(event, done)
    })
  }
}
