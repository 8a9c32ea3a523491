/**
 * Finding and being found: providers announce their services on the DHT, consumers ask the providers they find for signed offers.
 * A record of the DHT proves nothing; only the signed offer counts.
 * @see protocols/offer/SPEC.md
 */
import type { ContentRouting, Libp2p, PeerId } from '@libp2p/interface'
import type { OfferService } from '../../protocols/offer/service.ts'
import { addressOfPeer } from '../../protocols/peer-identity.ts'
import type { Domain } from '../core/eip712.ts'
import { asTallyError, TallyError } from '../core/errors.ts'
import type { Address } from '../core/ids.ts'
import { checkOffer, type Offer, type SignedOffer } from '../core/offer.ts'
import type { Clock } from '../ports/clock.ts'
import type { DhtPeers } from './dht.ts'
import { pause } from './pause.ts'
import { discoveryCid } from './service-cid.ts'

export interface Found {
  readonly peer: PeerId
  readonly provider: Address
  readonly offer: Offer
  /** how long the provider took to answer, ms */
  readonly tookMs: number
}

export interface MarketComponents {
  readonly routing: Pick<ContentRouting, 'provide' | 'findProviders' | 'cancelReprovide'>
  /** the peers in the DHT that can be asked */
  readonly dht: Pick<DhtPeers, 'count' | 'some'>
  readonly peers: Libp2p['peerStore']
  readonly self: PeerId
  readonly offers: OfferService
  readonly clock: Clock
  readonly log: { debug(fields: object, text: string): void; info(fields: object, text: string): void }
}

export interface MarketInit {
  readonly domain: Domain
  /** the tokens that this node pays with: an offer can only choose among them */
  readonly tokens: readonly Address[]
  /** it knows a first node: a search waits until it is connected. Without one, only what comes by itself is searched */
  readonly joins: boolean
}

interface Options {
  readonly signal?: AbortSignal
}

/** What is announced, and searched for. */
interface Topic {
  readonly what: 'service' | 'kind'
  readonly name: string
}

/** how long one provider may take to answer with its offers, ms */
const ASK_MS = 5_000
/** at most this many providers of one name are asked: anybody can announce any name, so a few liars must not be all that is heard */
const MAX_ASKED = 200
/** and this many at the same time */
const ASKED_AT_ONCE = 20
/** addresses that are believed of one record of the DHT */
const MAX_ADDRESSES = 16
/** how long a search may take, ms: without a single peer the DHT would wait for ever */
const FIND_MS = 30_000
/** for this long after its start a node that finds nobody searches again, after this pause, ms */
const SETTLING_MS = 5_000
const SETTLING_PAUSE_MS = 300
/** how long an announcement that failed waits before the next try, ms */
const RETRY_MS = 2_000
/**
 * When to announce again, ms: soon at first, because a node that has just joined knows few of the peers that should hold its records,
 * then every hour. Records of the DHT last 3 h.
 */
const AGAIN_MS = [30_000, 120_000, 600_000, 3_600_000] as const

export class Market {
  readonly #components: MarketComponents
  readonly #init: MarketInit
  /** what is announced, by service */
  readonly #announced = new Map<string, readonly Topic[]>()
  readonly #loops = new Map<string, AbortController>()
  /** some search has found somebody: the DHT answers, and a no of it is one */
  #settled = false
  /** aborted when the addresses change */
  #moved = new AbortController()
  #addresses = ''
  readonly #madeMs: number

  constructor(components: MarketComponents, init: MarketInit) {
    this.#components = components
    this.#madeMs = components.clock.nowMs()
    this.#init = init
  }

  /** Announces a service, and keeps on announcing it until it is withdrawn. Never throws: a DHT without peers is tried again. */
  announce({ service, kind }: Pick<Offer, 'service' | 'kind'>): void {
    this.#announced.set(service, [
      { what: 'service', name: service },
      { what: 'kind', name: kind },
    ])
    this.#follow()
  }

  /** Announces what this node does for others beside its services, under the name of a kind. */
  announceRole(role: string): void {
    this.#announced.set(`role ${role}`, [{ what: 'kind', name: role }])
    this.#follow()
  }

  /** The peers that the DHT names under a kind, each once, as they are found; searched until there is one. Nothing of them is checked. Ends quietly when the signal says so. */
  async *peersOf(role: string, options: Options = {}): AsyncGenerator<PeerId> {
    const { routing, peers, self } = this.#components
    const seen = new Set<string>()
    const signal = options.signal ?? AbortSignal.timeout(FIND_MS)
    do {
      try {
        for await (const { id, multiaddrs } of routing.findProviders(await discoveryCid('kind', role), { signal })) {
          if (seen.has(id.toString()) || id.equals(self)) continue
          seen.add(id.toString())
          if (multiaddrs.length > 0) await peers.merge(id, { multiaddrs: multiaddrs.slice(0, MAX_ADDRESSES) })
          yield id
        }
      } catch (thrown) {
        if (!signal.aborted) this.#components.log.debug({ role, err: String(thrown) }, 'the DHT could not be searched to the end')
      }
      if (seen.size === 0) await pause(SETTLING_PAUSE_MS, signal)
    } while (seen.size === 0 && !signal.aborted)
  }

  /** Others forget it within 3 h; whoever asks this node hears at once that it is gone. */
  withdraw(service: string): void {
    this.#announced.delete(service)
    this.#follow()
  }

  /** This node is reached elsewhere now: what was announced is announced again, when its addresses are others than at the last time. */
  readdress(addresses: string): void {
    if (this.#addresses === addresses) return
    this.#addresses = addresses
    this.#moved.abort()
    this.#moved = new AbortController()
  }

  stop(): void {
    for (const loop of this.#loops.values()) loop.abort()
    this.#loops.clear()
    this.#announced.clear()
  }

  /** One loop for each name and each kind that some service has. */
  #follow(): void {
    const wanted = new Map([...this.#announced.values()].flat().map((topic) => [`${topic.what}:${topic.name}`, topic]))
    for (const [key, loop] of this.#loops) {
      if (wanted.has(key)) continue
      loop.abort()
      this.#loops.delete(key)
    }
    for (const [key, topic] of wanted) {
      if (this.#loops.has(key)) continue
      const loop = new AbortController()
      this.#loops.set(key, loop)
      void this.#announceLoop(topic, loop.signal).finally(() => {
        // what stays in the DHT's own list would be announced by it for ever
        if (!this.#loops.has(key)) void this.#forget(topic)
      })
    }
  }

  /**
   * The checked offers of whoever the DHT names, in the order in which the providers answer. Providers that do not answer, or not
   * properly, are left out. Ends when the DHT knows no more, after 30 s, or quietly when the signal says so; or stop iterating.
   */
  async *find(what: 'service' | 'kind', name: string, options: Options = {}): AsyncGenerator<Found> {
    const stop = new AbortController()
    const limits = [stop.signal, AbortSignal.timeout(FIND_MS), ...(options.signal === undefined ? [] : [options.signal])]
    const signal = AbortSignal.any(limits)
    const answers: Found[] = []
    let news = Promise.withResolvers<void>()
    let searching = true
    const search = this.#searchWell(what, name, signal, (found) => {
      answers.push(...found)
      news.resolve()
    }).finally(() => {
      searching = false
      news.resolve()
    })
    try {
      while (searching || answers.length > 0) {
        const next = answers.shift()
        if (next !== undefined) yield next
        else await news.promise.then(() => (news = Promise.withResolvers<void>()))
      }
    } finally {
      stop.abort()
      await search
    }
  }

  /** A node that has just started knows few peers, and those know few others: it does not take the first no for an answer. */
  async #searchWell(
    what: 'service' | 'kind',
    name: string,
    signal: AbortSignal,
    tell: (found: readonly Found[]) => void,
  ): Promise<void> {
    if (this.#init.joins) await this.#components.dht.some(signal)
    if (signal.aborted) return
    const note = (found: readonly Found[]): void => {
      this.#settled ||= found.length > 0
      tell(found)
    }
    await this.#search(what, name, signal, note)
    while (!this.#settled && !signal.aborted && this.#components.clock.nowMs() - this.#madeMs < SETTLING_MS) {
      await pause(SETTLING_PAUSE_MS, signal)
      if (!signal.aborted) await this.#search(what, name, signal, note)
    }
  }

  async #search(
    what: 'service' | 'kind',
    name: string,
    signal: AbortSignal,
    tell: (found: readonly Found[]) => void,
  ): Promise<void> {
    const asked = new Set<string>()
    const asking = new Set<Promise<void>>()
    try {
      for await (const { id, multiaddrs } of this.#components.routing.findProviders(await discoveryCid(what, name), { signal })) {
        if (asked.has(id.toString()) || id.equals(this.#components.self)) continue
        if (asked.size >= MAX_ASKED || signal.aborted) break
        asked.add(id.toString())
        if (multiaddrs.length > 0) await this.#components.peers.merge(id, { multiaddrs: multiaddrs.slice(0, MAX_ADDRESSES) })
        const kind = what === 'kind' ? name : undefined
        const one: Promise<void> = this.#ask(id, what === 'service' ? name : '', kind, { signal }).then((found) => {
          asking.delete(one)
          tell(found)
        })
        asking.add(one)
        if (asking.size >= ASKED_AT_ONCE) await Promise.race(asking)
      }
    } catch (thrown) {
      if (!signal.aborted)
        this.#components.log.debug({ [what]: name, err: String(thrown) }, 'the DHT could not be searched to the end')
    }
    await Promise.all(asking)
  }

  /** One provider's checked offers. @throws PEER_UNREACHABLE, UNSUPPORTED, OFFER_*; those that do not check are left out unless all of them */
  async offersOf(peer: PeerId, service: string, options: Options = {}): Promise<Found[]> {
    const started = this.#components.clock.nowMs()
    const signed = await this.#components.offers.fetchOffers(peer, service, options)
    const provider = addressOfPeer(peer)
    const tookMs = this.#components.clock.nowMs() - started
    const found: Found[] = []
    let flaw: TallyError | undefined
    for (const one of signed) {
      try {
        found.push({ peer, provider, offer: this.#check(one, provider), tookMs })
      } catch (thrown) {
        flaw = asTallyError(thrown)
      }
    }
    if (found.length === 0 && flaw !== undefined) throw flaw
    return found
  }

  #check(signed: SignedOffer, provider: Address): Offer {
    checkOffer(this.#init.domain, signed, { provider, now: this.#components.clock.nowS(), token: this.#init.tokens })
    return signed.offer
  }

  async #ask(peer: PeerId, service: string, kind: string | undefined, options: Options): Promise<readonly Found[]> {
    try {
      const signals = [AbortSignal.timeout(ASK_MS), ...(options.signal === undefined ? [] : [options.signal])]
      const found = await this.offersOf(peer, service, { signal: AbortSignal.any(signals) })
      return found.filter(({ offer }) => (kind === undefined ? offer.service === service : offer.kind === kind))
    } catch (thrown) {
      if (options.signal?.aborted === true) return []
      this.#components.log.debug({ peer: peer.toString(), err: asTallyError(thrown).code }, 'a provider gave no offer')
      return []
    }
  }

  async #announceLoop({ what, name }: Topic, signal: AbortSignal): Promise<void> {
    const { routing, dht, log } = this.#components
    const cid = await discoveryCid(what, name)
    for (let round = 0; !signal.aborted; ) {
      let wait: number = RETRY_MS
      const again = AbortSignal.any([signal, this.#moved.signal])
      const heard = dht.count > 0
      try {
        // without anybody to tell, it is at least known to whoever asks this node
        await routing.provide(cid, { signal })
        if (heard) wait = AGAIN_MS[Math.min(round++, AGAIN_MS.length - 1)] ?? RETRY_MS
        if (heard && round === 1) log.info({ [what]: name }, 'announced on the DHT')
      } catch (thrown) {
        if (!signal.aborted) log.debug({ [what]: name, err: String(thrown) }, 'not announced yet')
      }
      if (heard) await pause(wait, again)
      else await dht.some(signal)
    }
  }

  async #forget({ what, name }: Topic): Promise<void> {
    await this.#components.routing.cancelReprovide(await discoveryCid(what, name)).catch(() => undefined)
  }
}

export function noOffer(name: string): TallyError {
  return new TallyError('OFFER_NOT_FOUND', {
    message: `no provider of "${name}" was found`,
    hint: 'check the name and the bootstrap address; a new provider needs a few seconds to be seen',
    fields: { service: name },
  })
}
