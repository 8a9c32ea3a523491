/** Which provider is bought from, and why. */
import { setTimeout as delay } from 'node:timers/promises'
import { dialable, findOffers } from '../../api/node-control.ts'
import type { PeerBook } from '../../api/peer-book.ts'
import { asTallyError, TallyError } from '../../core/errors.ts'
import { isAtMost, type Price } from '../../core/price.ts'
import { formatPrice } from '../../core/price-text.ts'
import { type Ranked, whyFirst } from '../../core/ranking.ts'
import type { Found } from '../../discovery/market.ts'
import type { Appraised } from '../../node/appraiser.ts'
import type { TallyNode } from '../../node/node.ts'
import { accountOfPeer } from '../peer.ts'
import type { Target } from './target.ts'

export interface ChooseOptions {
  readonly book: PeerBook
  readonly maxPrice: Price | undefined
  /** how long to look, ms */
  readonly timeoutMs: number
  readonly signal: AbortSignal
  readonly tell: (line: string) => void
}

const AGAIN_MS = 250
const SHOWN = 3

/** All who fit, the best first; where they can be reached is remembered. @throws OFFER_NOT_FOUND, PRICE_TOO_HIGH, PEER_UNREACHABLE, OFFER_*, ABORTED */
export async function chooseSeveral(node: TallyNode, target: Target, options: ChooseOptions): Promise<Several> {
  const { provider, service } = target
  const all: Several =
    provider === undefined ? await search(node, target, options) : [await ask(node, provider, service, options)]
  for (const { provider: account, peer, offer } of all)
    await options.book.remember(account, dialable(peer.toString(), offer.addresses))
  return all
}

type Several = readonly [Found, ...Found[]]

async function search(node: TallyNode, target: Target, options: ChooseOptions): Promise<Several> {
  options.tell(`looking for ${target.service} …`)
  const all = await findOffers(
    node,
    { what: 'service', name: target.service, timeoutMs: options.timeoutMs },
    { signal: options.signal },
  )
  const { maxPrice } = options
  const fit = maxPrice === undefined ? all : all.filter(({ candidate }) => isAtMost(candidate.offer.price, maxPrice))
  const [best, ...others] = fit
  if (best === undefined) throw tooDear(all, node)
  if (best.candidate.stake === 'breaks') throw broken(best.candidate.found)
  if (all.length > 1) {
    for (const { found } of fit.slice(0, SHOWN).map((one) => one.candidate))
      options.tell(`  ${found.peer.toString()}  ${formatPrice(found.offer.price, node.token)}  ${Math.round(found.tookMs)} ms`)
    options.tell(`the first: ${whyFirst(fit)}`)
  }
  const sound = others.filter(({ candidate }) => candidate.stake !== 'breaks')
  return [best.candidate.found, ...sound.map(({ candidate }) => candidate.found)]
}

/** The one provider that was named; a node that has just started tries until it can be found. */
async function ask(node: TallyNode, name: string, service: string, { book, timeoutMs, signal }: ChooseOptions): Promise<Found> {
  const known = name.startsWith('/') ? undefined : await book.find(accountOfPeer(name))
  const late = AbortSignal.timeout(timeoutMs)
  const until = AbortSignal.any([late, signal])
  for (;;) {
    try {
      return await node.offerOf(known ?? name, service, { signal: until })
    } catch (thrown) {
      const error = asTallyError(thrown)
      if (signal.aborted) throw new TallyError('ABORTED', { cause: signal.reason })
      if (late.aborted) throw unreachable(name, error)
      if (error.code !== 'PEER_UNREACHABLE') throw error
      await delay(AGAIN_MS, undefined, { signal: until }).catch(() => undefined)
    }
  }
}

function unreachable(name: string, cause: TallyError): TallyError {
  const hint = name.startsWith('/') ? 'is it running, and is this its address?' : 'name it by its multiaddr: /ip4/…/tcp/…/p2p/…'
  return new TallyError('PEER_UNREACHABLE', { message: `the provider ${name} does not answer`, hint, cause })
}

function broken({ provider }: Found): TallyError {
  return new TallyError('OFFER_INVALID', {
    message: `every offer that was found breaks what its provider registered on chain, such as that of ${provider}`,
    hint: 'name the provider (--provider) to buy all the same',
    fields: { provider },
  })
}

function tooDear(all: readonly Ranked<Appraised>[], { token }: TallyNode): TallyError {
  const prices = all.slice(0, SHOWN).map(({ candidate }) => formatPrice(candidate.offer.price, token))
  return new TallyError('PRICE_TOO_HIGH', {
    message: `the price is above --max-price: ${prices.join(', ')}`,
    hint: 'raise --max-price, or wait for a cheaper provider',
  })
}
