/** How this node can be reached, told from addresses alone, and in which order the addresses of others are tried. */
import { BlockList, isIPv4 } from 'node:net'
import type { Address } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'

/** A network interface of this computer, as `os.networkInterfaces()` names it. */
export interface Interface {
  readonly address: string
  /** such as 192.168.1.7/24 */
  readonly cidr: string | null
}

/**
 * `buys`: it listens on nothing. `public`: others dial it from anywhere. `local`: neither it nor anybody that it was told of has a public
 * address, so whoever is there can dial it. `behind-nat`: the first nodes are on the internet and it is not: only relays lead to it.
 */
export type Situation = 'buys' | 'public' | 'local' | 'behind-nat'

export interface Addresses {
  readonly listen: readonly string[]
  /** where others are told to dial it */
  readonly announce: readonly string[]
  readonly bootstrap: readonly string[]
}

export function situationOf({ listen, announce, bootstrap }: Addresses, interfaces: readonly Interface[]): Situation {
  if (listen.length === 0) return 'buys'
  const own = [...listen, ...announce].map((text) => multiaddr(text))
  const direct = own.filter((address) => !isRelayed(address))
  if (
    direct.some(
      (address) => isPublic(address) || (isEverywhere(address) && interfaces.some(({ address: ip }) => !isPrivateIp(ip))),
    )
  )
    return 'public'
  if (direct.length === 0) return 'behind-nat'
  return bootstrap.some((text) => isPublic(multiaddr(text))) ? 'behind-nat' : 'local'
}

/**
 * Compares addresses of a peer by when they are tried, one after the other: in our own network, on the internet, on this computer, through
 * a relay, and last those of private networks that are not ours, where nobody answers and time is lost. TCP comes before its websocket.
 */
export function dialOrder(interfaces: readonly Interface[]): (a: Address, b: Address) => -1 | 0 | 1 {
  const near = new BlockList()
  for (const { cidr } of interfaces) {
    const [ip = '', bits = ''] = (cidr ?? '').split('/')
    if (ip !== '') near.addSubnet(ip, Number.parseInt(bits, 10), family(ip))
  }
  const rank = (address: Multiaddr): number => {
    if (isRelayed(address)) return 3
    const ip = ipOf(address)
    if (ip === undefined || !isPrivateIp(ip)) return 1
    if (LOOPBACK.check(ip, family(ip))) return 2
    return near.check(ip, family(ip)) ? 0 : 4
  }
  return ({ multiaddr: a }, { multiaddr: b }) =>
    Math.sign(rank(a) - rank(b) || Number(isWebsocket(a)) - Number(isWebsocket(b))) as -1 | 0 | 1
}

export function isRelayed(address: Multiaddr): boolean {
  return address.getComponents().some(({ name }) => name === 'p2p-circuit')
}

const isWebsocket = (address: Multiaddr): boolean => address.getComponents().some(({ name }) => name === 'ws' || name === 'wss')

/** A name counts as public: who gives one means it for others. */
export function isPublic(address: Multiaddr): boolean {
  const [first] = address.getComponents()
  if (first?.name.startsWith('dns')) return first.value !== 'localhost'
  const ip = ipOf(address)
  return ip !== undefined && !isPrivateIp(ip)
}

const isEverywhere = (address: Multiaddr): boolean => ['0.0.0.0', '::'].includes(ipOf(address) ?? '')

function ipOf(address: Multiaddr): string | undefined {
  const [first] = address.getComponents()
  return first?.name === 'ip4' || first?.name === 'ip6' ? first.value : undefined
}

const family = (ip: string): 'ipv4' | 'ipv6' => (isIPv4(ip) ? 'ipv4' : 'ipv6')

const isPrivateIp = (ip: string): boolean => PRIVATE.check(ip, family(ip))

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8)
LOOPBACK.addAddress('::1', 'ipv6')

/** What is not routed on the internet. */
const PRIVATE = new BlockList()
for (const [ip, bits] of [
  ['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12], ['192.0.0.0', 24],
  ['192.0.2.0', 24], ['192.168.0.0', 16], ['198.18.0.0', 15], ['198.51.100.0', 24], ['203.0.113.0', 24], ['240.0.0.0', 4],
  ['::', 127], ['fc00::', 7], ['fe80::', 10], ['2001:db8::', 32],
] as const) // biome-ignore format: a table
  PRIVATE.addSubnet(ip, bits, family(ip))
