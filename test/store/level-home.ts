import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Address } from '../../src/core/ids.ts'
import type { Genesis, LevelStoreInit, Owner } from '../../src/store/level-store.ts'

export const GENESIS: Genesis = {
  address: `0x${'a1'.repeat(20)}` as Address,
  chainId: 31337n,
  ledger: `0x${'1e'.repeat(20)}` as Address,
}

export function ownerOf(command: string): Owner {
  return { pid: process.pid, command, started: 1_760_000_000 }
}

/** A home folder of its own, gone after the test. */
export async function freshHome(t: Pick<TestContext, 'after'>): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'tallystick-store-'))
  t.after(() => rm(home, { recursive: true, force: true }))
  return home
}

/** What opens (and where needed makes) the database of a home folder. */
export function initOf(home: string, changes: Partial<LevelStoreInit> = {}): LevelStoreInit {
  return { path: join(home, 'db'), genesis: GENESIS, owner: ownerOf('the test'), create: true, ...changes }
}
