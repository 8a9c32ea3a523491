/** The libp2p node under a Tallystick node: one place for transports, limits and the DHT. */
import { networkInterfaces } from 'node:os'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { autoNAT } from '@libp2p/autonat'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { dcutr } from '@libp2p/dcutr'
import { type Identify, identify, identifyPush } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { type KadDHT, kadDHT } from '@libp2p/kad-dht'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { createLibp2p } from 'libp2p'
import { type DataService, type DataServiceInit, dataService } from '../../protocols/data/service.ts'
import { MAX_STREAM_WINDOW_BYTES } from '../../protocols/framing/inlet.ts'
import { type OfferService, type OfferServiceInit, offerService } from '../../protocols/offer/service.ts'
import { libp2pKey } from '../../protocols/peer-identity.ts'
import { type RelayService, type RelayServiceInit, relayService } from '../../protocols/relay/service.ts'
import { type SessionService, type SessionServiceInit, sessionService } from '../../protocols/session/service.ts'
import { firstNodes } from '../discovery/bootstrap.ts'
import { dhtInit } from '../discovery/dht.ts'
import { ownAddresses } from '../discovery/own-addresses.ts'
import { dialOrder, type Interface, type Situation, situationOf } from '../discovery/reach.ts'
import { NO_RELAY_SEARCH, relays } from '../discovery/relays.ts'
import { DEFAULTS } from './config-schema.ts'
import { noiseCrypto } from './noise-crypto.ts'
import type { ReachOptions } from './options.ts'

/**
 * The connection monitor and the DHT both ping, on the same protocol. By default there may be one ping at a time, and the second one,
 * though nothing is wrong, makes the monitor cut the connection with all that is on it.
 */
export const PING_STREAMS = { maxInboundStreams: 16, maxOutboundStreams: 16 }

/** Peers behind NATs that a relay serves at the same time. */
const MAX_RELAYED_PEERS = 128
/** How long a connection through a relay may last, ms; sessions go on over the next one. */
const RELAYED_MS = 3_600_000
const MIB = 1n << 20n

export interface NetworkInit {
  readonly privateKey: Uint8Array
  /** multiaddrs; none = this node only dials, and only asks the DHT */
  readonly listen: readonly string[]
  /** further addresses that others are told, for ports that are forwarded to this node. @default [] */
  readonly announce?: readonly string[]
  readonly bootstrap: readonly string[]
  /** @default DEFAULTS.reach without mDNS */
  readonly reach?: ReachOptions
  readonly session: SessionServiceInit
  readonly data: DataServiceInit
  readonly offer: OfferServiceInit
  /** @default this node is no relay */
  readonly gasRelay?: RelayServiceInit
}

export type Network = Libp2p<{
  identify: Identify
  ping: Ping
  dht: KadDHT
  session: SessionService
  data: DataService
  offer: OfferService
  gasRelay: RelayService
}>

/** Starts listening at once. @throws what libp2p throws when an address cannot be listened on */
export async function createNetwork(init: NetworkInit): Promise<Network> {
  const { listen, announce = [], bootstrap } = init
  // a library does not speak to the local network unasked
  const reach = { ...DEFAULTS.reach, mdns: 'off' as const, ...init.reach }
  const situation = situationOf({ listen, announce, bootstrap }, interfaces())
  return await createLibp2p({
    privateKey: libp2pKey(init.privateKey),
    addresses: { listen: [...listen], appendAnnounce: [...announce] },
    transports: [tcp(), webSockets(), circuitRelayTransport({ discoveryFilter: NO_RELAY_SEARCH })],
    connectionEncrypters: [noise({ crypto: noiseCrypto })],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: MAX_STREAM_WINDOW_BYTES } })],
    connectionManager: {
      maxConnections: 1000,
      inboundConnectionThreshold: 100,
      maxIncomingPendingConnections: 100,
      // addresses are tried one after the other: one where nobody answers must leave time for the next
      addressDialTimeout: 3_000,
      addressSorter: dialOrder(interfaces()),
    },
    // a dead peer is noticed within seconds; without this, never
    connectionMonitor: { pingInterval: 4000, pingTimeout: { minTimeout: 8000, maxTimeout: 12_000 } },
    // our peers are wherever they say they are, private addresses included
    connectionGater: { denyDialMultiaddr: () => false },
    peerDiscovery: await localDiscovery(reach, bootstrap.length > 0),
    services: {
      identify: identify(),
      ping: ping(PING_STREAMS),
      dht: kadDHT(dhtInit({ role: ROLES[situation] })),
      firstNodes: firstNodes(bootstrap),
      session: sessionService(init.session),
      data: dataService(init.data),
      offer: offerService(init.offer),
      gasRelay: relayService(init.gasRelay ?? {}),
      ...(situation !== 'buys' && {
        identifyPush: identifyPush(),
        autoNat: autoNAT(),
        dcutr: dcutr(),
        ownAddresses: ownAddresses(),
      }),
      ...((situation === 'behind-nat' || situation === 'public') && { relays: relays() }),
      ...(isRelay(reach, situation) && { relay: relayServer(reach) }),
      ...(reach.upnp && situation === 'behind-nat' && { upnp: await portForwarding() }),
    },
  })
}

const ROLES = { buys: 'asks', public: 'serves', local: 'serves', 'behind-nat': 'serves-when-public' } as const

function isRelay({ relay }: Required<ReachOptions>, situation: Situation): boolean {
  return relay === 'on' ? situation !== 'buys' : relay === 'auto' && situation === 'public'
}

function relayServer({ relayMib }: Required<ReachOptions>) {
  const reservations = {
    maxReservations: MAX_RELAYED_PEERS,
    defaultDataLimit: BigInt(relayMib) * MIB,
    defaultDurationLimit: RELAYED_MS,
  }
  return circuitRelayServer({ reservations, maxInboundHopStreams: 256, maxOutboundStopStreams: 1024 })
}

async function localDiscovery({ mdns: wanted }: Required<ReachOptions>, knowsFirstNodes: boolean) {
  if (wanted === 'off' || (wanted === 'auto' && knowsFirstNodes)) return []
  const { localNetwork } = await import('../discovery/local-network.ts')
  return [localNetwork()]
}

async function portForwarding() {
  const { uPnPNAT } = await import('@libp2p/upnp-nat')
  return uPnPNAT({ portMappingDescription: 'tallystick' })
}

function interfaces(): readonly Interface[] {
  return Object.values(networkInterfaces()).flatMap((some) => some ?? [])
}
