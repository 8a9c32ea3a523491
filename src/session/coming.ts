/** Deposits that are on their way, and the sessions that wait for them because what their channel holds is used up. */
import type { ChannelId } from '../core/ids.ts'
import type { LiveSession } from './live-session.ts'
import type { PayerRoster } from './payer-roster.ts'

export class Coming {
  readonly #roster: Pick<PayerRoster, 'all'>
  readonly #isAhead: (id: ChannelId) => boolean
  readonly #look: (live: LiveSession) => void
  /** how many transactions of each channel are on their way */
  readonly #counts = new Map<ChannelId, number>()

  /** `isAhead`: more of the channel stands in a block than is confirmed; `look`: the rules see what has changed. */
  constructor(roster: Pick<PayerRoster, 'all'>, isAhead: (id: ChannelId) => boolean, look: (live: LiveSession) => void) {
    this.#roster = roster
    this.#isAhead = isAhead
    this.#look = look
  }

  has(id: ChannelId): boolean {
    return this.#counts.has(id) || this.#isAhead(id)
  }

  /** More of the channel's deposit is on its way until this settles. */
  expect(id: ChannelId, coming: Promise<unknown>): void {
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1)
    const over = (): void => {
      const left = (this.#counts.get(id) ?? 0) - 1
      if (left > 0) this.#counts.set(id, left)
      else this.#counts.delete(id)
      this.goOn(id)
    }
    coming.then(over, over)
  }

  /** What the channel holds has changed, or will not: whoever waits for it looks again. */
  goOn(id: ChannelId): void {
    for (const live of this.#roster.all()) {
      if (live.file.id !== id) continue
      this.#look(live)
      live.goOn()
    }
  }
}
