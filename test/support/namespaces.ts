/** A small internet inside this computer: network namespaces, joined by a bridge, with routers that translate addresses. Linux, as root. */
import { execFileSync } from 'node:child_process'

/** Addresses that count as public; nothing of them leaves this computer. */
const PUBLIC = '45.10.0'
export const HUB_IP = `${PUBLIC}.1`

export interface Internet {
  /** the namespace of the hosts with a public address, `HUB_IP` */
  readonly hub: string
  /** a host in a home network behind a router; the router lets out what began inside, and lets nothing in */
  readonly homes: readonly string[]
  /** Lets packets for a port of the hub come to a program that listens on its loopback only. */
  forward(port: number): void
  stop(): void
}

/** What is missing to make one; undefined = nothing. */
export function namespacesMissing(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are of Linux'
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  for (const [command, ...args] of [
    ['ip', '-V'],
    ['nft', '--version'],
  ] as const)
    if (fails(command, args)) return `${command} is not installed`
  const name = `tally-try-${process.pid}`
  if (fails('ip', ['netns', 'add', name])) return 'the kernel makes no network namespaces here'
  try {
    if (
      fails('ip', ['netns', 'exec', name, 'nft', 'add table ip t; add chain ip t c { type nat hook postrouting priority 100; }'])
    )
      return 'nftables cannot translate addresses here'
  } finally {
    run('ip', 'netns', 'del', name)
  }
  return undefined
}

export function startInternet(homes: number): Internet {
  const made: string[] = []
  const namespace = (name: string): string => {
    const whole = `tally-${process.pid}-${name}`
    run('ip', 'netns', 'add', whole)
    made.push(whole)
    inside(whole, 'ip', 'link', 'set', 'lo', 'up')
    return whole
  }
  const stop = (): void => {
    for (const name of made.splice(0)) run('ip', 'netns', 'del', name)
  }
  try {
    const hub = namespace('hub')
    inside(hub, 'ip', 'link', 'add', 'bridge', 'type', 'bridge')
    inside(hub, 'ip', 'address', 'add', `${HUB_IP}/24`, 'dev', 'bridge')
    inside(hub, 'ip', 'link', 'set', 'bridge', 'up')
    const hosts = Array.from({ length: homes }, (_, i) => {
      const router = namespace(`router${i}`)
      const host = namespace(`home${i}`)
      const port = `port${i}`
      inside(hub, 'ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'wan', 'netns', router)
      inside(hub, 'ip', 'link', 'set', port, 'master', 'bridge', 'up')
      inside(router, 'ip', 'link', 'add', 'lan', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host)
      up(router, 'wan', `${PUBLIC}.${i + 2}`)
      up(router, 'lan', `192.168.${i + 1}.1`)
      up(host, 'eth0', `192.168.${i + 1}.2`)
      inside(host, 'ip', 'route', 'add', 'default', 'via', `192.168.${i + 1}.1`)
      inside(router, 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
      inside(router, 'nft', ROUTER)
      return host
    })
    return {
      hub,
      homes: hosts,
      forward(port) {
        inside(hub, 'sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1')
        inside(
          hub, 'nft',
          `add table ip in; add chain ip in pre { type nat hook prerouting priority -100; }; add rule ip in pre tcp dport ${port} dnat to 127.0.0.1`,
        ) // biome-ignore format: a command
      },
      stop,
    }
  } catch (thrown) {
    stop()
    throw thrown
  }
}

/** What home routers do: outgoing connections leave under the router's own address, incoming ones are dropped. */
const ROUTER = [
  'add table ip home',
  'add chain ip home out { type nat hook postrouting priority 100; }',
  'add rule ip home out oifname wan masquerade random',
  'add chain ip home through { type filter hook forward priority 0; policy drop; }',
  'add rule ip home through ct state established,related accept',
  'add rule ip home through iifname lan accept',
].join('; ')

function up(namespace: string, device: string, address: string): void {
  inside(namespace, 'ip', 'address', 'add', `${address}/24`, 'dev', device)
  inside(namespace, 'ip', 'link', 'set', device, 'up')
}

function inside(namespace: string, ...command: readonly string[]): void {
  run('ip', 'netns', 'exec', namespace, ...command)
}

function run(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

function fails(command: string, args: readonly string[]): boolean {
  try {
    run(command, ...args)
    return false
  } catch {
    return true
  }
}
