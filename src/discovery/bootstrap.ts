/** The way into the network: dials the first nodes until they are there, and again when this node is nearly alone. */
import type { AbortOptions, ComponentLogger, Logger, PeerId, PeerStore, Startable } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { pause } from './pause.ts'

/** with so many peers a node needs no first nodes any more */
export const ENOUGH_PEERS = 5
/** how long one attempt may take, ms */
const ATTEMPT_MS = 10_000
/** the pause after a failure; it doubles up to the most, ms */
const FIRST_PAUSE_MS = 500
const MOST_PAUSE_MS = 30_000
/** how often a node that is connected sees whether it still is, ms */
const LOOK_MS = 5_000
/** of all peers, these are cut last when there are too many */
const TAGS = { bootstrap: { value: 50 } }

interface Components {
  readonly peerId: PeerId
  readonly peerStore: PeerStore
  readonly connectionManager: {
    getConnections(peer: PeerId): readonly unknown[]
    getConnectionsMap(): { readonly size: number }
    openConnection(peer: PeerId, options: AbortOptions): Promise<unknown>
  }
  readonly logger: ComponentLogger
}

/**
 * Makes the service, for the `services` of a libp2p node. Unlike `@libp2p/bootstrap` it does not give up after one attempt: the first
 * nodes are those that everybody dials, and so the ones that are too busy at times, or are being restarted.
 *
 * @param addresses multiaddrs that end in a peer id; others are left out
 */
export function firstNodes(addresses: readonly string[]): (components: Components) => Startable {
  return (components) => new FirstNodes(components, addresses)
}

class FirstNodes implements Startable {
  readonly #components: Components
  readonly #addresses: readonly string[]
  readonly #log: Logger
  #stop = new AbortController()

  constructor(components: Components, addresses: readonly string[]) {
    this.#components = components
    this.#addresses = addresses
    this.#log = components.logger.forComponent('tallystick:bootstrap')
  }

  start(): void {
    this.#stop = new AbortController()
  }

  /** When everything that is needed to dial has started. */
  afterStart(): void {
    for (const [id, multiaddrs] of byPeer(this.#addresses)) {
      const peer = peerIdFromString(id)
      if (!peer.equals(this.#components.peerId)) void this.#keep(peer, multiaddrs, this.#stop.signal)
    }
  }

  stop(): void {
    this.#stop.abort()
  }

  async #keep(peer: PeerId, multiaddrs: Multiaddr[], signal: AbortSignal): Promise<void> {
    const { peerStore, connectionManager } = this.#components
    let failures = 0
    for (let first = true; !signal.aborted; first = false) {
      const few = connectionManager.getConnectionsMap().size < ENOUGH_PEERS
      try {
        if ((first || few) && connectionManager.getConnections(peer).length === 0) {
          await peerStore.merge(peer, { multiaddrs, tags: TAGS })
          await connectionManager.openConnection(peer, { signal: AbortSignal.any([signal, AbortSignal.timeout(ATTEMPT_MS)]) })
        }
        failures = 0
      } catch (thrown) {
        failures += 1
        this.#log('the first node %p does not answer - %e', peer, thrown)
      }
      const wait = failures === 0 ? LOOK_MS : Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), MOST_PAUSE_MS)
      await pause(wait, signal)
    }
  }
}

function byPeer(addresses: readonly string[]): Map<string, Multiaddr[]> {
  const peers = new Map<string, Multiaddr[]>()
  for (const text of addresses) {
    const address = multiaddr(text)
    const id = address.getComponents().findLast(({ name }) => name === 'p2p')?.value
    if (id !== undefined) peers.set(id, [...(peers.get(id) ?? []), address])
  }
  return peers
}
