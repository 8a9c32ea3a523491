import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { TallyError } from '../../src/core/errors.ts'
import type { Store } from '../../src/ports/store.ts'
import { GROUP_LIMITS } from '../../src/store/group-commit.ts'
import { all, bytes, del, keysOf, noise, put, u32 } from './bytes.ts'
import { modelTest } from './model.ts'

/** A store under test, and the way to open again what it had made durable. */
export interface Subject {
  readonly store: Store
  /** closes the store and opens it anew */
  reopen(): Promise<Store>
}

/** A new empty store, which ends with the test. */
export type OpenSubject = (t: Pick<TestContext, 'after'>) => Promise<Subject>

/** What every store must hold, whatever it is made of. */
export function storeCompliance(name: string, open: OpenSubject): void {
  describe(`${name} as a store`, () => {
    readsAndCopies(open)
    ordersAndRanges(open)
    commits(open)
    closes(open)
    modelTest(open)
  })
}

function readsAndCopies(open: OpenSubject): void {
  test('gives back what was committed, and undefined for what was not', async (t) => {
    const { store } = await open(t)
    await store.commit([put('tx', bytes(1), bytes(7, 8))])
    assert.deepEqual(await store.get('tx', bytes(1)), bytes(7, 8))
    assert.equal(await store.get('tx', bytes(2)), undefined)
    await store.commit([del('tx', bytes(1)), del('tx', bytes(2))])
    assert.equal(await store.get('tx', bytes(1)), undefined)
  })

  test('keeps an empty value, an empty key and a value larger than a batch', async (t) => {
    const { store, reopen } = await open(t)
    const large = noise(1, GROUP_LIMITS.bytes + 1)
    await store.commit([put('owner', bytes(), bytes(5)), put('owner', bytes(1), bytes()), put('owner', bytes(2), large)])
    const again = await reopen()
    assert.deepEqual(await again.get('owner', bytes()), bytes(5))
    assert.deepEqual(await again.get('owner', bytes(1)), bytes())
    assert.ok(Buffer.from(large).equals((await again.get('owner', bytes(2))) ?? bytes()))
  })

  test('says at once whether a record is there', async (t) => {
    const { store, reopen } = await open(t)
    assert.equal(store.has('anchor', bytes(1)), false)
    await store.commit([put('anchor', bytes(1), bytes())])
    assert.deepEqual(
      [store.has('anchor', bytes(1)), store.has('anchor', bytes(2)), store.has('tx', bytes(1))],
      [true, false, false],
    )
    await store.commit([del('anchor', bytes(1)), put('anchor', bytes(2), bytes(9))])
    const again = await reopen()
    assert.deepEqual([again.has('anchor', bytes(1)), again.has('anchor', bytes(2))], [false, true])
  })

  test('does not mix namespaces: the same key in two spaces is two records', async (t) => {
    const { store } = await open(t)
    await store.commit([put('channelIn', bytes(1), bytes(1)), put('channelOut', bytes(1), bytes(2))])
    await store.commit([del('channelIn', bytes(1))])
    assert.deepEqual(await store.get('channelOut', bytes(1)), bytes(2))
    assert.deepEqual(await keysOf(store, 'channelIn'), [])
    assert.deepEqual(await keysOf(store, 'channelOut'), [[1]])
  })

  test('copies keys and values at the call, and gives out copies', async (t) => {
    const { store } = await open(t)
    const key = bytes(1)
    const value = bytes(10)
    const done = store.commit([put('tx', key, value)])
    key[0] = 2
    value[0] = 20
    await done
    const first = await store.get('tx', bytes(1))
    assert.deepEqual(first, bytes(10))
    first?.fill(99)
    for (const [listedKey, listed] of await all(store.list('tx'))) {
      assert.deepEqual([listedKey, listed], [bytes(1), bytes(10)])
      listed.fill(98)
      listedKey.fill(97)
    }
    assert.deepEqual(await all(store.list('tx')), [[bytes(1), bytes(10)]])
  })
}

function ordersAndRanges(open: OpenSubject): void {
  test('lists by the order of the bytes of the keys, a prefix before what it begins', async (t) => {
    const { store } = await open(t)
    const keys = [bytes(255, 255), bytes(1, 0), bytes(0), bytes(255), bytes(1), bytes(128), bytes()]
    await store.commit(keys.map((key) => put('receipt', key, key)))
    assert.deepEqual(await keysOf(store, 'receipt'), [[], [0], [1], [1, 0], [128], [255], [255, 255]])
  })

  test('lists a range from its first key to before its end, backwards and limited too', async (t) => {
    const { store } = await open(t)
    await store.commit([1, 2, 3, 4, 5].map((n) => put('block', bytes(n), bytes(n))))
    await store.commit([put('tx', bytes(3), bytes(3)), put('receipt', bytes(3), bytes(3))])
    assert.deepEqual(await keysOf(store, 'block', { gte: bytes(2), lt: bytes(5) }), [[2], [3], [4]])
    assert.deepEqual(await keysOf(store, 'block', { gte: bytes(2), limit: 2 }), [[2], [3]])
    assert.deepEqual(await keysOf(store, 'block', { lt: bytes(4), limit: 2, reverse: true }), [[3], [2]])
    assert.deepEqual(await keysOf(store, 'block', { gte: bytes(4), lt: bytes(2) }), [])
    assert.deepEqual(await keysOf(store, 'block', { limit: 0 }), [])
    assert.deepEqual(await keysOf(store, 'block', { reverse: true }), [[5], [4], [3], [2], [1]])
  })

  test('lists the state of its first step, whatever is committed meanwhile', async (t) => {
    const { store } = await open(t)
    await store.commit([put('block', bytes(1), bytes(1)), put('block', bytes(3), bytes(3))])
    const seen: number[] = []
    for await (const [, [value]] of store.list('block')) {
      seen.push(Number(value))
      await store.commit([put('block', bytes(2), bytes(2)), put('block', bytes(3), bytes(9)), put('block', bytes(4), bytes(4))])
    }
    assert.deepEqual(seen, [1, 3])
  })

  test('lets go of a list that is left early', async (t) => {
    const { store } = await open(t)
    await store.commit([put('block', bytes(1), bytes(1)), put('block', bytes(2), bytes(2))])
    for await (const [key] of store.list('block')) {
      assert.deepEqual(key, bytes(1))
      break
    }
    await store.close()
  })
}

function commits(open: OpenSubject): void {
  test('applies the ops of a call in their order', async (t) => {
    const { store } = await open(t)
    await store.commit([
      put('tx', bytes(1), bytes(1)),
      del('tx', bytes(1)),
      put('tx', bytes(2), bytes(1)),
      put('tx', bytes(2), bytes(2)),
    ])
    assert.deepEqual(await all(store.list('tx')), [[bytes(2), bytes(2)]])
  })

  test('keeps 1,000 concurrent commits, all of them, the last one of a key winning', async (t) => {
    const { store, reopen } = await open(t)
    const resolved: number[] = []
    const calls = Array.from({ length: 1000 }, async (_, n) => {
      await store.commit([put('sessionIn', u32(n), noise(n, 100)), put('counter', bytes(1), u32(n))])
      resolved.push(n)
    })
    await Promise.all(calls)
    assert.deepEqual(
      resolved,
      Array.from({ length: 1000 }, (_, n) => n),
    )
    const again = await reopen()
    assert.deepEqual(await again.get('counter', bytes(1)), u32(999))
    const records = await all(again.list('sessionIn'))
    assert.equal(records.length, 1000)
    for (const [n, [key, value]] of records.entries()) assert.deepEqual([key, value], [u32(n), noise(n, 100)])
  })

  test('takes an empty commit as a barrier behind the ones before it', async (t) => {
    const { store } = await open(t)
    const order: string[] = []
    const first = store.commit([put('tx', bytes(1), bytes(1))]).then(() => order.push('first'))
    const barrier = store.commit([]).then(() => order.push('barrier'))
    await Promise.all([first, barrier])
    assert.deepEqual(order, ['first', 'barrier'])
  })
}

function closes(open: OpenSubject): void {
  test('close makes durable what was committed before it', async (t) => {
    const { store, reopen } = await open(t)
    const pending = Array.from({ length: 50 }, (_, n) => store.commit([put('tx', u32(n), u32(n))]))
    await store.close()
    await Promise.all(pending)
    assert.equal((await keysOf(await reopen(), 'tx')).length, 50)
  })

  test('refuses everything with STORE_CLOSED from the call of close on, and closes twice without harm', async (t) => {
    const { store } = await open(t)
    await store.commit([put('tx', bytes(1), bytes(1)), put('tx', bytes(2), bytes(2))])
    const started = store.list('tx')[Symbol.asyncIterator]()
    await started.next()
    const closing = store.close()
    await assert.rejects(store.commit([put('tx', bytes(3), bytes(3))]), isClosed)
    await assert.rejects(store.get('tx', bytes(1)), isClosed)
    assert.throws(() => store.has('tx', bytes(1)), isClosed)
    await assert.rejects(all(store.list('tx')), isClosed)
    await closing
    await assert.rejects(started.next(), isClosed)
    await store.close()
  })
}

function isClosed(thrown: unknown): boolean {
  return thrown instanceof TallyError && thrown.code === 'STORE_CLOSED'
}
