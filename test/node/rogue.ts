// Peers that speak the protocol and break its rules: real libp2p nodes with our codecs and none of our desks.
import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import type { Libp2p, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { type OfferService, offerService } from '../../protocols/offer/service.ts'
import { libp2pKey } from '../../protocols/peer-identity.ts'
import type { PayeeLink, PayerLink } from '../../protocols/session/control-link.ts'
import { SESSION_PROTOCOL } from '../../protocols/session/protocol.ts'
import { type SessionService, sessionService } from '../../protocols/session/service.ts'
import type { Amount } from '../../src/core/amount.ts'
import { addressOfKey, signerOf } from '../../src/core/crypto/secp256k1.ts'
import type { Domain } from '../../src/core/eip712.ts'
import { codeOfWire, type ErrorCode } from '../../src/core/errors.ts'
import { type Address, channelId, type Seconds, type SessionId, sessionIdFromBytes } from '../../src/core/ids.ts'
import { ZERO_METER } from '../../src/core/meter.ts'
import { type Offer, signOffer } from '../../src/core/offer.ts'
import { type Price, priceOf } from '../../src/core/price.ts'
import { preparePromises, type SignedPromise } from '../../src/core/promise.ts'
import { receiptDigest } from '../../src/core/receipt.ts'
import type { FromPayee, FromPayer, Hello, TermsOffered } from '../../src/core/session/messages.ts'
import { signTerms, type Terms, termsDigest } from '../../src/core/terms.ts'
import { addressOf as firstAddress, testNode } from '../support/libp2p.ts'

const nowS = (): number => Math.floor(Date.now() / 1000)

/** A consumer that says whatever the test wants, on one control stream. */
export class RoguePayer {
  readonly address: Address
  readonly sign: (digest: Uint8Array) => Uint8Array
  readonly node: Libp2p<{ session: SessionService }>
  readonly link: PayerLink
  readonly #domain: Domain
  readonly #inbox: FromPayee[] = []
  #news = Promise.withResolvers<void>()
  #over = false
  /** why the stream ended */
  readonly closed: Promise<ErrorCode | undefined>

  private constructor(key: Uint8Array, domain: Domain, node: Libp2p<{ session: SessionService }>, link: PayerLink) {
    this.address = addressOfKey(key)
    this.sign = signerOf(key)
    this.#domain = domain
    this.node = node
    this.link = link
    this.closed = link.closed.then((error) => error?.code)
    void this.#read()
  }

  static async dial(t: TestContext, to: string, domain: Domain, key: Uint8Array = randomBytes(32)): Promise<RoguePayer> {
    const node = await testNode<{ session: SessionService }>({
      listen: false,
      privateKey: libp2pKey(key),
      services: { session: sessionService() },
    })
    t.after(() => node.stop())
    return new RoguePayer(key, domain, node, await node.services.session.connect(multiaddr(to)))
  }

  /** The next message that is not a meter; undefined when the stream has ended. */
  async next(): Promise<FromPayee | undefined> {
    for (;;) {
      const message = this.#inbox.shift()
      if (message !== undefined && message.type !== 'meter') return message
      if (message !== undefined) continue
      if (this.#over) return undefined
      await this.#news.promise
    }
  }

  /** The next meter report; everything else is passed over. */
  async meter(): Promise<Extract<FromPayee, { type: 'meter' }>> {
    for (;;) {
      const message = this.#inbox.shift()
      if (message?.type === 'meter') return message
      if (message !== undefined) continue
      if (this.#over) throw new Error('the stream has ended')
      await this.#news.promise
    }
  }

  /** The code of the next fault; everything else is passed over. */
  async fault(): Promise<ErrorCode | undefined> {
    for (let message = await this.next(); message !== undefined; message = await this.next()) {
      if (message.type === 'fault') return codeOfWire(message.code)
    }
    return undefined
  }

  send(message: FromPayer): void {
    this.link.send(message)
  }

  hello(token: Address, service: string, more: Partial<Hello> = {}): SessionId {
    const session = more.session ?? sessionIdFromBytes(randomBytes(16))
    const rest = { owner: this.address, inputs: new Uint8Array(0), signed: 0n as Amount, acked: ZERO_METER, resume: false }
    this.send({ type: 'hello', token, service, ...rest, ...more, session })
    return session
  }

  /** Says hello and accepts whatever terms come; resolves with them when the provider is ready. */
  async begin(token: Address, service: string): Promise<TermsOffered> {
    this.hello(token, service)
    const offered = await this.next()
    if (offered?.type !== 'terms') throw new Error(`no terms but ${JSON.stringify(offered)}`)
    this.send({ type: 'accept', session: offered.terms.session, signature: signTerms(this.#domain, offered.terms, this.sign) })
    const ready = await this.next()
    if (ready?.type !== 'ready') throw new Error(`not ready but ${JSON.stringify(ready)}`)
    return offered
  }

  /** A promise of this payer's channel; signed for another domain or with another key when the test says so. */
  promise(
    { terms }: TermsOffered,
    amount: bigint,
    how: { domain?: Domain; sign?: (digest: Uint8Array) => Uint8Array } = {},
  ): SignedPromise {
    const parties = { owner: terms.owner, signer: terms.signer, target: terms.provider, token: terms.token }
    return preparePromises(how.domain ?? this.#domain, parties).sign(amount as Amount, [], how.sign ?? this.sign)
  }

  pay(offered: TermsOffered, total: bigint, promise: SignedPromise): void {
    this.send({ type: 'promise', session: offered.terms.session, total: total as Amount, promise })
  }

  /** A second stream of the protocol, for bytes that are no messages. */
  async raw(to: string): Promise<Stream> {
    const connection = await this.node.dial(multiaddr(to))
    return await connection.newStream(SESSION_PROTOCOL)
  }

  async #read(): Promise<void> {
    for await (const batch of this.link) {
      this.#inbox.push(...batch)
      this.#wake()
    }
    this.#over = true
    this.#wake()
  }

  #wake(): void {
    this.#news.resolve()
    this.#news = Promise.withResolvers<void>()
  }
}

/** What a hostile provider does differently from what its offer says. */
export interface RogueScript {
  readonly offer?: Partial<Offer>
  /** the whole answer to a hello; undefined says nothing at all */
  readonly terms?: (right: TermsOffered, provider: RogueProvider) => TermsOffered | undefined
  /** called with each message of the consumer; what it returns is sent instead of the usual answer */
  readonly answer?: (message: FromPayer, provider: RogueProvider) => readonly FromPayee[] | undefined
}

/** A provider of one service, 'bait', at 0.01 token/MiB, that answers as its script says. */
export class RogueProvider {
  readonly address: Address
  readonly sign: (digest: Uint8Array) => Uint8Array
  readonly domain: Domain
  readonly promises: SignedPromise[] = []
  /** the last word of the last promise's chain */
  k = 0
  readonly links: PayeeLink[] = []
  terms: Terms | undefined
  readonly #script: RogueScript
  readonly #offer: Offer
  #node: Libp2p<{ session: SessionService; offer: OfferService }> | undefined

  private constructor(key: Uint8Array, domain: Domain, token: Address, script: RogueScript) {
    this.address = addressOfKey(key)
    this.sign = signerOf(key)
    this.domain = domain
    this.#script = script
    this.#offer = {
      provider: this.address, sequence: 1n, expiry: (nowS() + 3600) as Seconds, token, service: 'bait', kind: 'bytes', description: '',
      price: PRICE, chunk: { kind: 'down', size: 65_536n }, minReservation: 0n as Amount, minTimeToExpiry: 0, addresses: [],
      inputs: '', outputs: '', ...script.offer,
    } // biome-ignore format: a record
  }

  static async start(t: TestContext, domain: Domain, token: Address, script: RogueScript = {}): Promise<RogueProvider> {
    const key = randomBytes(32)
    const rogue = new RogueProvider(key, domain, token, script)
    rogue.#node = await testNode<{ session: SessionService; offer: OfferService }>({
      privateKey: libp2pKey(key),
      services: {
        session: sessionService({ onLink: (link) => void rogue.#serve(link) }),
        offer: offerService({ offersFor: () => [signOffer(domain, rogue.#offer, rogue.sign)] }),
      },
    })
    const node = rogue.#node
    t.after(() => node.stop())
    return rogue
  }

  get multiaddr(): string {
    if (this.#node === undefined) throw new Error('not started')
    return firstAddress(this.#node).toString()
  }

  /** A receipt over what the test says, rightly signed. */
  receipt(body: { total: bigint; down: bigint; reason?: number; ms?: bigint }): FromPayee {
    if (this.terms === undefined) throw new Error('no session')
    const { session, owner, signer, provider: target, token } = this.terms
    const receipt = {
      session, terms: termsDigest(this.domain, this.terms).hex, channel: channelId({ owner, signer, target, token }), total: body.total as Amount,
      amount: this.worth as Amount, meter: { ...ZERO_METER, down: body.down, ms: body.ms ?? 0n }, closed: nowS() as Seconds, reason: body.reason ?? 0,
    } // biome-ignore format: a record
    return { type: 'receipt', session, receipt: { receipt, signature: this.sign(receiptDigest(this.domain, receipt)) } }
  }

  async #serve(link: PayeeLink): Promise<void> {
    this.links.push(link)
    for await (const batch of link) {
      for (const message of batch) {
        if (message.type === 'promise') this.#keep(message.promise)
        if (message.type === 'tick') this.k = message.k
        const answers = this.#script.answer?.(message, this) ?? this.#usual(message, link)
        for (const answer of answers) link.send(answer)
      }
    }
  }

  #keep(promise: SignedPromise): void {
    const [before, after] = [this.promises.at(-1)?.locks[0]?.anchor, promise.locks[0]?.anchor]
    if (before !== after) this.k = 0
    this.promises.push(promise)
  }

  /** what the last promise is worth, ticks included */
  get worth(): bigint {
    const promise = this.promises.at(-1)
    return promise === undefined ? 0n : promise.amount + BigInt(this.k) * (promise.locks[0]?.unit ?? 0n)
  }

  #usual(message: FromPayer, link: PayeeLink): readonly FromPayee[] {
    if (message.type === 'accept') return [{ type: 'ready', session: message.session, credit: 0n as Amount }]
    if (message.type !== 'hello') return []
    const { price, chunk, provider, sequence } = this.#offer
    const terms: Terms = {
      session: message.session, owner: message.owner, signer: link.address, provider, token: message.token, service: message.service,
      offerSequence: sequence, price, chunk, arrears: 0n as Amount, patienceMs: 20_000, opened: nowS() as Seconds,
      expiry: (nowS() + 3600) as Seconds, content: new Uint8Array(0),
    } // biome-ignore format: a record
    const right = this.offered(terms)
    const answer = this.#script.terms === undefined ? right : this.#script.terms(right, this)
    this.terms = answer?.terms
    return answer === undefined ? [] : [answer]
  }

  /** These terms, rightly signed, with nothing paid yet. */
  offered(terms: Terms): TermsOffered {
    const signature = signTerms(this.domain, terms, this.sign)
    return { type: 'terms', terms, signature, head: undefined, total: 0n as Amount, acked: ZERO_METER, credit: 0n as Amount }
  }
}

/** 0.01 token per MiB, for a token of 6 decimals */
export const PRICE: Price = priceOf([{ kind: 'down', amount: 10_000n as Amount, per: 1_048_576n }])
