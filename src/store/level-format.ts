import { crc32c } from './crc32c.ts'

/** What the files of LevelDB are made of: checksums, varints, and the records of its logs. Reads only, and trusts nothing. */

const BLOCK_BYTES = 32 * 1024
/** u32 masked CRC-32C (little-endian), u16 length (little-endian), u8 type */
const HEADER_BYTES = 7

/** Types of the pieces that a log is cut into: a whole record, or its first, a middle or its last piece. */
export const PIECE = { full: 1, first: 2, middle: 3, last: 4 } as const

/** CRC-32C as LevelDB stores it: rotated and shifted, so that a checksum over data that holds checksums stays useful. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes)
  return (((crc >>> 15) | (crc << 17)) + 0xa282_ead8) >>> 0
}

/** @param at where four bytes stand, little-endian */
export function u32At(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(at, true)
}

/** Varints and what they measure, in order. @throws RangeError (every method) when the bytes end early */
export class VarintReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  /** Seven bits per byte, lowest first. Exact below 2^53, which no file of ours reaches. */
  varint(): number {
    let value = 0
    for (let power = 1; power < 2 ** 64; power *= 128) {
      const byte = this.bytes(1)[0] as number
      value += (byte & 0x7f) * power
      if (byte < 0x80) return value
    }
    throw new RangeError('a varint of more than ten bytes')
  }

  bytes(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw new RangeError('the bytes end early')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }
}

/** One place of a log: a piece that carries its checksum, or (type undefined) the start of bytes that are no piece. */
export interface Piece {
  readonly at: number
  readonly type: number | undefined
  readonly body: Uint8Array
}

/** The pieces of a log in order, with every place where there should be one and is none. */
export function* piecesOf(log: Uint8Array): Generator<Piece> {
  let badBlock: number | undefined
  for (let block = 0; block < log.length; block += BLOCK_BYTES) {
    const end = Math.min(block + BLOCK_BYTES, log.length)
    for (let at = block; at + HEADER_BYTES <= end; ) {
      const piece = pieceAt(log, at, end)
      yield piece
      if (piece.type === undefined) badBlock ??= block
      if (piece.type !== undefined) at += HEADER_BYTES + piece.body.length
      // Later blocks tell by their own starts; only in the first bad block a wrong length may hide pieces from view.
      else if (badBlock === block) at += 1
      else break
    }
  }
}

function pieceAt(log: Uint8Array, at: number, end: number): Piece {
  const type = log[at + 6] as number
  const bodyEnd = at + HEADER_BYTES + ((log[at + 4] as number) | ((log[at + 5] as number) << 8))
  const fits = type >= PIECE.full && type <= PIECE.last && bodyEnd <= end
  const valid = fits && u32At(log, at) === maskedCrc32c(log.subarray(at + 6, bodyEnd))
  return { at, type: valid ? type : undefined, body: log.subarray(at + HEADER_BYTES, valid ? bodyEnd : at + HEADER_BYTES) }
}
