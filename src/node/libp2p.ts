/** The libp2p node under a Tallystick node: one place for transports, limits and the DHT. */
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { type Identify, identify } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { type KadDHT, kadDHT } from '@libp2p/kad-dht'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'
import { type DataService, type DataServiceInit, dataService } from '../../protocols/data/service.ts'
import { MAX_STREAM_WINDOW_BYTES } from '../../protocols/framing/inlet.ts'
import { type OfferService, type OfferServiceInit, offerService } from '../../protocols/offer/service.ts'
import { libp2pKey } from '../../protocols/peer-identity.ts'
import { type SessionService, type SessionServiceInit, sessionService } from '../../protocols/session/service.ts'
import { firstNodes } from '../discovery/bootstrap.ts'
import { dhtInit } from '../discovery/dht.ts'
import { noiseCrypto } from './noise-crypto.ts'

/**
 * The connection monitor and the DHT both ping, on the same protocol. By default there may be one ping at a time, and the second one,
 * though nothing is wrong, makes the monitor cut the connection with all that is on it.
 */
export const PING_STREAMS = { maxInboundStreams: 16, maxOutboundStreams: 16 }

export interface NetworkInit {
  readonly privateKey: Uint8Array
  /** multiaddrs; none = this node only dials, and only asks the DHT */
  readonly listen: readonly string[]
  readonly bootstrap: readonly string[]
  readonly session: SessionServiceInit
  readonly data: DataServiceInit
  readonly offer: OfferServiceInit
}

export type Network = Libp2p<{
  identify: Identify
  ping: Ping
  dht: KadDHT
  session: SessionService
  data: DataService
  offer: OfferService
}>

/** Starts listening at once. @throws what libp2p throws when an address cannot be listened on */
export async function createNetwork(init: NetworkInit): Promise<Network> {
  return await createLibp2p({
    privateKey: libp2pKey(init.privateKey),
    addresses: { listen: [...init.listen] },
    transports: [tcp()],
    connectionEncrypters: [noise({ crypto: noiseCrypto })],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: MAX_STREAM_WINDOW_BYTES } })],
    connectionManager: { maxConnections: 1000, inboundConnectionThreshold: 100, maxIncomingPendingConnections: 100 },
    // a dead peer is noticed within seconds; without this, never
    connectionMonitor: { pingInterval: 4000, pingTimeout: { minTimeout: 8000, maxTimeout: 12_000 } },
    // our peers are wherever they say they are, private addresses included
    connectionGater: { denyDialMultiaddr: () => false },
    services: {
      identify: identify(),
      ping: ping(PING_STREAMS),
      dht: kadDHT(dhtInit({ serves: init.listen.length > 0 })),
      firstNodes: firstNodes(init.bootstrap),
      session: sessionService(init.session),
      data: dataService(init.data),
      offer: offerService(init.offer),
    },
  })
}
