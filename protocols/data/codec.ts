import { ByteReader, ByteWriter } from '../../src/core/bytes.ts'
import { codeOfWire, TallyError } from '../../src/core/errors.ts'
import type { SessionId } from '../../src/core/ids.ts'
import { readSession, writeSession } from '../session/fields.ts'
import { MAX_HEADER_BYTES, MAX_INFO_BYTES, MAX_REQUEST_BYTES } from './protocol.ts'

/** What the consumer says first on a data stream. */
export interface DataHeader {
  readonly session: SessionId
  /** number of the stream within its session, from 1, below 2^32 */
  readonly stream: number
  /** the service's own words, at most 4,096 bytes */
  readonly request: Uint8Array
}

/** The provider's yes. */
interface DataAccepted {
  readonly status: 0
  /** the bytes of this stream are not metered */
  readonly free: boolean
  /** the service's own words, at most 4,096 bytes */
  readonly info: Uint8Array
}

/** The provider's no: a registered error number, and nothing else. */
interface DataRefused {
  readonly status: number
}

export type DataAnswer = DataAccepted | DataRefused

export function isAccepted(answer: DataAnswer): answer is DataAccepted {
  return answer.status === 0
}

/** @throws TallyError MALFORMED when a field is out of range */
export function encodeHeader(header: DataHeader): Uint8Array {
  const writer = new ByteWriter(22 + header.request.length)
  checkStream(header.stream)
  return writeSession(writer, header.session).u32(header.stream).bytes16(header.request, MAX_REQUEST_BYTES).finish()
}

/** @throws TallyError MALFORMED, FRAME_TOO_LARGE */
export function decodeHeader(frame: Uint8Array): DataHeader {
  checkSize(frame)
  const reader = new ByteReader(frame)
  const session = readSession(reader)
  const stream = reader.u32()
  checkStream(stream)
  const request = reader.bytes16(MAX_REQUEST_BYTES)
  reader.end()
  return { session, stream, request }
}

/** @throws TallyError MALFORMED when a field is out of range */
export function encodeAnswer(answer: DataAnswer): Uint8Array {
  const { free, info } = isAccepted(answer) ? answer : { free: false, info: new Uint8Array(0) }
  return new ByteWriter(5 + info.length)
    .u16(answer.status)
    .u8(free ? 1 : 0)
    .bytes16(info, MAX_INFO_BYTES)
    .finish()
}

/** @throws TallyError MALFORMED, FRAME_TOO_LARGE */
export function decodeAnswer(frame: Uint8Array): DataAnswer {
  checkSize(frame)
  const reader = new ByteReader(frame)
  const status = reader.u16()
  const flags = reader.u8()
  const info = reader.bytes16(MAX_INFO_BYTES)
  reader.end()
  if (flags > 1) throw malformed('a reserved flag of the answer is set')
  if (status === 0) return { status, free: flags === 1, info }
  if (flags !== 0 || info.length > 0) throw malformed('a refusal carries a number and nothing else')
  return { status }
}

/** The refusal as an error of the consumer: the provider's code, or PEER_REFUSED with a number that is not registered here. */
export function refusalError(refused: DataRefused): TallyError {
  return new TallyError(codeOfWire(refused.status) ?? 'PEER_REFUSED', { fields: { wire: refused.status } })
}

function checkStream(stream: number): void {
  if (stream === 0) throw malformed('streams are numbered from 1')
}

function checkSize(frame: Uint8Array): void {
  if (frame.length <= MAX_HEADER_BYTES) return
  throw new TallyError('FRAME_TOO_LARGE', { fields: { length: frame.length, max_frame_bytes: MAX_HEADER_BYTES } })
}

function malformed(message: string): TallyError {
  return new TallyError('MALFORMED', { message })
}
