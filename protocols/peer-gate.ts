import { type RateLimit, type RateLimiter, rateLimiter } from './framing/rate-limiter.ts'

interface PeerGateInit extends RateLimit {
  /** Streams of one peer that may be open at the same time. @default no limit */
  readonly maxOpen?: number
  /** Peers remembered at most; the one that was quiet for longest is forgotten first. @default 4096 */
  readonly maxPeers?: number
}

interface Entry {
  readonly limiter: RateLimiter
  open: number
}

/**
 * Who may open a stream: a rate and a number at once for each peer, whatever number of connections it uses. It lives as long as
 * the service, so a peer that reconnects does not start anew. Its memory is bounded.
 */
export class PeerGate {
  readonly #init: PeerGateInit
  /** In the order of the last visit. */
  readonly #peers = new Map<string, Entry>()

  constructor(init: PeerGateInit) {
    this.#init = init
  }

  /** Peers remembered now. */
  get size(): number {
    return this.#peers.size
  }

  /** Lets one stream of `peer` in, and gives the function to call once when it ends; undefined when a limit is reached. */
  enter(peer: string, nowMs: number): (() => void) | undefined {
    const entry = this.#visit(peer, nowMs)
    if (entry.open >= (this.#init.maxOpen ?? Number.POSITIVE_INFINITY)) return undefined
    if (!entry.limiter.take(nowMs)) return undefined
    entry.open += 1
    return () => {
      entry.open -= 1
    }
  }

  #visit(peer: string, nowMs: number): Entry {
    const known = this.#peers.get(peer)
    const { perSecond, burst } = this.#init
    const entry = known ?? { limiter: rateLimiter({ perSecond, burst, nowMs }), open: 0 }
    if (known !== undefined) this.#peers.delete(peer)
    else if (this.#peers.size >= (this.#init.maxPeers ?? 4096)) this.#forgetOne()
    this.#peers.set(peer, entry)
    return entry
  }

  /** A peer with open streams is kept where there is another choice, because its count would be lost. */
  #forgetOne(): void {
    let victim: string | undefined
    for (const [peer, entry] of this.#peers) {
      victim ??= peer
      if (entry.open > 0) continue
      victim = peer
      break
    }
    if (victim !== undefined) this.#peers.delete(victim)
  }
}
