import { TallyError } from '../src/core/errors.ts'

/**
 * Runs `work` with a signal that fires when `ms` milliseconds are over or when the caller's own signal does, and waits no longer
 * than that, whether `work` obeys or not. No timer and no listener stays behind.
 *
 * @throws TallyError `late()` when the time was over first, ABORTED when the caller's signal fired first; else what `work` throws
 */
export async function within<T>(
  ms: number,
  late: () => TallyError,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (signal?.aborted) throw aborted(signal)
  const own = new AbortController()
  const ended = Promise.withResolvers<never>()
  const end = (error: TallyError): void => {
    // First reject, then abort: what `work` throws because of the abort must not be the answer.
    ended.reject(error)
    own.abort(error)
  }
  const onAbort = (): void => end(aborted(signal))
  const timer = setTimeout(() => end(late()), ms)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([ended.promise, work(own.signal)])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

function aborted(signal: AbortSignal | undefined): TallyError {
  return signal?.reason instanceof TallyError ? signal.reason : new TallyError('ABORTED', { cause: signal?.reason })
}
