import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TallyError } from '../../src/core/errors.ts'
import { GroupCommit } from '../../src/store/group-commit.ts'
import type { StoredOp } from '../../src/store/record.ts'

const op = (n: number): StoredOp => ({ type: 'put', key: Uint8Array.of(n), value: Uint8Array.of(n) })
const keys = (ops: readonly StoredOp[]): number[] => ops.map(({ key }) => Number(key[0]))

test('calls that arrive while a batch is written share the next one, in their order', async () => {
  const batches: number[][] = []
  const held: (() => void)[] = []
  const group = new GroupCommit((ops) => {
    batches.push(keys(ops))
    return new Promise((resolve) => held.push(resolve))
  })
  const first = group.commit([op(1)])
  while (held.length === 0) await new Promise(setImmediate)
  const later = [group.commit([op(2), op(3)]), group.commit([op(4)]), group.commit([op(5)])]
  held[0]?.()
  await first
  while (held.length === 1) await new Promise(setImmediate)
  held[1]?.()
  await Promise.all(later)
  assert.deepEqual(batches, [[1], [2, 3, 4, 5]])
  assert.deepEqual(group.stats, { commits: 4, ops: 5, batches: 2, bytes: 10 })
})

test('a failed batch rejects exactly its callers, and every queued and later call is refused', async () => {
  const cause = new TallyError('STORE_FAILED', { message: 'no room' })
  let writes = 0
  const late: Promise<void>[] = []
  const group: GroupCommit = new GroupCommit(async () => {
    writes += 1
    if (writes < 2) return
    late.push(group.commit([op(9)]))
    throw cause
  })
  await group.commit([op(1)])
  const failing = await Promise.allSettled([group.commit([op(2)]), group.commit([op(3)])])
  for (const outcome of failing) assert.equal(outcome.status === 'rejected' && outcome.reason, cause)
  for (const refused of [...late, group.commit([op(4)]), group.commit([])]) {
    await assert.rejects(refused, { code: 'STORE_FAILED', message: 'the store takes no more commits since one failed: no room' })
  }
  assert.equal(writes, 2)
  await group.idle()
})
