// Word chains of a simulated history, and what the cheats of it know of them together.
import { toHex } from '../../src/core/bytes.ts'
import { keccak256 } from '../../src/core/crypto/keccak.ts'
import type { ChannelParties, Hash32 } from '../../src/core/ids.ts'
import type { Reveal } from '../../src/core/lock.ts'
import type { SignedPromise } from '../../src/core/promise.ts'
import type { ToyLedger } from './clearing-ledger.ts'
import type { Random } from './random.ts'

export interface Chain {
  /** words[k] hashes k times to words[0] */
  readonly words: readonly Uint8Array[]
}

let seeds = 0

export function newChain(steps: number): Chain {
  const seed = new Uint8Array(32)
  new DataView(seed.buffer).setUint32(0, ++seeds)
  const words: Uint8Array[] = [seed]
  for (let i = 0; i < steps; i++) words.unshift(keccak256(words[0] as Uint8Array))
  return { words }
}

export const anchorOf = ({ words }: Chain): Hash32 => toHex(words[0] as Uint8Array) as Hash32

/** All cheats of a history act as one: what one is told, all know; what one was promised, any may settle, with any words, at any time. */
export class Underworld {
  readonly #random: Random
  readonly #ledger: ToyLedger
  readonly #words = new Map<string, Uint8Array>()
  /** what a word hashes to, for words that are known */
  readonly #deeper = new Map<Hash32, Uint8Array>()
  readonly #promises: { readonly parties: ChannelParties; readonly promise: SignedPromise }[] = []

  constructor(random: Random, ledger: ToyLedger) {
    this.#random = random
    this.#ledger = ledger
  }

  /** Learns a word, and all that it hashes to. */
  learn(word: Uint8Array, k: number): void {
    let at = word
    for (let i = 0; i < k; i++) {
      const next = keccak256(at)
      const name = toHex(next) as Hash32
      if (this.#deeper.has(name)) return
      this.#deeper.set(name, at)
      this.#words.set(toHex(at), at)
      at = next
    }
  }

  hoard(parties: ChannelParties, promise: SignedPromise): void {
    this.#promises.push({ parties, promise })
  }

  /** The deepest word behind an anchor that is known, at most so many steps. */
  #reveal(anchor: Hash32, steps: number): Reveal {
    let [at, k] = [anchor, 0]
    let word: Uint8Array | undefined
    for (let next = this.#deeper.get(at); next !== undefined && k < steps; next = this.#deeper.get(at)) {
      word = next
      at = toHex(next) as Hash32
      k++
    }
    return { word: word ?? new Uint8Array(Buffer.from(anchor.slice(2), 'hex')), k }
  }

  /** Settles something that was promised to a cheat, or by one, with some of the words. */
  settleSomething(): void {
    if (this.#promises.length === 0) return
    const one = this.#random.pick(this.#promises)
    const reveals = new Map<Hash32, Reveal>()
    for (const { anchor, steps } of one.promise.locks) {
      const most = this.#random.chance(0.7) ? steps : this.#random.int(0, steps)
      const reveal = this.#reveal(anchor, most)
      if (reveal.k > 0) reveals.set(anchor, reveal)
    }
    this.#ledger.settle(one.parties, one.promise, reveals, true)
  }

  /** Settles everything that expires with the next block: the last moment in which the ledger takes it. */
  settleAtTheLastMoment(now: number, blockS: number): void {
    for (const { parties, promise } of this.#promises) {
      const times = promise.locks.map(({ expiry }) => expiry)
      if (!times.some((expiry) => expiry > now + blockS && expiry <= now + 2 * blockS)) continue
      const reveals = new Map<Hash32, Reveal>()
      for (const { anchor, steps } of promise.locks) {
        const reveal = this.#reveal(anchor, steps)
        if (reveal.k > 0) reveals.set(anchor, reveal)
      }
      this.#ledger.settle(parties, promise, reveals, true)
    }
  }
}
