/** What one data stream of a consumer was charged beside bytes, what it may be charged, and who is told. */
import { type Counts, countsAt, NO_COUNTS, sellsCounts } from '../core/session/counts.ts'
import type { PayerSession } from '../core/session/payer.ts'
import type { OpenOptions } from '../ports/service.ts'
import { countsOfCharge } from './charge-desk.ts'

/** how long the last charge of a stream that was read to its end is waited for, ms */
const FINAL_MS = 2_000

export class StreamTab {
  /** what may be charged without asking */
  readonly most: Counts | undefined
  readonly #onCharge: OpenOptions['onCharge']
  /** bytes that were ever sent */
  sent = 0n
  charged: Counts = NO_COUNTS
  agreed: Counts = NO_COUNTS
  #isFinal = false
  /** read to its end: only the last charge is waited for */
  #isOver = false
  #overSince: number | undefined

  /** @throws TallyError USAGE for counts that are none */
  constructor({ most, onCharge }: OpenOptions) {
    this.most = most === undefined ? undefined : countsOfCharge(most)
    this.#onCharge = onCharge
  }

  /** bytes that were sent and are not agreed to yet */
  get flying(): bigint {
    return this.sent - this.agreed.up
  }

  /** The rules have changed what is charged or agreed. */
  note({ counts }: PayerSession, stream: number): void {
    if (!counts.up.open.has(stream)) return
    this.charged = countsAt(counts, stream, 'written')
    this.agreed = countsAt(counts, stream, 'acked')
  }

  /** The provider has charged; `final`: for the last time. */
  tell(final: boolean): void {
    this.#isFinal ||= final
    this.#onCharge?.(this.charged, final)
  }

  /** The stream was read to its end. */
  over(): void {
    this.#isOver = true
  }

  /** Whether there is nothing more to wait for (M5). */
  isDone({ terms }: PayerSession): boolean {
    return this.#isFinal || terms === undefined || !sellsCounts(terms.price)
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Only the provider's last charge is missing. */
  get isWaiting(): boolean {
    return this.#isOver && !this.#isFinal
  }

  /** A provider that never says its last word is not waited for: looked at by the clock. */
  isLate(nowMs: number): boolean {
    if (!this.isWaiting) return false
    this.#overSince ??= nowMs
    return nowMs - this.#overSince > FINAL_MS
  }
}

/** The tabs of all streams of a session that are open, or wait for their last charge. */
export class StreamTabs {
  readonly #tabs = new Map<number, StreamTab>()
  #gone = Promise.withResolvers<void>()

  /** @throws TallyError USAGE for counts that are none */
  open(stream: number, options: OpenOptions): StreamTab {
    const tab = new StreamTab(options)
    this.#tabs.set(stream, tab)
    return tab
  }

  get(stream: number): StreamTab | undefined {
    return this.#tabs.get(stream)
  }

  end(stream: number): void {
    this.#tabs.delete(stream)
    this.#tellGone()
  }

  clear(): void {
    this.#tabs.clear()
    this.#tellGone()
  }

  /** bytes that were sent and that the provider has not said to have taken */
  get flying(): bigint {
    let sum = 0n
    for (const tab of this.#tabs.values()) sum += tab.flying
    return sum
  }

  /** Streams that were read to their end and whose last charge did not come in time. */
  late(nowMs: number): number[] {
    return [...this.#tabs].flatMap(([stream, tab]) => (tab.isLate(nowMs) ? [stream] : []))
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
