/** Who sells a service, when a person names it instead of the provider. */
import { TallyError } from '../core/errors.ts'
import type { Address } from '../core/ids.ts'
import { noOffer } from '../discovery/market.ts'
import type { TallyNode } from '../node/node.ts'
import type { CallOptions } from './control.ts'
import type { PeerBook } from './peer-book.ts'

/** how long a service is looked for, ms */
const FIND_MS = 5_000

/** Anybody can announce any name: where several do, a person has to choose. @throws OFFER_NOT_FOUND, USAGE */
export async function sellerOf(node: TallyNode, book: PeerBook, service: string, options: CallOptions): Promise<Address> {
  const late = AbortSignal.timeout(FIND_MS)
  const signal = options.signal === undefined ? late : AbortSignal.any([late, options.signal])
  const found = new Map<Address, string>()
  for await (const { provider, offer, peer } of node.find(service, { signal }))
    found.set(provider, offer.addresses[0] ?? peer.toString())
  const [first, other] = found
  if (first === undefined) throw noOffer(service)
  if (other !== undefined) {
    throw new TallyError('USAGE', {
      message: `${found.size} providers sell "${service}"`,
      hint: `name one of them: ${[...found.values()].slice(0, 3).join(' or ')}`,
    })
  }
  await book.remember(first[0], first[1])
  return first[0]
}
