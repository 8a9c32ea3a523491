import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex } from '../../src/core/bytes.ts'
import { signerOf } from '../../src/core/crypto/secp256k1.ts'
import { parseAddress } from '../../src/core/ids.ts'
import {
  decodeReceipt,
  encodeReceipt,
  isReceiptSignedBy,
  RECEIPT_BYTES,
  receiptDigest,
  signReceipt,
} from '../../src/core/receipt.ts'
import { anyReceipt } from '../vector-cases/arbitrary.ts'
import { bytesOf, type Case, given, readVectors, receiptOf } from '../vector-cases/read.ts'
import { account, encodeReceiptInput, hashTyped, type ReceiptInput, receiptValue } from '../vector-cases/reference.ts'

const { domain, valid, mustFail } = readVectors<Case<ReceiptInput>>('session/vectors/receipts')
const provider = parseAddress(account(3).address)
const keys = [account(2), account(3)]

test('any receipt has the digest that ethers computes and the bytes that the specification says, and comes back from them', () => {
  fc.assert(
    fc.property(anyReceipt, (input) => {
      const receipt = receiptOf(input)
      assert.equal(toHex(receiptDigest(domain, receipt)), hashTyped('Receipt', receiptValue(input)))
      const encoded = encodeReceipt(receipt)
      assert.equal(encoded.length, RECEIPT_BYTES)
      assert.equal(toHex(encoded), encodeReceiptInput(input))
      assert.deepEqual(decodeReceipt(encoded), receipt)
    }),
  )
})

test('any 151 bytes are one receipt, and no other number of bytes is', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: RECEIPT_BYTES, maxLength: RECEIPT_BYTES }), (bytes) => {
      assert.deepEqual(encodeReceipt(decodeReceipt(bytes)), bytes)
    }),
  )
  for (const length of [0, RECEIPT_BYTES - 1, RECEIPT_BYTES + 1]) {
    assert.throws(() => decodeReceipt(new Uint8Array(length)), { code: 'MALFORMED' })
  }
})

test('a receipt with a field out of its range is neither written nor signed', () => {
  const good = receiptOf(given(valid[0]).input)
  for (const change of [{ reason: 65_536 }, { reason: -1 }, { meter: { ...good.meter, down: 2n ** 64n } }]) {
    assert.throws(() => encodeReceipt({ ...good, ...change }), { code: 'MALFORMED' })
    assert.throws(() => receiptDigest(domain, { ...good, ...change }), { code: 'MALFORMED' })
  }
})

describe('vectors of receipts', () => {
  for (const { comment, input, encoded, digest, signature, signer } of valid) {
    test(comment, () => {
      const receipt = receiptOf(input)
      assert.equal(toHex(receiptDigest(domain, receipt)), digest)
      assert.equal(toHex(encodeReceipt(receipt)), encoded)
      assert.ok(isReceiptSignedBy(domain, receipt, bytesOf(signature), parseAddress(given(signer))))
      const key = given(keys.find(({ address }) => address.toLowerCase() === signer))
      assert.equal(toHex(signReceipt(domain, receipt, signerOf(fromHex(key.privateKey)))), signature)
    })
  }

  for (const { comment, encoded, signature, error } of mustFail) {
    test(`must fail: ${comment}`, () => {
      if (error === 'MALFORMED') assert.throws(() => decodeReceipt(bytesOf(encoded)), { code: error })
      else assert.equal(isReceiptSignedBy(domain, decodeReceipt(bytesOf(encoded)), bytesOf(signature), provider), false)
    })
  }
})
