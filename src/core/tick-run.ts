/**
 * Ticks of one chain that come one behind the other. Each is checked and counted as it comes; the rules hear of all of them as one payment,
 * because what a payment costs beside its hash is the same for one word and for a hundred.
 * @see protocols/session/SPEC.md T4
 */

import { type ChannelIn, reachOf } from './channel.ts'
import { type Chain, chainLock } from './head.ts'
import { leadsTo } from './lock.ts'

/** It lives for one turn: whoever owns it gives it to the rules before anything else can change its channel. */
export class TickRun {
  /** what was revealed when the run began: the rules see by it that the words were walked from where they stand */
  readonly begun: Chain
  /** the deepest step that the chain has and the deposit covers: what is beyond it is for the rules to refuse */
  readonly #most: number
  #k: number
  #word: Uint8Array
  #count = 0

  private constructor(begun: Chain, most: number) {
    this.begun = begun
    this.#most = most
    this.#k = begun.k
    this.#word = begun.word
  }

  /** A run from what the channel has; undefined where it has no chain, or nothing of it is left that is covered. `unreserved` in base units. */
  static from(channel: ChannelIn, unreserved: bigint): TickRun | undefined {
    const { best } = channel
    const lock = best === undefined ? undefined : chainLock(best)
    if (best?.chain === undefined || lock === undefined) return undefined
    const room = reachOf(channel) + unreserved - best.promise.amount
    const covered = room < 0n ? 0n : room / lock.unit
    const most = covered < BigInt(lock.steps) ? Number(covered) : lock.steps
    return most > best.chain.k ? new TickRun(best.chain, most) : undefined
  }

  /** ticks that were counted */
  get count(): number {
    return this.#count
  }

  /** The deepest word, and how deep. The word is the message's own. */
  get last(): { readonly k: number; readonly word: Uint8Array } {
    return { k: this.#k, word: this.#word }
  }

  /** Counts a tick that is right; false for every other one, also for one of old: the rules know what to do with it. */
  take(k: number, word: Uint8Array): boolean {
    if (k <= this.#k || k > this.#most || !leadsTo(word, k - this.#k, this.#word)) return false
    this.#k = k
    this.#word = word
    this.#count += 1
    return true
  }
}
