/** What a later run must know of a purchase that broke off: which bytes on the disk belong to which session. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { SessionId } from '../../core/ids.ts'
import { readJson, writeJson } from '../../node/json-file.ts'

export interface Note {
  /** the file that is being bought */
  readonly to: string
  /** bytes of that file minus bytes of the session: what other sessions had bought before */
  readonly before: number
}

export class ProgressNotes {
  readonly #folder: string

  constructor(home: string) {
    this.#folder = join(home, 'gets')
  }

  /** @throws what the disk says */
  async write(session: SessionId, note: Note): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    await writeJson(this.#path(session), note)
  }

  /** Undefined when there is none that can be read: then the session's own count is all there is. */
  async read(session: SessionId): Promise<Note | undefined> {
    const note = await readJson(this.#path(session)).catch(() => undefined)
    if (typeof note !== 'object' || note === null) return undefined
    const { to, before } = note as Record<string, unknown>
    return typeof to === 'string' && Number.isSafeInteger(before) ? { to, before: before as number } : undefined
  }

  async remove(session: SessionId): Promise<void> {
    await rm(this.#path(session), { force: true })
  }

  #path(session: SessionId): string {
    return join(this.#folder, `${session}.json`)
  }
}
