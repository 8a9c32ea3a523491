/**
 * How visible a provider is: seen by strangers, nodes with keys of their own that know nothing but the first nodes. What they see is what a
 * buyer sees.
 */
import { randomBytes } from 'node:crypto'
import { multiaddr } from '@multiformats/multiaddr'
import { asTallyError, type ErrorCode } from '../core/errors.ts'
import type { Address } from '../core/ids.ts'
import type { Offer } from '../core/offer.ts'
import type { Stake } from '../core/ranking.ts'
import { isPublic, isRelayed } from '../discovery/reach.ts'
import { openMemoryStore } from '../store/memory-store.ts'
import { createNode } from './create-node.ts'
import type { TallyNode } from './node.ts'
import type { NodeOptions } from './options.ts'

/** An address that the provider tells to others. */
export interface AddressCheck {
  readonly address: string
  /** where it can be dialled from: anywhere, through a relay, or only in the provider's own network or computer */
  readonly scope: 'public' | 'relayed' | 'local'
  /** undefined: a stranger reached it, and was given the offers; else why not */
  readonly failure: ErrorCode | undefined
}

export interface ServiceCheck {
  readonly service: string
  /** how long a stranger searched before it found this provider, ms; undefined: it did not */
  readonly foundAfterMs: number | undefined
  /** the offer as strangers get it: its signature, its expiry and its price were checked; undefined where none reached the provider */
  readonly offer: Offer | undefined
  /** what the registry on chain says of it; undefined: this network has none, or it was not found */
  readonly stake: Stake | undefined
}

export interface OfferCheck {
  readonly addresses: readonly AddressCheck[]
  readonly services: readonly ServiceCheck[]
}

export interface OfferCheckInit extends Pick<NodeOptions, 'chain' | 'token'> {
  readonly provider: Address
  readonly addresses: readonly string[]
  /** the names that are looked for */
  readonly services: readonly string[]
  /** where the strangers begin their search; none: with the provider itself */
  readonly bootstrap: readonly string[]
  /** how long each search and each dial may take, ms */
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** called with a sentence when the next step begins */
  readonly tell: (text: string) => void
}

/** Looks at all of it. @throws ABORTED, CHAIN_UNREACHABLE, and what else `createNode` throws; what a stranger cannot do is in the answer */
export async function checkOffers(init: OfferCheckInit): Promise<OfferCheck> {
  const { addresses, services, bootstrap, tell } = init
  const checked: AddressCheck[] = []
  let offers: readonly Offer[] = []
  for (const address of addresses) {
    tell(`dialling ${address} …`)
    // one for each: a peer that is connected already would not be dialled again
    const { failure, offers: got } = await stranger(init, [], (node) => dial(node, address, init))
    checked.push({ address, scope: scopeOf(address), failure })
    if (offers.length === 0) offers = got
  }
  const first = bootstrap.length > 0 ? bootstrap : addresses
  const searched = await stranger(init, first, async (node) => {
    const found: ServiceCheck[] = []
    for (const service of services) {
      tell(`looking for ${service} …`)
      const offer = offers.find((one) => one.service === service)
      found.push({ ...(await search(node, service, init)), ...(offer !== undefined && { offer }) })
    }
    return found
  })
  return { addresses: checked, services: searched }
}

async function stranger<T>(
  { chain, token, signal }: OfferCheckInit,
  bootstrap: readonly string[],
  work: (node: TallyNode) => Promise<T>,
) {
  signal.throwIfAborted()
  const reach = { relay: 'off', mdns: 'off', upnp: false } as const
  const node = await createNode({ privateKey: randomBytes(32), store: openMemoryStore(), chain, token, bootstrap, reach, signal })
  try {
    return await work(node)
  } finally {
    await node.stop()
  }
}

async function dial(node: TallyNode, address: string, { services, timeoutMs, signal }: OfferCheckInit) {
  const options = { signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) }
  const offers: Offer[] = []
  try {
    await node.dial(address, options)
    for (const service of services) offers.push((await node.offerOf(address, service, options)).offer)
    return { failure: undefined, offers }
  } catch (thrown) {
    signal.throwIfAborted()
    const { code } = asTallyError(thrown)
    return { failure: code === 'ABORTED' || code === 'INTERNAL' ? ('PEER_UNREACHABLE' as const) : code, offers }
  }
}

async function search(
  node: TallyNode,
  service: string,
  { provider, chain, timeoutMs, signal }: OfferCheckInit,
): Promise<ServiceCheck> {
  const begin = performance.now()
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  for await (const found of node.find(service, { signal: limit })) {
    if (found.provider !== provider) continue
    const foundAfterMs = Math.round(performance.now() - begin)
    const ranked = chain.registry === undefined ? [] : await node.search('service', service, { signal: limit })
    const own = ranked.find(({ candidate }) => candidate.found.provider === provider)
    return { service, foundAfterMs, offer: found.offer, stake: own?.candidate.stake }
  }
  signal.throwIfAborted()
  return { service, foundAfterMs: undefined, offer: undefined, stake: undefined }
}

function scopeOf(address: string): AddressCheck['scope'] {
  const parsed = multiaddr(address)
  if (isRelayed(parsed)) return 'relayed'
  return isPublic(parsed) ? 'public' : 'local'
}
