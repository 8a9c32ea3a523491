import { open, readFile, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Larger than any file of ours beside the database; a larger one was not written by us. */
const MAX_FILE_BYTES = 64 * 1024

/** Replaces a small file at once: whoever reads it sees the old text or the new one, also after power loss. Mode 0600. */
export async function writeFileDurably(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  await syncFolder(dirname(path))
}

/** Makes the names in a folder durable: a new file may else be gone after power loss though its contents were synced. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** The JSON object in a small file; undefined when there is no such file, null when it holds anything else. */
export async function readJsonObject(path: string): Promise<Readonly<Record<string, unknown>> | null | undefined> {
  try {
    if ((await stat(path)).size > MAX_FILE_BYTES) return null
    const parsed: unknown = JSON.parse(await readFile(path, 'utf8'))
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return null
    return parsed as Record<string, unknown>
  } catch (thrown) {
    return isMissing(thrown) ? undefined : null
  }
}

/** Whether a call of the file system failed because the file is not there. */
export function isMissing(thrown: unknown): boolean {
  return (thrown as NodeJS.ErrnoException | null)?.code === 'ENOENT'
}
