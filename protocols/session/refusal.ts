import type { Stream } from '@libp2p/interface'
import { asTallyError } from '../../src/core/errors.ts'
import { framed } from '../framing/framed-stream.ts'
import { encodeMessage } from './codec.ts'
import { MAX_SESSION_FRAME_BYTES } from './protocol.ts'

/** Ends a control stream that never became a link: one fault with the number of the error, never its text, then the end. */
export function refuseStream(stream: Stream, thrown: unknown, lingerMs: number): void {
  const frames = framed(stream, { maxFrameBytes: MAX_SESSION_FRAME_BYTES, closeTimeoutMs: lingerMs })
  const error = asTallyError(thrown)
  try {
    frames.send(encodeMessage({ type: 'fault', session: undefined, code: error.wire }))
    frames.close().catch(() => {})
  } catch {
    // The stream is gone already: nobody is left to be told.
  }
}
