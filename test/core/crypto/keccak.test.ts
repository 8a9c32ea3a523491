import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keccak256 as ethersKeccak, id } from 'ethers'
import fc from 'fast-check'
import { toHex } from '../../../src/core/bytes.ts'
import { keccak256, keccakText } from '../../../src/core/crypto/keccak.ts'

test('hashes any bytes as ethers does, also beyond the buffer of the hasher', () => {
  const sizes = [0, 1, 32, 135, 136, 137, 16_384, 16_385, 40_000]
  for (const size of sizes) {
    const bytes = new Uint8Array(size).fill(size % 251)
    assert.equal(toHex(keccak256(bytes)), ethersKeccak(bytes), `${size} bytes`)
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => toHex(keccak256(bytes)) === ethersKeccak(bytes)))
})

test('hashes a view by its own bytes, not by those of its buffer', () => {
  const view = new Uint8Array(100).fill(7).subarray(10, 42)
  assert.equal(toHex(keccak256(view)), ethersKeccak(new Uint8Array(32).fill(7)))
})

test('gives bytes of its own: the next hash does not change the one before', () => {
  const first = keccak256(Uint8Array.of(1))
  const kept = toHex(first)
  keccak256(Uint8Array.of(2))
  assert.equal(toHex(first), kept)
})

test('hashes a text as its UTF-8', () => {
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => toHex(keccakText(text)) === id(text)))
})
