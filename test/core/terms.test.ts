import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex } from '../../src/core/bytes.ts'
import { signerOf } from '../../src/core/crypto/secp256k1.ts'
import { TallyError } from '../../src/core/errors.ts'
import { parseAddress, type Seconds } from '../../src/core/ids.ts'
import {
  decodeTerms,
  encodeTerms,
  MAX_TERMS_BYTES,
  signTerms,
  type Terms,
  termsChannel,
  termsDigest,
  verifyTerms,
} from '../../src/core/terms.ts'
import { anyTerms } from '../vector-cases/arbitrary.ts'
import { bytesOf, type Case, given, readVectors, termsOf } from '../vector-cases/read.ts'
import { account, encodeTermsInput, hashTyped, type TermsInput, termsValue } from '../vector-cases/reference.ts'

const { domain, valid, mustFail } = readVectors<Case<TermsInput>>('session/vectors/terms')
const provider = parseAddress(account(3).address)
const keys = [account(2), account(3)]

test('any terms have the digest that ethers computes and the bytes that the specification says, and come back from them', () => {
  fc.assert(
    fc.property(anyTerms, (input) => {
      const terms = termsOf(input)
      const { hex, bytes } = termsDigest(domain, terms)
      assert.equal(hex, hashTyped('Terms', termsValue(input)))
      assert.equal(toHex(bytes), hex)
      const encoded = encodeTerms(terms)
      assert.equal(toHex(encoded), encodeTermsInput(input))
      assert.ok(encoded.length <= MAX_TERMS_BYTES)
      assert.deepEqual(decodeTerms(encoded), terms)
    }),
  )
})

test('hostile bytes decode to terms with the same bytes or are refused as malformed', () => {
  const near = fc.tuple(fc.constantFrom(...valid), fc.nat(), fc.nat(255)).map(([one, at, value]) => {
    const bytes = bytesOf(one.encoded)
    bytes[at % bytes.length] = value
    return bytes
  })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 2000 }), near), (bytes) => {
      try {
        assert.deepEqual(encodeTerms(decodeTerms(bytes)), bytes)
      } catch (thrown) {
        assert.ok(thrown instanceof TallyError && thrown.code === 'MALFORMED')
      }
    }),
    { numRuns: 500 },
  )
})

test('terms with a field out of its range are neither written nor signed', () => {
  const good = termsOf(given(valid[0]).input)
  const bad: Partial<Terms>[] = [
    { offerSequence: 2n ** 64n },
    { patienceMs: 2 ** 32 },
    { patienceMs: -1 },
    { opened: (2 ** 40) as Seconds },
  ]
  for (const change of bad) {
    assert.throws(() => encodeTerms({ ...good, ...change }), { code: 'MALFORMED' })
    assert.throws(() => termsDigest(domain, { ...good, ...change }), { code: 'MALFORMED' })
  }
  assert.throws(() => encodeTerms({ ...good, service: 'No such name' }), { code: 'MALFORMED' })
})

test('the channel of terms is that of their parties, the provider being the target', () => {
  const terms = termsOf(given(valid[0]).input)
  assert.deepEqual(termsChannel(terms), { owner: terms.owner, signer: terms.signer, target: terms.provider, token: terms.token })
})

describe('vectors of terms', () => {
  for (const { comment, input, encoded, digest, signature, signer } of valid) {
    test(comment, () => {
      const terms = termsOf(input)
      assert.equal(termsDigest(domain, terms).hex, digest)
      assert.equal(toHex(encodeTerms(terms)), encoded)
      assert.deepEqual(decodeTerms(bytesOf(encoded)), terms)
      assert.ok(verifyTerms(domain, terms, bytesOf(signature), parseAddress(given(signer))))
      const key = given(keys.find(({ address }) => address.toLowerCase() === signer))
      assert.equal(toHex(signTerms(domain, terms, signerOf(fromHex(key.privateKey)))), signature)
    })
  }

  for (const { comment, encoded, signature, error } of mustFail) {
    test(`must fail: ${comment}`, () => {
      if (error === 'MALFORMED') assert.throws(() => decodeTerms(bytesOf(encoded)), { code: error })
      else assert.equal(verifyTerms(domain, decodeTerms(bytesOf(encoded)), bytesOf(signature), provider), false)
    })
  }
})
