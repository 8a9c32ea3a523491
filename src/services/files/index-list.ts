import { readdir } from 'node:fs/promises'
import { toHex } from '../../core/bytes.ts'
import { TallyError } from '../../core/errors.ts'
import { refuseAborted } from '../abort.ts'
import type { Catalog } from './catalog.ts'
import { asServiceError, isPlainName, isShown, notFound, resolveInside } from './path.ts'

/** Bytes of an index at most; it is free, so it must stay small. */
export const MAX_INDEX_BYTES = 1024 * 1024
/** Files named in one index at most. */
export const MAX_INDEX_LINES = 4_096
const MAX_DEPTH = 32
const utf8 = new TextEncoder()

/** One file that a provider sells. */
export interface IndexEntry {
  /** relative to the root of the service, with forward slashes */
  readonly path: string
  /** bytes */
  readonly size: number
  /** 0x and 64 hexadecimal digits, when the provider knows it already */
  readonly root?: string
}

/** What a provider sells; `more` when it was too much for one index, and sub-folders should be asked for. */
export interface FileIndex {
  readonly files: readonly IndexEntry[]
  readonly more: boolean
}

/**
 * The index of the folder `folder` ('' or 'name/'), the same bytes whenever the files are the same. Files of sub-folders are in it.
 * At most MAX_INDEX_BYTES. NOT_FOUND when there is no such folder, ABORTED.
 */
export async function encodeIndex(catalog: Catalog, folder: string, signal: AbortSignal): Promise<Uint8Array> {
  const lines: Uint8Array[] = []
  const cut = utf8.encode('{"more":true}\n')
  let bytes = cut.length
  for await (const path of pathsIn(catalog, folder, MAX_DEPTH, signal)) {
    const file = await catalog.peek(path)
    if (!file) continue
    const entry: IndexEntry = { path, size: file.size, ...(file.manifest && { root: toHex(file.manifest.root) }) }
    const line = utf8.encode(`${JSON.stringify(entry)}\n`)
    if (lines.length === MAX_INDEX_LINES || bytes + line.length > MAX_INDEX_BYTES) {
      lines.push(cut)
      break
    }
    lines.push(line)
    bytes += line.length
  }
  return Buffer.concat(lines)
}

/** The real path of the folder '' or 'name/'. NOT_FOUND when there is none. */
export async function realFolderOf(catalog: Catalog, folder: string): Promise<string> {
  const { real, stats } = await resolveInside(catalog.folder, folder.replace(/\/$/, ''))
  if (!stats.isDirectory()) throw notFound(folder)
  return real
}

async function* pathsIn(catalog: Catalog, folder: string, depth: number, signal: AbortSignal): AsyncGenerator<string> {
  refuseAborted(signal)
  const real = await realFolderOf(catalog, folder)
  const entries = await readdir(real, { withFileTypes: true }).catch((thrown: unknown) => {
    throw asServiceError(thrown, folder)
  })
  const named = entries.filter((entry) => isPlainName(entry.name) && isShown(catalog.folder, entry.name))
  // by code units, not by locale: two providers with the same files must give the same index
  named.sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const entry of named) {
    // a link to a folder could lead round in circles; a link to a file is looked at by peek
    if (entry.isFile() || entry.isSymbolicLink()) yield folder + entry.name
    else if (entry.isDirectory() && depth > 1) yield* pathsInside(catalog, `${folder}${entry.name}/`, depth - 1, signal)
  }
}

/** A sub-folder that vanishes or may not be read leaves a gap, not an error. */
async function* pathsInside(catalog: Catalog, folder: string, depth: number, signal: AbortSignal): AsyncGenerator<string> {
  try {
    yield* pathsIn(catalog, folder, depth, signal)
  } catch (thrown) {
    if (!(thrown instanceof TallyError) || thrown.code !== 'NOT_FOUND') throw thrown
  }
}

/** The index behind the bytes of a provider. CONTENT_WRONG when they are not what the specification says. */
export function decodeIndex(bytes: Uint8Array): FileIndex {
  if (bytes.length > MAX_INDEX_BYTES) throw badIndex('it is too long')
  const files: IndexEntry[] = []
  const lines = new TextDecoder().decode(bytes).split('\n')
  if (lines.pop() !== '') throw badIndex('its last line is cut')
  if (lines.length > MAX_INDEX_LINES + 1) throw badIndex('it has too many lines')
  for (const [at, line] of lines.entries()) {
    const parsed = parseLine(line)
    if ('more' in parsed) {
      if (at !== lines.length - 1) throw badIndex('its end is in the middle')
      return { files, more: true }
    }
    files.push(parsed)
  }
  return { files, more: false }
}

function parseLine(line: string): IndexEntry | { more: true } {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw badIndex('a line is not JSON', cause)
  }
  if (typeof value !== 'object' || value === null) throw badIndex('a line is not an object')
  const { path, size, root, more } = value as Record<string, unknown>
  if (more === true) return { more }
  if (typeof path !== 'string' || !path.split('/').every(isPlainName)) throw badIndex('a path is not plain')
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw badIndex('a size is not a number of bytes')
  if (root === undefined) return { path, size }
  if (typeof root !== 'string' || !/^0x[0-9a-f]{64}$/.test(root)) throw badIndex('a root is not a hash')
  return { path, size, root }
}

function badIndex(why: string, cause?: unknown): TallyError {
  return new TallyError('CONTENT_WRONG', { message: `the index of the provider is not usable: ${why}`, cause })
}
