/** Where bought bytes go that are not a file to be checked as a whole: stdout, or a new file. */
import { constants, type FileHandle, open } from 'node:fs/promises'
import { TallyError } from '../../core/errors.ts'
import type { Terminal } from '../terminal.ts'

export interface Sink {
  /** Resolves when the bytes are handed on: false = nobody wants more. @throws INTERNAL when the disk does not take them */
  write(bytes: Uint8Array): Promise<boolean>
  close(): Promise<void>
}

export function stdoutSink(terminal: Terminal): Sink {
  return { write: async (bytes) => await terminal.stdout(bytes), close: async () => undefined }
}

/** @throws USAGE when the file is there already or cannot be made */
export async function fileSink(path: string, overwrite: boolean): Promise<Sink> {
  const handle = await openNew(path, overwrite)
  return {
    async write(bytes) {
      try {
        for (let done = 0; done < bytes.length; ) done += (await handle.write(bytes, done)).bytesWritten
        return true
      } catch (cause) {
        throw new TallyError('INTERNAL', { message: `"${path}" cannot be written`, cause })
      }
    },
    close: async () => await handle.close(),
  }
}

async function openNew(path: string, overwrite: boolean): Promise<FileHandle> {
  const how = constants.O_WRONLY | constants.O_CREAT | (overwrite ? constants.O_TRUNC : constants.O_EXCL)
  return await open(path, how, 0o666).catch((cause: NodeJS.ErrnoException) => {
    const message = cause.code === 'EEXIST' ? `"${path}" exists already` : `"${path}" cannot be made`
    throw new TallyError('USAGE', {
      message,
      hint: 'nothing was bought; choose another name with -o, or give --overwrite',
      cause,
    })
  })
}
