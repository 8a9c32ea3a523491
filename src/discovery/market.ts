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
import { discoveryCid } from './service-cid.ts'

export interface Found {
  readonly peer: PeerId
  readonly provider: Address
  readonly offer: Offer
  /** how long the provider took to answer, ms */
  readonly tookMs: number
}

export interface MarketComponents {
  readonly routing: Pick<ContentRouting, 'provide' | 'findProviders'>
  readonly peers: Libp2p['peerStore']
  readonly self: PeerId
  readonly offers: OfferService
  /** how many peers this node is connected to */
  readonly connected: () => number
  readonly clock: Clock
  readonly log: { debug(fields: object, text: string): void; info(fields: object, text: string): void }
}

export interface MarketInit {
  readonly domain: Domain
  /** the tokens that this node pays with: an offer can only choose among them */
  readonly tokens: readonly Address[]
}

interface Options {
  readonly signal?: AbortSignal
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
/** how long an announcement that failed, or that nobody could hear, waits before the next try, ms */
const RETRY_MS = 2_000
/**
 * When to announce again, ms: soon at first, because a node that has just joined knows few of the peers that should hold its records,
 * then every hour. Records of the DHT last 48 h.
 */
const AGAIN_MS = [30_000, 120_000, 600_000, 3_600_000] as const

export class Market {
  readonly #components: MarketComponents
  readonly #init: MarketInit
  readonly #announcements = new Map<string, AbortController>()
  readonly #madeMs: number

  constructor(components: MarketComponents, init: MarketInit) {
    this.#components = components
    this.#madeMs = components.clock.nowMs()
    this.#init = init
  }

  /** Announces a service, and keeps on announcing it until it is withdrawn. Never throws: a DHT without peers is tried again. */
  announce(offer: Pick<Offer, 'service' | 'kind'>): void {
    if (this.#announcements.has(offer.service)) return
    const stop = new AbortController()
    this.#announcements.set(offer.service, stop)
    void this.#announceLoop('service', offer.service, stop.signal)
    void this.#announceLoop('kind', offer.kind, stop.signal)
  }

  /** Announces what this node does for others beside its services, under the name of a kind. */
  announceRole(role: string): void {
    const key = `role ${role}`
    if (this.#announcements.has(key)) return
    const stop = new AbortController()
    this.#announcements.set(key, stop)
    void this.#announceLoop('kind', role, stop.signal)
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

  withdraw(service: string): void {
    this.#announcements.get(service)?.abort()
    this.#announcements.delete(service)
  }

  stop(): void {
    for (const service of [...this.#announcements.keys()]) this.withdraw(service)
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
    let heard = false
    const note = (found: readonly Found[]): void => {
      heard ||= found.length > 0
      tell(found)
    }
    await this.#search(what, name, signal, note)
    while (!heard && !signal.aborted && this.#components.clock.nowMs() - this.#madeMs < SETTLING_MS) {
      await pause(SETTLING_PAUSE_MS, signal)
      await this.#search(what, name, signal, note)
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
    if (signal.aborted) return
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

  async #announceLoop(what: 'service' | 'kind', name: string, signal: AbortSignal): Promise<void> {
    const { routing, connected, log } = this.#components
    const cid = await discoveryCid(what, name)
    for (let round = 0; !signal.aborted; ) {
      let wait: number = RETRY_MS
      try {
        const heard = connected() > 0
        await routing.provide(cid, { signal })
        if (heard) wait = AGAIN_MS[Math.min(round++, AGAIN_MS.length - 1)] ?? RETRY_MS
        if (heard && round === 1) log.info({ [what]: name }, 'announced on the DHT')
      } catch (thrown) {
        if (signal.aborted) return
        log.debug({ [what]: name, err: String(thrown) }, 'not announced yet')
      }
      await pause(wait, signal)
    }
  }
}

/** Resolves after that time, or when the signal says so. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
  })
}

export function noOffer(name: string): TallyError {
  return new TallyError('OFFER_NOT_FOUND', {
    message: `no provider of "${name}" was found`,
    hint: 'check the name and the bootstrap address; a new provider needs a few seconds to be seen',
    fields: { service: name },
  })
}
