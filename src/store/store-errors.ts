import { TallyError } from '../core/errors.ts'
import { DAMAGE_HINT } from './record.ts'

const FAILED_HINT =
  'Check that the disk has room, is not read-only and belongs to the user of the node; then start the node again.'

/** An open that failed, other than by the lock: damaged files (STORE_CORRUPT), or a disk that refuses (STORE_FAILED). */
export function openError(thrown: unknown, path: string): TallyError {
  const reason = innermost(thrown)
  const refused = reason.code === 'LEVEL_IO_ERROR' || /^E[A-Z]+$/.test(reason.code)
  return failure(reason, refused, `the database in ${path} does not open: ${reason.message}`, { path }, thrown)
}

/** A read or write that failed. @param what what was tried, as in `commit to` */
export function useError(thrown: unknown, what: string, fields: TallyError['fields'] = {}): TallyError {
  if (thrown instanceof TallyError) return thrown
  const reason = innermost(thrown)
  // The store checks before each use, so the database can only have been closed in the middle of it.
  if (reason.code === 'LEVEL_DATABASE_NOT_OPEN' || reason.code === 'LEVEL_ITERATOR_NOT_OPEN') return closedError()
  const refused = reason.code !== 'LEVEL_CORRUPTION'
  return failure(reason, refused, `cannot ${what} the database: ${reason.message}`, fields, thrown)
}

function failure(reason: Reason, refused: boolean, message: string, fields: TallyError['fields'], cause: unknown): TallyError {
  // A file that is gone, or a read far beyond the end of one: the system says no, but because of what stands in our own files.
  const misled = /No such file|does not exist|Invalid argument/.test(reason.message)
  if (refused && !misled) return new TallyError('STORE_FAILED', { message, hint: FAILED_HINT, fields, cause })
  return new TallyError('STORE_CORRUPT', { message, hint: DAMAGE_HINT, fields, cause })
}

/** What every call gets after close(). */
export function closedError(): TallyError {
  return new TallyError('STORE_CLOSED', { hint: 'Open the store again.' })
}

interface Reason {
  readonly code: string
  readonly message: string
}

/** What the database itself said: `level` wraps it once when an open fails. */
function innermost(thrown: unknown): Reason {
  const error = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown
  if (!(error instanceof Error)) return { code: '', message: String(error) }
  return { code: String((error as { code?: unknown }).code ?? ''), message: error.message }
}
