import assert from 'node:assert/strict'
import { cp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Level } from 'level'
import { TallyError } from '../../src/core/errors.ts'
import { type LevelStore, openLevelStore } from '../../src/store/level-store.ts'
import { storedKey } from '../../src/store/record.ts'
import { all, bytes, keysOf, noise, put, u32 } from './bytes.ts'
import { freshHome, initOf } from './level-home.ts'

const RECORDS = 600

/** Records of 200 random bytes in commits of their own; after one more open they are in a table instead of the log. */
async function filledHome(t: TestContext, into: 'log' | 'table'): Promise<string> {
  const home = await freshHome(t)
  const store = await openLevelStore(initOf(home))
  for (let n = 0; n < RECORDS; n += 1) await store.commit([put('channelIn', u32(n), noise(n, 200))])
  await store.close()
  if (into === 'table') await (await openLevelStore(initOf(home))).close()
  return home
}

/** The only file of the database with this in its name that holds anything, as a path in the home folder. */
async function fileOf(home: string, part: string): Promise<string> {
  for (const name of await readdir(join(home, 'db'))) {
    if (name.includes(part) && (await stat(join(home, 'db', name))).size > 0) return join('db', name)
  }
  throw new Error(`no ${part} in ${home}`)
}

async function copyOf(t: TestContext, home: string): Promise<string> {
  const copy = join(await freshHome(t), 'copy')
  await cp(home, copy, { recursive: true })
  return copy
}

/** A copy of the home folder with some bits of one byte turned over. */
async function flipped(t: TestContext, home: string, file: string, at: number): Promise<string> {
  const copy = await copyOf(t, home)
  const contents = await readFile(join(copy, file))
  contents[at] = (contents[at] ?? 0) ^ 0x5a
  await writeFile(join(copy, file), contents)
  return copy
}

/** Reads everything; the number of records that are silently absent. A wrong value fails the test, a typed error counts as noticed. */
async function inspect(home: string): Promise<{ noticed: boolean; absent: number }> {
  let store: LevelStore
  try {
    store = await openLevelStore(initOf(home, { create: false }))
  } catch (thrown) {
    return { noticed: isTyped(thrown), absent: 0 }
  }
  let noticed = false
  let absent = 0
  await store.verify().catch((thrown: unknown) => {
    noticed = isTyped(thrown)
  })
  for (let n = 0; n < RECORDS; n += 1) {
    try {
      const value = await store.get('channelIn', u32(n))
      if (value === undefined) absent += 1
      else assert.deepEqual(value, noise(n, 200))
    } catch (thrown) {
      noticed = isTyped(thrown)
    }
  }
  await store.close()
  return { noticed, absent }
}

function isTyped(thrown: unknown): boolean {
  assert.ok(thrown instanceof TallyError, String(thrown))
  assert.match(thrown.code, /^STORE_(CORRUPT|EMPTIED|NEWER)$/, thrown.message)
  return true
}

for (const into of ['log', 'table'] as const) {
  test(`a flipped byte in a ${into} is never returned as a value, and loses nothing without a word`, async (t) => {
    const home = await filledHome(t, into)
    const file = await fileOf(home, into === 'log' ? '.log' : '.ldb')
    const { length } = await readFile(join(home, file))
    // all over the file, and closely over its end: there a table keeps its filter, indexes and footer
    const places = Array.from({ length: 40 }, (_, n) => Math.floor((n * length) / 40) + n)
    const end = Array.from({ length: 40 }, (_, n) => length - 1 - n * 37)
    for (const at of into === 'log' ? places : [...places, ...end]) {
      const { noticed, absent } = await inspect(await flipped(t, home, file, at))
      assert.ok(noticed || absent === 0, `${absent} records are gone after a flip at ${at} of ${length}`)
    }
  })
}

test('a flipped byte in the manifest is noticed or harmless', async (t) => {
  const home = await filledHome(t, 'table')
  const file = await fileOf(home, 'MANIFEST')
  const { length } = await readFile(join(home, file))
  for (let at = 0; at < length; at += 7) {
    const { noticed, absent } = await inspect(await flipped(t, home, file, at))
    assert.ok(noticed || absent === 0, `${absent} records are gone after a flip at ${at} of ${length}`)
  }
})

test('a torn end of the log is dropped: what is left is what was committed first', async (t) => {
  const home = await filledHome(t, 'log')
  const file = await fileOf(home, '.log')
  const { length } = await readFile(join(home, file))
  for (const cut of [1, 100, 5000, 70_000]) {
    const copy = await copyOf(t, home)
    await truncate(join(copy, file), length - cut)
    const store = await openLevelStore(initOf(copy))
    const kept = await keysOf(store, 'channelIn')
    assert.ok(kept.length < RECORDS && kept.length > 0)
    assert.deepEqual(
      kept,
      Array.from({ length: kept.length }, (_, n) => [...u32(n)]),
    )
    await store.close()
  }
})

test('notices a log or a table that is gone', async (t) => {
  for (const [into, ending] of [
    ['log', '.log'],
    ['table', '.ldb'],
  ] as const) {
    const home = await filledHome(t, into)
    await rm(join(home, await fileOf(home, ending)))
    assert.equal((await inspect(home)).noticed, true)
  }
})

test('takes no offence at a half-written table that a crash left behind', async (t) => {
  const home = await filledHome(t, 'table')
  await writeFile(join(home, 'db', '000999.ldb'), 'half of a table')
  assert.deepEqual(await inspect(home), { noticed: false, absent: 0 })
})

test('notices a value that stands under the key of another, in get, list and verify', async (t) => {
  const home = await filledHome(t, 'log')
  const db = new Level<Uint8Array, Uint8Array>(join(home, 'db'), { keyEncoding: 'view', valueEncoding: 'view' })
  await db.put(storedKey('channelIn', u32(1)), (await db.get(storedKey('channelIn', u32(0)))) ?? bytes())
  await db.close()
  const store = await openLevelStore(initOf(home))
  t.after(() => store.close())
  const error = { code: 'STORE_CORRUPT', message: /record 0x00000001 of channelIn does not carry its checksum/ }
  await assert.rejects(store.get('channelIn', u32(1)), error)
  await assert.rejects(all(store.list('channelIn')), error)
  await assert.rejects(store.verify(), error)
  assert.deepEqual(await store.get('channelIn', u32(0)), noise(0, 200))
})

test('a flipped byte anywhere in any of many tables is found before the database opens, and the table is named', async (t) => {
  const home = await freshHome(t)
  const large = await openLevelStore(initOf(home))
  for (let n = 0; n < 30; n += 1)
    await large.commit(Array.from({ length: 200 }, (_, i) => put('channelIn', u32(200 * n + i), noise(200 * n + i, 2_000))))
  await large.close()
  await (await openLevelStore(initOf(home))).close()
  const tables = (await readdir(join(home, 'db'))).filter((name) => name.endsWith('.ldb'))
  assert.ok(tables.length >= 3)
  for (const [n, table] of tables.entries()) {
    const { size } = await stat(join(home, 'db', table))
    // in a record, in a key, in the index, in the footer
    const place = [Math.floor(size / 2), 40, size - 400, size - 1][n % 4] as number
    const copy = await flipped(t, home, join('db', table), place)
    await assert.rejects(openLevelStore(initOf(copy)), (thrown: unknown) => {
      assert.ok(thrown instanceof TallyError)
      assert.deepEqual([thrown.code, thrown.fields.file], ['STORE_CORRUPT', table])
      return true
    })
  }
})
