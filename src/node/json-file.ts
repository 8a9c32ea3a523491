import { randomBytes } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { TallyError } from '../core/errors.ts'

const MAX_FILE_BYTES = 1024 * 1024

/** Replaces a JSON file in one step, readable by its owner alone. */
export async function writeJson(path: string, content: unknown): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  const handle = await open(temporary, 'wx', 0o600)
  try {
    await handle.writeFile(`${JSON.stringify(content, undefined, 2)}\n`)
    await handle.sync()
    await handle.close()
    await rename(temporary, path)
  } catch (thrown) {
    await handle.close()
    await rm(temporary, { force: true })
    throw thrown
  }
}

/** What a JSON file holds; undefined when there is no such file. @throws TallyError CONFIG_INVALID */
export async function readJson(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new TallyError('CONFIG_INVALID', { message: `"${path}" cannot be read`, fields: { path }, cause })
  }
  try {
    if (text.length > MAX_FILE_BYTES) throw new RangeError(`${text.length} characters`)
    return JSON.parse(text)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new TallyError('CONFIG_INVALID', { message: `"${path}" is not JSON: ${why}`, fields: { path }, cause })
  }
}
