/** At most so many at a time; the others wait in line. */
import { refuseAborted, unlessAborted } from '../services/abort.ts'

export class Turns {
  readonly #limit: number
  readonly #line: (() => void)[] = []
  #taken = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get isIdle(): boolean {
    return this.#taken === 0
  }

  /** Waits for a turn; the returned function gives it back, however often it is called. @throws TallyError ABORTED */
  async enter(signal: AbortSignal | undefined): Promise<() => void> {
    refuseAborted(signal)
    if (this.#taken < this.#limit) this.#taken += 1
    else await this.#wait(signal)
    let isOver = false
    return () => {
      if (!isOver) this.#leave()
      isOver = true
    }
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    let gone = false
    const turn = new Promise<void>((resolve) => {
      // who has gone hands the turn on
      this.#line.push(() => (gone ? this.#leave() : resolve()))
    })
    if (signal === undefined) return await turn
    await unlessAborted(turn, signal).catch((thrown: unknown) => {
      gone = true
      throw thrown
    })
  }

  #leave(): void {
    const next = this.#line.shift()
    if (next === undefined) this.#taken -= 1
    else next()
  }
}
