// Opens the store of the home folder in argv[2], says so, and holds it until it is killed.
import { writeSync } from 'node:fs'
import { openLevelStore } from '../../../src/store/level-store.ts'
import { initOf, ownerOf } from '../level-home.ts'

await openLevelStore(initOf(String(process.argv[2]), { owner: ownerOf('a holder of the lock') }))
writeSync(1, 'open\n')
// an open pipe keeps the process alive, and ends it with its parent
process.stdin.resume()
