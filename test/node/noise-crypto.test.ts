import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import type { ICryptoInterface } from '@chainsafe/libp2p-noise'
import { defaultCrypto, pureJsCrypto } from '@chainsafe/libp2p-noise/crypto'
import { Uint8ArrayList } from 'uint8arraylist'
import { noiseCrypto } from '../../src/node/noise-crypto.ts'

type Bytes = Parameters<ICryptoInterface['chaCha20Poly1305Encrypt']>[0]
const others: Readonly<Record<string, ICryptoInterface>> = { default: defaultCrypto, javascript: pureJsCrypto }
const list = (bytes: Uint8Array, cut: number): Bytes =>
  new Uint8ArrayList(bytes.subarray(0, cut), bytes.subarray(cut)) as unknown as Bytes

describe('noise crypto', () => {
  test("seals what the library's own ciphers open, and opens what they seal, in one run or several", () => {
    for (const [name, other] of Object.entries(others)) {
      for (const size of [0, 1, 383, 384, 399, 400, 1_199, 1_200, 65_519]) {
        const [key, nonce, ad, plain] = [randomBytes(32), randomBytes(12), randomBytes(size % 33), randomBytes(size)]
        for (const input of [plain, list(plain, size >> 1)]) {
          const sealed = noiseCrypto.chaCha20Poly1305Encrypt(input, nonce, ad, key)
          assert.equal(sealed.byteLength, size + 16)
          const opened = other.chaCha20Poly1305Decrypt(Buffer.from(sealed.subarray()), nonce, ad, key)
          assert.deepEqual(Buffer.from(opened.subarray()), plain, `${name}, ${size} bytes`)
        }
        const sealed = Buffer.from(other.chaCha20Poly1305Encrypt(plain, nonce, ad, key).subarray())
        for (const input of [Buffer.from(sealed), list(Buffer.from(sealed), sealed.length >> 1)]) {
          const opened = noiseCrypto.chaCha20Poly1305Decrypt(input, nonce, ad, key, Buffer.alloc(size))
          assert.deepEqual(Buffer.from(opened.subarray()), plain, `${name}, ${size} bytes`)
        }
      }
    }
  })

  test('a message that was touched, or sealed under another nonce or key, is not opened', () => {
    for (const size of [10, 5_000]) {
      const [key, nonce, ad] = [randomBytes(32), randomBytes(12), new Uint8Array(0)]
      const sealed = Buffer.from(noiseCrypto.chaCha20Poly1305Encrypt(randomBytes(size), nonce, ad, key).subarray())
      for (const at of [0, size >> 1, size, size + 15]) {
        const touched = Buffer.from(sealed)
        touched[at] = (touched[at] ?? 0) ^ 1
        assert.throws(() => noiseCrypto.chaCha20Poly1305Decrypt(touched, nonce, ad, key))
      }
      assert.throws(() => noiseCrypto.chaCha20Poly1305Decrypt(Buffer.from(sealed), randomBytes(12), ad, key))
      assert.throws(() => noiseCrypto.chaCha20Poly1305Decrypt(Buffer.from(sealed), nonce, ad, randomBytes(32)))
    }
    assert.throws(() => noiseCrypto.chaCha20Poly1305Decrypt(Buffer.alloc(7), randomBytes(12), new Uint8Array(0), randomBytes(32)))
  })

  test('all but the ciphers is the library itself', () => {
    const { chaCha20Poly1305Encrypt: _, chaCha20Poly1305Decrypt: __, ...rest } = noiseCrypto
    for (const [name, made] of Object.entries(rest)) assert.equal(made, Reflect.get(defaultCrypto, name), name)
  })
})
