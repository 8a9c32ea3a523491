/**
 * A process of the benchmark: a payee's desk over a real database, paid by many channels at once. Its peers are in the same process:
 * their promises are signed and encoded beforehand, so that what is measured is decoding, the rules, the signature check, the synced
 * store and the encoded answer. Only the transport is left out.
 */
import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { join } from 'node:path'
import { decodeFromPayer, encodeMessage } from '../../protocols/session/codec.ts'
import type { Amount } from '../../src/core/amount.ts'
import { addressOfKey, publicKeyOf, signerOf } from '../../src/core/crypto/secp256k1.ts'
import { type ChannelParties, channelId, type Seconds, sessionIdFromBytes } from '../../src/core/ids.ts'
import { ZERO_METER } from '../../src/core/meter.ts'
import type { Offer } from '../../src/core/offer.ts'
import { preparePromises } from '../../src/core/promise.ts'
import type { FromPayee, FromPayer, Hello } from '../../src/core/session/messages.ts'
import { signTerms } from '../../src/core/terms.ts'
import { systemClock } from '../../src/node/create-node.ts'
import { SILENT } from '../../src/node/options.ts'
import type { PayeeLink } from '../../src/ports/link.ts'
import { PayeeDesk } from '../../src/session/payee-desk.ts'
import { wordChainsOf } from '../../src/session/word-chain.ts'
import { type LevelStore, openLevelStore } from '../../src/store/level-store.ts'
import { busySince } from './busy.ts'
import { answer } from './child.ts'
import type { Place } from './place.ts'
import { zerosService } from './zeros.ts'

/** what a socket may hand over in one turn of the loop, in messages */
const TURN_MESSAGES = 128
const CHUNK_COST = 625n
const DEPOSIT = 10_000_000_000n as Amount
const NEVER = 0xff_ffff_ffff as Seconds

interface Bench {
  readonly desk: PayeeDesk
  readonly store: LevelStore
  readonly channels: readonly Channel[]
}
let bench: Bench | undefined

/** Frames on their way to the desk; each turn of the loop brings some, as a socket would. */
const arriving: { readonly channel: Channel; readonly frame: Uint8Array }[] = []
let scheduled = false

function deliver(channel: Channel, frame: Uint8Array): void {
  arriving.push({ channel, frame })
  if (scheduled) return
  scheduled = true
  setImmediate(turn)
}

function turn(): void {
  for (const { channel, frame } of arriving.splice(0, TURN_MESSAGES)) channel.arrive(frame)
  scheduled = arriving.length > 0
  if (scheduled) setImmediate(turn)
}

/** One payer with one channel and one session: a link without a network. */
class Channel implements PayeeLink {
  readonly #key = randomBytes(32)
  readonly #sign = signerOf(this.#key)
  readonly address = addressOfKey(this.#key)
  readonly publicKey = publicKeyOf(this.#key)
  readonly #domain: { chainId: bigint; ledger: Place['ledger'] }
  readonly #promises: ReturnType<typeof preparePromises>
  readonly #session = sessionIdFromBytes(randomBytes(16))
  readonly #live = Promise.withResolvers<void>()
  #total = 0n
  #frames: Uint8Array[] = []
  #sent = 0
  #inbox: FromPayer[] = []
  #wake: () => void = () => undefined
  #onDone: () => void = () => undefined

  constructor(
    domain: { chainId: bigint; ledger: Place['ledger'] },
    target: ChannelParties['target'],
    token: ChannelParties['token'],
  ) {
    this.#domain = domain
    this.#promises = preparePromises(domain, { owner: this.address, signer: this.address, target, token })
  }

  /** Agrees on a session. */
  async open(service: string, token: ChannelParties['token']): Promise<void> {
    const hello: Hello = {
      type: 'hello', session: this.#session, resume: false, owner: this.address, token, service, inputs: new Uint8Array(0), signed: 0n as Amount, acked: ZERO_METER,
    } // biome-ignore format: a record
    deliver(this, encodeMessage(hello))
    await this.#live.promise
  }

  /** Signs and encodes the next `count` payments. */
  prepare(count: number): void {
    this.#sent = 0
    this.#frames = Array.from({ length: count }, () => {
      this.#total += CHUNK_COST
      const promise = this.#promises.sign(this.#total as Amount, [], this.#sign)
      return encodeMessage({ type: 'promise', session: this.#session, total: this.#total as Amount, promise })
    })
  }

  /** Pays them, each when the one before is durable; resolves with the last. */
  async pay(): Promise<void> {
    const done = Promise.withResolvers<void>()
    this.#onDone = done.resolve
    this.#next()
    await done.promise
  }

  arrive(frame: Uint8Array): void {
    const message = decodeFromPayer(frame)
    if (message === undefined) throw new Error('a message does not decode')
    this.#inbox.push(message)
    this.#wake()
  }

  send(message: FromPayee): void {
    // what the transport would be given; it is thrown away
    encodeMessage(message)
    if (message.type === 'terms')
      deliver(
        this,
        encodeMessage({ type: 'accept', session: this.#session, signature: signTerms(this.#domain, message.terms, this.#sign) }),
      )
    else if (message.type === 'ready') this.#live.resolve()
    else if (message.type === 'meter') this.#next()
    else throw new Error(`the desk said ${message.type}`)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly FromPayer[]> {
    for (;;) {
      while (this.#inbox.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
      yield this.#inbox.splice(0)
    }
  }

  async close(): Promise<void> {}
  abort(error: Error): void {
    throw error
  }

  #next(): void {
    const frame = this.#frames[this.#sent++]
    if (frame === undefined) this.#onDone()
    else deliver(this, frame)
  }
}

export interface Accepted {
  readonly ms: number
  /** promises in one synced batch, on average */
  readonly perSync: number
}

const answers = {
  async begin({ place, channels: count }: { place: Place; channels: number }): Promise<void> {
    const privateKey = randomBytes(32)
    const self = {
      address: addressOfKey(privateKey),
      publicKey: publicKeyOf(privateKey),
      sign: signerOf(privateKey),
      chains: wordChainsOf(privateKey),
    }
    const domain = { chainId: BigInt(place.chainId), ledger: place.ledger }
    const owner = { pid: process.pid, command: 'bench', started: Math.floor(Date.now() / 1000) }
    const store = await openLevelStore({
      path: join(place.dir, 'payee', 'db'),
      genesis: { address: self.address, ...domain },
      owner,
      create: true,
    })
    const facts = { deposit: DEPOSIT, settled: 0n as Amount, expiry: NEVER, epoch: 0, block: 0 }
    const chain = {
      channel: async (parties: Parameters<typeof channelId>[0] | string) => ({
        id: channelId(parties as ChannelParties),
        confirmed: facts,
      }),
      watch: () => undefined,
    }
    const amounts = { poolPerHour: (10n ** 12n) as Amount, max: (CHUNK_COST * 64n) as Amount, unreserved: 0n as Amount }
    const desk = new PayeeDesk(
      {
        store, clock: systemClock, log: SILENT, events: new EventEmitter(), domain, self, chain, settle: () => undefined,
        signClose: () => new Uint8Array(0), closeDeadline: () => NEVER,
      },
      { policy: { ...amounts, sharePpm: 100_000n, marginS: 600, clockMs: 250, resumeMs: 600_000, patienceMs: 20_000, maxSessions: count, sessionLastS: 604_800 } },
    ) // biome-ignore format: records
    const offer: Offer = {
      provider: self.address, service: 'pay', kind: 'zeros', description: '', token: place.token, price: { rates: [{ kind: 'down', amount: CHUNK_COST as Amount, per: 65_536n }] },
      chunk: { kind: 'down', size: 65_536n }, minReservation: 0n as Amount, minTimeToExpiry: 3600, sequence: 1n, expiry: NEVER, addresses: [], inputs: '', outputs: '',
    } // biome-ignore format: a record
    desk.sell({ adapter: zerosService, offer: () => offer })
    await desk.start()
    const channels = Array.from({ length: count }, () => new Channel(domain, self.address, place.token))
    for (const channel of channels) void desk.attach(channel)
    await Promise.all(channels.map((channel) => channel.open('pay', place.token)))
    bench = { desk, store, channels }
  },

  /** Every channel pays `each` times, one payment at a time; answers the time until the last was durable and told. */
  async accept({ each }: { each: number }): Promise<Accepted> {
    if (bench === undefined) throw new Error('begin first')
    const { channels, store } = bench
    for (const channel of channels) channel.prepare(each)
    const before = store.stats().batches
    const begin = performance.now()
    await Promise.all(channels.map((channel) => channel.pay()))
    const ms = performance.now() - begin
    return { ms, perSync: (channels.length * each) / (store.stats().batches - before) }
  },

  busy: busySince,
}
export type PayeeAnswers = typeof answers

answer(answers)
