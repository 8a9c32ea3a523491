import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Shelf } from '../../src/session/shelf.ts'
import { collectGarbage } from '../support/gc.ts'

interface Box {
  value: number
}

describe('a shelf', () => {
  test('gives all who ask for a key at once the same object, and loads it once', async () => {
    const shelf = new Shelf<Box>(1)
    let loads = 0
    const load = async (): Promise<Box> => {
      loads += 1
      await new Promise((resolve) => setImmediate(resolve))
      return { value: loads }
    }
    const [a, b] = await Promise.all([shelf.fetch('k', load), shelf.fetch('k', load)])
    assert.equal(a, b)
    assert.equal(await shelf.fetch('k', load), a)
    assert.equal(loads, 1)
  })

  test('never drops an object that somebody uses, however many others are asked for', async () => {
    const shelf = new Shelf<Box>(1)
    const used = await shelf.fetch('used', async () => ({ value: 1 }))
    for (let i = 0; i < 1_000; i++) await shelf.fetch(`${i}`, async () => ({ value: i }))
    await collectGarbage()
    used.value = 7
    const again = await shelf.fetch('used', async () => ({ value: 1 }))
    assert.equal(again, used)
  })

  test('drops what nobody uses, and reads it anew', async () => {
    const shelf = new Shelf<Box>(1)
    let loads = 0
    const load = async (): Promise<Box> => ({ value: ++loads })
    await shelf.fetch('idle', load)
    await shelf.fetch('other', async () => ({ value: 0 }))
    await collectGarbage()
    assert.equal(shelf.get('idle'), undefined)
    assert.equal((await shelf.fetch('idle', load)).value, 2)
  })

  test('keeps what was pinned until it is unpinned', async () => {
    const shelf = new Shelf<Box>(1)
    shelf.pin(await shelf.fetch('pinned', async () => ({ value: 3 })))
    await shelf.fetch('other', async () => ({ value: 0 }))
    await collectGarbage()
    const kept = shelf.get('pinned')
    assert.equal(kept?.value, 3)
  })

  test('keeps nothing of a load that failed', async () => {
    const shelf = new Shelf<Box>(1)
    const failing = async (): Promise<Box> => await Promise.reject(new Error('the disk'))
    await assert.rejects(Promise.all([shelf.fetch('k', failing), shelf.fetch('k', failing)]), /the disk/)
    assert.equal((await shelf.fetch('k', async () => ({ value: 1 }))).value, 1)
  })
})
