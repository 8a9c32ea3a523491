/**
 * When a channel whose settlement did not work may be tried again. A transaction that pays nothing costs gas all the same, so the same
 * promise is never sent again and again: tries get rarer, and after a few that the ledger refused only news of the channel counts.
 */
import type { ChannelIn } from '../core/channel.ts'
import type { ErrorCode } from '../core/errors.ts'
import { settlementOf } from '../core/head.ts'
import type { ChannelId, Seconds } from '../core/ids.ts'

/** the first pause after a failure, ms; each further one is twice as long */
const FIRST_MS = 5_000
/** the longest pause, ms: well within the margin that is kept before an expiry */
const LONGEST_MS = 300_000
/** so often the same promise is tried against a ledger that refuses it */
const MAX_REFUSALS = 4
/** the pause while the same promise is not tried again: for ever, unless the channel changes */
const NEVER = Number.POSITIVE_INFINITY

interface Record {
  /** the promise and the facts that were tried */
  readonly tried: string
  readonly failures: number
  readonly refusals: number
  /** monotonic, ms */
  readonly notBefore: number
}

export class Attempts {
  readonly #records = new Map<ChannelId, Record>()

  /** Whether the channel may be settled by itself now. */
  mayTry(channel: ChannelIn, nowMs: number): boolean {
    return nowMs >= this.nextAt(channel)
  }

  /** The monotonic time from which on it may be tried, ms; -Infinity = at once, Infinity = not before the channel changes. */
  nextAt(channel: ChannelIn): number {
    const record = this.#records.get(channel.id)
    if (record === undefined) return Number.NEGATIVE_INFINITY
    const spent = record.tried === stateOf(channel) && record.refusals >= MAX_REFUSALS
    return spent ? NEVER : record.notBefore
  }

  /** Whether its last settlement did not work. */
  isWaiting(id: ChannelId): boolean {
    return this.#records.has(id)
  }

  /** It was sent and mined, or is settled: the next promise starts anew. */
  succeeded(channel: ChannelIn): void {
    this.#records.delete(channel.id)
  }

  /** It was mined and paid nothing for this channel: trying the same again would burn gas. */
  wasInVain(channel: ChannelIn, nowMs: number): void {
    this.#records.set(channel.id, { tried: stateOf(channel), failures: 1, refusals: MAX_REFUSALS, notBefore: nowMs + LONGEST_MS })
  }

  failed(channel: ChannelIn, code: ErrorCode, nowMs: number, nowS: Seconds): void {
    const before = this.#records.get(channel.id)
    const tried = stateOf(channel)
    const failures = (before?.failures ?? 0) + 1
    const refusals = (before?.tried === tried ? before.refusals : 0) + (code === 'TX_REVERTED' ? 1 : 0)
    const leftMs = (channel.facts.expiry - nowS) * 1000
    // the money is lost at the expiry: the nearer it is, the sooner the next try
    const longest = Math.min(LONGEST_MS, Math.max(FIRST_MS, leftMs / 4))
    const pause = Math.min(FIRST_MS * 2 ** Math.min(failures - 1, 10), longest)
    this.#records.set(channel.id, { tried, failures, refusals, notBefore: nowMs + pause })
  }
}

function stateOf(channel: ChannelIn): string {
  const { facts } = channel
  return `${settlementOf(channel.best)}:${facts.deposit}:${facts.settled}:${facts.epoch}`
}
