import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Amount, MAX_AMOUNT } from '../../src/core/amount.ts'
import { fromHex, toHex } from '../../src/core/bytes.ts'
import { addressOfKey, signerOf } from '../../src/core/crypto/secp256k1.ts'
import type { Domain } from '../../src/core/eip712.ts'
import { TallyError } from '../../src/core/errors.ts'
import { parseAddress, seconds } from '../../src/core/ids.ts'
import {
  checkOffer,
  decodeSignedOffer,
  encodeSignedOffer,
  isServiceKind,
  isServiceName,
  MAX_OFFER_BYTES,
  type Offer,
  offerDigest,
  signOffer,
} from '../../src/core/offer.ts'
import { priceOf } from '../../src/core/price.ts'
import { anyOffer } from '../vector-cases/arbitrary.ts'
import { bytesOf, type Case, given, offerOf, readVectors } from '../vector-cases/read.ts'
import { account, encodeOffer, hashTyped, type OfferInput, offerValue } from '../vector-cases/reference.ts'

const { domain, valid, mustFail, rest } = readVectors<Case<OfferInput>>('offer/vectors/offers')
const sign = signerOf(fromHex(account(3).privateKey))
const held = rest.rules as { provider: string; now: number; token: string }
const rules = { provider: parseAddress(held.provider), now: seconds(held.now), token: parseAddress(held.token) }

function codeOf(call: () => unknown): string | undefined {
  try {
    call()
    return undefined
  } catch (thrown) {
    if (thrown instanceof TallyError) return thrown.code
    throw thrown
  }
}

test('any offer has the digest that ethers computes and the bytes that the specification says, and comes back from them', () => {
  fc.assert(
    fc.property(anyOffer, (input) => {
      const offer = offerOf(input)
      const signed = signOffer(domain, offer, sign)
      assert.equal(toHex(offerDigest(domain, offer)), hashTyped('Offer', offerValue(input)))
      const bytes = encodeSignedOffer(signed)
      assert.equal(toHex(bytes), encodeOffer(input, toHex(signed.signature)))
      assert.deepEqual(decodeSignedOffer(bytes), signed)
    }),
  )
})

test('hostile bytes decode to an offer with the same bytes or are refused as malformed', () => {
  const near = fc.tuple(fc.constantFrom(...valid), fc.nat(), fc.nat(255)).map(([one, at, value]) => {
    const bytes = bytesOf(one.encoded)
    bytes[at % bytes.length] = value
    return bytes
  })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 5000 }), near), (bytes) => {
      const code = codeOf(() => assert.deepEqual(encodeSignedOffer(decodeSignedOffer(bytes)), bytes))
      assert.ok(code === undefined || code === 'MALFORMED', code)
    }),
    { numRuns: 500 },
  )
})

test('a provider cannot sign what nobody would accept', () => {
  const good = offerOf(given(valid[0]).input)
  const bad = [
    { service: 'Films' },
    { kind: '' },
    { description: 'a\nb' },
    { addresses: Array(17).fill('/a') },
    { addresses: [''] },
  ]
  for (const change of bad) assert.throws(() => signOffer(domain, { ...good, ...change }, sign), { code: 'OFFER_INVALID' })
  for (const change of [{ inputs: 'i'.repeat(1025) }, { sequence: -1n }, { minTimeToExpiry: 2 ** 32 }, { inputs: '\ud800' }]) {
    assert.throws(() => signOffer(domain, { ...good, ...change }, sign), { code: 'MALFORMED' })
  }
  assert.throws(() => signOffer(domain, { ...good, addresses: Array(16).fill('a'.repeat(256)) }, sign), { code: 'MALFORMED' })
})

test('an offer in any of our tokens is ours', () => {
  const signed = decodeSignedOffer(bytesOf(given(valid[0]).encoded))
  assert.equal(
    codeOf(() => checkOffer(domain, signed, { ...rules, token: [rules.provider, rules.token] })),
    undefined,
  )
  assert.equal(
    codeOf(() => checkOffer(domain, signed, { ...rules, token: [rules.provider] })),
    'OFFER_FOREIGN',
  )
  assert.equal(
    codeOf(() => checkOffer(domain, signed, { ...rules, token: [] })),
    'OFFER_FOREIGN',
  )
})

test('services and kinds are named by a few safe characters', () => {
  for (const good of ['a', 'films', 'a-b_c.9', 'x'.repeat(32)]) assert.ok(isServiceName(good) && isServiceKind(good))
  for (const bad of ['', 'A', 'a b', 'ä', 'a/b', 'a\n', 'x'.repeat(65)]) assert.ok(!isServiceName(bad) && !isServiceKind(bad))
  assert.ok(isServiceName('x'.repeat(64)) && !isServiceKind('x'.repeat(33)))
})

describe('vectors of offers', () => {
  for (const { comment, input, encoded, digest, signature } of valid) {
    test(comment, () => {
      const offer = offerOf(input)
      assert.equal(toHex(offerDigest(domain, offer)), digest)
      const signed = signOffer(domain, offer, sign)
      assert.equal(toHex(signed.signature), signature)
      assert.equal(toHex(encodeSignedOffer(signed)), encoded)
      assert.ok(bytesOf(encoded).length <= MAX_OFFER_BYTES)
      assert.deepEqual(decodeSignedOffer(bytesOf(encoded)), signed)
      assert.equal(
        codeOf(() => checkOffer(domain, signed, rules)),
        undefined,
      )
    })
  }

  for (const { comment, encoded, error } of mustFail) {
    test(`must fail: ${comment}`, () => {
      assert.equal(
        codeOf(() => checkOffer(domain, decodeSignedOffer(bytesOf(encoded)), rules)),
        error,
      )
    })
  }
})

describe('an offer that could hurt whoever reads it', () => {
  const key = new Uint8Array(32).fill(7)
  const provider = addressOfKey(key)
  const domain: Domain = { chainId: 31337n, ledger: parseAddress('0x5fbdb2315678afecb367f032d93f642f64180aa3') }
  const fair: Offer = {
    provider, sequence: 1n, expiry: seconds(1000), token: parseAddress('0x9fe46736679d2d9a65f0992f2272de9f3c7fa6e0'), service: 'a', kind: 'files', description: '', price: priceOf([{ kind: 'down', amount: 1n as Amount, per: 1n }]),
    chunk: { kind: 'down', size: 1n }, minReservation: 0n as Amount, minTimeToExpiry: 0, addresses: ['/ip4/127.0.0.1/tcp/1'], inputs: '', outputs: '',
  } // biome-ignore format: a record
  const refused = (offer: Offer) =>
    assert.throws(
      () => signOffer(domain, offer, signerOf(key)),
      (thrown: unknown) => thrown instanceof TallyError && thrown.code === 'OFFER_INVALID',
    )

  test('is refused when a chunk costs more than any amount can hold', () => {
    signOffer(domain, fair, signerOf(key))
    refused({ ...fair, price: priceOf([{ kind: 'down', amount: MAX_AMOUNT, per: 1n }]), chunk: { kind: 'down', size: 2n } })
  })

  test('is refused when a text of it could move the cursor or turn the writing around', () => {
    for (const text of ['\u001b[2J', 'x\u202egnp.exe', '\u0000']) {
      refused({ ...fair, description: text })
      refused({ ...fair, inputs: text })
      refused({ ...fair, outputs: text })
      refused({ ...fair, addresses: [`/ip4/1.2.3.4${text}`] })
    }
  })
})
