import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { TallyError } from '../core/errors.ts'
import { readJsonObject, writeFileDurably } from './durable-file.ts'

const MAX_COMMAND_CHARACTERS = 200

/** Who holds the database, told to whoever finds it locked. */
export interface Owner {
  readonly pid: number
  /** as a person would recognise it, such as `tallystick up`; the first 200 characters are kept */
  readonly command: string
  /** unix seconds */
  readonly started: number
}

/** The note beside the database. It informs; the lock of the database decides. */
function ownerPath(home: string): string {
  return join(home, 'owner.json')
}

/** For whoever has just got the lock. */
export async function writeOwner(home: string, owner: Owner): Promise<void> {
  const note = { pid: owner.pid, command: owner.command.slice(0, MAX_COMMAND_CHARACTERS), started: owner.started }
  await writeFileDurably(ownerPath(home), `${JSON.stringify(note)}\n`)
}

/** For whoever is about to release the lock: not later, else the note of the next owner would go. */
export async function removeOwner(home: string): Promise<void> {
  await rm(ownerPath(home), { force: true })
}

/** STORE_LOCKED that names the process which holds the database, as far as its note tells. */
export async function lockedError(home: string, cause: unknown): Promise<TallyError> {
  const owner = await readOwner(home)
  if (owner === undefined) {
    return locked(`another process uses ${home}, and its owner.json does not say which`, findHint(home), {}, cause)
  }
  const { pid, command, started } = owner
  const alive = isAlive(pid)
  const who = `process ${pid} (${command}, started ${new Date(started * 1000).toISOString()})`
  const fields = { pid, command, started, alive }
  if (!alive) {
    return locked(
      `another process uses ${home}: it is not ${who} of its owner.json, which is gone`,
      findHint(home),
      fields,
      cause,
    )
  }
  return locked(`${who} uses ${home}`, `Talk to the running node (tallystick status), or stop it: kill ${pid}`, fields, cause)
}

function locked(message: string, hint: string, fields: TallyError['fields'], cause: unknown): TallyError {
  return new TallyError('STORE_LOCKED', { message, hint, fields, cause })
}

function findHint(home: string): string {
  return `Find the process that has ${home} open (lsof +D), then talk to it or stop it.`
}

async function readOwner(home: string): Promise<Owner | undefined> {
  const note = await readJsonObject(ownerPath(home))
  const { pid, command, started } = note ?? {}
  // kill(0) and kill(-n) would ask about groups of processes
  if (!(isWhole(pid) && pid > 0 && isWhole(started) && started < 2 ** 40 && typeof command === 'string')) return undefined
  return { pid, started, command: command.slice(0, MAX_COMMAND_CHARACTERS) }
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (thrown) {
    // A process of another user is alive too: EPERM.
    return (thrown as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}
