// Real libp2p nodes over TCP, noise and yamux on the loopback, for tests and benchmarks.
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import type { Libp2p, PrivateKey, ServiceMap, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type ServiceFactoryMap } from 'libp2p'
import { MAX_STREAM_WINDOW_BYTES } from '../../protocols/framing/inlet.ts'

export interface TestNodeOptions<T extends ServiceMap = ServiceMap> {
  /** False: dials only. @default true */
  readonly listen?: boolean
  /** Largest yamux window; must stay below libp2p's read buffer of 4 MiB or a paused stream is reset. @default 1 MiB */
  readonly windowBytes?: number
  readonly privateKey?: PrivateKey
  readonly services?: ServiceFactoryMap<T>
}

/**
 * A started node. The limits that libp2p sets for strangers (5 connections a second from one host, 10 pending) are raised,
 * because here all peers share one host.
 */
export async function testNode<T extends ServiceMap = ServiceMap>(options: TestNodeOptions<T> = {}): Promise<Libp2p<T>> {
  return await createLibp2p<T>({
    addresses: { listen: options.listen === false ? [] : ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        maxInboundStreams: 10_000,
        maxOutboundStreams: 10_000,
        streamOptions: { maxStreamWindowSize: options.windowBytes ?? MAX_STREAM_WINDOW_BYTES },
      }),
    ],
    connectionManager: { maxConnections: 2000, inboundConnectionThreshold: 1_000_000, maxIncomingPendingConnections: 1000 },
    connectionMonitor: { enabled: false },
    connectionGater: { denyDialMultiaddr: () => false },
    ...(options.privateKey === undefined ? {} : { privateKey: options.privateKey }),
    ...(options.services === undefined ? {} : { services: options.services }),
  })
}

/** The first TCP address of a listening node, with its PeerId. */
export function addressOf(node: Libp2p): Multiaddr {
  const [address] = node.getMultiaddrs()
  if (address === undefined) throw new Error('the node does not listen')
  return address
}

/** The TCP port of a listening node. */
export function portOf(node: Libp2p): number {
  return Number(/\/tcp\/(\d+)/.exec(addressOf(node).toString())?.[1])
}

/** The address of `node` as seen through a proxy on `port`. */
export function addressThrough(port: number, node: Libp2p): Multiaddr {
  return multiaddr(`/ip4/127.0.0.1/tcp/${port}/p2p/${node.peerId.toString()}`)
}

export interface StreamEnds {
  /** The end of the node that dialled. */
  readonly near: Stream
  /** The end that the listener's handler was given. */
  readonly far: Stream
}

export interface NodePair {
  readonly dialer: Libp2p
  readonly listener: Libp2p
  /**
   * One new stream, both ends. `onFar` runs inside the handler, in the tick in which the stream arrives: attach there what must
   * not miss a byte. `address` defaults to the listener's own.
   */
  open(options?: { onFar?: (stream: Stream) => void; address?: Multiaddr }): Promise<StreamEnds>
  stop(): Promise<void>
}

/** Two nodes, one dialling the other. Stop it in `after`. */
export async function nodePair(options: TestNodeOptions = {}): Promise<NodePair> {
  const listener = await testNode(options)
  const dialer = await testNode({ ...options, listen: false })
  let count = 0
  return {
    dialer,
    listener,
    async open({ onFar, address = addressOf(listener) } = {}) {
      const protocol = `/test/${count++}`
      const far = Promise.withResolvers<Stream>()
      await listener.handle(protocol, (stream) => {
        onFar?.(stream)
        far.resolve(stream)
      })
      const connection = await dialer.dial(address)
      const near = await connection.newStream(protocol)
      const ends = { near, far: await far.promise }
      await listener.unhandle(protocol)
      return ends
    },
    async stop() {
      await dialer.stop()
      await listener.stop()
    },
  }
}
