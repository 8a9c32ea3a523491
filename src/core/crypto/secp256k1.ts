import { createRequire } from 'node:module'
import { equalBytes, toHex } from '../bytes.ts'
import { TallyError } from '../errors.ts'
import type { Address } from '../ids.ts'
import { keccak256 } from './keccak.ts'

// The native addon and nothing else. The main entry of the package falls back silently to a far slower library in JavaScript, and in
// code that signs money a fallback is a decision, not an accident.
const native = createRequire(import.meta.url)('secp256k1/bindings.js') as typeof import('secp256k1')

/** Signs a 32-byte digest: 65 bytes `r | s | v`. How the rest of the core sees a private key. */
export type Sign = (digest: Uint8Array) => Uint8Array

const PRIVATE_KEY_BYTES = 32
/** Bytes of a compressed public key. */
export const PUBLIC_KEY_BYTES = 33
/** Bytes of a signature: r 32 | s 32 | v 1, v is 27 or 28. */
export const SIGNATURE_BYTES = 65
/** Bytes of a signature in the form of EIP-2098: r 32 | vs 32. */
export const COMPACT_SIGNATURE_BYTES = 64

/** The order of the curve, halved: the largest s that is not the twin of a smaller one. */
const HALF_ORDER = Uint8Array.from([
  0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e, 0x73, 0x57,
  0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
])

// Where a key is recovered to before it is compared. It holds nothing between two calls.
const recovered = new Uint8Array(PUBLIC_KEY_BYTES)

function keyInvalid(message: string): TallyError {
  return new TallyError('KEY_INVALID', { message })
}

/** Whether these are 32 bytes within 1 and the order of the curve less 1. */
export function isPrivateKey(key: Uint8Array): boolean {
  return key.length === PRIVATE_KEY_BYTES && native.privateKeyVerify(key)
}

/** Whether this is the compressed form (33 bytes) of a point on the curve. */
export function isPublicKey(publicKey: Uint8Array): boolean {
  return publicKey.length === PUBLIC_KEY_BYTES && native.publicKeyVerify(publicKey)
}

/** The compressed public key, 33 bytes. @throws TallyError KEY_INVALID */
export function publicKeyOf(key: Uint8Array): Uint8Array {
  if (!isPrivateKey(key)) throw keyInvalid('this is not a private key of secp256k1')
  return native.publicKeyCreate(key, true)
}

/** The Ethereum address of a compressed public key. @throws TallyError KEY_INVALID */
export function addressOfPublicKey(publicKey: Uint8Array): Address {
  if (!isPublicKey(publicKey)) throw keyInvalid('this is not a compressed public key of secp256k1')
  return addressOfPoint(native.publicKeyConvert(publicKey, false))
}

/** The Ethereum address of a private key. @throws TallyError KEY_INVALID */
export function addressOfKey(key: Uint8Array): Address {
  return addressOfPublicKey(publicKeyOf(key))
}

function addressOfPoint(point: Uint8Array): Address {
  return toHex(keccak256(point.subarray(1)).subarray(12)) as Address
}

/**
 * Signs a digest: 65 bytes `r | s | v`, low s, v 27 or 28. Deterministic (RFC 6979): the same digest and key give the same bytes, as in
 * every other wallet.
 *
 * @throws TallyError KEY_INVALID, MALFORMED for a digest that has not 32 bytes
 */
export function sign(digest: Uint8Array, key: Uint8Array): Uint8Array {
  checkDigest(digest)
  if (!isPrivateKey(key)) throw keyInvalid('this is not a private key of secp256k1')
  const { signature, recid } = native.ecdsaSign(digest, key)
  // r at or above the order, which v cannot say: one in 2^127 digests
  if (recid > 1) throw new TallyError('INTERNAL', { message: 'this digest has no signature that Ethereum understands' })
  const bytes = new Uint8Array(SIGNATURE_BYTES)
  bytes.set(signature)
  bytes[64] = 27 + recid
  return bytes
}

/** `sign` with the key held inside. The key is copied. @throws TallyError KEY_INVALID */
export function signerOf(key: Uint8Array): Sign {
  if (!isPrivateKey(key)) throw keyInvalid('this is not a private key of secp256k1')
  const held = Uint8Array.from(key)
  return (digest) => sign(digest, held)
}

function checkDigest(digest: Uint8Array): void {
  if (digest.length === 32) return
  throw new TallyError('MALFORMED', { message: `a digest of ${digest.length} bytes`, fields: { length: digest.length } })
}

/**
 * Whether a signature has the one form that is accepted: 65 bytes, low s, v 27 or 28. The other forms of a valid signature are refused,
 * so that nobody can make a second one out of it (and the ledger refuses them too).
 */
export function isCanonicalSignature(signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false
  const v = signature[64]
  if (v !== 27 && v !== 28) return false
  for (let i = 0; i < 32; i++) {
    const difference = (signature[32 + i] as number) - (HALF_ORDER[i] as number)
    if (difference !== 0) return difference < 0
  }
  return true
}

/** The point behind a canonical signature, in the form that `into` has room for; false when there is none. */
function recover(digest: Uint8Array, signature: Uint8Array, into: Uint8Array): boolean {
  checkDigest(digest)
  if (!isCanonicalSignature(signature)) return false
  try {
    native.ecdsaRecover(signature.subarray(0, 64), (signature[64] as number) - 27, digest, into.length === PUBLIC_KEY_BYTES, into)
    return true
  } catch {
    // the addon throws when r or s is zero or beyond the order, or no point has this r: not a signature of anybody
    return false
  }
}

/**
 * Whether the signature is by this compressed public key, and the ledger would find the same signer.
 *
 * It recovers the key and compares: a plain check does not look at v, so a signature with the wrong v would pass here and be worth
 * nothing on the ledger. Costs about a tenth more than the plain check.
 *
 * @throws TallyError MALFORMED for a digest that has not 32 bytes
 */
export function verify(digest: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
  return recover(digest, signature, recovered) && equalBytes(recovered, publicKey)
}

/**
 * The compressed public key that signed, 33 bytes; undefined when nobody did or the form is not canonical.
 *
 * @throws TallyError MALFORMED for a digest that has not 32 bytes
 */
export function recoverPublicKey(digest: Uint8Array, signature: Uint8Array): Uint8Array | undefined {
  const publicKey = new Uint8Array(PUBLIC_KEY_BYTES)
  return recover(digest, signature, publicKey) ? publicKey : undefined
}

/**
 * The address that signed; undefined when nobody did or the form is not canonical.
 *
 * @throws TallyError MALFORMED for a digest that has not 32 bytes
 */
export function recoverAddress(digest: Uint8Array, signature: Uint8Array): Address | undefined {
  const point = new Uint8Array(65)
  return recover(digest, signature, point) ? addressOfPoint(point) : undefined
}

/** The signature in 64 bytes (EIP-2098): r, then s with v in its top bit. @throws TallyError MALFORMED unless it is canonical */
export function compactSignature(signature: Uint8Array): Uint8Array {
  if (!isCanonicalSignature(signature))
    throw new TallyError('MALFORMED', { message: 'this is not a signature of 65 bytes with a low s' })
  const compact = signature.slice(0, COMPACT_SIGNATURE_BYTES)
  if (signature[64] === 28) compact[32] = (compact[32] as number) | 0x80
  return compact
}

/** The signature of 65 bytes behind its compact form. @throws TallyError MALFORMED for another length or a high s */
export function expandSignature(compact: Uint8Array): Uint8Array {
  const signature = new Uint8Array(SIGNATURE_BYTES)
  if (compact.length === COMPACT_SIGNATURE_BYTES) {
    signature.set(compact)
    signature[64] = 27 + ((compact[32] as number) >> 7)
    signature[32] = (compact[32] as number) & 0x7f
  }
  if (!isCanonicalSignature(signature))
    throw new TallyError('MALFORMED', { message: 'this is not a compact signature of 64 bytes' })
  return signature
}
