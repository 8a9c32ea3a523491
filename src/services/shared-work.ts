import { abortError, refuseAborted, unlessAborted } from './abort.ts'

interface Running<T> {
  readonly result: Promise<T>
  readonly stop: AbortController
  waiting: number
}

/**
 * Work that several callers want at once is done once. It is stopped when the last of them has gone, and no more than `limit` pieces
 * of work run at the same time; the others wait in line.
 */
export class SharedWork<T> {
  readonly #running = new Map<string, Running<T>>()
  readonly #line: (() => void)[] = []
  readonly #limit: number
  #busy = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** The result of `work` for `key`. ABORTED for this caller alone when its `signal` aborts. */
  async join(key: string, work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    refuseAborted(signal)
    const running = this.#running.get(key) ?? this.#start(key, work)
    running.waiting++
    try {
      return await unlessAborted(running.result, signal)
    } finally {
      running.waiting--
      if (running.waiting === 0) {
        running.stop.abort()
        if (this.#running.get(key) === running) this.#running.delete(key)
      }
    }
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<T>): Running<T> {
    const stop = new AbortController()
    const running: Running<T> = { result: this.#inTurn(work, stop.signal), stop, waiting: 0 }
    this.#running.set(key, running)
    return running
  }

  async #inTurn(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    if (this.#busy >= this.#limit) await new Promise<void>((resolve) => this.#line.push(resolve))
    else this.#busy++
    try {
      if (signal.aborted) throw abortError(signal)
      return await work(signal)
    } finally {
      // the turn is handed on directly, so that nobody can slip in between
      const next = this.#line.shift()
      if (next) next()
      else this.#busy--
    }
  }
}
