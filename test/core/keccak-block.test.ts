import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { keccak256 as published } from 'ethers'
import fc from 'fast-check'
import { toHex } from '../../src/core/bytes.ts'
import { keccakChain, keccakLeads, keccakTimes } from '../../src/core/crypto/keccak-block.ts'

const word = fc.uint8Array({ minLength: 32, maxLength: 32 })

describe('keccak-256 of 32 bytes', () => {
  test('is what others publish', () => {
    fc.assert(
      fc.property(word, (bytes) => assert.equal(toHex(keccakTimes(bytes, 1)), published(bytes))),
      { numRuns: 300 },
    )
    for (const byte of [0, 0x80, 0xff]) {
      const same = new Uint8Array(32).fill(byte)
      assert.equal(toHex(keccakTimes(same, 1)), published(same))
    }
  })

  test('many times is one after the other, and none leaves the word as it is', () => {
    const seed = new Uint8Array(32).fill(7)
    let at: string = toHex(seed)
    for (let i = 0; i < 50; i++) {
      assert.equal(toHex(keccakTimes(seed, i)), at)
      at = published(at)
    }
  })

  test('a chain holds every word, the given one at its end', () => {
    for (const steps of [1, 2, 256, 1024]) {
      const seed = new Uint8Array(32).fill(steps)
      const chain = keccakChain(seed, steps)
      assert.equal(chain.length, 32 * (steps + 1))
      for (let k = 0; k <= steps; k++) assert.deepEqual(chain.slice(32 * k, 32 * (k + 1)), keccakTimes(seed, steps - k))
    }
  })

  test('a word leads to its own hash and to nothing that differs in one bit', () => {
    fc.assert(
      fc.property(word, fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 255 }), (bytes, times, bit) => {
        const to = keccakTimes(bytes, times)
        assert.equal(keccakLeads(bytes, times, to), true)
        to[bit >> 3] = (to[bit >> 3] as number) ^ (1 << (bit & 7))
        assert.equal(keccakLeads(bytes, times, to), false)
      }),
    )
  })
})
