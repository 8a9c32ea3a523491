import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TypedDataEncoder } from 'ethers'
import fc from 'fast-check'
import { toHex } from '../../src/core/bytes.ts'
import {
  addressWord,
  bytesWord,
  type Domain,
  digestOf,
  domainSeparator,
  fixedWord,
  structDigest,
  textWord,
  typeHash,
  uintWord,
} from '../../src/core/eip712.ts'
import { addressFromBytes } from '../../src/core/ids.ts'

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length })
const anyDomain: fc.Arbitrary<Domain> = fc.record({
  chainId: fc.bigInt({ min: 1n, max: 2n ** 256n - 1n }),
  ledger: bytes(20).map(addressFromBytes),
})
const typed = ({ chainId, ledger }: Domain): object => ({ name: 'Tallystick', version: '1', chainId, verifyingContract: ledger })

describe('the domain', () => {
  test('is hashed as ethers does', () => {
    fc.assert(
      fc.property(anyDomain, (domain) => {
        assert.equal(toHex(domainSeparator(domain)), TypedDataEncoder.hashDomain(typed(domain)))
        assert.equal(domainSeparator(domain), domainSeparator(domain))
      }),
    )
  })

  test('with a chain id beyond 256 bits is refused', () => {
    const ledger = addressFromBytes(new Uint8Array(20))
    assert.throws(() => domainSeparator({ chainId: 2n ** 256n, ledger }), { code: 'MALFORMED' })
    assert.throws(() => domainSeparator({ chainId: -1n, ledger }), { code: 'MALFORMED' })
  })
})

test('a struct of every kind of field has the digest that ethers computes', () => {
  const names = { a: 'address', n: 'uint96', w: 'bytes32', s: 'bytes16', t: 'string', b: 'bytes' }
  const fields = Object.entries(names).map(([name, type]) => ({ name, type }))
  const type = typeHash(`Any(${fields.map((field) => `${field.type} ${field.name}`).join(',')})`)
  const anyValue = fc.record({
    a: bytes(20).map(addressFromBytes),
    n: fc.bigInt({ min: 0n, max: 2n ** 96n - 1n }),
    w: bytes(32),
    s: bytes(16),
    t: fc.string({ unit: 'grapheme' }),
    b: fc.uint8Array({ maxLength: 100 }),
  })
  fc.assert(
    fc.property(anyDomain, anyValue, (domain, value) => {
      const words = [
        addressWord(value.a),
        uintWord(value.n, 96),
        fixedWord(value.w),
        fixedWord(value.s),
        textWord(value.t),
        bytesWord(value.b),
      ]
      const digest = digestOf(structDigest(domain, type, words))
      assert.equal(digest.hex, TypedDataEncoder.hash(typed(domain), { Any: fields }, value))
      assert.equal(toHex(digest.bytes), digest.hex)
    }),
  )
})

test('a number that does not fit its field is refused', () => {
  for (const [value, bits] of [
    [-1, 8],
    [256, 8],
    [2n ** 96n, 96],
    [-1n, 96],
    [0.5, 40],
    [2 ** 53, 64],
    [Number.NaN, 40],
  ] as const) {
    assert.throws(() => uintWord(value, bits), { code: 'MALFORMED' }, `${value} in ${bits} bits`)
  }
  assert.equal(toHex(uintWord(255, 8)), `0x${'00'.repeat(31)}ff`)
  assert.equal(toHex(uintWord(0, 8)), `0x${'00'.repeat(32)}`)
})

test('more than 32 bytes are no word', () => {
  assert.throws(() => fixedWord(new Uint8Array(33)), { code: 'MALFORMED' })
})
