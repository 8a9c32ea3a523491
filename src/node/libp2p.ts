/** The libp2p node under a Tallystick node: one place for transports, limits and the DHT. */
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { bootstrap } from '@libp2p/bootstrap'
import { type Identify, identify } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { type KadDHT, kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'
import { type DataService, type DataServiceInit, dataService } from '../../protocols/data/service.ts'
import { MAX_STREAM_WINDOW_BYTES } from '../../protocols/framing/inlet.ts'
import { type OfferService, type OfferServiceInit, offerService } from '../../protocols/offer/service.ts'
import { libp2pKey } from '../../protocols/peer-identity.ts'
import { type RelayService, type RelayServiceInit, relayService } from '../../protocols/relay/service.ts'
import { type SessionService, type SessionServiceInit, sessionService } from '../../protocols/session/service.ts'
import { noiseCrypto } from './noise-crypto.ts'

export const DHT_PROTOCOL = '/tallystick/kad/1.0.0'

export interface NetworkInit {
  readonly privateKey: Uint8Array
  /** multiaddrs; none = this node only dials, and only asks the DHT */
  readonly listen: readonly string[]
  readonly bootstrap: readonly string[]
  readonly session: SessionServiceInit
  readonly data: DataServiceInit
  readonly offer: OfferServiceInit
  /** @default this node is no relay */
  readonly relay?: RelayServiceInit
}

export type Network = Libp2p<{
  identify: Identify
  ping: Ping
  dht: KadDHT
  session: SessionService
  data: DataService
  offer: OfferService
  relay: RelayService
}>

/** Starts listening at once. @throws what libp2p throws when an address cannot be listened on */
export async function createNetwork(init: NetworkInit): Promise<Network> {
  const serves = init.listen.length > 0
  return await createLibp2p({
    privateKey: libp2pKey(init.privateKey),
    addresses: { listen: [...init.listen] },
    transports: [tcp()],
    connectionEncrypters: [noise({ crypto: noiseCrypto })],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: MAX_STREAM_WINDOW_BYTES } })],
    connectionManager: { maxConnections: 1000, inboundConnectionThreshold: 100, maxIncomingPendingConnections: 100 },
    // a dead peer is noticed within seconds; without this, never
    connectionMonitor: { pingInterval: 4000, pingTimeout: { minTimeout: 5000, maxTimeout: 10_000 } },
    // our peers are wherever they say they are, private addresses included
    connectionGater: { denyDialMultiaddr: () => false },
    peerDiscovery: init.bootstrap.length > 0 ? [bootstrap({ list: [...init.bootstrap], timeout: 0 })] : [],
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: DHT_PROTOCOL,
        clientMode: !serves,
        peerInfoMapper: passthroughMapper,
        initialQuerySelfInterval: 200,
        querySelfInterval: 60_000,
        // the first node of a network has nobody to ask
        allowQueryWithZeroPeers: init.bootstrap.length === 0,
      }),
      session: sessionService(init.session),
      data: dataService(init.data),
      offer: offerService(init.offer),
      relay: relayService(init.relay ?? {}),
    },
  })
}
