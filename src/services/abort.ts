import { TallyError } from '../core/errors.ts'

/** The abort of `signal` as a TallyError: its own reason if that is one, else ABORTED with the reason as cause. */
export function abortError(signal: AbortSignal): TallyError {
  if (signal.reason instanceof TallyError) return signal.reason
  return new TallyError('ABORTED', { cause: signal.reason })
}

/** Throws ABORTED if `signal` is aborted. */
export function refuseAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal)
}

/** Settles as `promise` does, or rejects with ABORTED as soon as `signal` aborts. The work behind `promise` is not stopped by this. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(abortError(signal))
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
