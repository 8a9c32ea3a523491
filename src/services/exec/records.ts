/**
 * What travels down a data stream of `exec`: records, each a kind u8, a length u32 and so many bytes. The last one says how the program
 * ended; a stream without it broke off.
 * @see protocols/exec/SPEC.md R4
 */
import { TallyError } from '../../core/errors.ts'

/** How a program ended: its exit code, the number of the signal that ended it, or that its time was over. */
export type CallEnd =
  | { readonly how: 'exit'; readonly code: number }
  | { readonly how: 'signal'; readonly signal: number }
  | { readonly how: 'time' }

/** `output` comes in pieces of any length; `log` and `end` are whole. */
export type CallRecord =
  | { readonly type: 'output'; readonly bytes: Uint8Array }
  | { readonly type: 'log'; readonly tail: Uint8Array }
  | { readonly type: 'end'; readonly end: CallEnd }

const KINDS = { output: 1, log: 2, end: 3 } as const
const ENDS = { exit: 0, signal: 1, time: 2 } as const
const HEADER_BYTES = 5

/** the most of its standard error that a program's end may bring along, bytes */
export const MAX_LOG_BYTES = 4_096
/** the most that the provider puts into one record of output, bytes */
export const MAX_OUTPUT_BYTES = 1_024 * 1_024

export function encodeRecord(record: CallRecord): Uint8Array {
  const body = record.type === 'output' ? record.bytes : record.type === 'log' ? record.tail : endBytes(record.end)
  const bytes = new Uint8Array(HEADER_BYTES + body.length)
  bytes[0] = KINDS[record.type]
  new DataView(bytes.buffer).setUint32(1, body.length)
  bytes.set(body, HEADER_BYTES)
  return bytes
}

function endBytes(end: CallEnd): Uint8Array {
  return Uint8Array.of(ENDS[end.how], end.how === 'exit' ? end.code : end.how === 'signal' ? end.signal : 0)
}

/** Takes the bytes of a stream as they come; holds no more of them than a header and a log. */
export class RecordReader {
  #rest = new Uint8Array(0)
  /** bytes of the record of output that are still to come */
  #output = 0
  #said = { log: false, end: false }

  /** @throws TallyError STREAM_CUT when the program's end was not told */
  close(): void {
    if (!this.#said.end) throw new TallyError('STREAM_CUT', { message: 'the stream broke off before the program ended' })
  }

  /** The records in these bytes and what was left of those before. @throws TallyError MALFORMED */
  *take(bytes: Uint8Array): Generator<CallRecord> {
    let left = this.#rest.length === 0 ? bytes : joined(this.#rest, bytes)
    this.#rest = new Uint8Array(0)
    while (left.length > 0) {
      if (this.#output > 0) {
        const piece = left.subarray(0, this.#output)
        this.#output -= piece.length
        left = left.subarray(piece.length)
        yield { type: 'output', bytes: piece }
        continue
      }
      const size = this.#sizeOf(left)
      if (size === undefined || left.length < size) {
        this.#rest = left.slice()
        return
      }
      const record = left.subarray(0, size)
      left = left.subarray(size)
      const whole = this.#whole(record)
      if (whole !== undefined) yield whole
    }
  }

  /** How many bytes must be there before the record can be looked at; a header is enough for output. */
  #sizeOf(left: Uint8Array): number | undefined {
    if (this.#said.end) throw malformed('something follows the end of the program')
    const [kind] = left
    if (kind !== KINDS.output && kind !== KINDS.log && kind !== KINDS.end) throw malformed(`no record is of kind ${kind}`)
    if (left.length < HEADER_BYTES) return undefined
    const length = new DataView(left.buffer, left.byteOffset).getUint32(1)
    if (kind === KINDS.output) return HEADER_BYTES
    if (kind === KINDS.log ? length > MAX_LOG_BYTES : length !== 2)
      throw malformed(`a record of kind ${kind} has ${length} bytes`)
    return HEADER_BYTES + length
  }

  #whole(record: Uint8Array): CallRecord | undefined {
    const [kind] = record
    if (kind === KINDS.output) {
      this.#output = new DataView(record.buffer, record.byteOffset).getUint32(1)
      if (this.#output === 0 || this.#output > MAX_OUTPUT_BYTES) throw malformed(`a record of output has ${this.#output} bytes`)
      return undefined
    }
    if (kind === KINDS.log) {
      if (this.#said.log) throw malformed('a second log')
      this.#said.log = true
      return { type: 'log', tail: record.slice(HEADER_BYTES) }
    }
    this.#said.end = true
    return { type: 'end', end: endOf(record[HEADER_BYTES], record[HEADER_BYTES + 1] ?? 0) }
  }
}

function endOf(how: number | undefined, value: number): CallEnd {
  if (how === ENDS.exit) return { how: 'exit', code: value }
  if (how === ENDS.signal && value > 0 && value < 128) return { how: 'signal', signal: value }
  if (how === ENDS.time && value === 0) return { how: 'time' }
  throw malformed('the end of the program is none')
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

const malformed = (message: string): TallyError => new TallyError('MALFORMED', { message })
