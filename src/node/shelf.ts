/** What this node sells: services with their signed offers. The sequence number of an offer rises durably with every change. */
import type { Amount } from '../core/amount.ts'
import { ByteReader, ByteWriter } from '../core/bytes.ts'
import type { Domain } from '../core/eip712.ts'
import type { Address, Seconds } from '../core/ids.ts'
import { type Offer, type SignedOffer, signOffer } from '../core/offer.ts'
import { chunkCost } from '../core/price.ts'
import type { Clock } from '../ports/clock.ts'
import type { ServiceAdapter } from '../ports/service.ts'
import type { Store } from '../ports/store.ts'
import type { Self, ServiceOnSale } from '../session/components.ts'

export interface ShelfComponents {
  readonly store: Store
  readonly clock: Clock
  readonly domain: Domain
  readonly self: Self
  readonly addresses: () => readonly string[]
}

export type Listing = Omit<Offer, 'provider' | 'sequence' | 'expiry' | 'addresses' | 'inputs' | 'outputs' | 'kind' | 'token'> & {
  readonly adapter: ServiceAdapter
}

/** an offer lasts this long; it is signed anew at half of that */
const OFFER_LIFE_S = 24 * 3600

/** addresses in an offer */
const MAX_ADDRESSES = 16

interface Item extends ServiceOnSale {
  readonly listing: Listing
  signed: SignedOffer
}

export class Shelf {
  readonly #components: ShelfComponents
  readonly #token: Address
  readonly #items = new Map<string, Item>()
  /** what sessions may still sell that began before it was replaced */
  readonly #replaced = new Set<ServiceAdapter>()
  #signing: Promise<unknown> = Promise.resolve()

  constructor(components: ShelfComponents, token: Address) {
    this.#components = components
    this.#token = token
  }

  async put(listing: Listing): Promise<ServiceOnSale & { readonly signed: SignedOffer }> {
    const signed = await this.#sign(listing)
    const item: Item = { listing, adapter: listing.adapter, signed, offer: () => item.signed.offer }
    const before = this.#items.get(listing.service)?.adapter
    if (before !== undefined && before !== listing.adapter) this.#replaced.add(before)
    this.#replaced.delete(listing.adapter)
    this.#items.set(listing.service, item)
    return item
  }

  /** What that many chunks of the dearest service cost, base units: the most that one owner may owe. */
  dearestChunk(times: bigint): Amount {
    let most = 0n
    for (const { listing } of this.#items.values()) {
      const cost = chunkCost(listing.price, listing.chunk)
      if (cost > most) most = cost
    }
    return (most * times) as Amount
  }

  async take(service: string): Promise<void> {
    const item = this.#items.get(service)
    this.#items.delete(service)
    await item?.adapter.close()
  }

  all(): Iterable<SignedOffer> {
    return [...this.#items.values()].map((item) => item.signed)
  }

  /** The offers for one name, or all of them for an empty one; signed anew when half of their life is over, or this node is reached elsewhere. */
  async offersFor(service: string): Promise<SignedOffer[]> {
    const items =
      service === '' ? [...this.#items.values()] : [...this.#items.values()].filter((item) => item.listing.service === service)
    for (const item of items) {
      const { expiry, addresses } = item.signed.offer
      const isOld = expiry - this.#components.clock.nowS() < OFFER_LIFE_S / 2
      if (isOld || addresses.join() !== this.#addresses().join()) item.signed = await this.#sign(item.listing)
    }
    return items.map((item) => item.signed)
  }

  #addresses(): readonly string[] {
    return this.#components.addresses().slice(0, MAX_ADDRESSES)
  }

  /** One after the other: a sequence number is used once. */
  async #sign(listing: Listing): Promise<SignedOffer> {
    const signing = this.#signing.then(() => this.#signNext(listing))
    this.#signing = signing.catch(() => undefined)
    return await signing
  }

  async #signNext({ adapter, ...listing }: Listing): Promise<SignedOffer> {
    const { store, clock, domain, self } = this.#components
    const key = new TextEncoder().encode(listing.service)
    const stored = await store.get('offer', key)
    const sequence = (stored === undefined ? 0n : new ByteReader(stored).u64()) + 1n
    await store.commit([{ type: 'put', space: 'offer', key, value: new ByteWriter(8).u64(sequence).finish() }])
    const offer: Offer = {
      ...listing, kind: adapter.kind, inputs: adapter.inputs, outputs: adapter.outputs, provider: self.address, token: this.#token, sequence,
      expiry: (clock.nowS() + OFFER_LIFE_S) as Seconds, addresses: this.#addresses(),
    } // biome-ignore format: a record
    return signOffer(domain, offer, self.sign)
  }

  async close(): Promise<void> {
    await Promise.allSettled([
      ...[...this.#items.keys()].map((service) => this.take(service)),
      ...[...this.#replaced].map((adapter) => adapter.close()),
    ])
  }
}
