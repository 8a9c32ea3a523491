// What a payee could hold that keeps every promise and every word it ever saw: it settles the pair that is worth most.
import { toHex } from '../../src/core/bytes.ts'
import { keccak256 } from '../../src/core/crypto/keccak.ts'
import { hash32ToBytes } from '../../src/core/ids.ts'
import type { SignedPromise } from '../../src/core/promise.ts'

/** longer than any chain of the payers of these tests */
const FURTHEST = 300

export class Hoard {
  readonly #promises: SignedPromise[] = []
  /** each hash that was seen -> the anchors that it leads to, and in how many steps */
  readonly #leads = new Map<string, ReadonlyMap<string, number>>()
  /** anchor -> the deepest step that is known */
  readonly #deepest = new Map<string, number>()

  promise(promise: SignedPromise): void {
    this.#promises.push(promise)
    for (const { anchor } of promise.locks) {
      // an anchor can be a word of another chain
      if (this.#leads.get(anchor)?.get(anchor) === undefined) this.#learn(hash32ToBytes(anchor), anchor)
    }
  }

  word(word: Uint8Array): void {
    this.#learn(word)
  }

  #learn(word: Uint8Array, anchor?: string): void {
    const found = new Map(anchor === undefined ? [] : [[anchor, 0]])
    let at = word
    for (let steps = 0; steps <= FURTHEST; steps++) {
      const known = this.#leads.get(toHex(at))
      if (known !== undefined) {
        for (const [end, k] of known) found.set(end, k + steps)
        break
      }
      at = keccak256(at)
    }
    this.#leads.set(toHex(word), found)
    for (const [end, k] of found) if (k > (this.#deepest.get(end) ?? 0)) this.#deepest.set(end, k)
  }

  /** What the ledger would pay for the best of it, if the deposit held it. */
  get worth(): bigint {
    let most = 0n
    for (const { amount, locks } of this.#promises) {
      const [lock] = locks
      const k = lock === undefined ? 0 : Math.min(lock.steps, this.#deepest.get(lock.anchor) ?? 0)
      const worth = amount + BigInt(k) * (lock?.unit ?? 0n)
      if (worth > most) most = worth
    }
    return most
  }
}
