/** For a node that cannot be dialled: it asks relays that it meets to pass connections on to it. */

import { RELAY_V2_HOP_CODEC } from '@libp2p/circuit-relay-v2'
import type { ComponentLogger, Connection, Logger, PeerId, Startable, Topology } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'

/** when one relay goes, the other is there */
const WANTED = 2

interface Components {
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

  constructor(components: Components) {
    this.#components = components
    this.#log = components.logger.forComponent('tallystick:relays')
  }

  async start(): Promise<void> {
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
    if (this.#topology !== undefined) this.#components.registrar.unregister(this.#topology)
    this.#topology = undefined
    this.#met.clear()
    this.#used.clear()
  }

  #ask(): void {
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
      // full, or not willing: another one is asked, this one again when it is met again
      this.#used.delete(id)
      this.#met.delete(id)
      this.#ask()
    }
  }
}
