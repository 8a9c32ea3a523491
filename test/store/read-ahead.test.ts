import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { readAhead } from '../../src/store/read-ahead.ts'
import { noise } from './bytes.ts'
import { freshHome } from './level-home.ts'

test('files are read in order and whole, whatever the size of those before them; one that is missing is told', async (t) => {
  const home = await freshHome(t)
  const sizes = [10, 100_000, 0, 7, undefined, 300_000, 1]
  const paths = sizes.map((_, n) => join(home, `${n}`))
  for (const [n, size] of sizes.entries()) if (size !== undefined) await writeFile(paths[n] as string, noise(n, size))
  const read = []
  for await (const { path, contents } of readAhead(paths)) {
    // time for the next one to be read
    await new Promise((resolve) => setTimeout(resolve, 5))
    read.push([path, contents === undefined ? undefined : Buffer.from(contents)])
  }
  assert.deepEqual(
    read,
    sizes.map((size, n) => [paths[n], size === undefined ? undefined : Buffer.from(noise(n, size))]),
  )
})

test('whoever stops early, or is told of an error, leaves nothing behind', async (t) => {
  const home = await freshHome(t)
  const path = join(home, 'a')
  await writeFile(path, noise(1, 100))
  for await (const { contents } of readAhead([path, home, path])) {
    assert.equal(contents?.length, 100)
    break
  }
  await assert.rejects(Array.fromAsync(readAhead([path, home])), { code: 'EISDIR' })
  assert.deepEqual(await Array.fromAsync(readAhead([])), [])
})
