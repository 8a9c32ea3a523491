// Plain data for the rules of a session: a payer, a payee, a channel of 1,000,000 and a price of 1 base unit a byte.
import type { Amount } from '../../../src/core/amount.ts'
import { bestAmount, type ChannelFacts, type ChannelIn, type ChannelOut, newChannelOut } from '../../../src/core/channel.ts'
import { newOwner, type OwnerAccount } from '../../../src/core/credit.ts'
import type { Head } from '../../../src/core/head.ts'
import { type ChannelParties, channelId, type Hash32, type Seconds } from '../../../src/core/ids.ts'
import { meterOf } from '../../../src/core/meter.ts'
import { type Chunk, type Price, priceOf } from '../../../src/core/price.ts'
import type { FromPayee, FromPayer } from '../../../src/core/session/messages.ts'
import {
  newPayeeSession,
  type PayeeContext,
  type PayeeEffect,
  type PayeeInput,
  type PayeePolicy,
  type PayeeState,
  stepPayee,
} from '../../../src/core/session/payee.ts'
import {
  newPayerSession,
  type PayerContext,
  type PayerEffect,
  type PayerInput,
  type PayerState,
  stepPayer,
} from '../../../src/core/session/payer.ts'
import type { Wish } from '../../../src/core/session/payer-terms.ts'
import type { Terms } from '../../../src/core/terms.ts'
import {
  toyAddress,
  toyDigest,
  toyPayee,
  toyPayer,
  toyPromise,
  toySession,
  toySign,
  toyTermsSignature,
} from '../../sim/toy-crypto.ts'

export const PAYER = toyAddress(0xa1)
export const PAYEE = toyAddress(0xb1)
export const TOKEN = toyAddress(0xc1)
export const SESSION = toySession(7)
export const NOW_S = 1_700_000_000 as Seconds
export const PARTIES: ChannelParties = { owner: PAYER, signer: PAYER, target: PAYEE, token: TOKEN }
export const A = (value: bigint | number): Amount => BigInt(value) as Amount
export const down = (amount: number, per = 1): Price => priceOf([{ kind: 'down', amount: A(amount), per: BigInt(per) }])
export const time = (amount: number, per = 1): Price => priceOf([{ kind: 'ms', amount: A(amount), per: BigInt(per) }])
export const CHUNK: Chunk = { kind: 'down', size: 1_000n }
export const promise = (amount: bigint | number) => toyPromise(PAYER, PAYEE, A(amount))

export const facts = (deposit = 1_000_000n, expiry = NOW_S + 100_000): ChannelFacts => ({
  deposit: A(deposit),
  settled: A(0),
  expiry: expiry as Seconds,
  epoch: 0,
})

export const channelIn = (best?: bigint | number): ChannelIn => ({
  id: channelId(PARTIES),
  parties: PARTIES,
  facts: facts(),
  best: best === undefined ? undefined : { promise: promise(best) },
  frozen: undefined,
})

export const channelOut = (at: bigint | number = 0): ChannelOut => ({
  ...newChannelOut(channelId(PARTIES), PARTIES, facts()),
  at: A(at),
  reserved: A(at),
  last: BigInt(at) === 0n ? undefined : promise(at),
})

export const terms = (of: Partial<Terms> = {}): Terms => ({
  session: SESSION,
  owner: PAYER,
  signer: PAYER,
  provider: PAYEE,
  token: TOKEN,
  service: 'files',
  offerSequence: 1n,
  price: down(1),
  chunk: CHUNK,
  arrears: A(0),
  patienceMs: 30_000,
  opened: NOW_S,
  expiry: (NOW_S + 3_600) as Seconds,
  content: new Uint8Array(0),
  ...of,
})

export const wish = (of: Partial<Wish> = {}, agreed = terms()): Wish => ({
  service: 'files',
  inputs: new Uint8Array(0),
  owner: PAYER,
  signer: PAYER,
  provider: PAYEE,
  token: TOKEN,
  offered: { price: agreed.price, chunk: agreed.chunk, sequence: 1n },
  maxPrice: undefined,
  budget: A(100_000),
  limitAtRisk: A(3_000),
  owed: A(0),
  expect: undefined,
  ...of,
})

/** The words of a list of effects that leave the node. */
export const said = <M extends FromPayee | FromPayer>(effects: readonly { type: string; message?: M }[]): M[] =>
  effects.flatMap((effect) => (effect.type === 'send' && effect.message !== undefined ? [effect.message] : []))

export const named = (effects: readonly { type: string }[]): string[] => effects.map((effect) => effect.type)

interface PayeeInit {
  readonly terms?: Terms
  readonly channel?: ChannelIn
  readonly owner?: Partial<OwnerAccount>
  readonly policy?: Partial<PayeePolicy>
  readonly otherExposure?: bigint
}

/** A payee's session with a clock to turn by hand. Whatever it stores is durable at once unless `slowDisk`. */
export class PayeeBench {
  state: PayeeState
  nowMs = 0
  nowS: Seconds = NOW_S
  otherExposure: Amount
  slowDisk = false
  readonly usedAnchors = new Set<Hash32>()
  /** what waits for the disk */
  readonly stored: PayeeInput[] = []
  readonly said: FromPayee[] = []
  readonly policy: PayeePolicy

  constructor(init: PayeeInit = {}) {
    const agreed = init.terms ?? terms()
    this.state = {
      session: newPayeeSession(agreed, toyDigest(agreed), toyTermsSignature(agreed), 0),
      channel: init.channel ?? channelIn(),
      owner: { ...newOwner(PAYER, TOKEN), ...init.owner },
    }
    this.otherExposure = A(init.otherExposure ?? 0)
    this.policy = {
      sharePpm: 0n,
      max: A(1_000_000),
      marginS: 600,
      unreserved: A(0),
      clockMs: 500,
      resumeMs: 60_000,
      ...init.policy,
    }
  }

  get context(): PayeeContext {
    const { nowMs, nowS, policy, otherExposure } = this
    const isAnchorUsed = (anchor: Hash32): boolean => this.usedAnchors.has(anchor)
    return { nowMs, nowS, policy, otherExposure, ...toyPayee(PAYEE, PAYER, this.state.session.terms), isAnchorUsed }
  }

  get session() {
    return this.state.session
  }

  give(input: PayeeInput): readonly PayeeEffect[] {
    const { state, effects } = stepPayee(this.state, input, this.context)
    this.state = state
    this.said.push(...said(effects))
    const then = effects.flatMap((effect) => (effect.type === 'store' && effect.then !== undefined ? [effect.then] : []))
    this.stored.push(...then)
    return this.slowDisk ? effects : [...effects, ...this.sync()]
  }

  /** Everything that was stored is durable now. */
  sync(): PayeeEffect[] {
    return this.stored.splice(0).flatMap((then) => [...this.give(then)])
  }

  /** Accepted, ready, stream 1 open. */
  live(): this {
    this.give({ type: 'accept', signature: this.acceptance })
    this.give({ type: 'opened', stream: 1 })
    return this
  }

  get acceptance(): Uint8Array {
    return toyPayer(PAYER, PAYEE).signTerms(this.session.terms)
  }

  write(bytes: number, stream = 1): readonly PayeeEffect[] {
    return this.give({ type: 'wrote', stream, bytes })
  }

  ack(bytes: number, of: { stream?: number; ms?: bigint; final?: boolean } = {}): readonly PayeeEffect[] {
    return this.give({
      type: 'ack',
      stream: of.stream ?? 1,
      bytes: BigInt(bytes),
      ms: of.ms ?? this.session.ms,
      final: of.final ?? false,
    })
  }

  /** pays up to this total; the channel rises by as much */
  pay(total: number): readonly PayeeEffect[] {
    const amount = bestAmount(this.state.channel) + BigInt(total) - this.session.total
    return this.give({
      type: 'promise',
      message: { type: 'promise', session: SESSION, total: A(total), promise: promise(amount) },
    })
  }

  close(bytes: number, reason = 0): readonly PayeeEffect[] {
    const acked = meterOf({ down: BigInt(bytes), ms: this.session.ms })
    return this.give({ type: 'close', message: { type: 'close', session: SESSION, total: this.session.total, acked, reason } })
  }
}

interface PayerInit {
  readonly terms?: Terms
  readonly wish?: Partial<Wish>
  readonly channel?: ChannelOut
  readonly credit?: number
}

/** A payer's session with a clock to turn by hand. */
export class PayerBench {
  state: PayerState
  nowMs = 0
  nowS: Seconds = NOW_S
  slowDisk = false
  isMoving = false
  isAlone = true
  readonly terms: Terms
  readonly credit: Amount
  readonly stored: PayerInput[] = []
  readonly said: FromPayer[] = []
  /** every amount that was ever signed */
  readonly signed: bigint[] = []

  joins = false
  ticks: PayerContext['ticks'] = 'never'

  constructor(init: PayerInit = {}) {
    this.terms = init.terms ?? terms()
    this.credit = A(init.credit ?? 0)
    this.state = { session: newPayerSession(SESSION, wish(init.wish, this.terms), 0), channel: init.channel ?? channelOut() }
  }

  get context(): PayerContext {
    const toy = toyPayer(PAYER, PAYEE)
    const signPromise: typeof toy.signPromise = (amount, locks) => {
      this.signed.push(amount)
      return toy.signPromise(amount, locks)
    }
    return {
      nowMs: this.nowMs,
      nowS: this.nowS,
      joins: this.joins,
      ticks: this.ticks,
      moving: () => this.isMoving,
      alone: () => this.isAlone,
      ...toy,
      signPromise,
    }
  }

  get session() {
    return this.state.session
  }

  give(input: PayerInput): readonly PayerEffect[] {
    const { state, effects } = stepPayer(this.state, input, this.context)
    this.state = state
    this.said.push(...said(effects))
    const then = effects.flatMap((effect) => (effect.type === 'store' && effect.then !== undefined ? [effect.then] : []))
    this.stored.push(...then)
    return this.slowDisk ? effects : [...effects, ...this.sync()]
  }

  sync(): PayerEffect[] {
    return this.stored.splice(0).flatMap((then) => [...this.give(then)])
  }

  offer(of: { total?: number; acked?: number; head?: number; terms?: Terms; credit?: number } = {}): readonly PayerEffect[] {
    const offered = of.terms ?? this.terms
    return this.give({
      type: 'terms',
      message: {
        type: 'terms',
        terms: offered,
        signature: toyTermsSignature(offered),
        head: of.head === undefined ? undefined : { promise: promise(of.head) },
        total: A(of.total ?? 0),
        acked: meterOf({ down: BigInt(of.acked ?? 0) }),
        credit: A(of.credit ?? this.credit),
      },
    })
  }

  /** Terms, accept, ready, stream 1 open. */
  live(): this {
    this.offer({ ...(this.state.channel.last === undefined ? {} : { head: Number(this.state.channel.last.amount) }) })
    this.ready()
    return this
  }

  ready(stream = 1): void {
    this.give({ type: 'ready', message: { type: 'ready', session: SESSION, credit: this.credit } })
    this.give({ type: 'opened', stream })
  }

  /** After a cut: the payee is back with this head and these figures, stream 2 open. */
  resumed(head: Head, total: number, acked: number): void {
    this.give({
      type: 'terms',
      message: {
        type: 'terms', terms: this.terms, signature: toyTermsSignature(this.terms), head, total: A(total), acked: meterOf({ down: BigInt(acked) }),
        credit: this.credit,
      },
    }) // biome-ignore format: a record
    this.ready(1)
  }

  use(bytes: number, stream = 1): readonly PayerEffect[] {
    return this.give({ type: 'used', stream, bytes })
  }

  /** the payee's report */
  meter(of: { written?: number; ms?: bigint; paid?: bigint; credit?: number; paused?: boolean } = {}): readonly PayerEffect[] {
    return this.give({
      type: 'meter',
      message: {
        type: 'meter',
        session: SESSION,
        written: meterOf({ down: BigInt(of.written ?? 0), ms: of.ms ?? this.session.ms }),
        paid: A(of.paid ?? this.session.total),
        credit: A(of.credit ?? this.credit),
        paused: of.paused ?? false,
      },
    })
  }

  receipt(of: { total?: bigint; down?: bigint; ms?: bigint; reason?: number; amount?: bigint } = {}): readonly PayerEffect[] {
    const { session, channel } = this.state
    const body = {
      session: SESSION,
      terms: toyDigest(this.terms),
      channel: channel.id,
      total: A(of.total ?? session.total),
      amount: A(of.amount ?? channel.at),
      meter: meterOf({ down: of.down ?? session.flow.done, ms: of.ms ?? session.ms }),
      closed: NOW_S,
      reason: of.reason ?? 0,
    }
    return this.give({
      type: 'receipt',
      receipt: { receipt: body, signature: toyPayee(PAYEE, PAYER, this.terms).signReceipt(body) },
    })
  }
}

export const badSignature = toySign(toyAddress(1), 'nobody')
