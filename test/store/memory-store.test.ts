import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TallyError } from '../../src/core/errors.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { bytes, put } from './bytes.ts'

test('a crash while a batch is held loses it, and keeps what was durable before', async () => {
  const held: (() => void)[] = []
  let hold = false
  const store = openMemoryStore({ beforeSync: () => (hold ? new Promise<void>((resolve) => held.push(resolve)) : undefined) })
  await store.commit([put('tx', bytes(1), bytes(1))])
  hold = true
  const lost = assert.rejects(store.commit([put('tx', bytes(2), bytes(2))]), { code: 'STORE_CLOSED' })
  while (held.length === 0) await new Promise(setImmediate)
  const durable = store.crash()
  held[0]?.()
  await lost
  await assert.rejects(store.get('tx', bytes(1)), { code: 'STORE_CLOSED' })
  const again = openMemoryStore({ from: durable })
  assert.deepEqual(await again.get('tx', bytes(1)), bytes(1))
  assert.equal(await again.get('tx', bytes(2)), undefined)
})

test('a crash after the sync keeps a commit whose caller never learned of it', async () => {
  const durable: unknown[] = []
  const store = openMemoryStore({ afterSync: () => void durable.push(store.crash()) })
  await assert.rejects(store.commit([put('tx', bytes(1), bytes(1))]), { code: 'STORE_CLOSED' })
  assert.equal(durable.length, 1)
  assert.deepEqual(await openMemoryStore({ from: store.snapshot() }).get('tx', bytes(1)), bytes(1))
})

test('a failed sync applies nothing and ends all commits, as on disk', async () => {
  const failure = new TallyError('STORE_FAILED')
  const store = openMemoryStore({ beforeSync: () => Promise.reject(failure) })
  await assert.rejects(store.commit([put('tx', bytes(1), bytes(1))]), failure)
  await assert.rejects(store.commit([]), { code: 'STORE_FAILED' })
  assert.equal(await store.get('tx', bytes(1)), undefined)
})

test('a snapshot does not change with the store it was taken of', async () => {
  const store = openMemoryStore()
  await store.commit([put('tx', bytes(1), bytes(1))])
  const snapshot = store.snapshot()
  await store.commit([put('tx', bytes(1), bytes(2))])
  const [first, second] = [openMemoryStore({ from: snapshot }), openMemoryStore({ from: snapshot })]
  await first.commit([put('tx', bytes(1), bytes(3))])
  assert.deepEqual(await second.get('tx', bytes(1)), bytes(1))
})
