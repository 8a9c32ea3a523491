// One honest accountant between a consumer and a provider whose every move a test writes itself, on the ledger of the simulation.
import { accountantStep } from '../../../src/core/accountant/accountant.ts'
import {
  type AccountantContext,
  type AccountantEffect,
  type AccountantInput,
  type Books,
  NO_BOOKS,
  type Route,
} from '../../../src/core/accountant/books.ts'
import { type Hop, newHop, revealedOf } from '../../../src/core/accountant/hop.ts'
import type { ClearingMessage, OnwardHop } from '../../../src/core/accountant/messages.ts'
import type { Tariff } from '../../../src/core/accountant/tariff.ts'
import type { Amount } from '../../../src/core/amount.ts'
import { equalBytes } from '../../../src/core/bytes.ts'
import { codeOfWire, type ErrorCode } from '../../../src/core/errors.ts'
import { type Address, type ChannelId, channelId, type Hash32, type Seconds } from '../../../src/core/ids.ts'
import type { Lock } from '../../../src/core/lock.ts'
import type { SignedPromise } from '../../../src/core/promise.ts'
import { anchorOf, type Chain } from '../../sim/clearing-chains.ts'
import { BLOCK_S, CLAIM_S, TOKEN, ToyLedger } from '../../sim/clearing-ledger.ts'
import { Random } from '../../sim/random.ts'
import { toyAddress, toyPromise, toySign } from '../../sim/toy-crypto.ts'

export const MARGIN_S = CLAIM_S + 6 * BLOCK_S
export const CONSUMER = toyAddress(0xc0)
export const ACCOUNTANT = toyAddress(0xa0)
export const PROVIDER = toyAddress(0xb0)
export const OTHER = toyAddress(0xb1)
const TARIFF: Tariff = {
  forwards: true, perStep: 1n as Amount, share: 0, rent: 5n as Amount, longestS: 100_000, marginS: MARGIN_S,
} // biome-ignore format: a record

export const A = (value: bigint | number): Amount => BigInt(value) as Amount
export const sign = (hop: Pick<Hop, 'parties'>, amount: Amount, locks: readonly Lock[]): SignedPromise =>
  toyPromise(hop.parties.signer, hop.parties.target, amount, locks)

/** The rest of a chain behind `folded` steps, as a lock. */
export function lockOf(chain: Chain, unit: number, expiry: number, folded = 0): Lock {
  const steps = chain.words.length - 1 - folded
  return { anchor: anchorOf({ words: chain.words.slice(folded) }), unit: A(unit), steps, expiry: expiry as Seconds }
}

export class AccountantBench {
  readonly ledger = new ToyLedger(new Random(1))
  readonly inHop: ChannelId
  readonly outHop: ChannelId
  readonly otherHop: ChannelId
  books: Books = NO_BOOKS
  effects: readonly AccountantEffect[] = []
  away = false
  readonly #tariff: Tariff
  readonly #anchors = new Set<Hash32>()
  #chainS: Seconds
  #seen = 0

  constructor(deposits: { in?: number; out?: number } = {}, tariff: Partial<Tariff> = {}) {
    this.#tariff = { ...TARIFF, ...tariff }
    this.#chainS = this.ledger.confirmedS
    this.inHop = this.#open(CONSUMER, ACCOUNTANT, deposits.in ?? 10_000, 'ins')
    this.outHop = this.#open(ACCOUNTANT, PROVIDER, deposits.out ?? 10_000, 'outs')
    this.otherHop = this.#open(ACCOUNTANT, OTHER, deposits.out ?? 10_000, 'outs')
  }

  #open(payer: Address, payee: Address, deposit: number, side: 'ins' | 'outs'): ChannelId {
    const parties = { owner: payer, signer: payer, target: payee, token: TOKEN }
    this.ledger.open(parties, BigInt(deposit), (this.ledger.now + 10_000) as Seconds)
    const id = channelId(parties)
    this.books = { ...this.books, [side]: new Map(this.books[side]).set(id, newHop(id, parties, this.ledger.confirmed(id))) }
    return id
  }

  get now(): number {
    return this.ledger.now
  }
  get in(): Hop {
    return this.books.ins.get(this.inHop) as Hop
  }
  get out(): Hop {
    return this.books.outs.get(this.outHop) as Hop
  }
  /** no promise to the provider waits for its answer */
  get isIdle(): boolean {
    return this.out.update === undefined
  }
  route(chain: Chain): Route | undefined {
    return this.books.routes.get(anchorOf(chain))
  }
  get paid(): bigint {
    return this.ledger.settled(this.outHop) + this.ledger.settled(this.otherHop)
  }
  get claimed(): bigint {
    return this.ledger.settled(this.inHop)
  }

  step(input: AccountantInput): readonly AccountantEffect[] {
    const { books, effects } = accountantStep(this.books, input, this.#context())
    this.books = books
    this.effects = effects
    for (const anchor of books.routes.keys()) this.#anchors.add(anchor)
    for (const effect of effects) {
      const hop = effect.type === 'settle' ? books.ins.get(effect.hop) : undefined
      if (hop?.promise !== undefined) this.ledger.settle(hop.parties, hop.promise, revealedOf(hop))
    }
    return effects
  }

  #context(): AccountantContext {
    return {
      nowS: this.ledger.now, chainS: this.#chainS, sign, isUp: () => true, forwards: () => false,
      policy: { tariff: this.#tariff, claimS: CLAIM_S, maxPerPayer: A(9_000), maxPerPayee: A(9_000), maxLinksPerPayer: 8 },
      verify: (hop, promise) => equalBytes(sign(hop, promise.amount, promise.locks).signature, promise.signature),
      signGrant: () => toySign(ACCOUNTANT, 'grant'), isAnchorUsed: (anchor) => this.#anchors.has(anchor),
    } // biome-ignore format: a record
  }

  /** The consumer's next promise with these locks, the last of them new, to be promised to the provider. Answers what it was told. */
  link(amount: number, locks: readonly Lock[], onward: { unit: number; expiry: number; to?: ChannelId }): string {
    const hops: readonly OnwardHop[] = [
      { peer: new Uint8Array(33), unit: A(onward.unit), rent: A(0), expiry: onward.expiry as Seconds },
    ]
    const promise = sign(this.in, A(amount), locks)
    const message = { type: 'link', owner: CONSUMER, token: TOKEN, consumer: CONSUMER, promise, hops } as const
    return said(this.step({ type: 'link', hop: this.inHop, message, outHop: onward.to ?? this.outHop }), this.inHop)
  }

  /** The provider takes what was promised last. */
  taken(chain: Chain, hop = this.outHop): readonly AccountantEffect[] {
    return this.step({ type: 'taken', hop, anchor: anchorOf(chain) })
  }

  fold(amount: number, locks: readonly Lock[]): string {
    const promise = sign(this.in, A(amount), locks)
    const message = { type: 'fold', owner: CONSUMER, token: TOKEN, promise } as const
    return said(this.step({ type: 'fold', hop: this.inHop, message }), this.inHop)
  }

  clear(chain: Chain, known: number, free = false, hop = this.outHop): readonly AccountantEffect[] {
    const entry = { anchor: anchorOf(chain), known, word: chain.words[known] as Uint8Array, free }
    return this.step({ type: 'clear', hop, entries: [entry] })
  }

  /** Settles a promise for whoever holds it, with words of these chains; the next block has it. */
  settle(hop: Hop, promise: SignedPromise, shown: readonly (readonly [Chain, number])[]): void {
    const reveals = new Map<Hash32, { word: Uint8Array; k: number }>()
    for (const [{ words }, known] of shown) {
      const begins = words.findIndex((word) => promise.locks.some(({ anchor }) => anchor === anchorOf({ words: [word] })))
      reveals.set(anchorOf({ words: words.slice(begins) }), { word: words[known] as Uint8Array, k: known - begins })
    }
    this.ledger.settle(hop.parties, promise, reveals, true)
  }

  /** Blocks until that time; the accountant looks at each unless it is away. */
  mineUntil(time: number): void {
    while (this.ledger.now < time) {
      this.ledger.mine()
      if (!this.away) this.look()
    }
  }

  look(): void {
    for (const hop of [this.inHop, this.outHop, this.otherHop])
      this.step({ type: 'facts', hop, facts: this.ledger.confirmed(hop) })
    const words = this.ledger.words(this.#seen, this.ledger.confirmedS)
    this.#seen += words.length
    for (const { anchor, word, k, blockS } of words) this.step({ type: 'word', anchor, word, k, blockS })
    this.#chainS = this.ledger.confirmedS
    this.step({ type: 'clock' })
  }
}

/** What a peer was told: the name of the message, or the code of the fault. */
export function said(effects: readonly AccountantEffect[], hop: ChannelId): string {
  const texts = effects.flatMap((effect) =>
    effect.type === 'drop' ? [effect.code] : effect.type === 'send' && effect.hop === hop ? [nameOf(effect.message)] : [],
  )
  return texts.join(' ')
}

function nameOf(message: ClearingMessage): string | ErrorCode {
  return message.type === 'fault' ? (codeOfWire(message.code) ?? '?') : message.type
}
