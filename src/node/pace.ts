/** How fast a session spends: by that a reservation is filled up in time. */
import type { Amount } from '../core/amount.ts'

/** over so long the spending is looked at, ms: what was paid long ago says nothing of now */
const WINDOW_MS = 10_000
/** what was paid in less than this says nothing yet, ms */
const LEAST_MS = 1_000

interface Mark {
  readonly total: Amount
  readonly atMs: number
}

export class Pace {
  #before: Mark | undefined
  #since: Mark | undefined
  #last: Mark | undefined

  /** The session has paid so much in all, base units. */
  paid(total: Amount, atMs: number): void {
    this.#last = { total, atMs }
    this.#since ??= this.#last
    this.#before ??= this.#last
    if (atMs - this.#since.atMs < WINDOW_MS) return
    this.#before = this.#since
    this.#since = this.#last
  }

  /** What it spends within so long if it goes on like this, base units, rounded up. */
  within(ms: number): bigint {
    if (this.#before === undefined || this.#last === undefined) return 0n
    const passed = BigInt(Math.ceil(this.#last.atMs - this.#before.atMs))
    if (passed < LEAST_MS) return 0n
    const spent = this.#last.total - this.#before.total
    return (spent * BigInt(Math.ceil(ms)) + passed - 1n) / passed
  }
}
