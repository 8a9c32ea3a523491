/** One question and its answer on a stream of its own: the whole of a small protocol, from either end. */
import type { Stream } from '@libp2p/interface'
import { asTallyError, TallyError } from '../src/core/errors.ts'
import { within } from './deadline.ts'
import { encodeFrame } from './framing/frame-codec.ts'
import { type RawStream, rawStream } from './framing/raw-stream.ts'

export interface AskInit<T> {
  /** how long it may take until the answer is here, ms */
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  /** when no answer comes in time */
  readonly late: () => TallyError
  /** when the peer ends the stream instead */
  readonly cut: () => TallyError
  /** What the answer says. @throws TallyError: the stream is reset */
  readonly read: (frame: Uint8Array) => T
}

/** Asks, and reads the one answer; the stream is over afterwards. @throws TallyError `late`, `cut`, what `read` throws, STREAM_CUT, FRAME_TOO_LARGE, ABORTED */
export async function ask<T>(
  raw: RawStream,
  request: Uint8Array,
  { timeoutMs, signal, late, cut, read }: AskInit<T>,
): Promise<T> {
  try {
    const answer = await within(timeoutMs, late, signal, async (end) => {
      await raw.writeFrame(request, { signal: end })
      const frame = await raw.readFrame({ signal: end })
      if (frame === undefined) throw cut()
      return read(frame)
    })
    raw.close().catch(() => {})
    return answer
  } catch (thrown) {
    raw.abort(asTallyError(thrown))
    throw thrown
  }
}

export interface AnswerInit {
  /** the longest that is read of a question, and sent as an answer, bytes */
  readonly maxAskBytes: number
  readonly maxAnswerBytes: number
  /** how long the exchange may take, ms */
  readonly timeoutMs: number
  /** The answer's bytes. What it throws resets the stream. */
  readonly answer: (frame: Uint8Array) => Promise<Uint8Array>
}

/** Answers the one question of a stream; resolves when the stream is over, whatever became of it. */
export async function answerOn(stream: Stream, { maxAskBytes, maxAnswerBytes, timeoutMs, answer }: AnswerInit): Promise<void> {
  // read frames are held to the size of a question, although the answer may be longer
  const raw = rawStream(stream, { maxFrameBytes: maxAskBytes })
  const gone = new AbortController()
  stream.addEventListener('close', () => gone.abort(), { once: true })
  try {
    const late = (): TallyError => new TallyError('STREAM_CUT', { message: 'the exchange took too long' })
    await within(timeoutMs, late, gone.signal, async (signal) => {
      const frame = await raw.readFrame({ signal })
      if (frame === undefined) return
      await raw.write(encodeFrame(await answer(frame), maxAnswerBytes), { signal })
    })
    await raw.close()
  } catch (thrown) {
    raw.abort(asTallyError(thrown))
  }
}
