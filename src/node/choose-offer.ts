/** Which offer a purchase by name takes: that of the provider that was named, else the first that is found and not too dear. */
import { TallyError } from '../core/errors.ts'
import type { Address } from '../core/ids.ts'
import { isAtMost, type Price } from '../core/price.ts'
import { type Found, noOffer } from '../discovery/market.ts'
import { refuseAborted } from '../services/abort.ts'
import type { OpenOptions } from './call-options.ts'

interface Options {
  readonly signal?: AbortSignal
}

interface Offers {
  readonly maxPrice: Price | undefined
  readonly find: (name: string, options: Options) => AsyncIterable<Found>
  readonly offerOf: (provider: string, name: string, options: Options) => Promise<Found>
}

/** `without`: providers that were tried. @throws SERVICE_UNKNOWN, PRICE_TOO_HIGH, ABORTED; what the named provider refuses with */
export async function chooseOffer(
  { service, provider, signal }: Pick<OpenOptions, 'service' | 'provider' | 'signal'>,
  without: readonly Address[],
  { maxPrice, find, offerOf }: Offers,
): Promise<Found> {
  refuseAborted(signal)
  if (typeof service !== 'string') return service
  const options = signal === undefined ? {} : { signal }
  if (provider !== undefined) {
    // it was named: no other one takes its place
    if (without.length > 0) throw noOffer(service)
    return await offerOf(provider, service, options)
  }
  let dearer = false
  for await (const found of find(service, options)) {
    if (without.includes(found.provider)) continue
    if (maxPrice === undefined || isAtMost(found.offer.price, maxPrice)) return found
    dearer = true
  }
  refuseAborted(signal)
  if (dearer)
    throw new TallyError('PRICE_TOO_HIGH', {
      message: `every provider of "${service}" that was found wants more than the maximum price`,
    })
  throw noOffer(service)
}
