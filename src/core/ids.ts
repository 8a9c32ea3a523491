import { type ByteReader, type ByteWriter, fromHex, toHex } from './bytes.ts'
import { keccak256, keccakText } from './crypto/keccak.ts'
import { TallyError } from './errors.ts'

declare const brand: unique symbol

/** An account, a token or a contract: `0x` and 40 lower-case hex digits, so that it is a map key. Shown to people by `formatAddress`. */
export type Address = `0x${string}` & { readonly [brand]: 'Address' }

/** A channel: `0x` and 64 lower-case hex digits. @see channelId */
export type ChannelId = `0x${string}` & { readonly [brand]: 'ChannelId' }

/** A session: 16 random bytes picked by the payer, as `0x` and 32 lower-case hex digits. */
export type SessionId = `0x${string}` & { readonly [brand]: 'SessionId' }

/** A keccak-256 hash: `0x` and 64 lower-case hex digits. */
export type Hash32 = `0x${string}` & { readonly [brand]: 'Hash32' }

/** Unix time in whole seconds, 0 <= x < 2^40. */
export type Seconds = number & { readonly [brand]: 'Seconds' }

/** The four accounts whose hash names a channel. */
export interface ChannelParties {
  /** whose tokens are reserved, and to whom the rest goes back */
  readonly owner: Address
  /** whose key signs the promises; may be the owner itself */
  readonly signer: Address
  /** the only account that can be paid */
  readonly target: Address
  readonly token: Address
}

export const ADDRESS_BYTES = 20
export const CHANNEL_ID_BYTES = 32
export const SESSION_ID_BYTES = 16

/** The last moment that a `uint40` holds, 2^40 - 1 s. */
export const MAX_SECONDS = 0xff_ffff_ffff as Seconds

export const ZERO_ADDRESS = `0x${'0'.repeat(40)}` as Address

const ADDRESS = /^0x[0-9a-f]{40}$/
const ANY_CASE_ADDRESS = /^0x(?:[0-9a-fA-F]{40})$/
const WORD = /^0x[0-9a-f]{64}$/
const SESSION = /^0x[0-9a-f]{32}$/

/** At most 80 characters of what a stranger wrote, as a quoted string without control characters. */
function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text)
}

function malformed(what: string, text: string): TallyError {
  return new TallyError('MALFORMED', { message: `${shown(text)} is not ${what}` })
}

export function isAddress(text: string): text is Address {
  return ADDRESS.test(text)
}

export function isChannelId(text: string): text is ChannelId {
  return WORD.test(text)
}

export function isSessionId(text: string): text is SessionId {
  return SESSION.test(text)
}

export function isHash32(text: string): text is Hash32 {
  return WORD.test(text)
}

export function isSeconds(value: number): value is Seconds {
  return Number.isInteger(value) && value >= 0 && value <= MAX_SECONDS
}

/**
 * An address as a person writes it: all lower case, all upper case, or mixed case with a right checksum (EIP-55).
 *
 * @throws TallyError ADDRESS_INVALID for anything else
 */
export function parseAddress(text: string): Address {
  if (!ANY_CASE_ADDRESS.test(text)) {
    throw new TallyError('ADDRESS_INVALID', {
      message: `${shown(text)} is not an address`,
      hint: 'An address is 0x and 40 hex digits.',
    })
  }
  const digits = text.slice(2)
  const address = text.toLowerCase() as Address
  const oneCase = digits === digits.toLowerCase() || digits === digits.toUpperCase()
  if (oneCase || formatAddress(address) === text) return address
  throw new TallyError('ADDRESS_INVALID', {
    message: `the checksum of the address ${text} is wrong: it was mistyped or damaged`,
    hint: 'Copy the address again from where it came from.',
    fields: { address: text },
  })
}

/** The canonical form and nothing else. @throws TallyError MALFORMED */
export function parseChannelId(text: string): ChannelId {
  if (isChannelId(text)) return text
  throw malformed('a channel id: 0x and 64 lower-case hex digits', text)
}

/** The canonical form and nothing else. @throws TallyError MALFORMED */
export function parseSessionId(text: string): SessionId {
  if (isSessionId(text)) return text
  throw malformed('a session id: 0x and 32 lower-case hex digits', text)
}

/** The canonical form and nothing else. @throws TallyError MALFORMED */
export function parseHash32(text: string): Hash32 {
  if (isHash32(text)) return text
  throw malformed('a hash: 0x and 64 lower-case hex digits', text)
}

/** `value` as unix seconds. @throws TallyError MALFORMED for a fraction, below zero, or 2^40 and above */
export function seconds(value: number): Seconds {
  if (isSeconds(value)) return value
  throw new TallyError('MALFORMED', { message: `${value} is not a time in whole seconds below 2^40`, fields: { value } })
}

/** The address with the checksum of EIP-55 in the case of its letters, for people and for other programs. */
export function formatAddress(address: Address): string {
  const hash = keccakText(address.slice(2))
  let text = '0x'
  for (let i = 0; i < 40; i++) {
    const nibble = ((hash[i >> 1] as number) >> (i % 2 === 0 ? 4 : 0)) & 0xf
    const digit = address.charAt(i + 2)
    text += nibble >= 8 ? digit.toUpperCase() : digit
  }
  return text
}

export function addressToBytes(address: Address): Uint8Array {
  return fromHex(address, ADDRESS_BYTES)
}

export function channelIdToBytes(id: ChannelId): Uint8Array {
  return fromHex(id, CHANNEL_ID_BYTES)
}

export function sessionIdToBytes(id: SessionId): Uint8Array {
  return fromHex(id, SESSION_ID_BYTES)
}

export function hash32ToBytes(hash: Hash32): Uint8Array {
  return fromHex(hash, 32)
}

/** @throws TallyError MALFORMED unless there are 20 bytes */
export function addressFromBytes(bytes: Uint8Array): Address {
  return sized(bytes, ADDRESS_BYTES) as Address
}

/** @throws TallyError MALFORMED unless there are 32 bytes */
export function channelIdFromBytes(bytes: Uint8Array): ChannelId {
  return sized(bytes, CHANNEL_ID_BYTES) as ChannelId
}

/** @throws TallyError MALFORMED unless there are 16 bytes */
export function sessionIdFromBytes(bytes: Uint8Array): SessionId {
  return sized(bytes, SESSION_ID_BYTES) as SessionId
}

/** @throws TallyError MALFORMED unless there are 32 bytes */
export function hash32FromBytes(bytes: Uint8Array): Hash32 {
  return sized(bytes, 32) as Hash32
}

function sized(bytes: Uint8Array, length: number): string {
  if (bytes.length === length) return toHex(bytes)
  throw new TallyError('MALFORMED', {
    message: `${bytes.length} bytes in a field of ${length}`,
    fields: { length: bytes.length, field: length },
  })
}

/** The next 20 bytes. @throws TallyError MALFORMED when there are fewer */
export function readAddress(reader: ByteReader): Address {
  return toHex(reader.view(ADDRESS_BYTES)) as Address
}

/** The next 32 bytes. @throws TallyError MALFORMED when there are fewer */
export function readChannelId(reader: ByteReader): ChannelId {
  return toHex(reader.view(CHANNEL_ID_BYTES)) as ChannelId
}

// Every message names its session, and text costs more to make than all else in a tick: the ids that were read last are kept by a byte
// of theirs. Ids are random; whoever chooses them so that they push each other out gets the old price.
const lastIds = new Array<{ readonly bytes: Uint8Array; readonly id: SessionId } | undefined>(256).fill(undefined)

/** The next 16 bytes. @throws TallyError MALFORMED when there are fewer */
export function readSessionId(reader: ByteReader): SessionId {
  const place = reader.peek(SESSION_ID_BYTES - 1) ?? 0
  const last = lastIds[place]
  if (last !== undefined && reader.skipSame(last.bytes)) return last.id
  const bytes = reader.bytes(SESSION_ID_BYTES)
  const id = toHex(bytes) as SessionId
  lastIds[place] = { bytes, id }
  return id
}

/** The next 32 bytes. @throws TallyError MALFORMED when there are fewer */
export function readHash32(reader: ByteReader): Hash32 {
  return toHex(reader.view(32)) as Hash32
}

/** The next 5 bytes. @throws TallyError MALFORMED when there are fewer */
export function readSeconds(reader: ByteReader): Seconds {
  return reader.u40() as Seconds
}

export function writeAddress(writer: ByteWriter, address: Address): ByteWriter {
  return writer.hex(address, ADDRESS_BYTES)
}

export function writeChannelId(writer: ByteWriter, id: ChannelId): ByteWriter {
  return writer.hex(id, CHANNEL_ID_BYTES)
}

export function writeSessionId(writer: ByteWriter, id: SessionId): ByteWriter {
  return writer.hex(id, SESSION_ID_BYTES)
}

export function writeHash32(writer: ByteWriter, hash: Hash32): ByteWriter {
  return writer.hex(hash, 32)
}

/**
 * The id of a channel: keccak256(abi.encode(owner, signer, target, token)). The same four give the same id on every chain and
 * ledger, so an id never goes without its domain.
 *
 * @see protocols/ledger/SPEC.md
 */
export function channelId({ owner, signer, target, token }: ChannelParties): ChannelId {
  const encoded = new Uint8Array(128)
  encoded.set(addressToBytes(owner), 12)
  encoded.set(addressToBytes(signer), 44)
  encoded.set(addressToBytes(target), 76)
  encoded.set(addressToBytes(token), 108)
  return toHex(keccak256(encoded)) as ChannelId
}
