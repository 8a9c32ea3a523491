/**
 * The ciphers of noise, with each session key held as a KeyObject: since Node 24.18 a cipher made from raw key bytes costs about 10 us
 * more, and noise makes one for every message. Everything but the two cipher functions is the library's own.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import type { ICryptoInterface } from '@chainsafe/libp2p-noise'
import { asCrypto, defaultCrypto } from '@chainsafe/libp2p-noise/crypto'
import { Uint8ArrayList } from 'uint8arraylist'

const CIPHER = 'chacha20-poly1305'
const TAG_BYTES = 16
const OPTIONS = { authTagLength: TAG_BYTES }
/** below so many bytes the library's WebAssembly is faster than making a native cipher */
const NATIVE_FROM_BYTES = 400

/** A connection's two keys live as long as it does, and so do their objects. */
const keyObjects = new WeakMap<Uint8Array, KeyObject>()

function keyObject(key: Uint8Array): KeyObject {
  let object = keyObjects.get(key)
  if (object === undefined) {
    object = createSecretKey(key)
    keyObjects.set(key, object)
  }
  return object
}

type Bytes = Parameters<ICryptoInterface['chaCha20Poly1305Encrypt']>[0]

const runsOf = (bytes: Bytes): Iterable<Uint8Array> => (bytes instanceof Uint8Array ? [bytes] : bytes)

/** Noise has its own copy of the list's package: one class for TypeScript's eyes only, the lists know each other by a registered symbol. */
const joined = (runs: readonly Uint8Array[]): Bytes => new Uint8ArrayList(...runs) as Uint8ArrayList & Exclude<Bytes, Uint8Array>

/** @throws what the ciphers throw: a message that was not sealed with this key and nonce ends its connection */
export const noiseCrypto: ICryptoInterface = {
  ...defaultCrypto,

  chaCha20Poly1305Encrypt(plaintext, nonce, ad, key) {
    if (plaintext.byteLength < NATIVE_FROM_BYTES) return asCrypto.chaCha20Poly1305Encrypt(plaintext, nonce, ad, key)
    const cipher = createCipheriv(CIPHER, keyObject(key), nonce, OPTIONS)
    if (ad.byteLength > 0) cipher.setAAD(ad, { plaintextLength: plaintext.byteLength })
    const sealed: Uint8Array[] = []
    for (const run of runsOf(plaintext)) sealed.push(cipher.update(run))
    cipher.final()
    sealed.push(cipher.getAuthTag())
    return joined(sealed)
  },

  chaCha20Poly1305Decrypt(ciphertext, nonce, ad, key, spare) {
    const length = ciphertext.byteLength - TAG_BYTES
    if (ciphertext.byteLength < NATIVE_FROM_BYTES) return asCrypto.chaCha20Poly1305Decrypt(ciphertext, nonce, ad, key, spare)
    const decipher = createDecipheriv(CIPHER, keyObject(key), nonce, OPTIONS)
    if (ad.byteLength > 0) decipher.setAAD(ad, { plaintextLength: length })
    decipher.setAuthTag(ciphertext.subarray(length))
    const text = ciphertext instanceof Uint8Array ? [ciphertext.subarray(0, length)] : ciphertext.sublist(0, length)
    const opened: Uint8Array[] = []
    for (const run of text) opened.push(decipher.update(run))
    decipher.final()
    const [first] = opened
    return opened.length === 1 && first !== undefined ? first : joined(opened)
  },
}
