/**
 * Gathers who sells something, from the DHT and from the registry on chain, and ranks the signed offers by what this node knows of
 * their providers. Only a signed offer counts; what the registry says is held against it.
 */
import { addressOfPeer } from '../../protocols/peer-identity.ts'
import type { Amount } from '../core/amount.ts'
import { asTallyError } from '../core/errors.ts'
import type { Address, ChannelParties } from '../core/ids.ts'
import { type Candidate, NO_RECORD, type Ranked, rankOffers, type Stake, type TradeRecord } from '../core/ranking.ts'
import { disagreements } from '../core/registered-service.ts'
import type { Found, Market } from '../discovery/market.ts'
import type { Listing, Listings } from '../ports/listings.ts'
import type { Log } from '../session/components.ts'
import { type Lines, parsePeer } from './lines.ts'
import type { Money } from './money.ts'

/** `any`: whoever sells a service of this name, or services of this kind. */
export type What = 'service' | 'kind' | 'any'

/** An offer that was found, with what its place in the order depends on. */
export interface Appraised extends Candidate {
  readonly found: Found
}

export interface AppraiserComponents {
  readonly market: Market
  readonly lines: Lines
  readonly money: Money
  /** undefined: this network has no registry */
  readonly listings: Listings | undefined
  /** what the sessions with a provider say of it */
  readonly tradeWith: (parties: ChannelParties) => Promise<TradeRecord>
  readonly log: Log
}

interface Options {
  readonly signal: AbortSignal
}

/** how long the registry may take to answer: without it, an offer has no stake */
const REGISTRY_MS = 3_000
/** how long a provider that only the registry names may take to answer */
const ASK_MS = 5_000
/** no kind is longer, bytes */
const MAX_KIND = 32
/** providers that are asked because the registry names them; each has a stake */
const MAX_LISTED = 50

export class Appraiser {
  readonly #of: AppraiserComponents

  constructor(components: AppraiserComponents) {
    this.#of = components
  }

  /** Everybody who answers with a checked offer, the best first. Empty when nobody does, or when the signal says stop before. */
  async search(what: What, name: string, { signal }: Options): Promise<readonly Ranked<Appraised>[]> {
    const ways = what === 'any' ? (['service', 'kind'] as const) : [what]
    // no kind is longer than 32, and many a name is
    const asked = ways.filter((way) => way === 'service' || name.length <= MAX_KIND)
    const [listings, found] = await Promise.all([
      Promise.all(asked.map((way) => this.#listed(way, name, signal))),
      Promise.all(asked.map((way) => Array.fromAsync(this.#of.market.find(way, name, { signal })))),
    ])
    const listed = listings.flat()
    const known = new Set(found.flat().map(({ provider }) => provider))
    const unheard = listed.filter(({ provider }) => !known.has(provider)).slice(0, MAX_LISTED)
    const more = await Promise.all(unheard.map((listing) => this.#ask(listing, signal)))
    return await this.rank(newest([...found.flat(), ...more.flat()]), listed)
  }

  /** Ranks what was found. */
  async rank(found: readonly Found[], listed: readonly Listing[]): Promise<readonly Ranked<Appraised>[]> {
    const { money, tradeWith } = this.#of
    const records = new Map<Address, TradeRecord>()
    const free = new Map<Address, Amount>()
    for (const provider of new Set(found.map((one) => one.provider))) {
      records.set(provider, await tradeWith(money.parties(provider)))
      free.set(provider, (await money.payingTo(provider))?.free ?? (0n as Amount))
    }
    return rankOffers(
      found.map((one) => ({
        found: one,
        offer: one.offer,
        tookMs: one.tookMs,
        stake: stakeOf(one, listed),
        record: records.get(one.provider) ?? NO_RECORD,
        free: free.get(one.provider) ?? (0n as Amount),
      })),
    )
  }

  close(): void {
    this.#of.listings?.close()
  }

  async #listed(way: 'service' | 'kind', name: string, signal: AbortSignal): Promise<readonly Listing[]> {
    const { listings, log } = this.#of
    if (listings === undefined) return []
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(REGISTRY_MS)])
      return await listings.list(way === 'service' ? { name } : { kind: name }, { signal: limit })
    } catch (thrown) {
      if (!signal.aborted) log.warn({ err: asTallyError(thrown).code }, 'the registry on chain does not answer: no stake counts')
      return []
    }
  }

  /** The offer behind an entry that the DHT did not name, where its address is of its provider. */
  async #ask({ provider, service }: Listing, signal: AbortSignal): Promise<readonly Found[]> {
    const { market, lines, log } = this.#of
    try {
      const { peer, via } = parsePeer(service.address)
      if (addressOfPeer(peer) !== provider) return []
      await lines.learn(peer, via)
      const limit = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS)])
      const found = await market.offersOf(peer, service.name, { signal: limit })
      return found.filter(({ offer }) => offer.service === service.name)
    } catch (thrown) {
      log.debug({ provider, err: asTallyError(thrown).code }, 'a registered provider gave no offer')
      return []
    }
  }
}

/** Of two offers of a provider for a service the higher sequence counts (O2). */
function newest(found: readonly Found[]): Found[] {
  const best = new Map<string, Found>()
  for (const one of found) {
    const key = `${one.provider} ${one.offer.service}`
    const before = best.get(key)
    if (before === undefined || one.offer.sequence > before.offer.sequence) best.set(key, one)
  }
  return [...best.values()]
}

/** `breaks` where the provider registered the service and the offer is worse than each of its entries. */
function stakeOf({ provider, offer }: Found, listed: readonly Listing[]): Stake {
  const own = listed.filter((one) => one.provider === provider && one.service.name === offer.service)
  if (own.length === 0) return 'none'
  return own.some(({ service }) => disagreements(provider, service, offer).length === 0) ? 'kept' : 'breaks'
}
