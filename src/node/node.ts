/** A running node: sells, finds, buys. Made by createNode. */
import { randomBytes } from 'node:crypto'
import type { EventEmitter } from 'node:events'
import type { PeerId } from '@libp2p/interface'
import { addressOfPeer } from '../../protocols/peer-identity.ts'
import type { Amount } from '../core/amount.ts'
import { TallyError } from '../core/errors.ts'
import { type Address, type SessionId, sessionIdFromBytes } from '../core/ids.ts'
import type { SignedOffer } from '../core/offer.ts'
import { chunkCost, isAtMost, type Price } from '../core/price.ts'
import { parseChunk, parsePrice } from '../core/price-text.ts'
import type { Ranked } from '../core/ranking.ts'
import type { PayerSession } from '../core/session/payer.ts'
import type { Wish } from '../core/session/payer-terms.ts'
import type { TokenInfo } from '../core/token.ts'
import { type Found, noOffer } from '../discovery/market.ts'
import type { Chain } from '../ports/chain.ts'
import type { RelayTotals } from '../relay/desk.ts'
import type { SessionEvents } from '../session/components.ts'
import type { PayeeDesk } from '../session/payee-desk.ts'
import type { ProviderLine } from '../session/payer-desk.ts'
import type { Appraised, What } from './appraiser.ts'
import type { OpenOptions, ReserveOptions, ResumeOptions, ServeOptions } from './call-options.ts'
import { chooseOffer } from './choose-offer.ts'
import { connectIn, type PaidConnection } from './connection.ts'
import { beginEarly } from './early.ts'
import { History } from './history.ts'
import { fetchOnce, type HttpOptions, openHttp } from './http-options.ts'
import { parsePeer } from './lines.ts'
import type { Money } from './money.ts'
import { NodeSession } from './node-session.ts'
import { type AmountLike, deskOptions, refuseTooSmall, refuseUnmetered, toAmount } from './options.ts'
import type { PaidHttp } from './paid-http.ts'
import type { NodeParts } from './parts.ts'
import type { ReservePlan } from './reservations.ts'
import { reserveOrder } from './reserve-order.ts'
import { usualChunk } from './usual-chunk.ts'

interface Options {
  readonly signal?: AbortSignal
}

export class TallyNode {
  readonly #parts: NodeParts
  /** every session on record, of either side */
  readonly history: History
  #stopping: Promise<void> | undefined

  constructor(parts: NodeParts) {
    this.#parts = parts
    this.history = new History(parts)
  }

  get address(): Address {
    return this.#parts.self.address
  }
  get peerId(): PeerId {
    return this.#parts.network.peerId
  }
  get token(): TokenInfo {
    return this.#parts.token
  }
  get money(): Money {
    return this.#parts.money
  }
  get chain(): Chain {
    return this.#parts.chain
  }
  /** For observers: nothing in the node listens to these. */
  get events(): EventEmitter<SessionEvents> {
    return this.#parts.events
  }
  /** Where this node can be dialled, peer id included. */
  get addresses(): string[] {
    return this.#parts.network.getMultiaddrs().map(String)
  }
  get peers(): number {
    return this.#parts.network.getPeers().length
  }
  /** what is on sale, as signed */
  get offers(): SignedOffer[] {
    return [...this.#parts.shelf.all()]
  }
  /** live and resumable sessions in which this node is paid */
  get selling(): ReturnType<PayeeDesk['sessions']> {
    return this.#parts.payee.sessions()
  }
  /** live sessions in which this node pays */
  get buying(): Iterable<PayerSession> {
    return this.#parts.payer.liveSessions()
  }
  /** sessions in which this node pays that were cut and may be resumed */
  get resumable(): AsyncIterable<PayerSession> {
    return this.#parts.payer.book.cutSessions()
  }
  /** those with one provider */
  resumableWith(provider: Address): AsyncIterable<PayerSession> {
    const { payer, money } = this.#parts
    return payer.book.cutSessions(money.parties(provider))
  }
  async isResumable(session: SessionId): Promise<boolean> {
    return (await this.#parts.payer.book.cutSession(session)) !== undefined
  }

  /** what being a relay has brought, if it is one */
  get relaying(): RelayTotals | undefined {
    return this.#parts.relay?.totals
  }

  /** Puts a service on sale and announces it. A change of price is a new `serve` of the same name: it counts for new sessions only. @throws PRICE_INVALID, OFFER_INVALID */
  async serve(options: ServeOptions): Promise<SignedOffer> {
    this.#refuseStopped()
    const { token, shelf, payee, market, policy } = this.#parts
    const price = typeof options.price === 'string' ? parsePrice(options.price, token) : options.price
    refuseUnmetered(price, options.service)
    const given = options.chunk ?? usualChunk(price)
    const chunk = typeof given === 'object' ? given : parseChunk(given, price)
    refuseTooSmall(chunk, options.service)
    const item = await shelf.put({
      service: options.name, adapter: options.service, description: options.description ?? '', price, chunk,
      minReservation: options.minReservation === undefined ? policy.minReservation : toAmount('minReservation', options.minReservation, '', token),
      minTimeToExpiry: options.minTimeToExpiryS ?? policy.minTimeToExpiryS,
      ...(policy.unconfirmedCredit > 0n && { unconfirmedCredit: policy.unconfirmedCredit }),
    }) // biome-ignore format: a record
    payee.sell(item)
    market.announce(item.signed.offer)
    return item.signed
  }

  /** Providers of a service with their checked offers, as they answer. @see Market.find */
  find(name: string, options: Options & { what?: 'service' | 'kind' } = {}): AsyncGenerator<Found> {
    return this.#parts.market.find(options.what ?? 'service', name, options)
  }

  /** Everybody who sells it and answers, on the DHT or in the registry on chain, the best first. @see rankOffers */
  async search(what: What, name: string, options: { readonly signal: AbortSignal }): Promise<readonly Ranked<Appraised>[]> {
    return await this.#parts.appraiser.search(what, name, options)
  }

  /** The offer of one provider for one service. @throws PEER_UNREACHABLE, OFFER_*, USAGE */
  async offerOf(provider: string, service: string, options: Options = {}): Promise<Found> {
    const { peer, via } = parsePeer(provider)
    await this.#parts.lines.learn(peer, via)
    const found = (await this.#parts.market.offersOf(peer, service, options)).find(({ offer }) => offer.service === service)
    if (found === undefined) throw noOffer(service)
    return found
  }

  /** Opens a paid session. @throws every code with which either end may refuse; nothing was paid then */
  async open(options: OpenOptions): Promise<NodeSession> {
    this.#refuseStopped()
    const { payer, lines, domain, self, reservations, money } = this.#parts
    const found = await this.#choose(options)
    const wish = await this.#wish(options, found)
    if (options.reserve !== undefined) {
      // nothing is reserved for what would be refused, or for a provider that does not answer
      if (wish.maxPrice !== undefined && !isAtMost(found.offer.price, wish.maxPrice)) throw new TallyError('PRICE_TOO_HIGH')
      if (chunkCost(found.offer.price, found.offer.chunk) > wish.limitAtRisk) throw new TallyError('RISK_TOO_HIGH')
      await lines.to(found.peer, options)
    }
    const keeper = await this.#reserve(found, wish.budget, options, true)
    const begin = async (ahead?: Amount) => {
      const line = await lines.to(found.peer, options)
      const id = sessionIdFromBytes(randomBytes(16))
      return await payer.open(line, wish, id, { ...deskOptions(options), ...keeper, ...(ahead !== undefined && { ahead }) })
    }
    const live = await (options.reserve === undefined
      ? begin()
      : beginEarly(
          found,
          begin,
          async () => await reservations.confirmed(found.provider, deskOptions(options)),
          (coming) => payer.coming.expect(money.idOf(found.provider), coming),
        ))
    return new NodeSession(live, found.offer, domain, self)
  }

  /** HTTP over paid sessions, one for each service, under one budget. Close it: that closes the sessions. */
  http(options: HttpOptions): PaidHttp {
    return openHttp(options, {
      token: this.token,
      choose: (one, without) => this.#choose(one, without),
      open: (one) => this.open(one),
      resume: (id, found, how) => this.resume(id, found, how),
      cut: async (id) => await this.#parts.payer.book.cutSession(id),
      forget: (id) => this.forget(id),
    })
  }

  /** One request to a service, as the web's fetch: `tally://name/path`. Its session ends with its body. @throws as `open` and `PaidHttp.call` */
  async fetch(input: string | URL | Request, init: RequestInit & HttpOptions): Promise<Response> {
    return await fetchOnce(this.http({ ...init, idleMs: 0 }), input, init)
  }

  /** Goes on with a session that was cut: same session, same totals. @throws SESSION_UNKNOWN when either end has forgotten it */
  async resume(id: SessionId, found: Found, options: ResumeOptions = {}): Promise<NodeSession> {
    this.#refuseStopped()
    const { payer, lines, domain, self } = this.#parts
    if (options.reserve !== undefined) await lines.to(found.peer, options)
    const cut = await payer.book.cutSession(id)
    const keeper = cut === undefined ? {} : await this.#reserve(found, (cut.wish.budget - cut.total) as Amount, options)
    const line = await lines.to(found.peer, options)
    const live = await payer.resume(line, id, options.usedBytes ?? 0n, { ...deskOptions(options), ...keeper })
    return new NodeSession(live, found.offer, domain, self)
  }

  /** What `open` would reserve first, and for how much gas; undefined when enough is reserved. Nothing is signed that pays. @throws as `open` */
  async planReserve(
    found: Found,
    budget: AmountLike,
    reserve: ReserveOptions | 'auto',
    options: Options = {},
  ): Promise<ReservePlan | undefined> {
    const { order, free } = reserveOrder(found, toAmount('budget', budget, '', this.token), reserve, this.token)
    return await this.#parts.reservations.plan(order, free, options)
  }

  async forget(id: SessionId): Promise<void> {
    await this.#parts.payer.forget(id)
  }

  /** The control stream to a provider, for what is not a session. @throws PEER_UNREACHABLE */
  async lineTo(provider: string, options: Options = {}): Promise<{ readonly line: ProviderLine; readonly address: Address }> {
    const { peer, via } = parsePeer(provider)
    await this.#parts.lines.learn(peer, via)
    return { line: await this.#parts.lines.to(peer, options), address: addressOfPeer(peer) }
  }

  /** A paid connection: a session of its own with one data stream in it, as a stream of Node. Ending it closes the session. @throws as `open` */
  async connect(service: string | Found, options: Omit<OpenOptions, 'service' | 'inputs'>): Promise<PaidConnection> {
    return await connectIn(await this.open({ ...options, service }), options.signal)
  }

  /** Dials a peer, so that it is known. @throws PEER_UNREACHABLE, USAGE */
  async dial(peer: string, options: Options = {}): Promise<void> {
    const { via, peer: id } = parsePeer(peer)
    await this.#parts.network.dial(via ?? id, options).catch((cause: unknown) => {
      throw new TallyError('PEER_UNREACHABLE', { message: `the peer ${peer} does not answer`, cause })
    })
  }

  /** Ends in order: sessions are closed and paid, receipts exchanged, what is being settled is waited for. Idempotent. */
  async stop(options: Options = {}): Promise<void> {
    this.#stopping ??= this.#stop(options)
    await this.#stopping
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #refuseStopped(): void {
    if (this.#stopping !== undefined) throw new TallyError('SHUTTING_DOWN')
  }

  async #stop(options: Options): Promise<void> {
    const { market, payer, payee, settler, lines, network, shelf, chain, store, appraiser, relay, unfollow } = this.#parts
    market.stop()
    await payer.stop()
    await payee.stop(options.signal)
    await settler.stop(options.signal)
    await lines.close()
    await network.stop()
    await relay?.stop()
    await shelf.close()
    unfollow()
    appraiser.close()
    await chain.close()
    await store.close()
  }

  /** Sees to it that enough is reserved; what the desk is to call after each payment. */
  async #reserve(found: Found, budget: Amount, { reserve, signal }: Pick<OpenOptions, 'reserve' | 'signal'>, early = false) {
    if (reserve === undefined) return {}
    const options = signal === undefined ? {} : { signal }
    const { order, free } = reserveOrder(found, budget, reserve, this.token)
    await this.#parts.reservations.ensure(order, free, {
      ...options,
      early: early && found.offer.unconfirmedCredit !== undefined,
    })
    return { onPaid: this.#parts.reservations.keeper(order, options) }
  }

  async #choose(options: OpenOptions, without: readonly Address[] = []): Promise<Found> {
    return await chooseOffer(options, without, {
      maxPrice: this.#maxPrice(options.maxPrice),
      find: (name, how) => this.find(name, how),
      offerOf: async (provider, name, how) => await this.offerOf(provider, name, how),
    })
  }

  #maxPrice(given: OpenOptions['maxPrice']): Price | undefined {
    return typeof given === 'string' ? parsePrice(given, this.#parts.token) : given
  }

  async #wish(options: OpenOptions, { offer, provider }: Found): Promise<Wish> {
    const { token, self, payer, money } = this.#parts
    const { inputs } = options
    return {
      service: offer.service,
      inputs: typeof inputs === 'string' ? new TextEncoder().encode(inputs) : (inputs ?? new Uint8Array(0)),
      owner: self.address, signer: self.address, provider, token: token.address,
      offered: { price: offer.price, chunk: offer.chunk, sequence: offer.sequence },
      maxPrice: this.#maxPrice(options.maxPrice),
      budget: toAmount('budget', options.budget, '', token),
      limitAtRisk: toAmount('limitAtRisk', options.limitAtRisk, '0.05 token', token),
      owed: await payer.owedTo(money.parties(provider)),
      expect: options.expectBytes,
    } // biome-ignore format: a record
  }
}
