/** Public addresses that a node listens on are told to others from its start. */
import type { Libp2pEvents, Startable, TypedEventTarget } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { isPublic, isRelayed } from './reach.ts'

interface Components {
  readonly events: TypedEventTarget<Libp2pEvents>
  readonly transportManager: { getAddrs(): Multiaddr[] }
  readonly addressManager: { confirmObservedAddr(address: Multiaddr, options: { type: 'transport' }): void }
}

/**
 * Makes the service, for the `services` of a libp2p node. By itself libp2p hides a public address until others have dialled it back, and
 * the first node of a network has no others. What AutoNAT finds to be closed later on is hidden again.
 */
export function ownAddresses(): (components: Components) => Startable {
  return ({ events, transportManager, addressManager }) => {
    const told = new Set<string>()
    const tell = (): void => {
      for (const address of transportManager.getAddrs()) {
        if (isRelayed(address) || !isPublic(address) || told.has(address.toString())) continue
        told.add(address.toString())
        addressManager.confirmObservedAddr(address, { type: 'transport' })
      }
    }
    return {
      start: () => events.addEventListener('transport:listening', tell),
      stop: () => events.removeEventListener('transport:listening', tell),
    }
  }
}
