// A payer that says what a test wants to say, signed with a real key: the consumer's own rules would not say it.
import { signerOf } from '../../src/core/crypto/secp256k1.ts'
import { codeOfWire } from '../../src/core/errors.ts'
import { type Address, channelId, type SessionId } from '../../src/core/ids.ts'
import { ZERO_METER } from '../../src/core/meter.ts'
import type { FromPayee, FromPayer, Hello } from '../../src/core/session/messages.ts'
import { signTerms } from '../../src/core/terms.ts'
import type { ServiceAdapter } from '../../src/ports/service.ts'
import { A, countingService, DOMAIN, Market, type MarketInit, newSessionId, requestAt, selfOf, TOKEN } from './market.ts'
import { type ControlPair, controlPair, type DataPair, openData } from './memory-link.ts'

export const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve))

/** Turns of the loop until something is so. */
export async function until<T>(look: () => T | undefined | false): Promise<T> {
  for (;;) {
    const found = look()
    if (found !== undefined && found !== false) return found
    await turn()
  }
}

export class Guest {
  readonly #market: Market
  readonly #byte: number
  readonly #data: DataPair[] = []
  readonly self: ReturnType<typeof selfOf>
  pair: ControlPair

  constructor(market: Market, byte: number, reserves = true) {
    this.#market = market
    this.#byte = byte
    this.self = selfOf(byte)
    if (reserves) market.ledger.open(this.parties)
    this.pair = this.connect()
  }

  get parties() {
    return { owner: this.self.address, signer: this.self.address, target: this.#market.provider.address, token: TOKEN }
  }
  get channel() {
    return channelId(this.parties)
  }

  connect(): ControlPair {
    this.pair = controlPair(this.self, this.#market.provider)
    this.#market.attached(this.#market.payee.attach(this.pair.payee))
    return this.pair
  }

  /** The connection breaks; resolves when the provider has noticed. */
  async cut(): Promise<void> {
    this.pair.cut()
    for (const data of this.#data.splice(0)) data.cut(new Error('cut'))
    for (let i = 0; i < 20; i++) await turn()
  }

  send(message: FromPayer): void {
    this.pair.payer.send(message)
  }

  /** What the provider answers to this session. */
  async heard<T extends FromPayee['type']>(type: T, session: SessionId): Promise<FromPayee & { type: T }> {
    return await until(() =>
      this.pair.said.find((one): one is FromPayee & { type: T } => one.type === type && sessionOf(one) === session),
    )
  }

  hello(of: Partial<Hello> = {}): SessionId {
    const session = of.session ?? newSessionId()
    const { address } = this.self
    this.send({
      type: 'hello', session, resume: false, owner: address as Address, token: TOKEN, service: 'count', inputs: new Uint8Array(0), signed: A(0),
      acked: ZERO_METER, ...of,
    }) // biome-ignore format: a record
    return session
  }

  /** The code with which the hello is refused, or 'terms'. */
  async asks(of: Partial<Hello> = {}): Promise<string> {
    const before = this.pair.said.length
    const session = this.hello(of)
    const answer = await until(() =>
      this.pair.said.slice(before).find((one) => (one.type === 'fault' || one.type === 'terms') && sessionOf(one) === session),
    )
    return answer.type === 'fault' ? (codeOfWire(answer.code) ?? 'unknown') : answer.type
  }

  /** A session that is agreed on. */
  async begin(of: Partial<Hello> = {}): Promise<SessionId> {
    const session = this.hello(of)
    const { terms } = await this.heard('terms', session)
    this.send({ type: 'accept', session, signature: signTerms(DOMAIN, terms, signerOf(new Uint8Array(32).fill(this.#byte))) })
    await this.heard('ready', session)
    return session
  }

  open(session: SessionId, stream: number, offset = 0) {
    const header = { session, stream, request: requestAt(offset) }
    return openData(
      this.self,
      header,
      (incoming) => this.#market.payee.serve(incoming),
      (pair) => this.#data.push(pair),
    )
  }
}

const sessionOf = (message: FromPayer | FromPayee): SessionId | undefined =>
  message.type === 'terms' ? message.terms.session : 'session' in message ? message.session : undefined

export async function withGuest(
  init: MarketInit,
  body: (market: Market, guest: Guest) => Promise<void>,
  byte = 0xa1,
): Promise<void> {
  const market = await new Market(init).start()
  const guest = new Guest(market, byte)
  try {
    await body(market, guest)
  } finally {
    await guest.cut()
    await market.stop()
  }
}

export const sessionsOf = (market: Market) => [...market.payee.sessions()]

/** Counts what it is asked for. */
export class WatchedService implements ServiceAdapter {
  readonly kind = 'files'
  readonly inputs = ''
  readonly outputs = ''
  prepared = 0
  opened = 0
  pulled = 0
  /** while it is pending, `prepare` and `open` are too */
  gate: Promise<void> | undefined
  readonly #inner: ServiceAdapter
  readonly #isFree: boolean

  constructor(size = 10_000, isFree = false, pieceBytes = 700) {
    this.#inner = countingService(size, pieceBytes)
    this.#isFree = isFree
  }

  async prepare(inputs: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    this.prepared += 1
    await this.gate
    return await this.#inner.prepare(inputs, signal)
  }

  async open(call: Parameters<ServiceAdapter['open']>[0]) {
    this.opened += 1
    await this.gate
    const { body } = await this.#inner.open(call)
    return { info: new Uint8Array(0), free: this.#isFree, body: this.#count(body) }
  }

  async *#count(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    this.pulled += 1
    for await (const piece of body) {
      yield piece
      this.pulled += 1
    }
  }

  async close(): Promise<void> {}
}

/** A session in which something was delivered: it is worth to be kept when it is cut. */
export async function deliver(market: Market, guest: Guest): Promise<SessionId> {
  const session = await guest.begin()
  const { bytes } = await guest.open(session, 1)
  await bytes.read()
  await until(() => sessionsOf(market).some(({ id, flow }) => id === session && flow.open.length > 0))
  return session
}
