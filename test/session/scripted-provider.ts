// A provider that says what the test wants, to a consumer made of the real desk, real signatures and a store in memory.
import { EventEmitter } from 'node:events'
import type { Sign } from '../../src/core/crypto/secp256k1.ts'
import { type ChannelParties, channelId, type Seconds, type SessionId } from '../../src/core/ids.ts'
import { type Meter, meterOf, ZERO_METER } from '../../src/core/meter.ts'
import { type Chunk, type Price, priceOf } from '../../src/core/price.ts'
import { preparePromises, type SignedPromise } from '../../src/core/promise.ts'
import { type Receipt, type SignedReceipt, signReceipt } from '../../src/core/receipt.ts'
import type { FromPayee, FromPayer, Hello, Pay, TermsOffered } from '../../src/core/session/messages.ts'
import type { Wish } from '../../src/core/session/payer-terms.ts'
import { signTerms, type Terms, termsDigest } from '../../src/core/terms.ts'
import type { ChannelView } from '../../src/ports/chain.ts'
import type { DataBytes } from '../../src/ports/link.ts'
import type { Log, SessionEvents } from '../../src/session/components.ts'
import type { LiveSession } from '../../src/session/live-session.ts'
import { PayerDesk, type ProviderLine } from '../../src/session/payer-desk.ts'
import { type MemoryStoreInit, openMemoryStore } from '../../src/store/memory-store.ts'
import { A, DOMAIN, HandClock, Ledger, newSessionId, START_S, selfOf, TOKEN } from './market.ts'
import { type ControlPair, controlPair, DataPair } from './memory-link.ts'

const SILENT: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
export const CHUNK: Chunk = { kind: 'down', size: 1_000n }

/** undefined: what an honest provider says. */
export type Script = (message: FromPayer, provider: ScriptedProvider) => FromPayee[] | undefined

export interface Offering extends Partial<Omit<TermsOffered, 'type' | 'terms'>> {
  readonly terms?: Partial<Terms>
  /** who signs the terms. @default the provider */
  readonly sign?: Sign
}

export interface BenchInit extends MemoryStoreInit {
  readonly price?: Price
  readonly chunk?: Chunk
  /** how much the consumer may owe; from a chunk on it prepays nothing. @default 2,000 */
  readonly credit?: number
  readonly script?: Script
  /** waits before the ledger answers */
  readonly asked?: () => Promise<void>
}

/** One consumer, and a provider that follows a script. */
export class ScriptedProvider {
  readonly self = selfOf(0xb2)
  readonly payer = selfOf(0xa2)
  readonly clock = new HandClock()
  readonly ledger = new Ledger()
  readonly price: Price
  readonly chunk: Chunk
  readonly credit: bigint
  script: Script
  /** all that the consumer said, in order */
  readonly heard: FromPayer[] = []
  readonly store: ReturnType<typeof openMemoryStore>
  readonly desk: PayerDesk
  /** how many times the consumer's key was used */
  signatures = 0
  /** the provider's end of every data stream, in the order of opening */
  readonly streams: (DataBytes & { readonly session: SessionId })[] = []
  line: ProviderLine
  #pair: ControlPair
  readonly #loops: Promise<unknown>[] = []
  readonly #waiting = new Set<() => void>()

  private constructor(init: BenchInit) {
    this.price = init.price ?? priceOf([{ kind: 'down', amount: A(1), per: 1n }])
    this.chunk = init.chunk ?? CHUNK
    this.credit = BigInt(init.credit ?? 2_000)
    this.script = init.script ?? (() => undefined)
    this.store = openMemoryStore(init)
    const { sign } = this.payer
    const chain = {
      ...this.ledger.chain,
      channel: async (of: Parameters<Ledger['chain']['channel']>[0]): Promise<ChannelView> => {
        await init.asked?.()
        return await this.ledger.chain.channel(of)
      },
    }
    this.desk = new PayerDesk({
      store: this.store,
      clock: this.clock,
      log: SILENT,
      events: new EventEmitter<SessionEvents>(),
      domain: DOMAIN,
      self: {
        ...this.payer,
        sign: (digest) => {
          this.signatures += 1
          return sign(digest)
        },
      },
      chain,
    })
    this.ledger.open(this.parties)
    this.#pair = controlPair(this.payer, this.self)
    this.line = this.#join()
  }

  static async meet(init: BenchInit, body: (provider: ScriptedProvider) => Promise<void>): Promise<void> {
    const provider = new ScriptedProvider(init)
    await provider.desk.start()
    try {
      await body(provider)
    } finally {
      provider.cut()
      await provider.desk.stop()
      await Promise.all(provider.#loops)
    }
  }

  get parties(): ChannelParties {
    const { address } = this.payer
    return { owner: address, signer: address, target: this.self.address, token: TOKEN }
  }

  wish(of: Partial<Wish> = {}): Wish {
    return {
      service: 'bait', inputs: new Uint8Array(0), owner: this.payer.address, signer: this.payer.address, provider: this.self.address, token: TOKEN,
      offered: { price: this.price, chunk: this.chunk, sequence: 1n }, maxPrice: undefined, budget: A(100_000), limitAtRisk: A(4_000), owed: A(0),
      expect: undefined, ...of,
    } // biome-ignore format: a record
  }

  open(of: Partial<Wish> = {}, options: { signal?: AbortSignal } = {}): Promise<LiveSession> {
    return this.desk.open(this.line, this.wish(of), newSessionId(), options)
  }

  /** What is lost is lost on both sides. */
  cut(): void {
    this.#pair.cut()
    for (const stream of this.streams) stream.abort(new Error('the connection is gone'))
  }

  /** A new control stream after a cut. */
  reconnect(): void {
    this.#pair = controlPair(this.payer, this.self)
    this.line = this.#join()
  }

  /** Says something that nobody asked for. */
  say(message: FromPayee): void {
    this.#pair.payee.send(message)
  }

  /** The first message of this type from the `from`th message on, once it has come. */
  async until<T extends FromPayer['type']>(type: T, from = 0): Promise<Extract<FromPayer, { type: T }>> {
    for (;;) {
      const found = this.heard.slice(from).find((message) => message.type === type)
      if (found !== undefined) return found as Extract<FromPayer, { type: T }>
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  /** Resolves when a promise has come that brings its session to this total. */
  async untilPaid(total: bigint): Promise<void> {
    while ((this.payments.at(-1)?.total ?? 0n) < total) await new Promise<void>((resolve) => this.#waiting.add(resolve))
  }

  get payments(): Pay[] {
    return this.heard.filter((message) => message.type === 'promise')
  }

  /** what the session has paid */
  totalOf(session: string): bigint {
    return this.payments.findLast((pay) => pay.session === session)?.total ?? 0n
  }

  /** the best promise of the channel */
  get head(): SignedPromise | undefined {
    return this.payments.at(-1)?.promise
  }

  termsFor(hello: Hello, of: Partial<Terms> = {}): Terms {
    return {
      session: hello.session, owner: hello.owner, signer: this.payer.address, provider: this.self.address, token: hello.token, service: hello.service,
      offerSequence: 1n, price: this.price, chunk: this.chunk, arrears: A(0), patienceMs: 5_000, opened: START_S as Seconds,
      expiry: (START_S + 3_600) as Seconds, content: new Uint8Array(0), ...of,
    } // biome-ignore format: a record
  }

  /** The honest answer to a hello, but for what is given. */
  offered(hello: Hello, { terms: changed, sign = this.self.sign, ...rest }: Offering = {}): TermsOffered {
    const terms = this.termsFor(hello, changed)
    const total = hello.resume ? this.totalOf(hello.session) : 0n
    const honest = {
      head: this.head === undefined ? undefined : { promise: this.head },
      total: A(total),
      acked: hello.acked,
      credit: A(this.credit),
    }
    return { type: 'terms', terms, signature: signTerms(DOMAIN, terms, sign), ...honest, ...rest }
  }

  /** A promise on this channel by whoever signs. */
  promise(amount: bigint, sign = this.self.sign): SignedPromise {
    return preparePromises(DOMAIN, this.parties).sign(A(amount), [], sign)
  }

  /** The honest receipt of a session, but for what is given. */
  receipt(close: Extract<FromPayer, { type: 'close' }>, of: Partial<Receipt> = {}, sign = this.self.sign): SignedReceipt {
    const hello = this.heard.find((message) => message.type === 'hello' && message.session === close.session) as Hello
    const receipt: Receipt = {
      session: close.session,
      terms: termsDigest(DOMAIN, this.termsFor(hello)).hex,
      channel: channelId(this.parties),
      total: close.total,
      amount: this.head?.amount ?? A(0),
      meter: close.acked,
      closed: START_S as Seconds,
      reason: close.reason,
      ...of,
    }
    return { receipt, signature: signReceipt(DOMAIN, receipt, sign) }
  }

  /** What an honest provider answers. */
  honest(message: FromPayer): FromPayee[] {
    const credit = A(this.credit)
    switch (message.type) {
      case 'hello': return [this.offered(message)]
      case 'accept': return [{ type: 'ready', session: message.session, credit }]
      case 'promise': return [{ type: 'meter', session: message.session, written: ZERO_METER, paid: message.total, credit, paused: false }]
      case 'close': return [{ type: 'receipt', session: message.session, receipt: this.receipt(message) }]
      default: return []
    } // biome-ignore format: a table
  }

  #join(): ProviderLine {
    const { payer, payee } = this.#pair
    const line: ProviderLine = {
      link: payer,
      openData: async ({ session }, { signal }) => {
        signal?.throwIfAborted()
        const data = new DataPair()
        this.streams.push({ session, ...data.end('payee') })
        return { info: new Uint8Array(0), free: false, bytes: data.end('payer') }
      },
    }
    const serve = async (): Promise<void> => {
      for await (const batch of payee) for (const message of batch) this.#hear(message, (answer) => payee.send(answer))
    }
    this.#loops.push(serve(), this.desk.attach(line))
    return line
  }

  #hear(message: FromPayer, answer: (message: FromPayee) => void): void {
    this.heard.push(message)
    for (const one of this.script(message, this) ?? this.honest(message)) answer(one)
    for (const wake of [...this.#waiting]) wake()
    this.#waiting.clear()
  }
}

export const bytes = (count: number): Uint8Array => new Uint8Array(count)
export const down = (count: number | bigint): Meter => meterOf({ down: BigInt(count) })

/** Uses what comes until it ends or is refused; the bytes that came and why it ended. */
export async function useAll(pieces: AsyncIterable<Uint8Array>): Promise<{ used: number; code: string | undefined }> {
  let used = 0
  try {
    for await (const piece of pieces) used += piece.length
  } catch (thrown) {
    return { used, code: (thrown as { code?: string }).code ?? String(thrown) }
  }
  return { used, code: undefined }
}

/** The code that a call is refused with. */
export async function refused(call: Promise<unknown>): Promise<string> {
  try {
    await call
  } catch (thrown) {
    return (thrown as { code?: string }).code ?? String(thrown)
  }
  return 'it went through'
}
