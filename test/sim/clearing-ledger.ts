// The ledger of the simulation: the model that the differential test holds against the contract, with blocks, confirmations and a mempool.
import type { ChannelFacts } from '../../src/core/channel.ts'
import { type ChannelId, type ChannelParties, channelId, type Hash32, type Seconds } from '../../src/core/ids.ts'
import { type Reveal, showLocks } from '../../src/core/lock.ts'
import type { SignedPromise } from '../../src/core/promise.ts'
import type { Call } from '../protocols/ledger/calls.ts'
import { Model } from '../protocols/ledger/model.ts'
import type { Random } from './random.ts'
import { toyAddress } from './toy-crypto.ts'

export const BLOCK_S = 10
/** A block is confirmed when so many lie on top of it. */
const CONFIRMATIONS = 2
/** A transaction is in one of the next so many blocks; an enemy picks which. */
const INCLUSION = 2
/** What a settlement needs: to be in a block, and that the block is confirmed. */
export const CLAIM_S = (CONFIRMATIONS + INCLUSION) * BLOCK_S
export const TOKEN = toyAddress(0x70)

export interface WordLog {
  readonly anchor: Hash32
  readonly word: Uint8Array
  readonly k: number
  readonly blockS: Seconds
}

export class ToyLedger {
  readonly #model = new Model(TOKEN, 'short')
  readonly #random: Random
  readonly #pool: { readonly call: Call; readonly last: number }[] = []
  readonly #channels = new Map<ChannelId, ChannelParties>()
  /** the facts of every channel, after each of the latest blocks */
  #history: ReadonlyMap<ChannelId, ChannelFacts>[] = []
  readonly #logs: WordLog[] = []
  now = 1_000_000 as Seconds

  constructor(random: Random) {
    this.#random = random
  }

  get confirmedS(): Seconds {
    return (this.now - CONFIRMATIONS * BLOCK_S) as Seconds
  }

  open(parties: ChannelParties, amount: bigint, expiry: Seconds): void {
    this.#model.fundWallet(parties.owner, amount)
    this.#run({ fn: 'depositAndOpen', parties, amount, expiry: BigInt(expiry) } as Call)
    this.#channels.set(channelId(parties), parties)
    this.#history = [this.#facts()]
  }

  /** Sends a settlement; `hurried` by whoever picks the order of transactions. */
  settle(parties: ChannelParties, promise: SignedPromise, reveals: ReadonlyMap<Hash32, Reveal>, hurried = false): void {
    const row = { parties, amount: promise.amount, shown: showLocks(promise.locks, reveals), genuine: true }
    const [from, cut] = [parties.target, 0]
    // in a batch a word is told also where the row is skipped
    const batch = hurried && this.#random.chance(0.5)
    this.#send(batch ? { fn: 'settleBatch', from, target: from, rows: [row], cut } : { fn: 'settle', from, row, cut }, hurried)
  }

  reclaim(parties: ChannelParties): void {
    this.#send({ fn: 'reclaim', parties } as Call, true)
  }

  mine(): void {
    this.now = (this.now + BLOCK_S) as Seconds
    for (const sent of this.#random.chance(0.5) ? this.#pool.splice(0) : this.#pool.splice(0).reverse()) {
      if (sent.last > this.now && this.#random.chance(0.5)) this.#pool.push(sent)
      else this.#run(sent.call)
    }
    this.#history.push(this.#facts())
    if (this.#history.length > CONFIRMATIONS + 1) this.#history.shift()
  }

  confirmed(id: ChannelId): ChannelFacts {
    return this.#history[0]?.get(id) as ChannelFacts
  }

  settled(id: ChannelId): bigint {
    return this.#history.at(-1)?.get(id)?.settled ?? 0n
  }

  /** Every word in the log up to a time, from a place in it on. */
  words(from: number, untilS: Seconds): readonly WordLog[] {
    const end = this.#logs.findIndex(({ blockS }) => blockS > untilS)
    return this.#logs.slice(from, end < 0 ? undefined : end)
  }

  #send(call: Call, hurried: boolean): void {
    this.#pool.push({ call, last: this.now + (hurried ? 1 : INCLUSION) * BLOCK_S })
  }

  #facts(): ReadonlyMap<ChannelId, ChannelFacts> {
    return new Map([...this.#channels].map(([id, parties]) => [id, this.#model.channel(parties)]))
  }

  #run(call: Call): void {
    const events = this.#model.apply(call, BigInt(this.now))
    if (typeof events === 'string') return
    for (const [name, anchor, word, k] of events) {
      if (name !== 'WordShown') continue
      const bytes = Buffer.from((word as string).slice(2), 'hex')
      this.#logs.push({ anchor: anchor as Hash32, word: new Uint8Array(bytes), k: Number(k), blockS: this.now })
    }
  }
}
