import { TallyError } from './errors.ts'

const MAX_U40 = 0xff_ffff_ffff
const MAX_U64 = (1n << 64n) - 1n
const MAX_U96 = (1n << 96n) - 1n

const utf8 = new TextEncoder()

// One word for all 64-bit conversions: a DataView per message costs more than all of its other fields together.
// It holds nothing between two calls.
const word = new DataView(new ArrayBuffer(8))
const wordBytes = new Uint8Array(word.buffer)

function malformed(message: string, fields: Record<string, string | number | bigint>): TallyError {
  return new TallyError('MALFORMED', { message, fields })
}

function doesNotFit(value: number | bigint, bits: number): TallyError {
  return malformed(`${value} does not fit an unsigned field of ${bits} bits`, { value, bits })
}

function tooLong(length: number, cap: number): TallyError {
  return malformed(`${length} bytes in a field of at most ${cap}`, { length, cap })
}

function put32(buffer: Uint8Array, at: number, value: number): void {
  buffer[at] = value >>> 24
  buffer[at + 1] = value >>> 16
  buffer[at + 2] = value >>> 8
  buffer[at + 3] = value
}

/** The low 64 bits of `value`. */
function put64(buffer: Uint8Array, at: number, value: bigint): void {
  word.setBigUint64(0, value)
  for (let i = 0; i < 8; i++) buffer[at + i] = wordBytes[i] as number
}

/**
 * Builds one message: big-endian, unsigned, no padding. Every value is checked against its field.
 *
 * It grows as needed, unless it was made over a buffer of its own length. Methods return the writer. Whoever knows the length
 * gives it as capacity: then nothing is copied. u8 to u40 are numbers, u64 and u96 bigints.
 *
 * @throws TallyError MALFORMED (every method) for a value that its field cannot hold, or beyond a buffer of fixed length
 * @see protocols/session/SPEC.md for the words u8 ... u96, str8, bytes16
 */
export class ByteWriter {
  #buffer: Uint8Array
  #at = 0
  readonly #fixed: boolean

  /** @param target capacity in bytes of a growing writer, or the buffer that a fixed one fills from its start */
  constructor(target: number | Uint8Array = 128) {
    this.#fixed = typeof target !== 'number'
    this.#buffer = typeof target === 'number' ? new Uint8Array(target) : target
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#at
  }

  u8(value: number): this {
    if (value >>> 0 !== value || value > 0xff) throw doesNotFit(value, 8)
    const at = this.#claim(1)
    this.#buffer[at] = value
    return this
  }

  u16(value: number): this {
    if (value >>> 0 !== value || value > 0xffff) throw doesNotFit(value, 16)
    const at = this.#claim(2)
    this.#buffer[at] = value >>> 8
    this.#buffer[at + 1] = value
    return this
  }

  u24(value: number): this {
    if (value >>> 0 !== value || value > 0xff_ffff) throw doesNotFit(value, 24)
    const at = this.#claim(3)
    this.#buffer[at] = value >>> 16
    this.#buffer[at + 1] = value >>> 8
    this.#buffer[at + 2] = value
    return this
  }

  u32(value: number): this {
    if (value >>> 0 !== value) throw doesNotFit(value, 32)
    const at = this.#claim(4)
    put32(this.#buffer, at, value)
    return this
  }

  u40(value: number): this {
    if (!(Number.isInteger(value) && value >= 0 && value <= MAX_U40)) throw doesNotFit(value, 40)
    const at = this.#claim(5)
    this.#buffer[at] = Math.floor(value / 0x1_0000_0000)
    put32(this.#buffer, at + 1, value >>> 0)
    return this
  }

  u64(value: bigint): this {
    if (value < 0n || value > MAX_U64) throw doesNotFit(value, 64)
    const at = this.#claim(8)
    put64(this.#buffer, at, value)
    return this
  }

  u96(value: bigint): this {
    if (value < 0n || value > MAX_U96) throw doesNotFit(value, 96)
    const at = this.#claim(12)
    put32(this.#buffer, at, value > MAX_U64 ? Number(value >> 64n) : 0)
    put64(this.#buffer, at + 4, value)
    return this
  }

  /** These bytes without a length in front. `length` is what the field holds: any other length is refused. */
  bytes(value: Uint8Array, length: number): this {
    if (value.length !== length)
      throw malformed(`${value.length} bytes in a field of ${length}`, { length: value.length, field: length })
    return this.#append(value)
  }

  /** What `0x` and lower-case hex stand for. `length` is what the field holds: any other length is refused. */
  hex(text: string, length: number): this {
    if (text.length !== 2 + 2 * length || !text.startsWith('0x'))
      throw malformed(`${text.length} characters of hex in a field of ${length} bytes`, { length: text.length, field: length })
    const at = this.#claim(length)
    for (let i = 0; i < length; i++) {
      const value = (digit(text, 2 + 2 * i) << 4) | digit(text, 3 + 2 * i)
      if (value < 0) throw malformed('this is not lower-case hex', { field: length })
      this.#buffer[at + i] = value
    }
    return this
  }

  /** A length of 1 byte, then at most `cap` bytes. */
  bytes8(value: Uint8Array, cap = 0xff): this {
    if (value.length > cap) throw tooLong(value.length, cap)
    return this.u8(value.length).#append(value)
  }

  /** A length of 2 bytes, then at most `cap` bytes. */
  bytes16(value: Uint8Array, cap: number): this {
    if (value.length > cap) throw tooLong(value.length, cap)
    return this.u16(value.length).#append(value)
  }

  /** A length of 4 bytes, then at most `cap` bytes. */
  bytes32(value: Uint8Array, cap: number): this {
    if (value.length > cap) throw tooLong(value.length, cap)
    return this.u32(value.length).#append(value)
  }

  /** Text as `bytes8` of its UTF-8; `cap` counts bytes. Half a surrogate pair is refused: it has no UTF-8. */
  str8(text: string, cap = 0xff): this {
    return this.bytes8(encodeText(text), cap)
  }

  /** Text as `bytes16` of its UTF-8; `cap` counts bytes. */
  str16(text: string, cap: number): this {
    return this.bytes16(encodeText(text), cap)
  }

  /** What was written, without a copy. The writer gives it away and is empty afterwards; a fixed one cannot be written again. */
  finish(): Uint8Array {
    const done = this.#at === this.#buffer.length ? this.#buffer : this.#buffer.subarray(0, this.#at)
    this.#buffer = new Uint8Array(0)
    this.#at = 0
    return done
  }

  /** What was written so far, as a view: it changes with what is written after `restart`. */
  written(): Uint8Array {
    return this.#buffer.subarray(0, this.#at)
  }

  /** Begins anew in the same memory. */
  restart(): this {
    this.#at = 0
    return this
  }

  #append(value: Uint8Array): this {
    const at = this.#claim(value.length)
    this.#buffer.set(value, at)
    return this
  }

  /** Where the next `length` bytes go. */
  #claim(length: number): number {
    const at = this.#at
    const end = at + length
    if (end > this.#buffer.length) this.#grow(end)
    this.#at = end
    return at
  }

  #grow(atLeast: number): void {
    const capacity = this.#buffer.length
    if (this.#fixed)
      throw malformed(`a message of ${atLeast} bytes or more in a buffer of ${capacity}`, { length: atLeast, capacity })
    const grown = new Uint8Array(Math.max(atLeast, capacity * 2, 32))
    grown.set(this.#buffer.subarray(0, this.#at))
    this.#buffer = grown
  }
}

/** The value of a lower-case hex digit; below zero for any other character. */
function digit(text: string, at: number): number {
  const code = text.charCodeAt(at)
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  return code >= 0x61 && code <= 0x66 ? code - 0x57 : -1
}

function encodeText(text: string): Uint8Array {
  if (!text.isWellFormed()) throw malformed('the text holds half a surrogate pair', { length: text.length })
  return utf8.encode(text)
}
