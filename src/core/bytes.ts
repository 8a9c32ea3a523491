import { TallyError } from './errors.ts'

export { ByteReader } from './byte-reader.ts'
export { ByteWriter } from './byte-writer.ts'

/** Whether both hold the same bytes. Not constant-time: never for secrets. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Order of two byte strings as the store sorts its keys: by the first byte that differs, a prefix first. */
export function compareBytes(a: Uint8Array, b: Uint8Array): -1 | 0 | 1 {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] as number) - (b[i] as number)
    if (difference !== 0) return difference < 0 ? -1 : 1
  }
  return a.length === b.length ? 0 : a.length < b.length ? -1 : 1
}

const hexOfByte: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** The value of each ASCII hex digit, either case; -1 for every other character. */
const valueOfDigit = new Int8Array(128).fill(-1)
for (const digits of ['0123456789abcdef', '0123456789ABCDEF']) {
  for (let i = 0; i < digits.length; i++) valueOfDigit[digits.charCodeAt(i)] = i
}

/** The bytes as `0x` and lower-case hex. */
export function toHex(bytes: Uint8Array): `0x${string}` {
  let text: `0x${string}` = '0x'
  for (let i = 0; i < bytes.length; i++) text = `${text}${hexOfByte[bytes[i] as number]}`
  return text
}

/**
 * The bytes behind `0x` and an even number of hex digits, either case.
 *
 * @param length bytes that must come out; any number when left out
 * @throws TallyError MALFORMED for anything else
 */
export function fromHex(text: string, length?: number): Uint8Array {
  if (!text.startsWith('0x') || text.length % 2 !== 0) throw notHex(text)
  const size = (text.length - 2) / 2
  if (length !== undefined && size !== length) throw notHex(text, `${size} bytes of hex where ${length} belong`)
  const bytes = new Uint8Array(size)
  for (let i = 0; i < size; i++) {
    const value = (digitAt(text, 2 + 2 * i) << 4) | digitAt(text, 3 + 2 * i)
    if (value < 0) throw notHex(text)
    bytes[i] = value
  }
  return bytes
}

/** Negative when there is no hex digit at this place. */
function digitAt(text: string, at: number): number {
  return valueOfDigit[text.charCodeAt(at)] ?? -1
}

function notHex(text: string, message = 'this is not hex: 0x and an even number of digits'): TallyError {
  return new TallyError('MALFORMED', { message, fields: { length: text.length } })
}
