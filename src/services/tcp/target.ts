/** Where a port is forwarded to, and where one is listened on, as a person writes it. */
import { TallyError } from '../../core/errors.ts'

export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** `host:port`, `[v6]:port`, `:port` or `port` */
const ENDPOINT = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+))?:)?(\d{1,5})$/
const LOOPBACK = '127.0.0.1'

/** Without a host it is this computer, 127.0.0.1. `leastPort` 0 = any free one may be taken. @throws TallyError USAGE */
export function parseEndpoint(text: string, { leastPort = 1 }: { readonly leastPort?: 0 | 1 } = {}): Endpoint {
  const [, v6, name, digits] = ENDPOINT.exec(text) ?? []
  const port = digits === undefined ? -1 : Number.parseInt(digits, 10)
  if (port >= leastPort && port <= 65_535) return { host: v6 ?? name ?? LOOPBACK, port }
  throw new TallyError('USAGE', {
    message: `${JSON.stringify(text.slice(0, 80))} is no host and port`,
    hint: 'write it like 127.0.0.1:22, localhost:5432, [::1]:80 or :2222',
  })
}

export const formatEndpoint = ({ host, port }: Endpoint): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)
