/** What services have in common that always sell the same: nothing that a consumer says changes what it gets. */
import { TallyError } from '../core/errors.ts'
import { refuseAborted } from './abort.ts'

/** `why`: what is always the same, for the sentence of the error. @throws TallyError REQUEST_INVALID for any words */
export function refuseWords(bytes: Uint8Array, why: string): void {
  if (bytes.length > 0) throw new TallyError('REQUEST_INVALID', { message: `this service takes no words: ${why}` })
}

/** The content of the terms: a version, and nothing else. @throws TallyError REQUEST_INVALID, ABORTED */
export function prepareWordless(inputs: Uint8Array, why: string, signal: AbortSignal): Uint8Array {
  refuseAborted(signal)
  refuseWords(inputs, why)
  return Uint8Array.of(1)
}
