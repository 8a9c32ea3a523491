import { mkdir, readdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Level } from 'level'
import { TallyError } from '../core/errors.ts'
import { isMissing, syncFolder } from './durable-file.ts'
import {
  checkGenesis,
  decodeGenesis,
  encodeGenesis,
  GENESIS_KEY,
  type Genesis,
  type GenesisRecord,
  readMarker,
  STORE_FORMAT,
  sameGenesis,
  writeMarker,
} from './genesis.ts'
import { auditFiles } from './level-audit.ts'
import { lockedError, type Owner, removeOwner, writeOwner } from './owner.ts'
import { corruptRecord, sealValue, storedKey, unsealValue } from './record.ts'
import { openError } from './store-errors.ts'

export type Database = Level<Uint8Array, Uint8Array>

export interface LevelStoreInit {
  /** folder of the database itself; `GENESIS` and `owner.json` stand beside it, so one home folder holds one database */
  readonly path: string
  /** whose database it must be */
  readonly genesis: Genesis
  /** who opens it, for the message that the next one gets who tries */
  readonly owner: Owner
  /** whether to make a database where there never was one; an existing one is opened all the same @default false */
  readonly create?: boolean
}

// Uncompressed, so that the audit can follow the index of a table: most of what we keep is hashes and signatures anyway.
// Tables that are open are mapped into memory, 2 MiB each: of a large database that is read all over, or compacted, not more than 64 are at once
// (the other ten files are no tables). Opening one again costs a fraction of a millisecond.
const OPTIONS = { keyEncoding: 'view', valueEncoding: 'view', compression: false, maxOpenFiles: 74 } as const

/** Opens the database, checked to be the right one and to be all there. @see openLevelStore for the errors */
export async function openDatabase(init: LevelStoreInit): Promise<Database> {
  try {
    return await openChecked(init)
  } catch (thrown) {
    throw thrown instanceof TallyError ? thrown : openError(thrown, init.path)
  }
}

async function openChecked(init: LevelStoreInit): Promise<Database> {
  const home = dirname(init.path)
  const marker = await readMarker(home)
  const fresh = await isFresh(init, marker !== undefined)
  if (fresh) await mkdir(init.path, { recursive: true, mode: 0o700 })
  else await auditFiles(init.path)
  const db: Database = new Level(init.path, { ...OPTIONS, createIfMissing: fresh })
  await db.open().catch(async (thrown: unknown) => {
    throw isLocked(thrown) ? await lockedError(home, thrown) : thrown
  })
  try {
    await writeOwner(home, init.owner)
    await settleGenesis(db, init, marker)
  } catch (thrown) {
    await closeDatabase(db, home)
    throw thrown
  }
  return db
}

/** Closes the database and takes back the note of its owner. */
export async function closeDatabase(db: Database, home: string): Promise<void> {
  await removeOwner(home)
  await db.close()
}

/** Whether there is no database yet and one may be made; false when there is one. Opens nothing. */
async function isFresh(init: LevelStoreInit, marked: boolean): Promise<boolean> {
  const files = await filesIn(init.path)
  // Without this file LevelDB would begin anew in the same folder, and delete the old tables.
  if (files.includes('CURRENT')) return false
  // A first start that was cut short leaves a manifest at most, never a log or a table.
  if (marked || files.some((name) => /\.(ldb|sst|log)$/.test(name))) throw emptied(init.path, 'CURRENT is missing')
  if (init.create !== true) throw homeMissing(init.path)
  return true
}

async function filesIn(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path)
  } catch (thrown) {
    if (isMissing(thrown)) return []
    throw thrown
  }
}

/** Checks the genesis record against the caller and the marker, or writes both where there never was one. */
async function settleGenesis(db: Database, init: LevelStoreInit, marker: Awaited<ReturnType<typeof readMarker>>): Promise<void> {
  const home = dirname(init.path)
  const found = await readGenesis(db)
  const record = found ?? (await writeGenesis(db, init, marker !== undefined))
  checkGenesis(record, init.genesis, init.path)
  if (marker === undefined || marker === 'unreadable') {
    // Also after a first start that was cut short between the record and its marker.
    await syncFolder(home)
    await writeMarker(home, record)
  } else if (!sameGenesis(marker, record)) {
    throw new TallyError('STORE_EMPTIED', {
      message: 'the database is not the one that GENESIS beside it was written for: another one was put in its place',
      hint: RESTORE_HINT,
      fields: { path: init.path, created: record.created, expected: marker.created },
    })
  }
}

async function readGenesis(db: Database): Promise<GenesisRecord | undefined> {
  const key = storedKey('meta', GENESIS_KEY)
  const sealed: Uint8Array | undefined = await db.get(key)
  if (sealed === undefined) return undefined
  try {
    return decodeGenesis(unsealValue(key, sealed))
  } catch (thrown) {
    if (thrown instanceof TallyError && thrown.code !== 'MALFORMED') throw thrown
    throw corruptRecord(key, 'is not a genesis record', thrown)
  }
}

async function writeGenesis(db: Database, init: LevelStoreInit, marked: boolean): Promise<GenesisRecord> {
  if (marked) throw emptied(init.path, 'it holds no genesis record')
  if ((await db.keys({ limit: 1 }).all()).length > 0) {
    throw new TallyError('STORE_CORRUPT', {
      message: 'the database holds records but no genesis record: it was not written by tallystick, or it is damaged',
      hint: RESTORE_HINT,
      fields: { path: init.path },
    })
  }
  if (init.create !== true) throw homeMissing(init.path)
  const record = { ...init.genesis, format: STORE_FORMAT, created: Math.floor(Date.now() / 1000) }
  const key = storedKey('meta', GENESIS_KEY)
  await db.put(key, sealValue(key, encodeGenesis(record)), { sync: true })
  return record
}

const RESTORE_HINT = 'Put the database of this home folder back, or restore a backup; start a new node only in a new home folder.'

function emptied(path: string, why: string): TallyError {
  return new TallyError('STORE_EMPTIED', {
    message: `there was a database in ${path}, and it is gone: ${why}`,
    hint: RESTORE_HINT,
    fields: { path },
  })
}

function homeMissing(path: string): TallyError {
  return new TallyError('HOME_MISSING', {
    message: `there is no database in ${path}`,
    hint: 'Make a node with: tallystick init',
    fields: { path },
  })
}

function isLocked(thrown: unknown): boolean {
  return thrown instanceof Error && (thrown.cause as { code?: unknown } | undefined)?.code === 'LEVEL_LOCKED'
}
