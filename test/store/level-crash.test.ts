import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openLevelStore } from '../../src/store/level-store.ts'
import { all, noise, u32 } from './bytes.ts'
import { freshHome, initOf } from './level-home.ts'

const committer = fileURLToPath(new URL('./children/committer.ts', import.meta.url))

/** Lets a process commit from `first` on, kills it after so many acknowledgements, and returns all numbers it got to tell. */
async function commitUntilKilled(home: string, first: number, acknowledgements: number): Promise<number[]> {
  const child = spawn(process.execPath, [committer, home, String(first)], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (data: string) => {
    text += data
    if (text.split('\n').length > acknowledgements) child.kill('SIGKILL')
  })
  const [, signal] = await once(child, 'close')
  assert.equal(signal, 'SIGKILL')
  return text.split('\n').slice(0, -1).map(Number)
}

test('kill -9 in the middle of commits loses no acknowledged commit and tears none', async (t) => {
  const home = await freshHome(t)
  const acknowledged = new Set<number>()
  let first = 0
  for (const acknowledgements of [1, 40, 333, 1200]) {
    for (const number of await commitUntilKilled(home, first, acknowledgements)) acknowledged.add(number)
    const store = await openLevelStore(initOf(home, { create: false }))
    const kept = await all(store.list('channelIn'))
    const numbers = new Set(kept.map(([key]) => new DataView(key.buffer, key.byteOffset).getUint32(0)))
    for (const number of acknowledged) assert.ok(numbers.has(number), `commit ${number} was acknowledged and is lost`)
    assert.deepEqual(
      await all(store.list('sessionIn')),
      [...numbers].map((number) => [u32(number), noise(number + 1, 60)]),
    )
    await store.close()
    first = Math.max(...numbers) + 1
  }
})
