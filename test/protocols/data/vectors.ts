// The vectors of data stream headers. `npm run vectors` writes them; a test proves that they are up to date.
import { type DataAnswer, type DataHeader, encodeAnswer, encodeHeader } from '../../../protocols/data/codec.ts'
import { MAX_HEADER_BYTES, MAX_INFO_BYTES, MAX_REQUEST_BYTES } from '../../../protocols/data/protocol.ts'
import { toHex } from '../../../src/core/bytes.ts'
import type { ErrorCode } from '../../../src/core/errors.ts'
import { bytes, SESSION } from '../session/samples.ts'
import { plain, type Vectors } from '../session/vectors.ts'

export type HeaderCase =
  | { readonly comment: string; readonly header: unknown; readonly encoded: string }
  | { readonly comment: string; readonly answer: unknown; readonly encoded: string }
  | { readonly comment: string; readonly of: 'header' | 'answer'; readonly encoded: string; readonly error: ErrorCode }

export const HEADERS: readonly (readonly [comment: string, header: DataHeader])[] = [
  ['the first stream of a session', { session: SESSION, stream: 1, request: bytes(5) }],
  ['the last number and no request', { session: SESSION, stream: 0xffff_ffff, request: new Uint8Array(0) }],
  ['the largest request', { session: SESSION, stream: 7, request: bytes(MAX_REQUEST_BYTES) }],
]

export const ANSWERS: readonly (readonly [comment: string, answer: DataAnswer])[] = [
  ['accepted, metered', { status: 0, free: false, info: bytes(8) }],
  ['accepted, free', { status: 0, free: true, info: new Uint8Array(0) }],
  ['accepted, the largest info', { status: 0, free: false, info: bytes(MAX_INFO_BYTES) }],
  ['refused: SESSION_UNKNOWN', { status: 200 }],
  ['refused with a number that no version knows yet', { status: 65_535 }],
]

function brokenCases(): HeaderCase[] {
  const header = encodeHeader({ session: SESSION, stream: 1, request: bytes(2) })
  const with_ = (source: Uint8Array, at: number, ...values: number[]): Uint8Array => {
    const copy = Uint8Array.from(source)
    copy.set(values, at)
    return copy
  }
  const cases: [comment: string, of: 'header' | 'answer', encoded: Uint8Array, error: ErrorCode][] = [
    ['stream 0', 'header', with_(header, 16, 0, 0, 0, 0), 'MALFORMED'],
    ['a session of all zeros', 'header', with_(header, 0, ...new Uint8Array(16)), 'MALFORMED'],
    ['a request that is cut short', 'header', header.subarray(0, -1), 'MALFORMED'],
    ['a byte too many', 'header', Uint8Array.of(...header, 0), 'MALFORMED'],
    ['a request longer than 4,096', 'header', with_(new Uint8Array(22 + 4097).fill(1), 20, 0x10, 0x01), 'MALFORMED'],
    ['a header longer than 4,200', 'header', new Uint8Array(MAX_HEADER_BYTES + 1).fill(1), 'FRAME_TOO_LARGE'],
    ['a reserved flag', 'answer', Uint8Array.of(0, 0, 2, 0, 0), 'MALFORMED'],
    ['a refusal that is free', 'answer', Uint8Array.of(0, 200, 1, 0, 0), 'MALFORMED'],
    ['a refusal with info', 'answer', Uint8Array.of(0, 200, 0, 0, 1, 7), 'MALFORMED'],
    ['an answer that is cut short', 'answer', Uint8Array.of(0, 0, 0, 0), 'MALFORMED'],
    ['an answer and a byte too many', 'answer', Uint8Array.of(0, 0, 0, 0, 0, 0), 'MALFORMED'],
    ['info longer than 4,096', 'answer', with_(new Uint8Array(5 + 4097), 3, 0x10, 0x01), 'MALFORMED'],
    ['an answer longer than 4,200', 'answer', new Uint8Array(MAX_HEADER_BYTES + 1), 'FRAME_TOO_LARGE'],
  ]
  return cases.map(([comment, of, encoded, error]) => ({ comment, of, encoded: toHex(encoded), error }))
}

/** What `protocols/data/vectors/headers.json` holds. */
export function dataVectors(): Vectors<HeaderCase> {
  return {
    comment:
      'The two frames that open a data stream, without the length prefix: the header of the consumer, the answer of the provider.',
    cases: [
      ...HEADERS.map(([comment, header]) => ({ comment, header: plain(header), encoded: toHex(encodeHeader(header)) })),
      ...ANSWERS.map(([comment, answer]) => ({ comment, answer: plain(answer), encoded: toHex(encodeAnswer(answer)) })),
      ...brokenCases(),
    ],
  }
}
