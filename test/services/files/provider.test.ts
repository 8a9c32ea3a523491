import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, readlinkSync, renameSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { ServiceAnswer } from '../../../src/ports/service.ts'
import { decodeContent, encodeContent } from '../../../src/services/files/content.ts'
import { filesService, type Manifest } from '../../../src/services/files/index.ts'
import { decodeIndex } from '../../../src/services/files/index-list.ts'
import { rootOf } from '../../../src/services/files/merkle.ts'
import { decodeRequest, encodeRequest, type FilesRequest } from '../../../src/services/files/requests.ts'
import { tempDir } from '../temp-dir.ts'
import { UNCHARGED } from '../uncharged.ts'

const never = new AbortController().signal
const utf8 = (text: string) => new TextEncoder().encode(text)
const range = (offset: number, length: number): FilesRequest => ({
  type: 'range',
  offset: BigInt(offset),
  length: BigInt(length),
})

function shop(t: TestContext, options: { dotfiles?: boolean; chunkBytes?: number } = {}) {
  const base = tempDir(t)
  const root = join(base, 'shop')
  mkdirSync(root)
  const cached = new Map<string, Manifest>()
  let hashed = 0
  // the catalogue looks into its cache once per question, and once more when it begins to hash
  const onLook: (() => void)[] = []
  const cache = {
    get: (key: string) => {
      onLook.shift()?.()
      return cached.get(key)
    },
    set: (key: string, manifest: Manifest) => {
      hashed++
      return cached.set(key, manifest)
    },
  }
  const service = filesService({ root, chunkBytes: 16, cache, ...options })
  const prepare = (path: string, signal = never) => service.prepare(utf8(path), signal)
  const open = (content: Uint8Array, request: FilesRequest, signal = never) =>
    service.open({ request: encodeRequest(request), content, input: nothing(), signal, ...UNCHARGED })
  const put = (name: string, bytes: Uint8Array | string) => writeFileSync(join(root, name), bytes)
  return { base, root, service, prepare, open, put, onLook, hashed: () => hashed }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function bytesOf(answer: ServiceAnswer): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of answer.body) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** How many descriptors of this process are open on `path`. */
function descriptorsOn(path: string): number {
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  })
  return links.filter((link) => link === path).length
}

describe('files service: what can be asked for', () => {
  test('refuses every path that climbs, is absolute or is not plain, before it looks at the disk', async (t) => {
    const { base, prepare, service } = shop(t)
    writeFileSync(join(base, 'secret'), 'secret')
    const bad = [
      '../secret',
      'a/../../secret',
      '..',
      '.',
      './x',
      '/etc/passwd',
      'a//b',
      '//',
      '/',
      'a/./b',
      'a\\..\\secret',
      'a\0b',
      'a\nb',
      '\u009b31m',
    ]
    for (const path of bad) await assert.rejects(prepare(path), { code: 'REQUEST_INVALID' }, JSON.stringify(path))
    await assert.rejects(prepare('x'.repeat(980)), { code: 'REQUEST_INVALID' })
    await assert.rejects(service.prepare(Uint8Array.of(0xff, 0xfe), never), { code: 'REQUEST_INVALID' })
  })

  test('never sells a byte from outside the folder, whatever the path', async (t) => {
    const { base, prepare } = shop(t)
    writeFileSync(join(base, 'secret'), 'secret')
    const part = fc.constantFrom('..', '.', '', 'secret', 'shop', '%2e%2e', '..\\', '\u2025', '/', '~', 'proc', 'self')
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 6 }), async (parts) => {
        const path = parts.join('/')
        const content = await prepare(path).then(decodeContent, (error: { code: string }) => error.code)
        if (typeof content === 'string') assert.ok(['REQUEST_INVALID', 'NOT_FOUND'].includes(content))
        else assert.deepEqual(content, { kind: 'index', path: '' })
      }),
    )
  })

  test('follows a link inside the folder and refuses one that leads out, also through a folder', async (t) => {
    const { base, root, prepare, put } = shop(t)
    mkdirSync(join(base, 'outside'))
    writeFileSync(join(base, 'outside', 'secret'), 'secret')
    put('plain', 'plain')
    symlinkSync('plain', join(root, 'inner'))
    symlinkSync(join(base, 'outside', 'secret'), join(root, 'escape'))
    symlinkSync('../outside', join(root, 'door'))
    symlinkSync('loop', join(root, 'loop'))
    symlinkSync('nowhere', join(root, 'dangling'))
    assert.equal(decodeContent(await prepare('inner')).kind, 'file')
    for (const path of ['escape', 'door/secret', 'door/', 'loop', 'dangling'])
      await assert.rejects(prepare(path), { code: 'NOT_FOUND' }, path)
  })

  test('does not say whether something exists outside: both are NOT_FOUND with the same words', async (t) => {
    const { root, base, prepare } = shop(t)
    writeFileSync(join(base, 'there'), '')
    symlinkSync(join(base, 'there'), join(root, 'a'))
    symlinkSync(join(base, 'gone'), join(root, 'b'))
    const [a, b] = await Promise.all(
      ['a', 'b'].map((path) => prepare(path).catch((error: Error) => error.message.replace(path, '?'))),
    )
    assert.equal(a, b)
  })

  test('hides names that begin with a dot unless they are shared on purpose, links to them included', async (t) => {
    const { root, prepare, put } = shop(t)
    put('.hidden', 'x')
    mkdirSync(join(root, '.git'))
    writeFileSync(join(root, '.git', 'config'), 'x')
    symlinkSync('.hidden', join(root, 'link'))
    for (const path of ['.hidden', '.git/config', 'link']) await assert.rejects(prepare(path), { code: 'NOT_FOUND' })
    const open = filesService({ root, dotfiles: true })
    assert.equal(decodeContent(await open.prepare(utf8('.git/config'), never)).path, '.git/config')
  })

  test('sells regular files only: a pipe does not hang it, a folder is not a file', async (t) => {
    const { root, prepare, put } = shop(t)
    execFileSync('mkfifo', [join(root, 'pipe')])
    mkdirSync(join(root, 'folder'))
    put('file', 'x')
    for (const path of ['pipe', 'folder', 'file/', 'file/x', 'nothing'])
      await assert.rejects(prepare(path), { code: 'NOT_FOUND' }, path)
  })

  test('refuses a folder that is not one, and a chunk size out of range, when it is made', (t) => {
    const { root, put } = shop(t)
    put('file', 'x')
    assert.throws(() => filesService({ root: join(root, 'file') }), { code: 'USAGE' })
    assert.throws(() => filesService({ root: join(root, 'gone') }), { code: 'USAGE' })
    for (const chunkBytes of [0, -1, 1.5, 2 ** 24 + 1]) assert.throws(() => filesService({ root, chunkBytes }), { code: 'USAGE' })
  })
})

describe('files service: terms', () => {
  test('the content names size, chunk size, root and path, and its manifest gives that root', async (t) => {
    const { prepare, open, put } = shop(t)
    for (const size of [0, 1, 15, 16, 17, 32, 1000]) {
      put('f', new Uint8Array(size).fill(size))
      const bytes = await prepare('f')
      const content = decodeContent(bytes)
      assert.ok(content.kind === 'file')
      assert.deepEqual([content.size, content.chunkBytes, content.path], [size, 16, 'f'])
      const manifest = await open(bytes, { type: 'manifest' })
      assert.ok(manifest.free)
      const root = rootOf(content.size, content.chunkBytes, await bytesOf(manifest))
      assert.deepEqual(Buffer.from(root), Buffer.from(content.root))
    }
  })

  test('an unknown version, cut bytes, a bad path or an impossible size is CONTENT_WRONG', () => {
    const good = encodeContent({ kind: 'file', path: 'f', size: 5, chunkBytes: 16, root: new Uint8Array(32) })
    for (let length = 0; length < 46; length++)
      assert.throws(() => decodeContent(good.subarray(0, length)), { code: 'CONTENT_WRONG' })
    const changed = (at: number, value: number) => Object.assign(good.slice(), { [at]: value })
    assert.throws(() => decodeContent(changed(0, 2)), { code: 'CONTENT_WRONG' })
    assert.throws(() => decodeContent(changed(1, 0xff)), { code: 'CONTENT_WRONG' })
    assert.throws(() => decodeContent(changed(9, 0xff)), { code: 'CONTENT_WRONG' })
    assert.throws(() => decodeContent(changed(45, 0x2f)), { code: 'CONTENT_WRONG' })
    assert.throws(() => decodeContent(changed(12, 0)), { code: 'CONTENT_WRONG' })
  })

  test('bytes from a stranger decode or fail with CONTENT_WRONG and REQUEST_INVALID, nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        for (const [decode, code] of [
          [decodeContent, 'CONTENT_WRONG'],
          [decodeRequest, 'REQUEST_INVALID'],
        ] as const) {
          try {
            decode(bytes)
          } catch (error) {
            assert.equal((error as { code?: string }).code, code)
          }
        }
      }),
    )
  })

  test('hashes a file once for many buyers at the same time, and not again until it changes', async (t) => {
    const { root, prepare, put, hashed } = shop(t)
    put('f', new Uint8Array(300_000).fill(1))
    const contents = await Promise.all(Array.from({ length: 20 }, () => prepare('f')))
    assert.equal(new Set(contents.map((content) => Buffer.from(content).toString('hex'))).size, 1)
    await prepare('f')
    assert.equal(hashed(), 1)
    utimesSync(join(root, 'f'), 1, 1)
    await prepare('f')
    assert.equal(hashed(), 2)
  })

  test('a buyer that leaves does not spoil the hashing for the others', async (t) => {
    const { prepare, put, hashed, onLook } = shop(t)
    put('f', new Uint8Array(1_000_000))
    const leaver = new AbortController()
    const nothingYet = () => undefined
    onLook.push(nothingYet, nothingYet, () => leaver.abort())
    const left = assert.rejects(prepare('f', leaver.signal), { code: 'ABORTED' })
    const stays = prepare('f')
    await left
    assert.equal(decodeContent(await stays).path, 'f')
    assert.equal(hashed(), 1)
  })

  test('an index that many ask for at once is made once, and held in memory once', async (t) => {
    const { prepare, open, put } = shop(t)
    for (let i = 0; i < 50; i++) put(`file-${i}`, 'x')
    const content = await prepare('')
    const answers = await Promise.all(Array.from({ length: 64 }, () => open(content, { type: 'index' })))
    const pieces = await Promise.all(
      answers.map(async ({ body }) => (await body[Symbol.asyncIterator]().next()).value as Uint8Array),
    )
    assert.equal(new Set(pieces.map(({ buffer }) => buffer)).size, 1)
    assert.equal(decodeIndex(pieces[0] ?? new Uint8Array(0)).files.length, 50)
  })

  test('hashing stops when the last buyer has left', async (t) => {
    const { root, prepare, put, hashed, onLook } = shop(t)
    put('f', new Uint8Array(1_000_000))
    const leaver = new AbortController()
    onLook.push(
      () => undefined,
      () => leaver.abort(),
    )
    await assert.rejects(prepare('f', leaver.signal), { code: 'ABORTED' })
    while (descriptorsOn(join(root, 'f')) > 0) await new Promise(setImmediate)
    assert.equal(hashed(), 0)
  })
})

describe('files service: ranges', () => {
  test('gives exactly the bytes of any range of whole chunks', async (t) => {
    const { prepare, open, put } = shop(t)
    const bytes = Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * 7) % 256))
    put('f', bytes)
    const content = await prepare('f')
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 62 }), fc.integer({ min: 1, max: 63 }), async (first, count) => {
        const end = Math.min((first + count) * 16, 1000)
        const answer = await open(content, range(first * 16, end - first * 16))
        assert.ok(!answer.free)
        assert.deepEqual(await bytesOf(answer), bytes.subarray(first * 16, end))
      }),
      { numRuns: 50 },
    )
  })

  test('refuses a range that is empty, beyond the end, or cuts a chunk', async (t) => {
    const { prepare, open, put } = shop(t)
    put('f', new Uint8Array(40))
    const content = await prepare('f')
    for (const [offset, length] of [
      [0, 0],
      [0, 41],
      [32, 9],
      [48, 16],
      [1, 15],
      [0, 15],
      [16, 23],
      [8, 8],
    ] as const) {
      await assert.rejects(open(content, range(offset, length)), { code: 'REQUEST_INVALID' }, `${offset}+${length}`)
    }
    const huge: FilesRequest = { type: 'range', offset: (1n << 64n) - 16n, length: 32n }
    await assert.rejects(open(content, huge), { code: 'REQUEST_INVALID' })
    assert.equal((await bytesOf(await open(content, range(32, 8)))).length, 8)
  })

  test('serves a session that began before a restart of the provider', async (t) => {
    const { root, prepare, put } = shop(t)
    put('f', 'sixteen bytes ok!')
    const content = await prepare('f')
    const again = filesService({ root, chunkBytes: 16 })
    const answer = await again.open({
      request: encodeRequest(range(0, 16)),
      content,
      input: nothing(),
      signal: never,
      ...UNCHARGED,
    })
    assert.equal((await bytesOf(answer)).toString(), 'sixteen bytes ok')
  })

  test('refuses a file that changed since the terms: other size, other bytes, gone', async (t) => {
    const { root, prepare, open, put } = shop(t)
    put('f', 'a'.repeat(64))
    const content = await prepare('f')
    put('f', 'a'.repeat(63))
    await assert.rejects(open(content, range(0, 16)), { code: 'CONTENT_CHANGED' })
    put('f', `b${'a'.repeat(63)}`)
    utimesSync(join(root, 'f'), 5, 5)
    await assert.rejects(open(content, range(0, 16)), { code: 'CONTENT_CHANGED' })
    renameSync(join(root, 'f'), join(root, 'g'))
    await assert.rejects(open(content, { type: 'manifest' }), { code: 'CONTENT_CHANGED' })
  })

  test('still serves a file that was only touched: it is the bytes that count', async (t) => {
    const { root, prepare, open, put } = shop(t)
    put('f', 'a'.repeat(64))
    const content = await prepare('f')
    utimesSync(join(root, 'f'), 5, 5)
    chmodSync(join(root, 'f'), 0o600)
    assert.equal((await bytesOf(await open(content, range(0, 64)))).length, 64)
  })

  test('cuts a delivery in the middle when the file is written to, before a new byte goes out', async (t) => {
    const { root, prepare, open, put } = shop(t, { chunkBytes: 65_536 })
    const size = 1024 * 1024
    put('f', new Uint8Array(size).fill(1))
    const content = await prepare('f')
    const answer = await open(content, range(0, size))
    let bytes = 0
    await assert.rejects(
      async () => {
        for await (const piece of answer.body) {
          assert.ok(piece.every((byte) => byte === 1))
          bytes += piece.length
          put('f', new Uint8Array(size).fill(2))
          utimesSync(join(root, 'f'), 9, 9)
        }
      },
      { code: 'CONTENT_CHANGED' },
    )
    assert.ok(bytes < size)
    assert.equal(descriptorsOn(join(root, 'f')), 0)
  })

  test('has the file open only while somebody pulls: not before, not after return, not after an abort', async (t) => {
    const { root, prepare, open, put } = shop(t, { chunkBytes: 65_536 })
    const path = join(root, 'f')
    put('f', new Uint8Array(1024 * 1024))
    const content = await prepare('f')
    assert.equal(descriptorsOn(path), 0)

    const stopped = (await open(content, range(0, 1024 * 1024))).body[Symbol.asyncIterator]()
    assert.equal(descriptorsOn(path), 0)
    await stopped.next()
    assert.equal(descriptorsOn(path), 1)
    await stopped.return?.()
    assert.equal(descriptorsOn(path), 0)

    const abort = new AbortController()
    const aborted = (await open(content, range(0, 1024 * 1024), abort.signal)).body[Symbol.asyncIterator]()
    await aborted.next()
    assert.equal(descriptorsOn(path), 1)
    abort.abort()
    await assert.rejects(async () => aborted.next(), { code: 'ABORTED' })
    assert.equal(descriptorsOn(path), 0)
  })

  test('lets go of everything when it is closed', async (t) => {
    const { root, service, prepare, open, put } = shop(t, { chunkBytes: 65_536 })
    put('f', new Uint8Array(1024 * 1024))
    const content = await prepare('f')
    const body = (await open(content, range(0, 1024 * 1024))).body[Symbol.asyncIterator]()
    await body.next()
    await service.close()
    await assert.rejects(async () => body.next(), { code: 'SHUTTING_DOWN' })
    assert.equal(descriptorsOn(join(root, 'f')), 0)
    await assert.rejects(prepare('f'), { code: 'SHUTTING_DOWN' })
  })
})

describe('files service: index', () => {
  async function indexOf(s: ReturnType<typeof shop>, path: string) {
    const answer = await s.open(await s.prepare(path), { type: 'index' })
    assert.ok(answer.free)
    return bytesOf(answer)
  }

  test('lists what can be had, sorted, with sizes, and roots once they are known', async (t) => {
    const s = shop(t)
    mkdirSync(join(s.root, 'b'))
    mkdirSync(join(s.root, '.git'))
    s.put('z', 'zz')
    s.put('a', 'a')
    s.put('b/x', '')
    s.put('.git/config', '')
    s.put('bad\nname', '')
    symlinkSync('a', join(s.root, 'link'))
    symlinkSync(join(s.base, 'outside'), join(s.root, 'out'))
    symlinkSync('.', join(s.root, 'round'))
    const first = decodeIndex(await indexOf(s, ''))
    assert.deepEqual(first, {
      files: [
        { path: 'a', size: 1 },
        { path: 'b/x', size: 0 },
        { path: 'link', size: 1 },
        { path: 'z', size: 2 },
      ],
      more: false,
    })
    const content = decodeContent(await s.prepare('z'))
    assert.ok(content.kind === 'file')
    const z = decodeIndex(await indexOf(s, '')).files.find(({ path }) => path === 'z')
    assert.equal(z?.root, `0x${Buffer.from(content.root).toString('hex')}`)
    assert.deepEqual(decodeIndex(await indexOf(s, 'b/')).files, [{ path: 'b/x', size: 0 }])
    await assert.rejects(s.prepare('nope/'), { code: 'NOT_FOUND' })
  })

  test('gives the same bytes each time, and says so when it is cut', async (t) => {
    const s = shop(t)
    for (let i = 0; i < 4100; i++) s.put(`file-${i}`, '')
    const first = await indexOf(s, '')
    assert.deepEqual(await indexOf(s, ''), first)
    const { files, more } = decodeIndex(first)
    assert.equal(files.length, 4096)
    assert.ok(more)
  })

  test('an index session sells no file, and a file session no index', async (t) => {
    const s = shop(t)
    s.put('f', 'x')
    await assert.rejects(s.open(await s.prepare(''), range(0, 1)), { code: 'REQUEST_INVALID' })
    await assert.rejects(s.open(await s.prepare('f'), { type: 'index' }), { code: 'REQUEST_INVALID' })
  })

  test('an index that breaks the specification is CONTENT_WRONG', () => {
    const bad = [
      'x',
      '{}\n',
      '[]\n',
      'null\n',
      '{"path":"../x","size":1}\n',
      '{"path":"x","size":-1}\n',
      '{"path":"x","size":1.5}\n',
    ]
    bad.push(
      '{"path":"x","size":1,"root":"0x00"}\n',
      '{"more":true}\n{"path":"x","size":1}\n',
      '{"path":"\\u001b[2J","size":1}\n',
      '{"path":"x"',
    )
    for (const text of bad) assert.throws(() => decodeIndex(utf8(text)), { code: 'CONTENT_WRONG' }, text)
    assert.throws(() => decodeIndex(new Uint8Array(1024 * 1024 + 1)), { code: 'CONTENT_WRONG' })
    assert.deepEqual(decodeIndex(utf8('')), { files: [], more: false })
  })
})
