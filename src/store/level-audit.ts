import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { TallyError } from '../core/errors.ts'
import { PIECE, piecesOf } from './level-format.ts'
import { readLiveFiles } from './level-manifest.ts'
import { isWholeTable } from './level-table.ts'
import { readAhead } from './read-ahead.ts'
import { DAMAGE_HINT } from './record.ts'

/**
 * Checks the files of a database before LevelDB opens them; changes nothing, and needs no lock.
 *
 * LevelDB itself drops damaged parts of its log without a word, reads damaged tables as if they were right, and ends the whole
 * process over some of them. Damage to the very last batch of a log is not noticed: it looks like a batch that was torn by a crash.
 * All of every live file is read, at every open: about a millisecond per MiB, and never more memory than two files.
 *
 * @throws TallyError STORE_CORRUPT naming the file
 */
export async function auditFiles(path: string): Promise<void> {
  const live = await readLiveFiles(path)
  if (live === undefined) return
  const damage = await findDamage(path, live.tables, live.log)
  if (damage === undefined) return
  // A node that runs changes its files while we read them. Then this is no damage, and the lock will tell.
  const now = await readLiveFiles(path)
  if (now === undefined || Buffer.compare(now.manifest, live.manifest) !== 0) return
  throw new TallyError('STORE_CORRUPT', {
    message: `${damage.file} of the database ${damage.what}`,
    hint: DAMAGE_HINT,
    fields: { path, file: damage.file },
  })
}

interface Damage {
  readonly file: string
  readonly what: string
}

async function findDamage(folder: string, tables: ReadonlySet<number>, firstLog: number): Promise<Damage | undefined> {
  const files = (await readdir(folder)).flatMap((name) => fileOf(name) ?? [])
  const live = files.filter(({ isLog, number }) => (isLog ? number >= firstLog : tables.has(number)))
  const kinds = new Map(live.map(({ name, isLog }) => [join(folder, name), isLog]))
  for await (const { path, contents } of readAhead([...kinds.keys()])) {
    const what = damageOf(contents, kinds.get(path) === true)
    if (what !== undefined) return { file: basename(path), what }
  }
  // Missing tables are noticed by LevelDB. A log it takes for empty, though it is always there once the manifest names it.
  if (firstLog === 0 || live.some(({ number }) => number === firstLog)) return undefined
  return { file: `${String(firstLog).padStart(6, '0')}.log`, what: 'is missing' }
}

interface DatabaseFile {
  readonly name: string
  readonly number: number
  readonly isLog: boolean
}

function fileOf(name: string): DatabaseFile | undefined {
  const [, digits, ending] = /^(\d+)\.(log|ldb|sst)$/.exec(name) ?? []
  return ending === undefined ? undefined : { name, number: Number(digits), isLog: ending === 'log' }
}

function damageOf(contents: Uint8Array | undefined, isLog: boolean): string | undefined {
  if (contents === undefined) return 'is missing'
  if (!isLog) return isWholeTable(contents) ? undefined : 'is damaged'
  const at = damageInLog(contents)
  return at === undefined ? undefined : `is damaged at byte ${at}, and commits were written after it`
}

/**
 * The first bad place of a log that a later batch follows; undefined when there is none.
 *
 * Every batch of ours was synced before the next one began. So a batch that begins after a bad place proves that what stood there
 * had been confirmed. A bad place with nothing after it is the torn end of a batch that never was: LevelDB may drop it.
 */
function damageInLog(log: Uint8Array): number | undefined {
  let bad: number | undefined
  let unfinished: number | undefined
  for (const { at, type } of piecesOf(log)) {
    const begins = type === PIECE.full || type === PIECE.first
    if (begins && (bad ?? unfinished) !== undefined) return bad ?? unfinished
    if (type === undefined || (!begins && unfinished === undefined)) bad ??= at
    if (type === PIECE.first) unfinished = at
    if (type === PIECE.last) unfinished = undefined
  }
  return undefined
}
