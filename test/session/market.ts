// A provider and consumers made of the real desks, over memory: only the network, the chain and the clock are stood in for.
import { EventEmitter } from 'node:events'
import type { Amount } from '../../src/core/amount.ts'
import type { ChannelFacts } from '../../src/core/channel.ts'
import { signClosing } from '../../src/core/closing.ts'
import { addressOfKey, publicKeyOf, signerOf } from '../../src/core/crypto/secp256k1.ts'
import { type Address, type ChannelId, type ChannelParties, channelId, type Seconds, type SessionId } from '../../src/core/ids.ts'
import type { Offer } from '../../src/core/offer.ts'
import { type Chunk, type Price, priceOf } from '../../src/core/price.ts'
import type { FromPayee, FromPayer } from '../../src/core/session/messages.ts'
import type { Wish } from '../../src/core/session/payer-terms.ts'
import type { ServiceAdapter } from '../../src/ports/service.ts'
import type { Store } from '../../src/ports/store.ts'
import type { Log, PayeeDeskComponents, PayeeDeskInit, Self, SessionEvents } from '../../src/session/components.ts'
import { PayeeDesk } from '../../src/session/payee-desk.ts'
import { PayerDesk, type ProviderLine } from '../../src/session/payer-desk.ts'
import { wordChainsOf } from '../../src/session/word-chain.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { type ControlPair, controlPair, type DataPair, openData } from './memory-link.ts'

export const TOKEN = `0x${'c1'.repeat(20)}` as Address
export const DOMAIN = { chainId: 31_337n, ledger: `0x${'1e'.repeat(20)}` as Address }
export const START_S = 1_700_000_000
export const A = (value: bigint | number): Amount => BigInt(value) as Amount

export const selfOf = (byte: number): Self => {
  const key = new Uint8Array(32).fill(byte)
  return { address: addressOfKey(key), publicKey: publicKeyOf(key), sign: signerOf(key), chains: wordChainsOf(key) }
}
const SILENT: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

/** Turned by hand; the desks look at it every few real milliseconds. */
export class HandClock {
  ms = 0
  nowMs(): number {
    return this.ms
  }
  nowS(): Seconds {
    return (START_S + Math.floor(this.ms / 1000)) as Seconds
  }
}

/** The ledger: what was deposited, by channel. */
export class Ledger {
  readonly slots = new Map<ChannelId, ChannelFacts>()
  open(parties: ChannelParties, of: Partial<ChannelFacts> = {}): void {
    this.slots.set(channelId(parties), {
      deposit: A(1_000_000),
      settled: A(0),
      expiry: (START_S + 100_000) as Seconds,
      epoch: 0,
      ...of,
    })
  }
  readonly chain = {
    channel: async (of: ChannelId | ChannelParties) => {
      const id = typeof of === 'string' ? of : channelId(of)
      const facts = this.slots.get(id)
      const at = facts === undefined ? undefined : { ...facts, block: 1 }
      return at === undefined ? { id } : { id, confirmed: at, latest: at }
    },
    watch: () => undefined,
  }
}

/** Sells `size` bytes, from the offset that the request names (8 bytes); byte i is i mod 251. Told to, it produces nothing more. */
export function countingService(size: number, pieceBytes = 700): ServiceAdapter {
  return {
    kind: 'files',
    inputs: '',
    outputs: '',
    prepare: async () => new Uint8Array(0),
    open: async ({ request }) => ({ info: new Uint8Array(0), free: false, body: counting(offsetOf(request), size, pieceBytes) }),
    close: async () => undefined,
  }
}

export const requestAt = (offset: number): Uint8Array => {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(offset))
  return bytes
}
const offsetOf = (request: Uint8Array): number => Number(new DataView(request.buffer, request.byteOffset).getBigUint64(0))
export const byteAt = (index: number): number => index % 251

async function* counting(from: number, to: number, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = from; at < to; at += pieceBytes)
    yield Uint8Array.from({ length: Math.min(pieceBytes, to - at) }, (_, i) => byteAt(at + i))
}

export interface MarketInit {
  readonly price?: Price
  readonly chunkBytes?: number
  /** instead of so many bytes */
  readonly chunk?: Chunk
  readonly policy?: Partial<PayeeDeskInit['policy']>
  readonly service?: ServiceAdapter
  readonly payeeStore?: Store
}

let sessions = 0
export const newSessionId = (): SessionId => `0x${(++sessions).toString(16).padStart(32, '0')}` as SessionId

/** A provider; consumers come to it. */
export class Market {
  readonly clock = new HandClock()
  readonly ledger = new Ledger()
  readonly provider = selfOf(0xb1)
  readonly offer: Offer
  readonly settled: string[] = []
  readonly store: Store
  readonly #init: MarketInit
  payee: PayeeDesk
  readonly #attached: Promise<void>[] = []
  readonly #stops: (() => Promise<void>)[] = []

  constructor(init: MarketInit = {}) {
    this.#init = init
    this.store = init.payeeStore ?? openMemoryStore()
    this.offer = {
      provider: this.provider.address,
      sequence: 1n,
      expiry: (START_S + 1_000) as Seconds,
      token: TOKEN,
      service: 'count',
      kind: 'files',
      description: '',
      price: init.price ?? priceOf([{ kind: 'down', amount: A(1), per: 1n }]),
      chunk: init.chunk ?? { kind: 'down', size: BigInt(init.chunkBytes ?? 1_000) },
      minReservation: A(0),
      minTimeToExpiry: 0,
      addresses: [],
      inputs: '',
      outputs: '',
    }
    this.payee = this.newPayee(this.store)
  }

  newPayee(store: Store): PayeeDesk {
    const components: PayeeDeskComponents = {
      store,
      clock: this.clock,
      log: SILENT,
      events: new EventEmitter<SessionEvents>(),
      domain: DOMAIN,
      self: this.provider,
      chain: this.ledger.chain,
      settle: (_, why) => void this.settled.push(why),
      signClose: (closing) => signClosing(DOMAIN, closing, this.provider.sign),
      closeDeadline: () => (this.clock.nowS() + 600) as Seconds,
    }
    const policy = {
      sharePpm: 0n, max: A(100_000), marginS: 600, unreserved: A(0), clockMs: 2, resumeMs: 60_000, poolPerHour: A(100_000), patienceMs: 5_000,
      maxSessions: 50, sessionLastS: 3_600, ...this.#init.policy,
    } // biome-ignore format: a record
    const desk = new PayeeDesk(components, { policy })
    desk.sell({ adapter: this.#init.service ?? countingService(10_000), offer: () => this.offer })
    this.#stops.push(() => desk.stop(AbortSignal.abort()))
    return desk
  }

  async start(): Promise<this> {
    await this.payee.start()
    return this
  }

  async consumer(byte = 0xa1, store: Store = openMemoryStore()): Promise<Consumer> {
    const self = selfOf(byte)
    const desk = new PayerDesk({
      store, clock: this.clock, log: SILENT, events: new EventEmitter<SessionEvents>(), domain: DOMAIN, self, chain: this.ledger.chain,
    }) // biome-ignore format: a record
    const consumer = new Consumer(this, self, desk, store)
    if (!this.ledger.slots.has(channelId(consumer.parties))) this.ledger.open(consumer.parties)
    await desk.start()
    this.#stops.push(async () => {
      consumer.cut()
      await desk.stop()
    })
    return consumer
  }

  attached(loop: Promise<void>): void {
    this.#attached.push(loop.catch(() => undefined))
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.toReversed()) await stop()
    await Promise.all(this.#attached)
  }
}

export class Consumer {
  readonly market: Market
  readonly self: Self
  readonly desk: PayerDesk
  readonly store: Store
  readonly pairs: ControlPair[] = []
  readonly #data = new Set<DataPair>()
  line: ProviderLine | undefined

  constructor(market: Market, self: Self, desk: PayerDesk, store: Store) {
    this.market = market
    this.self = self
    this.desk = desk
    this.store = store
  }

  get parties(): ChannelParties {
    const { address } = this.self
    return { owner: address, signer: address, target: this.market.provider.address, token: TOKEN }
  }

  /** A new control stream; `pass` may swallow messages. */
  connect(pass?: (message: FromPayer | FromPayee) => boolean): ProviderLine {
    const pair = controlPair(this.self, this.market.provider, pass)
    this.pairs.push(pair)
    const line: ProviderLine = {
      link: pair.payer,
      openData: async (header) =>
        await openData(
          this.self,
          header,
          (incoming) => this.market.payee.serve(incoming),
          (data) => this.#data.add(data),
        ),
    }
    this.line = line
    this.market.attached(this.market.payee.attach(pair.payee))
    this.market.attached(this.desk.attach(line))
    return line
  }

  /** Everything said on all control streams so far, in order. */
  get said(): (FromPayer | FromPayee)[] {
    return this.pairs.flatMap((pair) => pair.said)
  }

  async wish(of: Partial<Wish> = {}): Promise<Wish> {
    const { offer } = this.market
    return {
      service: offer.service, inputs: new Uint8Array(0), ...this.#names(), token: TOKEN, offered: offer, maxPrice: undefined,
      budget: A(100_000), limitAtRisk: A(4_000), owed: await this.desk.owedTo(this.parties), expect: undefined, ...of,
    } // biome-ignore format: a record
  }

  #names() {
    const { owner, signer, target } = this.parties
    return { owner, signer, provider: target }
  }

  cut(): void {
    for (const pair of this.pairs) pair.cut()
    for (const data of this.#data) data.cut(new Error('cut'))
    this.#data.clear()
  }
}
