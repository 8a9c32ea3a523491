import type { BigIntStats } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { TallyError } from '../../core/errors.ts'

/** UTF-8 bytes of a path at most: what is left of the 1,024 bytes of a session's content. */
export const MAX_PATH_BYTES = 979

/** Where the files are, and which of them may be seen. */
export interface Folder {
  /** absolute path without symbolic links */
  readonly root: string
  /** true: names that begin with a dot are sold like all others */
  readonly dotfiles: boolean
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The path that the bytes of a hello ask for. Ends in `/` or is empty for the index of a folder.
 * REQUEST_INVALID unless it is a plain relative path: an attempt to climb out is refused here, before any file system sees it.
 */
export function decodePath(bytes: Uint8Array): string {
  if (bytes.length > MAX_PATH_BYTES) throw badPath(`it is longer than ${MAX_PATH_BYTES} bytes`)
  let path: string
  try {
    path = utf8.decode(bytes)
  } catch (cause) {
    throw badPath('it is not UTF-8', cause)
  }
  const names = path.replace(/\/$/, '').split('/')
  if (path !== '' && !names.every(isPlainName)) throw badPath('each name must be plain, as in "music/song.ogg"')
  return path
}

/** Whether a name can be a part of a path: not empty, not `.` or `..`, no control characters, no slash of either kind. */
export function isPlainName(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this keeps away from terminals
  return name !== '' && name !== '.' && name !== '..' && !/[\u0000-\u001f\u007f-\u009f\ufffd/\\]/.test(name)
}

/** Whether a plain name is one that this folder shows. */
export function isShown(folder: Folder, name: string): boolean {
  return folder.dotfiles || !name.startsWith('.')
}

/**
 * The real path of `path`, which `decodePath` gave, and what is there. Symbolic links are followed as long as they stay inside the folder.
 * NOT_FOUND for what is outside, hidden, missing, unreadable or neither a file nor a folder: a stranger learns nothing about which it was.
 */
export async function resolveInside(folder: Folder, path: string): Promise<{ real: string; stats: BigIntStats }> {
  if (!path.split('/').every((name) => isShown(folder, name))) throw notFound(path)
  try {
    const real = await realpath(join(folder.root, path))
    const inside = relative(folder.root, real).split(sep)
    if (inside[0] === '..' || !inside.every((name) => isShown(folder, name))) throw notFound(path)
    const stats = await stat(real, { bigint: true })
    if (!stats.isFile() && !stats.isDirectory()) throw notFound(path)
    return { real, stats }
  } catch (thrown) {
    throw asServiceError(thrown, path)
  }
}

/** A failure of the file system as what a buyer may be told: NOT_FOUND, or SERVICE_FAILED with the cause kept for the provider. */
export function asServiceError(thrown: unknown, path: string): TallyError {
  if (thrown instanceof TallyError) return thrown
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
  const missing = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EACCES', 'EPERM', 'EISDIR', 'ENXIO']
  if (typeof code === 'string' && missing.includes(code)) return notFound(path, thrown)
  return new TallyError('SERVICE_FAILED', { message: `"${path}" could not be read`, fields: { path }, cause: thrown })
}

/** NOT_FOUND for a path. */
export function notFound(path: string, cause?: unknown): TallyError {
  return new TallyError('NOT_FOUND', {
    message: `there is no file "${path}"`,
    hint: 'The index of the service (an empty path) lists what there is.',
    fields: { path },
    cause,
  })
}

function badPath(why: string, cause?: unknown): TallyError {
  return new TallyError('REQUEST_INVALID', {
    message: `this is not a path of a file: ${why}`,
    hint: 'Ask for a relative path with forward slashes, or for nothing to get the index.',
    cause,
  })
}
