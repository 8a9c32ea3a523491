import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { recoverAddress as ethersRecover, Signature, SigningKey, Wallet } from 'ethers'
import fc from 'fast-check'
import { fromHex, toHex } from '../../../src/core/bytes.ts'
import {
  addressOfKey,
  addressOfPublicKey,
  compactSignature,
  expandSignature,
  isCanonicalSignature,
  isPrivateKey,
  isPublicKey,
  publicKeyOf,
  recoverAddress,
  recoverPublicKey,
  sign,
  signerOf,
  verify,
} from '../../../src/core/crypto/secp256k1.ts'
import { forgeries } from '../../vector-cases/forgery.ts'

const ORDER = fromHex('0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141')
const anyKey = fc.uint8Array({ minLength: 32, maxLength: 32 }).filter(isPrivateKey)
const anyDigest = fc.uint8Array({ minLength: 32, maxLength: 32 })
const RUNS = { numRuns: 40 }

describe('keys', () => {
  test('gives the public key and the address that ethers gives', () => {
    fc.assert(
      fc.property(anyKey, (key) => {
        const wallet = new Wallet(toHex(key))
        assert.equal(toHex(publicKeyOf(key)), wallet.signingKey.compressedPublicKey)
        assert.equal(addressOfKey(key), wallet.address.toLowerCase())
        assert.equal(addressOfPublicKey(publicKeyOf(key)), wallet.address.toLowerCase())
      }),
      RUNS,
    )
  })

  test('refuses what is not a private key', () => {
    const bad = [new Uint8Array(32), ORDER, new Uint8Array(32).fill(255), new Uint8Array(31).fill(1), new Uint8Array(33).fill(1)]
    for (const key of bad) {
      assert.equal(isPrivateKey(key), false)
      for (const use of [
        () => publicKeyOf(key),
        () => addressOfKey(key),
        () => sign(new Uint8Array(32), key),
        () => signerOf(key),
      ]) {
        assert.throws(use, { code: 'KEY_INVALID' })
      }
    }
  })

  test('refuses what is not a compressed public key', () => {
    const key = publicKeyOf(new Uint8Array(32).fill(1))
    const uncompressed = fromHex(SigningKey.computePublicKey(toHex(key), false))
    for (const bad of [uncompressed, key.subarray(1), new Uint8Array(33), new Uint8Array(33).fill(255)]) {
      assert.equal(isPublicKey(bad), false)
      assert.throws(() => addressOfPublicKey(bad), { code: 'KEY_INVALID' })
    }
  })
})

describe('signatures', () => {
  test('are the bytes that ethers makes', () => {
    fc.assert(
      fc.property(anyKey, anyDigest, (key, digest) => {
        const signature = sign(digest, key)
        assert.equal(toHex(signature), new SigningKey(toHex(key)).sign(toHex(digest)).serialized)
        assert.deepEqual(signerOf(key)(digest), signature)
      }),
      RUNS,
    )
  })

  test('are verified and recovered as ethers does', () => {
    fc.assert(
      fc.property(anyKey, anyDigest, (key, digest) => {
        const signature = sign(digest, key)
        const publicKey = publicKeyOf(key)
        assert.ok(isCanonicalSignature(signature))
        assert.ok(verify(digest, signature, publicKey))
        assert.deepEqual(recoverPublicKey(digest, signature), publicKey)
        assert.equal(recoverAddress(digest, signature), ethersRecover(digest, toHex(signature)).toLowerCase())
      }),
      RUNS,
    )
  })

  test('of another key or another digest are refused', () => {
    fc.assert(
      fc.property(anyKey, anyKey, anyDigest, anyDigest, (key, other, digest, otherDigest) => {
        const signature = sign(digest, key)
        assert.equal(verify(digest, signature, publicKeyOf(other)), toHex(key) === toHex(other))
        assert.equal(verify(otherDigest, signature, publicKeyOf(key)), toHex(digest) === toHex(otherDigest))
      }),
      RUNS,
    )
  })

  test('in a form that is not canonical, or by nobody, are refused', () => {
    fc.assert(
      fc.property(anyKey, anyDigest, (key, digest) => {
        const address = addressOfKey(key)
        for (const { comment, signature } of forgeries(toHex(sign(digest, key)))) {
          const bytes = fromHex(signature)
          assert.equal(verify(digest, bytes, publicKeyOf(key)), false, comment)
          assert.notEqual(recoverAddress(digest, bytes), address, comment)
        }
      }),
      RUNS,
    )
  })

  test('with a high s recover nobody at all, so that no second signature exists', () => {
    const digest = new Uint8Array(32).fill(5)
    const [twin] = forgeries(toHex(sign(digest, new Uint8Array(32).fill(1))))
    assert.ok(twin !== undefined)
    assert.equal(isCanonicalSignature(fromHex(twin.signature)), false)
    assert.equal(recoverAddress(digest, fromHex(twin.signature)), undefined)
  })

  test('take half of the order as the largest s', () => {
    const half = '7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0'
    const withS = (s: string): Uint8Array => fromHex(`0x${'11'.repeat(32)}${s}1b`)
    assert.equal(isCanonicalSignature(withS(half)), true)
    assert.equal(isCanonicalSignature(withS(half.replace(/0$/, '1'))), false)
    assert.equal(isCanonicalSignature(withS(`80${half.slice(2)}`)), false)
  })

  test('take 27 and 28 as v and nothing else', () => {
    for (let v = 0; v < 256; v++) assert.equal(isCanonicalSignature(new Uint8Array(65).fill(1).fill(v, 64)), v === 27 || v === 28)
  })

  test('of any other length are refused', () => {
    const digest = new Uint8Array(32).fill(5)
    const key = new Uint8Array(32).fill(1)
    const signature = sign(digest, key)
    for (const bad of [signature.subarray(0, 64), new Uint8Array(66), new Uint8Array(0)]) {
      assert.equal(verify(digest, bad, publicKeyOf(key)), false)
      assert.equal(recoverAddress(digest, bad), undefined)
    }
  })

  test('over a digest of another length are an error of the caller', () => {
    const key = new Uint8Array(32).fill(1)
    const signature = sign(new Uint8Array(32), key)
    for (const digest of [new Uint8Array(31), new Uint8Array(33)]) {
      assert.throws(() => sign(digest, key), { code: 'MALFORMED' })
      assert.throws(() => verify(digest, signature, publicKeyOf(key)), { code: 'MALFORMED' })
      assert.throws(() => recoverAddress(digest, signature), { code: 'MALFORMED' })
    }
  })

  test('made of hostile bytes never throw', () => {
    const key = publicKeyOf(new Uint8Array(32).fill(1))
    fc.assert(
      fc.property(anyDigest, fc.uint8Array({ minLength: 63, maxLength: 67 }), fc.constantFrom(27, 28), (digest, bytes, v) => {
        if (bytes.length === 65) bytes[64] = v
        verify(digest, bytes, key)
        recoverAddress(digest, bytes)
      }),
    )
  })
})

describe('compact signatures', () => {
  test('are those of EIP-2098 and come back to the same 65 bytes', () => {
    fc.assert(
      fc.property(anyKey, anyDigest, (key, digest) => {
        const signature = sign(digest, key)
        const compact = compactSignature(signature)
        assert.equal(toHex(compact), Signature.from(toHex(signature)).compactSerialized)
        assert.deepEqual(expandSignature(compact), signature)
      }),
      RUNS,
    )
  })

  test('are made of canonical signatures only', () => {
    const signature = sign(new Uint8Array(32).fill(5), new Uint8Array(32).fill(1))
    const [twin] = forgeries(toHex(signature))
    assert.ok(twin !== undefined)
    assert.throws(() => compactSignature(fromHex(twin.signature)), { code: 'MALFORMED' })
    assert.throws(() => expandSignature(signature), { code: 'MALFORMED' })
    assert.throws(() => expandSignature(new Uint8Array(64).fill(0x7f, 0, 32).fill(0xff, 32)), { code: 'MALFORMED' })
  })

  test('leave the signature that they are made of unchanged', () => {
    const signature = Array.from({ length: 8 }, (_, i) => sign(new Uint8Array(32).fill(i), new Uint8Array(32).fill(1))).find(
      (s) => s[64] === 28,
    )
    assert.ok(signature !== undefined)
    const before = toHex(signature)
    compactSignature(signature)
    assert.equal(toHex(signature), before)
  })
})
