import { type FileHandle, open } from 'node:fs/promises'
import { isMissing } from './durable-file.ts'

/** One file as it was read; `contents` are good until the next one is asked for. */
export interface FileRead {
  readonly path: string
  /** undefined: there is no such file */
  readonly contents: Uint8Array | undefined
}

/**
 * Reads whole files, one after the other: while one is looked at the next is read. They share two pieces of memory as large as the largest
 * of them, so that hundreds of files cost no more memory than two.
 */
export async function* readAhead(paths: readonly string[]): AsyncGenerator<FileRead> {
  const memory = [new Memory(), new Memory()] as const
  const read = (at: number): Promise<FileRead> | undefined => {
    const path = paths[at]
    const reading = path === undefined ? undefined : memory[at % 2 === 0 ? 0 : 1].read(path)
    // whoever stops early hears of no failure
    reading?.catch(() => undefined)
    return reading
  }
  let next = read(0)
  for (let at = 1; next !== undefined; at++) {
    const file = await next
    next = read(at)
    yield file
  }
}

class Memory {
  #bytes = Buffer.allocUnsafeSlow(0)

  async read(path: string): Promise<FileRead> {
    try {
      const file = await open(path, 'r')
      try {
        return { path, contents: await this.#fill(file) }
      } finally {
        await file.close()
      }
    } catch (thrown) {
      if (isMissing(thrown)) return { path, contents: undefined }
      throw thrown
    }
  }

  async #fill(file: FileHandle): Promise<Uint8Array> {
    const { size } = await file.stat()
    if (this.#bytes.length < size) this.#bytes = Buffer.allocUnsafeSlow(size)
    let at = 0
    while (at < size) {
      const { bytesRead } = await file.read(this.#bytes, at, size - at, at)
      if (bytesRead === 0) break
      at += bytesRead
    }
    return this.#bytes.subarray(0, at)
  }
}
