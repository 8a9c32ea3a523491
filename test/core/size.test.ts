import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { TallyError } from '../../src/core/errors.ts'
import { formatSize, parseSize } from '../../src/core/size.ts'

const usage = { name: 'TallyError', code: 'USAGE' }

describe('sizes', () => {
  test('are exact and in powers of 1,024', () => {
    const read: Record<string, bigint> = {
      '64 KiB': 65_536n,
      '64KiB': 65_536n,
      '0 B': 0n,
      '1_000 B': 1000n,
      '1.5 GiB': 1_610_612_736n,
      '0.5 KiB': 512n,
      '2 TiB': 2_199_023_255_552n,
    }
    for (const [text, bytes] of Object.entries(read)) assert.equal(parseSize(text), bytes, text)
  })

  test('a size that is printed reads back to the same size', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.nat(40), (bytes, zeros) => {
        const round = (bytes >> BigInt(zeros)) << BigInt(zeros)
        assert.equal(parseSize(formatSize(bytes)), bytes)
        assert.equal(parseSize(formatSize(round)), round)
      }),
    )
    assert.equal(formatSize(65_536n), '64 KiB')
    assert.equal(formatSize(1500n), '1500 B')
    assert.equal(formatSize(0n), '0 B')
  })

  test('bare numbers, other units, parts of a byte, signs and 2^64 are refused', () => {
    for (const text of [
      '',
      '64',
      '64 KB',
      '64 kib',
      '1 MB',
      '1.5 B',
      '0.0001 KiB',
      '-1 B',
      '1e3 B',
      '0x10 B',
      '1 KiB 2 B',
      `${1n << 64n} B`,
      '16777216 TiB',
    ]) {
      assert.throws(() => parseSize(text), usage, text)
    }
  })

  test('any text gives a size or USAGE', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        try {
          parseSize(text)
        } catch (error) {
          assert.ok(error instanceof TallyError && error.code === 'USAGE')
        }
      }),
    )
  })
})
