import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Journal } from '../../src/session/journal.ts'

/** A disk whose writes end when the test says so. */
function disk() {
  const writes: { readonly owners: string[]; readonly end: PromiseWithResolvers<void> }[] = []
  const done: string[] = []
  const failed: string[] = []
  const journal = new Journal<string, number>({
    write: (owners) => {
      const end = Promise.withResolvers<void>()
      writes.push({ owners: [...owners], end })
      return end.promise
    },
    done: (owner, inputs) => void done.push(`${owner} ${inputs}`),
    failed: (owners, thrown) => void failed.push(`${[...owners]}: ${thrown}`),
  })
  return { journal, writes, done, failed }
}

describe('the journal', () => {
  test('changes of one turn are one write, an owner once, its inputs in order and only after the write', async () => {
    const { journal, writes, done } = disk()
    journal.add('a', 1, true)
    journal.add('b', undefined, true)
    journal.add('a', 2, true)
    assert.equal(writes.length, 0)
    await turn()
    assert.deepEqual(
      writes.map(({ owners }) => owners),
      [['a', 'b']],
    )
    assert.deepEqual(done, [])
    writes[0]?.end.resolve()
    await turn()
    assert.deepEqual(done, ['a 1,2', 'b '])
  })

  test('what changes while a write runs waits for its end, and is one write then', async () => {
    const { journal, writes } = disk()
    journal.add('a', 1, true)
    await turn()
    journal.add('a', 2, true)
    journal.add('b', 3, true)
    await turn()
    assert.equal(writes.length, 1)
    writes[0]?.end.resolve()
    await turn()
    assert.deepEqual(
      writes.map(({ owners }) => owners),
      [['a'], ['a', 'b']],
    )
  })

  test('what is in no hurry goes with the next write of what is', async () => {
    const { journal, writes } = disk()
    journal.add('slow', 1, false)
    await turn()
    assert.equal(writes.length, 0)
    journal.add('fast', 2, true)
    await turn()
    assert.deepEqual(
      writes.map(({ owners }) => owners),
      [['slow', 'fast']],
    )
  })

  test('what is in no hurry does not wait for ever', async () => {
    const { journal, writes } = disk()
    journal.add('slow', 1, false)
    while (writes.length === 0) await turn()
    assert.deepEqual(writes[0]?.owners, ['slow'])
  })

  test('what was in no hurry is written at once when somebody begins to wait for it', async () => {
    const { journal, writes } = disk()
    journal.hurry()
    journal.add('slow', 1, false)
    journal.hurry()
    await turn()
    assert.deepEqual(
      writes.map(({ owners }) => owners),
      [['slow']],
    )
  })

  test('a flush begins the write before it returns, also while another one runs', async () => {
    const { journal, writes } = disk()
    journal.add('a', 1, false)
    journal.flush()
    journal.add('b', 2, true)
    journal.flush()
    assert.deepEqual(
      writes.map(({ owners }) => owners),
      [['a'], ['b']],
    )
    journal.flush()
    assert.equal(writes.length, 2)
  })

  test('a write that fails is told once, and gives no input back', async () => {
    const { journal, writes, done, failed } = disk()
    journal.add('a', 1, true)
    await turn()
    writes[0]?.end.reject(new Error('no disk'))
    await turn()
    assert.deepEqual(failed, ['a: Error: no disk'])
    assert.deepEqual(done, [])
  })
})
