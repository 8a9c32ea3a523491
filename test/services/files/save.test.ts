import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { filesService, saveFile } from '../../../src/services/files/index.ts'
import { paidTwin, type TwinOptions } from '../paid-twin.ts'
import { tempDir } from '../temp-dir.ts'

const CHUNK = 16

function shop(t: TestContext, size: number) {
  const base = tempDir(t)
  const root = join(base, 'shop')
  mkdirSync(root)
  const bytes = Buffer.from(Array.from({ length: size }, (_, i) => (i * 31 + (i >> 4)) % 256))
  writeFileSync(join(root, 'f'), bytes)
  const service = filesService({ root, chunkBytes: CHUNK })
  const to = join(base, 'got')
  return { bytes, to, part: `${to}.part`, twin: (options: TwinOptions = {}) => paidTwin(service, 'f', options) }
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()

describe('saving a file', () => {
  test('writes the file under its name, with its hash, and leaves no part behind', async (t) => {
    for (const size of [0, 1, 16, 32, 333]) {
      const { bytes, to, part, twin } = shop(t, size)
      const session = await twin()
      const saved = await saveFile(session, { path: 'f', to })
      assert.deepEqual(readFileSync(to), bytes)
      assert.deepEqual([saved.bytes, saved.resumedAt, saved.path], [size, 0, to])
      assert.deepEqual(Buffer.from(saved.sha256), sha256(bytes))
      assert.ok(!existsSync(part))
      assert.equal(session.acknowledged(), size)
    }
  })

  test('acknowledges nothing that is not in the file yet', async (t) => {
    const { to, part, twin } = shop(t, 333)
    const session = await twin({ creditBytes: CHUNK })
    const onProgress = ({ bytes }: { bytes: number }) => {
      assert.equal(statSync(part).size, bytes)
      assert.ok(session.acknowledged() < bytes)
    }
    await saveFile(session, { path: 'f', to }, { onProgress })
  })

  test('goes on after any cut at the last good chunk, and buys nothing twice', async (t) => {
    const { bytes, to, part, twin } = shop(t, 333)
    await fc.assert(
      fc.asyncProperty(fc.nat(333), async (cutAt) => {
        const abort = new AbortController()
        const first = await twin({ tamper: (piece, at) => (at >= cutAt ? new Uint8Array() : piece), pieceBytes: 1 })
        await saveFile(first, { path: 'f', to, overwrite: true }, { signal: abort.signal }).catch((error: { code: string }) =>
          assert.equal(error.code, 'CONTENT_WRONG'),
        )
        const kept = existsSync(part) ? statSync(part).size : 0
        const second = await twin()
        const saved = await saveFile(second, { path: 'f', to, overwrite: true })
        assert.equal(saved.resumedAt, kept)
        assert.equal(second.acknowledged(), 333 - kept)
        assert.ok(first.acknowledged() <= (kept || 333))
        assert.deepEqual(readFileSync(to), bytes)
        assert.deepEqual(Buffer.from(saved.sha256), sha256(bytes))
      }),
      { numRuns: 40 },
    )
  })

  test('trusts no byte of an earlier part: the first wrong chunk and all behind it are bought again', async (t) => {
    const { bytes, to, part, twin } = shop(t, 333)
    await fc.assert(
      fc.asyncProperty(fc.nat(332), fc.integer({ min: 1, max: 500 }), async (wrongAt, size) => {
        const old = Buffer.concat([bytes, Buffer.alloc(200)]).subarray(0, size)
        const before = Buffer.from(old)
        if (wrongAt < before.length) before[wrongAt] = (before[wrongAt] ?? 0) ^ 0x10
        writeFileSync(part, before)
        const session = await twin()
        const saved = await saveFile(session, { path: 'f', to, overwrite: true })
        const good = Math.min(wrongAt, size)
        assert.equal(saved.resumedAt, size >= 333 && wrongAt >= size ? 333 : Math.floor(good / CHUNK) * CHUNK)
        assert.equal(session.acknowledged(), 333 - saved.resumedAt)
        assert.deepEqual(readFileSync(to), bytes)
      }),
      { numRuns: 40 },
    )
  })

  test('a complete part costs nothing more', async (t) => {
    const { bytes, to, part, twin } = shop(t, 333)
    writeFileSync(part, Buffer.concat([bytes, Buffer.from('too much')]))
    const session = await twin()
    assert.equal((await saveFile(session, { path: 'f', to })).resumedAt, 333)
    assert.equal(session.delivered(), 0)
    assert.deepEqual(readFileSync(to), bytes)
  })

  test('a cheating provider leaves the good part, and is paid for no more than that', async (t) => {
    const { bytes, to, part, twin } = shop(t, 333)
    const session = await twin({ tamper: (piece, at) => (at >= 100 ? piece.map((byte) => ~byte) : piece), pieceBytes: 10 })
    await assert.rejects(saveFile(session, { path: 'f', to }), { code: 'CONTENT_WRONG' })
    assert.ok(!existsSync(to))
    assert.deepEqual(readFileSync(part), bytes.subarray(0, 96))
    assert.equal(session.acknowledged(), 96)
  })

  test('never replaces a file unless told, and finds out before it buys', async (t) => {
    const { bytes, to, twin } = shop(t, 50)
    writeFileSync(to, 'mine')
    const session = await twin()
    await assert.rejects(saveFile(session, { path: 'f', to }), { code: 'USAGE' })
    assert.equal(session.delivered(), 0)
    assert.equal(readFileSync(to, 'utf8'), 'mine')
    await saveFile(session, { path: 'f', to, overwrite: true })
    assert.deepEqual(readFileSync(to), bytes)
  })

  test('does not write through a link that waits under the name of the part', async (t) => {
    const { to, part, twin } = shop(t, 50)
    writeFileSync(`${to}.victim`, 'mine')
    symlinkSync(`${to}.victim`, part)
    await assert.rejects(saveFile(await twin(), { path: 'f', to }), { code: 'INTERNAL' })
    assert.equal(readFileSync(`${to}.victim`, 'utf8'), 'mine')
  })

  test('a disk that refuses says so, and nothing is paid', async (t) => {
    const { to, twin } = shop(t, 50)
    const session = await twin()
    await assert.rejects(saveFile(session, { path: 'f', to: join(to, 'no', 'such', 'folder') }), {
      code: 'INTERNAL',
      message: /ENOENT/,
    })
    assert.equal(session.acknowledged(), 0)
  })

  test('an abort keeps what has come', async (t) => {
    const { bytes, to, part, twin } = shop(t, 333)
    const abort = new AbortController()
    const onProgress = ({ bytes: done }: { bytes: number }) => done >= 64 && abort.abort()
    await assert.rejects(saveFile(await twin({ pieceBytes: 16 }), { path: 'f', to }, { signal: abort.signal, onProgress }), {
      code: 'ABORTED',
    })
    assert.deepEqual(readFileSync(part), bytes.subarray(0, 64))
  })
})
