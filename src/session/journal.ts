/**
 * What waits for the disk. Records that change again and again while one write runs are written once, as they are when the next one
 * begins; what was to happen once they are durable happens then.
 */
import { clearTimeout, setTimeout } from 'node:timers'

/** How long a change that is in no hurry may wait for others to join it, in milliseconds. */
const JOIN_MS = 10

export interface JournalInit<Owner, Input> {
  /** Writes the records of these owners, as they are now, in one commit. */
  readonly write: (owners: ReadonlySet<Owner>) => Promise<void>
  /** They are durable; the inputs are those that waited for that, in order. */
  readonly done: (owner: Owner, inputs: readonly Input[]) => void
  /** They are not, and never will be. */
  readonly failed: (owners: ReadonlySet<Owner>, thrown: unknown) => void
}

/** It owns the order in which changed records go to the disk; it dies with its desk, which flushes it at the end. */
export class Journal<Owner, Input> {
  readonly #init: JournalInit<Owner, Input>
  #waiting = new Map<Owner, Input[]>()
  /** writes under way */
  #writing = 0
  /** somebody waits for the next write to begin */
  #hurry = false
  #scheduled = false
  #timer: NodeJS.Timeout | undefined

  constructor(init: JournalInit<Owner, Input>) {
    this.#init = init
  }

  /** The owner's records have changed; `then` is given back once that is durable. In a hurry: with the next write, at the end of this turn. */
  add(owner: Owner, then: Input | undefined, hurry: boolean): void {
    const inputs = this.#waiting.get(owner) ?? []
    if (then !== undefined) inputs.push(then)
    this.#waiting.set(owner, inputs)
    if (hurry) this.hurry()
    else this.#timer ??= setTimeout(() => this.flush(), JOIN_MS)
  }

  /** Somebody waits for what is waiting: it goes with the next write. */
  hurry(): void {
    if (this.#waiting.size === 0) return
    if (this.#writing > 0) this.#hurry = true
    else this.#schedule()
  }

  /** Begins to write all that waits: whatever is committed to the store after this call comes after it. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#hurry = false
    if (this.#waiting.size === 0) return
    const waiting = this.#waiting
    const owners = new Set(waiting.keys())
    this.#waiting = new Map()
    this.#writing += 1
    this.#init.write(owners).then(
      () => {
        this.#writing -= 1
        for (const [owner, inputs] of waiting) this.#init.done(owner, inputs)
        if (this.#hurry) this.#schedule()
      },
      (thrown: unknown) => {
        this.#writing -= 1
        this.#init.failed(owners, thrown)
        if (this.#hurry) this.#schedule()
      },
    )
  }

  /** After everything that is ready to run now: messages that came together are written together. */
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(() => {
      this.#scheduled = false
      this.flush()
    })
  }
}
