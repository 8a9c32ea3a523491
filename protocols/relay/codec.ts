import { type Amount, readAmount } from '../../src/core/amount.ts'
import { ByteReader, ByteWriter } from '../../src/core/bytes.ts'
import { SIGNATURE_BYTES } from '../../src/core/crypto/secp256k1.ts'
import { codeOfWire, TallyError } from '../../src/core/errors.ts'
import { type Address, type Hash32, readAddress, readHash32, readSeconds, writeAddress, writeHash32 } from '../../src/core/ids.ts'
import type { SignedForward } from '../../src/core/relay/request.ts'
import { ASKS, MAX_ANSWER_BYTES, MAX_ASK_BYTES, MAX_DATA_BYTES, QUOTE_ID_BYTES, STATES } from './protocol.ts'

/** What a fee is asked for: the token it is paid in, the gas that will be signed, the size of the call's data. */
export interface QuoteAsk {
  readonly token: Address
  readonly gas: number
  readonly bytes: number
}

/** A fee in base units, for so many seconds, and its name. */
export interface Quote {
  readonly fee: Amount
  readonly validS: number
  /** 16 bytes */
  readonly id: Uint8Array
}

/** A signed request, and the quote that it goes by; zeros = none. */
export interface Submission {
  readonly quote: Uint8Array
  readonly signed: SignedForward
}

export type RelayedState = keyof typeof STATES

/** How far a request is. */
export interface Progress {
  readonly state: RelayedState
  /** of the transaction; zeros before there is one */
  readonly hash: Hash32
}

export type Ask =
  | ({ readonly ask: 'quote' } & QuoteAsk)
  | ({ readonly ask: 'submit' } & Submission)
  | { readonly ask: 'status'; readonly digest: Hash32 }

export const NO_HASH = `0x${'0'.repeat(64)}` as Hash32

/** @throws TallyError MALFORMED when a field is out of its range */
export function encodeAsk(ask: Ask): Uint8Array {
  const writer = new ByteWriter(256).u8(ASKS[ask.ask])
  if (ask.ask === 'quote') return writeAddress(writer, ask.token).u32(ask.gas).u32(ask.bytes).finish()
  if (ask.ask === 'status') return writeHash32(writer, ask.digest).finish()
  const { request, signature } = ask.signed
  writeAddress(writer.bytes(ask.quote, QUOTE_ID_BYTES), request.from)
  return writeAddress(writer, request.to)
    .u32(request.gas)
    .u64(request.nonce)
    .u40(request.deadline)
    .bytes32(request.data, MAX_DATA_BYTES)
    .bytes(signature, SIGNATURE_BYTES)
    .finish()
}

/** What a peer asks, well-formed; whether it may is for the relay's rules. @throws TallyError MALFORMED, FRAME_TOO_LARGE, UNSUPPORTED for an unknown ask */
export function decodeAsk(frame: Uint8Array): Ask {
  checkSize(frame, MAX_ASK_BYTES)
  const reader = new ByteReader(frame)
  const ask = readAsk(reader)
  reader.end()
  return ask
}

function readAsk(reader: ByteReader): Ask {
  const kind = reader.u8()
  switch (kind) {
    case ASKS.quote:
      return { ask: 'quote', token: readAddress(reader), gas: reader.u32(), bytes: reader.u32() }
    case ASKS.status:
      return { ask: 'status', digest: readHash32(reader) }
    case ASKS.submit: {
      const quote = reader.bytes(QUOTE_ID_BYTES)
      const request = {
        from: readAddress(reader),
        to: readAddress(reader),
        gas: reader.u32(),
        nonce: reader.u64(),
        deadline: readSeconds(reader),
        data: reader.bytes32(MAX_DATA_BYTES),
      }
      return { ask: 'submit', quote, signed: { request, signature: reader.bytes(SIGNATURE_BYTES) } }
    }
    default:
      throw new TallyError('UNSUPPORTED', { message: `nobody can ask a relay for ${kind}`, fields: { ask: kind } })
  }
}

export function encodeRefusal(error: TallyError): Uint8Array {
  return new ByteWriter(2).u16(error.wire).finish()
}

export function encodeQuote({ fee, validS, id }: Quote): Uint8Array {
  return new ByteWriter(32).u16(0).u96(fee).u16(validS).bytes(id, QUOTE_ID_BYTES).finish()
}

export function encodeProgress({ state, hash }: Progress): Uint8Array {
  return writeHash32(new ByteWriter(40).u16(0).u8(STATES[state]), hash).finish()
}

/** @throws TallyError MALFORMED, FRAME_TOO_LARGE, or what the relay refuses with (PEER_REFUSED for a number that is not known) */
export function decodeQuote(frame: Uint8Array): Quote {
  const reader = begin(frame)
  const quote = { fee: readAmount(reader), validS: reader.u16(), id: reader.bytes(QUOTE_ID_BYTES) }
  reader.end()
  return quote
}

/** @throws as decodeQuote */
export function decodeProgress(frame: Uint8Array): Progress {
  const reader = begin(frame)
  const byte = reader.u8()
  const state = (Object.keys(STATES) as RelayedState[]).find((name) => STATES[name] === byte)
  if (state === undefined) throw new TallyError('MALFORMED', { message: `a request cannot be in state ${byte}` })
  const progress = { state, hash: readHash32(reader) }
  reader.end()
  return progress
}

function begin(frame: Uint8Array): ByteReader {
  checkSize(frame, MAX_ANSWER_BYTES)
  const reader = new ByteReader(frame)
  const status = reader.u16()
  if (status === 0) return reader
  reader.end()
  throw new TallyError(codeOfWire(status) ?? 'PEER_REFUSED', { fields: { by: 'relay', status } })
}

function checkSize(frame: Uint8Array, maxBytes: number): void {
  if (frame.length <= maxBytes) return
  throw new TallyError('FRAME_TOO_LARGE', { fields: { length: frame.length, max_frame_bytes: maxBytes } })
}
