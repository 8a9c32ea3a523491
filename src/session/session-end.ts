/** How a session ended, as its consumer learns it. */
import { type ErrorCode, TallyError } from '../core/errors.ts'
import type { SignedReceipt } from '../core/receipt.ts'
import type { PayerSession } from '../core/session/payer.ts'

export interface SessionEnd {
  /** undefined = completed */
  readonly code: ErrorCode | undefined
  readonly receipt: SignedReceipt | undefined
  readonly session: PayerSession
}

/** The end, as long as its caller waits for it. @throws ABORTED */
export async function endUnlessAborted(ended: Promise<SessionEnd>, signal: AbortSignal): Promise<SessionEnd> {
  return await new Promise<SessionEnd>((resolve, reject) => {
    const stop = (): void => reject(new TallyError('ABORTED', { message: 'the provider did not send its receipt in time' }))
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    void ended.then(resolve).finally(() => signal.removeEventListener('abort', stop))
  })
}
