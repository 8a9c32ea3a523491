import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TallyError } from '../../src/core/errors.ts'
import { type TableInit, table } from '../../src/ports/table.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'

const init: TableInit<string, bigint> = {
  space: 'counter',
  version: 2,
  key: (name) => new TextEncoder().encode(name),
  write: (writer, value) => void writer.u64(value),
  read: (reader) => reader.u64(),
  older: { 1: (reader) => BigInt(reader.u32()) },
}
const failsWith = (code: string) => (thrown: unknown) => thrown instanceof TallyError && thrown.code === code
const raw = (value: number[]) => [
  { type: 'put' as const, space: 'counter' as const, key: init.key('a'), value: Uint8Array.from(value) },
]

describe('a table of typed records', () => {
  test('gives back what was put, and nothing before it is committed', async () => {
    const store = openMemoryStore()
    const counters = table(store, init)
    const op = counters.put('a', 7n)
    assert.equal(await counters.get('a'), undefined)
    await store.commit([op])
    assert.equal(await counters.get('a'), 7n)
    await store.commit([counters.del('a')])
    assert.equal(await counters.get('a'), undefined)
  })

  test('lists its records in the order of their keys', async () => {
    const store = openMemoryStore()
    const counters = table(store, init)
    await store.commit([counters.put('b', 2n), counters.put('a', 1n)])
    assert.deepEqual(await Array.fromAsync(counters.list()), [1n, 2n])
  })

  test('reads a record of an older version as one of today', async () => {
    const store = openMemoryStore()
    await store.commit(raw([1, 0, 0, 0, 9]))
    assert.equal(await table(store, init).get('a'), 9n)
  })

  test('refuses a record of a newer version instead of misreading it', async () => {
    const store = openMemoryStore()
    await store.commit(raw([3, 0, 0, 0, 0, 0, 0, 0, 9]))
    await assert.rejects(table(store, init).get('a'), failsWith('STORE_NEWER'))
  })

  test('calls a record that does not decode, or has bytes left over, damaged', async () => {
    const store = openMemoryStore()
    for (const value of [[], [2, 1], [2, 0, 0, 0, 0, 0, 0, 0, 9, 9], [0, 1]]) {
      await store.commit(raw(value))
      await assert.rejects(table(store, init).get('a'), failsWith('STORE_CORRUPT'))
    }
  })
})
