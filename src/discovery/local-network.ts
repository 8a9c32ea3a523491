/** Peers of the local network are met by mDNS, and dialled while there are few others. */
import type { AbortOptions, PeerDiscovery, PeerId, PeerInfo } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import type { Multiaddr } from '@multiformats/multiaddr'
import { ENOUGH_PEERS } from './bootstrap.ts'

/** of this network alone: other libp2p programs are none of our business */
const SERVICE_TAG = '_tallystick._udp.local'
const DIAL_MS = 10_000

type Components = Parameters<ReturnType<typeof mdns>>[0] & {
  readonly peerStore: { merge(peer: PeerId, data: { multiaddrs: Multiaddr[] }): Promise<unknown> }
  readonly connectionManager: {
    getConnectionsMap(): { readonly size: number }
    openConnection(peer: PeerId, options: AbortOptions): Promise<unknown>
  }
}

/** Makes the discovery, for the `peerDiscovery` of a libp2p node, which by itself only notes whom it finds. */
export function localNetwork(): (components: Components) => PeerDiscovery {
  return (components) => {
    const { peerStore, connectionManager, logger } = components
    const log = logger.forComponent('tallystick:local-network')
    const discovery = mdns({ serviceTag: SERVICE_TAG })(components)
    const meet = async ({ id, multiaddrs }: PeerInfo): Promise<void> => {
      if (connectionManager.getConnectionsMap().size >= ENOUGH_PEERS) return
      await peerStore.merge(id, { multiaddrs })
      await connectionManager.openConnection(id, { signal: AbortSignal.timeout(DIAL_MS) })
    }
    discovery.addEventListener('peer', ({ detail }) => {
      meet(detail).catch((thrown: unknown) => log('the neighbour %p does not answer - %e', detail.id, thrown))
    })
    return discovery
  }
}
