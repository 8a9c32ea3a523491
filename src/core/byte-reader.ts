import { TallyError } from './errors.ts'

// ignoreBOM keeps a leading U+FEFF in the text: dropped, two byte strings would decode to the same text
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

// One word for all 64-bit conversions, as in the writer. It holds nothing between two calls.
const word = new DataView(new ArrayBuffer(8))
const wordBytes = new Uint8Array(word.buffer)

function malformed(message: string, fields: Record<string, string | number | bigint>): TallyError {
  return new TallyError('MALFORMED', { message, fields })
}

function tooLong(length: number, cap: number): TallyError {
  return malformed(`${length} bytes in a field of at most ${cap}`, { length, cap })
}

function get32(buffer: Uint8Array, at: number): number {
  const low = ((buffer[at + 1] as number) << 16) | ((buffer[at + 2] as number) << 8) | (buffer[at + 3] as number)
  return (buffer[at] as number) * 0x100_0000 + low
}

function get64(buffer: Uint8Array, at: number): bigint {
  for (let i = 0; i < 8; i++) wordBytes[i] = buffer[at + i] as number
  return word.getBigUint64(0)
}

/**
 * Reads one hostile message in the order it was written. Bounds are checked before each field, so nothing is allocated for a
 * length that is not there. Nothing is accepted in two forms.
 *
 * @throws TallyError MALFORMED (every method) when the bytes end early or break the rule of the field
 */
export class ByteReader {
  readonly #source: Uint8Array
  #at = 0

  constructor(source: Uint8Array) {
    this.#source = source
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#at
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#source.length - this.#at
  }

  u8(): number {
    return this.#source[this.#take(1)] as number
  }

  u16(): number {
    const at = this.#take(2)
    return ((this.#source[at] as number) << 8) | (this.#source[at + 1] as number)
  }

  u24(): number {
    const at = this.#take(3)
    return ((this.#source[at] as number) << 16) | ((this.#source[at + 1] as number) << 8) | (this.#source[at + 2] as number)
  }

  u32(): number {
    return get32(this.#source, this.#take(4))
  }

  u40(): number {
    const at = this.#take(5)
    return (this.#source[at] as number) * 0x1_0000_0000 + get32(this.#source, at + 1)
  }

  u64(): bigint {
    return get64(this.#source, this.#take(8))
  }

  u96(): bigint {
    const at = this.#take(12)
    const high = get32(this.#source, at)
    const low = get64(this.#source, at + 4)
    return high === 0 ? low : (BigInt(high) << 64n) | low
  }

  /** The next `length` bytes as a copy of their own: it keeps no frame alive and nobody else can change it. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length)
    const copy = new Uint8Array(length)
    if (length > 64) copy.set(this.#source.subarray(at, at + length))
    // a view of a few bytes costs more than to copy them
    else for (let i = 0; i < length; i++) copy[i] = this.#source[at + i] as number
    return copy
  }

  /** Whether the next bytes are these; only then they are taken. */
  skipSame(bytes: Uint8Array): boolean {
    const at = this.#at
    if (bytes.length > this.#source.length - at) return false
    for (let i = 0; i < bytes.length; i++) if (this.#source[at + i] !== bytes[i]) return false
    this.#at = at + bytes.length
    return true
  }

  /** The byte at this distance, without taking it; undefined behind the end. */
  peek(distance: number): number | undefined {
    return this.#source[this.#at + distance]
  }

  /** The next `length` bytes as a view on the source, for what is used up at once. */
  view(length: number): Uint8Array {
    const at = this.#take(length)
    return this.#source.subarray(at, at + length)
  }

  bytes8(cap = 0xff): Uint8Array {
    return this.bytes(this.#capped(this.u8(), cap))
  }

  bytes16(cap: number): Uint8Array {
    return this.bytes(this.#capped(this.u16(), cap))
  }

  bytes32(cap: number): Uint8Array {
    return this.bytes(this.#capped(this.u32(), cap))
  }

  /** Text of at most `cap` bytes; invalid UTF-8 is refused, never repaired. */
  str8(cap = 0xff): string {
    return this.#text(this.#capped(this.u8(), cap))
  }

  str16(cap: number): string {
    return this.#text(this.#capped(this.u16(), cap))
  }

  /** Everything was read. Refuses bytes that follow: they would be a second form of the same message. */
  end(): void {
    if (this.remaining > 0) throw malformed(`${this.remaining} bytes too many after the message`, { remaining: this.remaining })
  }

  #take(length: number): number {
    const at = this.#at
    if (length > this.#source.length - at) {
      throw malformed(`the message ends early: ${length} bytes wanted, ${this.remaining} there`, {
        wanted: length,
        remaining: this.remaining,
      })
    }
    this.#at = at + length
    return at
  }

  #capped(length: number, cap: number): number {
    if (length > cap) throw tooLong(length, cap)
    return length
  }

  #text(length: number): string {
    const view = this.view(length)
    try {
      return strictUtf8.decode(view)
    } catch (cause) {
      throw new TallyError('MALFORMED', { message: 'the text is not valid UTF-8', fields: { length }, cause })
    }
  }
}
