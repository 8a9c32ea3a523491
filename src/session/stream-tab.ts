/** What one data stream of a consumer was charged beside bytes, what it may be charged, and who is told. */

import type { TallyError } from '../core/errors.ts'
import { type Counts, countsAt, NO_COUNTS, sellsCounts } from '../core/session/counts.ts'
import { isOpen } from '../core/session/flow.ts'
import type { PayerSession } from '../core/session/payer.ts'
import type { OpenOptions } from '../ports/service.ts'
import { countsOfCharge } from './charge-desk.ts'

/** how long the last charge of a stream that was read to its end is waited for, ms */
const FINAL_MS = 2_000

export class StreamTab {
  /** what may be charged without asking */
  readonly most: Counts | undefined
  readonly #onCharge: OpenOptions['onCharge']
  readonly #onEnd: OpenOptions['onEnd']
  /** whether the price names anything that is charged */
  readonly #isCharged: boolean
  /** bytes that were ever sent */
  sent = 0n
  charged: Counts = NO_COUNTS
  agreed: Counts = NO_COUNTS
  /** settles when the provider has said all, or will not */
  readonly #final = Promise.withResolvers<void>()
  #isFinal = false
  /** its reader has all bytes and waits for the last charge; since when the clock knows of it, ms */
  #isWaiting = false
  #waitsSince: number | undefined

  /** @throws TallyError USAGE for counts that are none */
  constructor({ most, onCharge, onEnd }: OpenOptions, { terms }: PayerSession) {
    this.#isCharged = terms !== undefined && sellsCounts(terms.price)
    this.most = most === undefined ? undefined : countsOfCharge(most)
    this.#onCharge = onCharge
    this.#onEnd = onEnd
    this.#final.promise.catch(() => undefined)
  }

  /** So many bytes are sent. */
  send(bytes: bigint): number {
    this.sent += bytes
    return Number(bytes)
  }

  /** bytes that were sent and are not agreed to yet */
  get flying(): bigint {
    return this.sent - this.agreed.up
  }

  /** The rules have changed what is charged or agreed. */
  note({ counts }: PayerSession, stream: number): void {
    if (!isOpen(counts.up, stream)) return
    this.charged = countsAt(counts, stream, 'written')
    this.agreed = countsAt(counts, stream, 'acked')
  }

  /** The provider has charged; `final`: for the last time. */
  tell(final: boolean): void {
    this.#onCharge?.(this.charged, final || this.#isFinal)
    if (final) this.stop()
  }

  /** Nothing more is waited for. */
  stop(): void {
    this.#isFinal = true
    this.#final.resolve()
  }

  /** The provider charges what nobody allowed. */
  refuse(error: TallyError): void {
    this.#isFinal = true
    this.#final.reject(error)
  }

  /** Resolves when the provider has charged for the last time (M5), or does not say so in time. @throws CHARGE_REFUSED */
  async last(): Promise<void> {
    this.#onEnd?.()
    if (!this.#isCharged) return
    this.#isWaiting = true
    await this.#final.promise
  }

  get isWaiting(): boolean {
    return this.#isWaiting && !this.#isFinal
  }

  /** Looked at by the clock: a provider that never says its last word is not waited for. */
  onClock(nowMs: number): void {
    if (!this.isWaiting) return
    this.#waitsSince ??= nowMs
    if (nowMs - this.#waitsSince > FINAL_MS) this.stop()
  }
}

/** The tabs of all streams of a session that are open, or wait for their last charge. */
export class StreamTabs {
  readonly #tabs = new Map<number, StreamTab>()
  #gone = Promise.withResolvers<void>()

  /** @throws TallyError USAGE for counts that are none */
  open(stream: number, options: OpenOptions, session: PayerSession): StreamTab {
    const tab = new StreamTab(options, session)
    this.#tabs.set(stream, tab)
    return tab
  }

  get(stream: number): StreamTab | undefined {
    return this.#tabs.get(stream)
  }

  end(stream: number): void {
    this.#tabs.get(stream)?.stop()
    this.#tabs.delete(stream)
    this.#tellGone()
  }

  clear(): void {
    for (const tab of this.#tabs.values()) tab.stop()
    this.#tabs.clear()
    this.#tellGone()
  }

  /** bytes that were sent and that the provider has not said to have taken */
  get flying(): bigint {
    let sum = 0n
    for (const tab of this.#tabs.values()) sum += tab.flying
    return sum
  }

  onClock(nowMs: number): void {
    for (const tab of this.#tabs.values()) tab.onClock(nowMs)
  }

  /** Whether a stream that was read to its end waits for its last charge. */
  get isCharging(): boolean {
    return [...this.#tabs.values()].some((tab) => tab.isWaiting)
  }

  /** Resolves when none does: what was used is charged, and can be paid (M5). */
  async charged(): Promise<void> {
    while (this.isCharging) await this.#gone.promise
  }

  #tellGone(): void {
    this.#gone.resolve()
    this.#gone = Promise.withResolvers()
  }
}
