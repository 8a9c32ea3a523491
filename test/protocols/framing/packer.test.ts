import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Uint8ArrayList } from 'uint8arraylist'
import { Packer, packBytes } from '../../../protocols/framing/packer.ts'

describe('packer', () => {
  test('bytes come out as they went in, in full packs and one rest, however they were cut', () => {
    const runs = fc.array(fc.tuple(fc.uint8Array({ maxLength: 50 }), fc.boolean()), { maxLength: 30 })
    fc.assert(
      fc.property(runs, fc.integer({ min: 1, max: 64 }), (pieces, size) => {
        const packer = new Packer(size)
        const out: Uint8Array[] = []
        for (const [piece, inList] of pieces) {
          const half = piece.length >> 1
          packer.push(inList ? new Uint8ArrayList(piece.subarray(0, half), piece.subarray(half)) : piece)
          for (let pack = packer.takeFull(); pack !== undefined; pack = packer.takeFull()) {
            assert.equal(pack.byteLength, size)
            out.push(pack.subarray())
          }
          assert.ok(packer.byteLength < size)
        }
        const rest = packer.takeRest()
        if (rest !== undefined) out.push(rest.subarray())
        assert.equal(packer.byteLength, 0)
        assert.equal(packer.takeRest(), undefined)
        assert.deepEqual(Buffer.concat(out), Buffer.concat(pieces.map(([piece]) => piece)))
      }),
    )
  })

  test('a pack and the header of yamux fill noise messages to the byte', () => {
    assert.equal(packBytes(1), 65_535 - 16 - 12)
    assert.equal((packBytes(4) + 12) % (65_535 - 16), 0)
    assert.ok(packBytes(4) + 12 <= 256 * 1024, 'a new stream has a window of 256 KiB')
  })
})
