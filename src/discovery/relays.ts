/** For a node that cannot be dialled: it asks relays that it meets to pass connections on to it. */

import { RELAY_V2_HOP_CODEC } from '@libp2p/circuit-relay-v2'
import type {
  ComponentLogger,
  Connection,
  Libp2pEvents,
  Logger,
  PeerId,
  Startable,
  Topology,
  TopologyFilter,
  TypedEventTarget,
} from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { pause } from './pause.ts'
import { isPublic, isRelayed } from './reach.ts'

/** when one relay goes, the other is there */
const WANTED = 2

/** how long a relay that refused is left alone, ms */
const AGAIN_MS = 30_000

/** The transport's own search for relays must see none: it would ask them before this node does, and refuse them as not needed. */
export const NO_RELAY_SEARCH: TopologyFilter = { has: () => true, add: () => undefined, remove: () => undefined }

interface Components {
  readonly events: TypedEventTarget<Libp2pEvents>
  readonly addressManager: { getAddresses(): Multiaddr[] }
  readonly registrar: {
    register(protocol: string, topology: Topology): Promise<string>
    unregister(id: string): void
  }
  readonly transportManager: { listen(addresses: Multiaddr[]): Promise<void> }
  readonly connectionManager: { getConnections(peer: PeerId): Connection[] }
  readonly logger: ComponentLogger
}

/**
 * Makes the service, for the `services` of a libp2p node. Relays are the peers that it is connected to and that say that they are one: the
 * first nodes, as a rule. Unlike a search for `/p2p-circuit` it walks no DHT to meet more of them.
 * As long as it has a public address of its own it needs none.
 */
export function relays(): (components: Components) => Startable {
  return (components) => new Relays(components)
}

class Relays implements Startable {
  readonly #components: Components
  readonly #log: Logger
  /** peers that are relays, in the order in which they were met */
  readonly #met = new Map<string, PeerId>()
  /** those that pass connections on to this node, or are being asked to */
  readonly #used = new Set<string>()
  #topology: string | undefined
  #stop = new AbortController()

  constructor(components: Components) {
    this.#components = components
    this.#log = components.logger.forComponent('tallystick:relays')
  }

  async start(): Promise<void> {
    this.#stop = new AbortController()
    this.#components.events.addEventListener('self:peer:update', this.#ask)
    this.#topology = await this.#components.registrar.register(RELAY_V2_HOP_CODEC, {
      onConnect: (peer) => {
        this.#met.set(peer.toString(), peer)
        this.#ask()
      },
      onDisconnect: (peer) => {
        this.#met.delete(peer.toString())
        this.#used.delete(peer.toString())
        this.#ask()
      },
    })
  }

  stop(): void {
    this.#stop.abort()
    this.#components.events.removeEventListener('self:peer:update', this.#ask)
    if (this.#topology !== undefined) this.#components.registrar.unregister(this.#topology)
    this.#topology = undefined
    this.#met.clear()
    this.#used.clear()
  }

  readonly #ask = (): void => {
    if (this.#components.addressManager.getAddresses().some((one) => isPublic(one) && !isRelayed(one))) return
    for (const [id, peer] of this.#met) {
      if (this.#used.size >= WANTED) return
      if (this.#used.has(id)) continue
      const direct = this.#components.connectionManager.getConnections(peer).find(({ limits }) => limits === undefined)
      if (direct === undefined) continue
      this.#used.add(id)
      void this.#listen(id, direct.remoteAddr)
    }
  }

  async #listen(id: string, address: Multiaddr): Promise<void> {
    const whole = address.getComponents().some(({ name }) => name === 'p2p') ? address : address.encapsulate(`/p2p/${id}`)
    try {
      await this.#components.transportManager.listen([multiaddr(`${whole}/p2p-circuit`)])
    } catch (thrown) {
      this.#log('the relay %s passes nothing on to this node - %e', id, thrown)
      // full, or not willing: another one is asked, and this one again later
      const peer = this.#met.get(id)
      this.#used.delete(id)
      this.#met.delete(id)
      this.#ask()
      await pause(AGAIN_MS, this.#stop.signal)
      if (peer === undefined || this.#stop.signal.aborted || this.#components.connectionManager.getConnections(peer).length === 0)
        return
      this.#met.set(id, peer)
      this.#ask()
    }
  }
}
