import assert from 'node:assert/strict'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Level } from 'level'
import type { Address } from '../../src/core/ids.ts'
import { encodeGenesis, GENESIS_KEY } from '../../src/store/genesis.ts'
import { GROUP_LIMITS } from '../../src/store/group-commit.ts'
import { type LevelStoreInit, openLevelStore } from '../../src/store/level-store.ts'
import { sealValue, storedKey } from '../../src/store/record.ts'
import { bytes, noise, put, u32 } from './bytes.ts'
import { freshHome, GENESIS, initOf } from './level-home.ts'

/** A home folder with a database that holds one record, closed. */
async function usedHome(t: TestContext): Promise<string> {
  const home = await freshHome(t)
  const store = await openLevelStore(initOf(home))
  await store.commit([put('tx', bytes(1), bytes(42))])
  await store.close()
  return home
}

/** What LevelDB makes when it is let: a database without a record. */
async function makeEmpty(home: string): Promise<void> {
  const db = new Level(join(home, 'db'))
  await db.open()
  await db.close()
}

async function refused(init: LevelStoreInit, code: string, message: RegExp): Promise<void> {
  await assert.rejects(openLevelStore(init), (thrown: { code?: string; message?: string; hint?: string }) => {
    assert.equal(thrown.code, code, thrown.message)
    assert.match(String(thrown.message), message)
    assert.ok(thrown.hint)
    return true
  })
}

test('64 concurrent committers share syncs: 1,280 commits take about 20 batches, never one each', async (t) => {
  const store = await openLevelStore(initOf(await freshHome(t)))
  t.after(() => store.close())
  const committer = async (id: number): Promise<void> => {
    for (let n = 0; n < 20; n++) await store.commit([put('sessionIn', u32(id), u32(n))])
  }
  await Promise.all(Array.from({ length: 64 }, (_, id) => committer(id)))
  const { commits, ops, batches, bytes: written } = store.stats()
  assert.deepEqual([commits, ops, written], [1280, 1280, 1280 * (1 + 4 + 4 + 4)])
  assert.ok(batches <= 40, `${batches} batches`)
})

test('a batch is bounded in ops and in bytes', async (t) => {
  const store = await openLevelStore(initOf(await freshHome(t)))
  t.after(() => store.close())
  const half = noise(1, GROUP_LIMITS.bytes / 2)
  await Promise.all([1, 2, 3, 4].map((n) => store.commit([put('tx', u32(n), half)])))
  assert.equal(store.stats().batches, 4)
  await Promise.all(Array.from({ length: GROUP_LIMITS.ops + 1 }, (_, n) => store.commit([put('tx', u32(n), bytes(1))])))
  assert.equal(store.stats().batches, 6)
})

test('opens what was closed, and makes nothing unless asked', async (t) => {
  const home = await usedHome(t)
  const store = await openLevelStore(initOf(home, { create: false }))
  assert.deepEqual(await store.get('tx', bytes(1)), bytes(42))
  assert.equal(await store.verify(), 2)
  await store.close()
  await refused(initOf(await freshHome(t), { create: false }), 'HOME_MISSING', /no database/)
})

test('finishes a first start that was cut before its marker, and mends a marker that cannot be read', async (t) => {
  const home = await usedHome(t)
  for (const damage of [() => rm(join(home, 'GENESIS')), () => writeFile(join(home, 'GENESIS'), '{"form')]) {
    await damage()
    await (await openLevelStore(initOf(home))).close()
    assert.equal(JSON.parse(await readFile(join(home, 'GENESIS'), 'utf8')).chainId, '31337')
  }
  const bare = await freshHome(t)
  await makeEmpty(bare)
  await refused(initOf(bare, { create: false }), 'HOME_MISSING', /no database/)
  await (await openLevelStore(initOf(bare))).close()
})

test('notices a database that was deleted, or emptied, though it is allowed to make one', async (t) => {
  const home = await usedHome(t)
  await rm(join(home, 'db'), { recursive: true })
  await refused(initOf(home), 'STORE_EMPTIED', /it is gone: CURRENT/)
  await makeEmpty(home)
  await refused(initOf(home), 'STORE_EMPTIED', /no genesis record/)
  await refused(initOf(home, { create: false }), 'STORE_EMPTIED', /no genesis record/)
})

test('notices a missing CURRENT, with the marker and without it', async (t) => {
  const home = await usedHome(t)
  await rm(join(home, 'db', 'CURRENT'))
  await refused(initOf(home), 'STORE_EMPTIED', /CURRENT is missing/)
  await rm(join(home, 'GENESIS'))
  await refused(initOf(home), 'STORE_EMPTIED', /CURRENT is missing/)
})

test('refuses the database of another node, chain or ledger', async (t) => {
  const home = await usedHome(t)
  const other = `0x${'ff'.repeat(20)}` as Address
  await refused(
    initOf(home, { genesis: { ...GENESIS, address: other } }),
    'STORE_EMPTIED',
    /belongs to node 0xa1.*this is node 0xff/,
  )
  await refused(initOf(home, { genesis: { ...GENESIS, chainId: 1n } }), 'STORE_EMPTIED', /belongs to chain 31337.*chain 1/)
  await refused(initOf(home, { genesis: { ...GENESIS, ledger: other } }), 'STORE_EMPTIED', /belongs to ledger 0x1e/)
  await (await openLevelStore(initOf(home))).close()
})

test('notices that another database of the same node was put in the place of this one', async (t) => {
  const home = await usedHome(t)
  const marker = JSON.parse(await readFile(join(home, 'GENESIS'), 'utf8'))
  await writeFile(join(home, 'GENESIS'), JSON.stringify({ ...marker, created: marker.created - 1 }))
  await refused(initOf(home), 'STORE_EMPTIED', /another one was put in its place/)
})

test('refuses a newer format, told by the record or by the marker', async (t) => {
  const home = await usedHome(t)
  const copy = join(await freshHome(t), 'copy')
  await cp(home, copy, { recursive: true })
  const db = new Level<Uint8Array, Uint8Array>(join(home, 'db'), { keyEncoding: 'view', valueEncoding: 'view' })
  const key = storedKey('meta', GENESIS_KEY)
  await db.put(key, sealValue(key, encodeGenesis({ ...GENESIS, format: 2, created: 1 })))
  await db.close()
  await refused(initOf(home), 'STORE_NEWER', /format 2/)
  await writeFile(join(copy, 'GENESIS'), '{"format":3}')
  await refused(initOf(copy), 'STORE_NEWER', /format 3/)
})

test('refuses records without a genesis record, and a genesis record that does not decode', async (t) => {
  const home = await freshHome(t)
  const db = new Level<Uint8Array, Uint8Array>(join(home, 'db'), { keyEncoding: 'view', valueEncoding: 'view' })
  await db.put(bytes(9), bytes(9))
  await db.close()
  await refused(initOf(home), 'STORE_CORRUPT', /no genesis record/)
  const broken = await freshHome(t)
  const second = new Level<Uint8Array, Uint8Array>(join(broken, 'db'), { keyEncoding: 'view', valueEncoding: 'view' })
  const key = storedKey('meta', GENESIS_KEY)
  await second.put(key, sealValue(key, bytes(0, 1, 2)))
  await second.close()
  await refused(initOf(broken), 'STORE_CORRUPT', /0x67656e65736973 of meta is not a genesis record/)
})

test('tells a disk that refuses from a database that is damaged', async (t) => {
  const home = await freshHome(t)
  await writeFile(join(home, 'db'), 'a file where the folder belongs')
  await refused(initOf(home), 'STORE_FAILED', /ENOTDIR/)
  const used = await usedHome(t)
  await writeFile(join(used, 'db', 'CURRENT'), 'MANIFEST-000099\n')
  await refused(initOf(used), 'STORE_CORRUPT', /MANIFEST-000099/)
})
