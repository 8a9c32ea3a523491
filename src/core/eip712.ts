/**
 * EIP-712 by hand: what every signed object of Tallystick is hashed with.
 *
 * digest = keccak256(0x1901 | domain separator | keccak256(type hash | word | word | ...)), a word being 32 bytes.
 * @see protocols/ledger/SPEC.md
 */
import { keccak256, keccakText } from './crypto/keccak.ts'
import { TallyError } from './errors.ts'
import { type Address, addressToBytes, type Hash32, hash32FromBytes } from './ids.ts'

/** Where a signature counts: one ledger on one chain. A signature made for another domain is by nobody here. */
export interface Domain {
  /** 1 <= x < 2^256 */
  readonly chainId: bigint
  /** address of the TallyLedger */
  readonly ledger: Address
}

/** The name and version that TallyLedger was made with. */
const DOMAIN_NAME = 'Tallystick'
const DOMAIN_VERSION = '1'

/** One field of a struct as it is hashed: 32 bytes. Make one with the functions below. */
export type Word = Uint8Array

/** What is signed, in both forms that are needed. */
export interface Digest {
  readonly bytes: Uint8Array
  readonly hex: Hash32
}

/** Bytes of 0x1901 | separator | struct hash. */
const PREIMAGE_BYTES = 66

const DOMAIN_TYPE = keccakText('EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)')

// A node has one domain, or a few: what follows from it is worked out once.
const separators = new WeakMap<Domain, Uint8Array>()

/** The hash of the domain, 32 bytes; not to be changed. @throws TallyError MALFORMED for a chain id that does not fit 256 bits */
export function domainSeparator(domain: Domain): Uint8Array {
  const known = separators.get(domain)
  if (known !== undefined) return known
  const words = [textWord(DOMAIN_NAME), textWord(DOMAIN_VERSION), uintWord(domain.chainId, 256), addressWord(domain.ledger)]
  const separator = structHash(DOMAIN_TYPE, words)
  separators.set(domain, separator)
  return separator
}

/** The hash of a struct's type, its fields written without spaces: `Close(bytes32 channel,uint96 amount)`. */
export function typeHash(type: string): Uint8Array {
  return keccakText(type)
}

/** The hash of a struct: its type and its fields, in order. */
export function structHash(type: Uint8Array, words: readonly Word[]): Uint8Array {
  const encoded = new Uint8Array(32 * (words.length + 1))
  encoded.set(type)
  words.forEach((word, i) => {
    encoded.set(word, 32 * (i + 1))
  })
  return keccak256(encoded)
}

/** What is signed for a struct in this domain: 32 bytes. For what is rarely signed; promises have a form of their own. */
export function structDigest(domain: Domain, type: Uint8Array, words: readonly Word[]): Uint8Array {
  const preimage = preimageOf(domain)
  preimage.set(structHash(type, words), 34)
  return keccak256(preimage)
}

/** A digest in both forms. */
export function digestOf(bytes: Uint8Array): Digest {
  return { bytes, hex: hash32FromBytes(bytes) }
}

/** 0x1901 and the separator, with room for a struct hash from byte 34 on: 66 new bytes. */
export function preimageOf(domain: Domain): Uint8Array {
  const preimage = new Uint8Array(PREIMAGE_BYTES)
  preimage[0] = 0x19
  preimage[1] = 0x01
  preimage.set(domainSeparator(domain), 2)
  return preimage
}

/** An `address`: 20 bytes at the right. */
export function addressWord(address: Address): Word {
  const word = new Uint8Array(32)
  word.set(addressToBytes(address), 12)
  return word
}

/** A `uint` of `bits`, at the right. @throws TallyError MALFORMED when the value does not fit, or is no whole number */
export function uintWord(value: bigint | number, bits: number): Word {
  const whole = typeof value === 'bigint' || Number.isSafeInteger(value)
  if (!whole || value < 0 || BigInt(value) >> BigInt(bits) !== 0n) {
    throw new TallyError('MALFORMED', {
      message: `${value} does not fit an unsigned field of ${bits} bits`,
      fields: { value, bits },
    })
  }
  const word = new Uint8Array(32)
  let rest = BigInt(value)
  for (let i = 31; rest > 0n; i--) {
    word[i] = Number(rest & 0xffn)
    rest >>= 8n
  }
  return word
}

/** A `bytes1` to `bytes32`: at the left. */
export function fixedWord(bytes: Uint8Array): Word {
  if (bytes.length > 32) throw new TallyError('MALFORMED', { message: `${bytes.length} bytes in a field of 32` })
  const word = new Uint8Array(32)
  word.set(bytes)
  return word
}

/** A `bytes` of any length: its hash. */
export function bytesWord(bytes: Uint8Array): Word {
  return keccak256(bytes)
}

/** A `string`: the hash of its UTF-8. */
export function textWord(text: string): Word {
  return keccakText(text)
}
