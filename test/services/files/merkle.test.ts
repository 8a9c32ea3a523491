import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  chunkBytesFor,
  chunkCount,
  chunkLength,
  HASH_BYTES,
  isChunk,
  leafOf,
  MAX_CHUNK_BYTES,
  MAX_CHUNKS,
  MAX_FILE_BYTES,
  type Manifest,
  rootOf,
} from '../../../src/services/files/merkle.ts'

const GiB = 1024 ** 3

function manifestOf(bytes: Uint8Array, chunkBytes: number): Manifest {
  const leaves: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += chunkBytes) leaves.push(leafOf(bytes.subarray(at, at + chunkBytes)))
  const joined = Buffer.concat(leaves)
  return { size: bytes.length, chunkBytes, leaves: joined, root: rootOf(bytes.length, chunkBytes, joined) }
}

const file = fc.uint8Array({ maxLength: 600 })
const chunkSize = fc.integer({ min: 1, max: 64 })
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('merkle root of a file', () => {
  test('is what the specification says, by hand', () => {
    const sha = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest()
    const [a, b, c] = ['aa', 'bb', 'c'].map((text) => sha(Uint8Array.of(0), Buffer.from(text)))
    assert.ok(a && b && c)
    const top = sha(Uint8Array.of(1), sha(Uint8Array.of(1), a, b), c)
    const head = Buffer.from('020000000000000005000000' + '02', 'hex')
    assert.equal(hex(manifestOf(Buffer.from('aabbc'), 2).root), hex(sha(head, top)))
    const empty = Buffer.from('02000000000000000000000002', 'hex')
    assert.equal(hex(manifestOf(new Uint8Array(), 2).root), hex(sha(empty, sha())))
  })

  test('notices any flipped bit in any chunk', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 600 }),
        chunkSize,
        fc.nat(),
        fc.integer({ min: 0, max: 7 }),
        (bytes, size, at, bit) => {
          const manifest = manifestOf(bytes, size)
          const place = at % bytes.length
          const index = Math.floor(place / size)
          const start = index * size
          const chunk = bytes.slice(start, start + chunkLength(manifest, index))
          assert.ok(isChunk(manifest, index, chunk))
          chunk[place - start] = (chunk[place - start] ?? 0) ^ (1 << bit)
          assert.ok(!isChunk(manifest, index, chunk))
          const changed = bytes.slice()
          changed.set(chunk, start)
          assert.notEqual(hex(manifestOf(changed, size).root), hex(manifest.root))
        },
      ),
    )
  })

  test('notices any flipped bit of the leaves', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), chunkSize, fc.nat(), (bytes, size, at) => {
        const manifest = manifestOf(bytes, size)
        const leaves = manifest.leaves.slice()
        const bit = at % (leaves.length * 8)
        leaves[bit >> 3] = (leaves[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        assert.notEqual(hex(rootOf(bytes.length, size, leaves)), hex(manifest.root))
      }),
    )
  })

  test('binds the size and the chunk size', () => {
    fc.assert(
      fc.property(file, chunkSize, chunkSize, (bytes, size, other) => {
        fc.pre(size !== other)
        assert.notEqual(hex(manifestOf(bytes, size).root), hex(manifestOf(bytes, other).root))
      }),
    )
    const one = leafOf(Buffer.from('x'))
    assert.notEqual(hex(rootOf(1, 4, one)), hex(rootOf(2, 4, one)))
  })

  test('does not take a node for a chunk', () => {
    const manifest = manifestOf(Buffer.from('abcd'), 2)
    const forged = Buffer.concat([manifest.leaves.subarray(0, HASH_BYTES), manifest.leaves.subarray(HASH_BYTES)])
    assert.notEqual(hex(rootOf(4, 64, leafOf(forged))), hex(manifest.root))
  })

  test('refuses a list of leaves that does not fit the size', () => {
    for (const length of [0, 31, 32, 65, 96]) {
      assert.throws(() => rootOf(3, 2, new Uint8Array(length)), { code: 'CONTENT_WRONG' })
    }
  })
})

describe('chunk arithmetic', () => {
  test('is exact at the edges: empty, one byte, an exact multiple, one more', () => {
    assert.equal(chunkCount(0, 4), 0)
    assert.equal(chunkCount(1, 4), 1)
    assert.equal(chunkCount(8, 4), 2)
    assert.equal(chunkCount(9, 4), 3)
    assert.equal(chunkLength({ size: 8, chunkBytes: 4 }, 1), 4)
    assert.equal(chunkLength({ size: 9, chunkBytes: 4 }, 2), 1)
  })

  test('is exact beyond 4 GiB', () => {
    const size = 5 * GiB + 1
    const chunkBytes = chunkBytesFor(size, 65_536)
    assert.equal(chunkBytes, 131_072)
    assert.equal(chunkCount(size, chunkBytes), 40_961)
    assert.equal(chunkLength({ size, chunkBytes }, 40_960), 1)
  })

  test('doubles the usual chunk until the manifest is small enough, and not once more', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: MAX_FILE_BYTES }), fc.constantFrom(1024, 65_536, 1_048_576), (size, usual) => {
        const chunkBytes = chunkBytesFor(size, usual)
        assert.ok(chunkBytes <= MAX_CHUNK_BYTES)
        assert.ok(chunkCount(size, chunkBytes) <= MAX_CHUNKS)
        assert.ok(chunkBytes === usual || chunkCount(size, chunkBytes / 2) > MAX_CHUNKS)
      }),
    )
  })

  test('refuses a file that is too large to be sold in one piece', () => {
    assert.equal(chunkBytesFor(MAX_FILE_BYTES, 65_536), MAX_CHUNK_BYTES)
    assert.throws(() => chunkBytesFor(MAX_FILE_BYTES + 1, 65_536), { code: 'REQUEST_INVALID' })
  })
})
