/** The DHT as this network uses it, and whether it has anybody to ask. */
import { type KadDHT, type KadDHTInit, passthroughMapper, type SingleKadDHT } from '@libp2p/kad-dht'

export const DHT_PROTOCOL = '/tallystick/kad/1.0.0'

const SECOND_MS = 1_000
const HOUR_MS = 3_600_000

/** Who looks for its neighbours waits for this long, so that nodes that are started together do not all do it together. */
const NEIGHBOURS_AFTER_MS = 2 * SECOND_MS
const NEIGHBOURS_SPREAD_MS = 8 * SECOND_MS

/** Records that are not announced again are forgotten after this. Who is alive announces every hour. @see Market */
const RECORD_LIFE_MS = 3 * HOUR_MS

export interface DhtInit {
  /**
   * `serves`: answers others, and is in their tables. `asks`: only asks. `serves-when-public`: only asks until others have found that
   * it can be dialled, for a table full of peers that nobody can dial slows every search down.
   */
  readonly role: 'serves' | 'asks' | 'serves-when-public'
}

/**
 * Settings of the DHT, the same for every node.
 *
 * A lookup asks the `kBucketSize` peers next to a key, each answers with as many peers, and each of these is dialled to see whether it
 * is alive: what a lookup costs grows with the square of it. The keys of our peers are secp256k1, and to check one takes twenty times as
 * long as for the usual Ed25519. Ten copies of a record, announced again every hour, are enough (Mainline has eight).
 */
export function dhtInit({ role }: DhtInit): KadDHTInit {
  return {
    protocol: DHT_PROTOCOL,
    ...(role !== 'serves-when-public' && { clientMode: role === 'asks' }),
    // our peers are wherever they say they are, private addresses included
    peerInfoMapper: passthroughMapper,
    kBucketSize: 10,
    alpha: 5,
    disjointPaths: 2,
    // Otherwise all calls wait until the first search for neighbours has ended; `DhtPeers` waits for the first peer instead.
    allowQueryWithZeroPeers: true,
    initialQuerySelfInterval: NEIGHBOURS_AFTER_MS + Math.random() * NEIGHBOURS_SPREAD_MS,
    querySelfInterval: 120 * SECOND_MS,
    // in the background: a search must not wait for it
    routingTableUpdateQueueConcurrency: 3,
    // an answer takes some round trips; a peer that is gone must not hold up a lookup for longer
    networkDialTimeout: { minTimeout: 3 * SECOND_MS, maxTimeout: 6 * SECOND_MS },
    reprovide: { validity: RECORD_LIFE_MS, threshold: 0 },
  }
}

/** The peers in the routing table. */
export class DhtPeers {
  readonly #table: SingleKadDHT['routingTable'] & EventTarget

  constructor(dht: KadDHT) {
    // kadDHT() makes a DHT with a table that tells of its peers, though its types do not say so
    this.#table = (dht as SingleKadDHT).routingTable as SingleKadDHT['routingTable'] & EventTarget
  }

  get count(): number {
    return this.#table.size
  }

  /** Resolves when there is one, at once if there is; or when the signal says so. */
  async some(signal: AbortSignal): Promise<void> {
    if (this.count > 0 || signal.aborted) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#table.removeEventListener('peer:add', done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#table.addEventListener('peer:add', done)
      signal.addEventListener('abort', done)
    })
  }
}
