import { TallyError } from '../../core/errors.ts'
import type { PaidSession, PaidStream } from '../../ports/service.ts'
import { abortError, refuseAborted } from '../abort.ts'
import { sendAll } from '../send-all.ts'
import { type CallEnd, RecordReader } from './records.ts'

export interface CallOptions {
  /** the standard input. @default empty */
  readonly input?: AsyncIterable<Uint8Array>
  /** takes the standard output as it comes, and is waited for; false = nobody wants more: the program is stopped */
  readonly output: (bytes: Uint8Array) => boolean | undefined | Promise<boolean | undefined>
  readonly signal?: AbortSignal
}

/** How the program ended; undefined when `output` wanted no more. */
export interface Called {
  readonly end: CallEnd | undefined
  /** the last of its standard error, hostile; undefined when the provider does not tell it */
  readonly log: Uint8Array | undefined
}

/**
 * Runs the program of an `exec` service once. Output is paid when it was taken.
 *
 * @throws TallyError as a data stream: STREAM_CUT when the stream breaks off before the program has ended, BUSY, SERVICE_FAILED,
 * BUDGET_REACHED, MALFORMED, ABORTED
 */
export async function callProgram(session: PaidSession, { input, output, signal }: CallOptions): Promise<Called> {
  refuseAborted(signal)
  const stream = await session.open(new Uint8Array(0), { most: { calls: 1 }, ...(signal && { signal }) })
  const onAbort = (): void => stream.abort(signal === undefined ? new TallyError('ABORTED') : abortError(signal))
  signal?.addEventListener('abort', onAbort, { once: true })
  const sending = sendAll(stream, input)
  try {
    return await read(stream, output)
  } catch (thrown) {
    throw sending.failure ?? thrown
  } finally {
    sending.stop()
    signal?.removeEventListener('abort', onAbort)
  }
}

async function read(stream: PaidStream, output: CallOptions['output']): Promise<Called> {
  const reader = new RecordReader()
  let log: Uint8Array | undefined
  let end: CallEnd | undefined
  for await (const piece of stream.unacknowledged) {
    for (const record of reader.take(piece)) {
      if (record.type === 'log') log = record.tail
      else if (record.type === 'end') end = record.end
      else if ((await output(record.bytes)) === false) return { end: undefined, log }
    }
    stream.acknowledge(piece.length)
  }
  reader.close()
  return { end, log }
}
