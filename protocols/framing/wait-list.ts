import { TallyError } from '../../src/core/errors.ts'

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * Callers that wait for the same thing. All are woken or failed at once, each can be aborted, and no listener stays behind
 * (racing a long-lived promise would leak one reaction per wait).
 */
export class WaitList {
  #waiters: Waiter[] = []

  /**
   * Resolves at the next `wake`, rejects at the next `fail`.
   *
   * @throws TallyError ABORTED when `signal` fires first (the signal's own reason when that is a TallyError)
   */
  wait(signal?: AbortSignal): Promise<void> {
    if (signal === undefined) {
      return new Promise((resolve, reject) => {
        this.#waiters.push({ resolve, reject })
      })
    }
    if (signal.aborted) return Promise.reject(abortError(signal))
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter)
        reject(abortError(signal))
      }
      const off = (): void => signal.removeEventListener('abort', onAbort)
      const waiter: Waiter = {
        resolve: () => {
          off()
          resolve()
        },
        reject: (error) => {
          off()
          reject(error)
        },
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiters.push(waiter)
    })
  }

  wake(): void {
    if (this.#waiters.length === 0) return
    const woken = this.#waiters
    this.#waiters = []
    for (const waiter of woken) waiter.resolve()
  }

  fail(error: TallyError): void {
    const failed = this.#waiters
    this.#waiters = []
    for (const waiter of failed) waiter.reject(error)
  }
}

/** The error of a call whose signal fired: the reason itself when it is one of ours, else ABORTED with the reason as cause. */
export function abortError(signal: AbortSignal): TallyError {
  return signal.reason instanceof TallyError ? signal.reason : new TallyError('ABORTED', { cause: signal.reason })
}
