// Commits numbered pairs of records from argv[3] on to the store of the home folder in argv[2], 16 at a time, until it is killed.
// Each number is written to stdout when its commit is acknowledged, by a write that has reached the pipe when it returns.
import { writeSync } from 'node:fs'
import { openLevelStore } from '../../../src/store/level-store.ts'
import { initOf, ownerOf } from '../level-home.ts'
import { pairOf } from '../pair.ts'

const store = await openLevelStore(initOf(String(process.argv[2]), { owner: ownerOf('a committer') }))
let next = Number(process.argv[3])

async function commitForEver(): Promise<never> {
  for (;;) {
    const number = next++
    await store.commit(pairOf(number))
    writeSync(1, `${number}\n`)
  }
}

await Promise.all(Array.from({ length: 16 }, commitForEver))
