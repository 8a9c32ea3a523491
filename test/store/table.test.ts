import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteReader, ByteWriter, toHex } from '../../src/core/bytes.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { type Codec, table } from '../../src/store/table.ts'
import { all, bytes, put, u32 } from './bytes.ts'

interface Note {
  readonly text: string
  readonly urgent: boolean
}

const number: Codec<number> = {
  encode: u32,
  decode: (key) => {
    const reader = new ByteReader(key)
    const value = reader.u32()
    reader.end()
    return value
  },
}
const plain: Codec<string> = {
  encode: (text) => new ByteWriter().str8(text).finish(),
  decode: (stored) => new ByteReader(stored).str8(),
}
const note: Codec<Note> = {
  encode: ({ text, urgent }) =>
    new ByteWriter()
      .u8(urgent ? 1 : 0)
      .str8(text)
      .finish(),
  decode: (stored) => {
    const reader = new ByteReader(stored)
    return { urgent: reader.u8() === 1, text: reader.str8() }
  },
}
const upgrade = { 1: (stored: Uint8Array): Note => ({ text: plain.decode(stored), urgent: false }) }

test('gives records back typed, and writes only what the caller commits', async () => {
  const store = openMemoryStore()
  const notes = table(store, 'counter', { version: 1, key: number, value: plain })
  const op = notes.put(300, 'hello')
  assert.equal(await notes.get(300), undefined)
  await store.commit([op, notes.put(2, 'first'), notes.put(4, 'last')])
  assert.equal(await notes.get(300), 'hello')
  assert.deepEqual(await all(notes.list()), [
    [2, 'first'],
    [4, 'last'],
    [300, 'hello'],
  ])
  assert.deepEqual(await all(notes.list({ gte: 3, lt: 300 })), [[4, 'last']])
  assert.deepEqual(await all(notes.list({ reverse: true, limit: 1 })), [[300, 'hello']])
  await store.commit([notes.del(2)])
  assert.equal(await notes.get(2), undefined)
})

test('reads an older version by its upgrade, and writes the version of today', async () => {
  const store = openMemoryStore()
  await store.commit([table(store, 'counter', { version: 1, key: number, value: plain }).put(1, 'old')])
  const notes = table(store, 'counter', { version: 2, key: number, value: note, upgrade })
  assert.deepEqual(await notes.get(1), { text: 'old', urgent: false })
  await store.commit([notes.put(1, { text: 'new', urgent: true })])
  assert.equal((await store.get('counter', u32(1)))?.[0], 2)
  assert.deepEqual(await notes.get(1), { text: 'new', urgent: true })
})

test('refuses a newer version with STORE_NEWER, in get and in list', async () => {
  const store = openMemoryStore()
  await store.commit([table(store, 'counter', { version: 2, key: number, value: note }).put(1, { text: 'x', urgent: true })])
  const older = table(store, 'counter', { version: 1, key: number, value: plain })
  await assert.rejects(older.get(1), { code: 'STORE_NEWER', message: /counter has version 2.*up to 1/ })
  await assert.rejects(all(older.list()), { code: 'STORE_NEWER' })
})

test('names space and key of a record that does not decode, has no version, or one that nobody reads', async () => {
  const store = openMemoryStore()
  const notes = table(store, 'counter', { version: 2, key: number, value: plain })
  await store.commit([
    put('counter', u32(1), bytes(2, 9, 1)),
    put('counter', u32(2), bytes()),
    put('counter', u32(3), bytes(1, 1, 65)),
    put('counter', bytes(7), bytes(2, 0)),
  ])
  for (const key of [1, 2, 3]) {
    const message = new RegExp(`record ${toHex(u32(key))} of counter`)
    await assert.rejects(notes.get(key), { code: 'STORE_CORRUPT', message })
  }
  await assert.rejects(all(notes.list({ gte: 4 })), { code: 'STORE_CORRUPT', message: /record 0x07 of counter has a key/ })
})

test('refuses a version that is no byte, and an upgrade that is not from an older one', () => {
  const store = openMemoryStore()
  for (const version of [0, 256, 1.5]) {
    assert.throws(() => table(store, 'counter', { version, key: number, value: plain }), RangeError)
  }
  assert.throws(() => table(store, 'counter', { version: 1, key: number, value: note, upgrade }), RangeError)
})
