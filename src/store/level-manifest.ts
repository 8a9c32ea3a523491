import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing } from './durable-file.ts'
import { PIECE, piecesOf, VarintReader } from './level-format.ts'

/** Which files of a database hold its records now; all others are leftovers. */
export interface LiveFiles {
  /** the manifest that says so, as it was read */
  readonly manifest: Uint8Array
  /** numbers of the tables */
  readonly tables: ReadonlySet<number>
  /** number of the oldest log that is replayed; later ones are replayed too */
  readonly log: number
}

/** The live files; undefined when CURRENT or the manifest does not tell, which LevelDB itself notices when it opens. */
export async function readLiveFiles(path: string): Promise<LiveFiles | undefined> {
  try {
    const name = (await readFile(join(path, 'CURRENT'), 'utf8')).trim()
    if (!/^MANIFEST-\d+$/.test(name)) return undefined
    const manifest = await readFile(join(path, name))
    return { manifest, ...liveFilesOf(manifest) }
  } catch (thrown) {
    if (isMissing(thrown) || thrown instanceof RangeError) return undefined
    throw thrown
  }
}

function liveFilesOf(manifest: Uint8Array): { tables: Set<number>; log: number } {
  const tables = new Set<number>()
  let log = 0
  for (const edit of recordsOf(manifest)) log = applyEdit(new VarintReader(edit), tables) ?? log
  return { tables, log }
}

/** The whole records up to the first bad place: what follows one is the torn end of an edit that never counted. */
function* recordsOf(manifest: Uint8Array): Generator<Uint8Array> {
  let parts: Uint8Array[] = []
  for (const { type, body } of piecesOf(manifest)) {
    if (type === undefined) return
    if (type === PIECE.full || type === PIECE.first) parts = []
    parts.push(body)
    if (type === PIECE.full || type === PIECE.last) yield Buffer.concat(parts)
  }
}

/** Applies one change of the set of files; returns the number of the log if it names one. The tags are LevelDB's. */
function applyEdit(edit: VarintReader, tables: Set<number>): number | undefined {
  let log: number | undefined
  const skipKey = (): unknown => edit.bytes(edit.varint())
  const steps: Readonly<Record<number, () => unknown>> = {
    1: skipKey,
    2: () => {
      log = edit.varint()
    },
    3: () => edit.varint(),
    4: () => edit.varint(),
    5: () => [edit.varint(), skipKey()],
    6: () => [edit.varint(), tables.delete(edit.varint())],
    7: () => [edit.varint(), tables.add(edit.varint()), edit.varint(), skipKey(), skipKey()],
    9: () => edit.varint(),
  }
  while (!edit.done) {
    const step = steps[edit.varint()]
    if (step === undefined) throw new RangeError('a change of the manifest that this version does not know')
    step()
  }
  return log
}
