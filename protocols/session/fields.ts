import { type ByteReader, type ByteWriter, equalBytes } from '../../src/core/bytes.ts'
import { TallyError } from '../../src/core/errors.ts'
import { readSessionId, SESSION_ID_BYTES, type SessionId, sessionIdFromBytes, writeSessionId } from '../../src/core/ids.ts'
import { isServiceName } from '../../src/core/offer.ts'

/** In a fault the id of no session: the whole stream is meant. Nobody may pick it. */
const NO_SESSION = `0x${'0'.repeat(32)}`

/** The session of the message before: most messages are of the same one, and to write an id as text costs more than to compare it. */
const before = { bytes: new Uint8Array(SESSION_ID_BYTES), session: NO_SESSION as SessionId }

/** The session of a message. @throws TallyError MALFORMED when it is all zeros, or when there are fewer than 16 bytes */
export function readSession(reader: ByteReader): SessionId {
  const bytes = reader.view(SESSION_ID_BYTES)
  if (!equalBytes(bytes, before.bytes)) {
    before.session = sessionIdFromBytes(bytes)
    before.bytes = bytes.slice()
  }
  if (before.session === NO_SESSION) throw malformed('a session of all zeros')
  return before.session
}

/** @throws TallyError MALFORMED when it is all zeros */
export function writeSession(writer: ByteWriter, session: SessionId): ByteWriter {
  if (session === NO_SESSION) throw malformed('a session of all zeros')
  return writeSessionId(writer, session)
}

/** The session of a fault; undefined for all zeros. */
export function readSessionOrNone(reader: ByteReader): SessionId | undefined {
  const session = readSessionId(reader)
  return session === NO_SESSION ? undefined : session
}

export function writeSessionOrNone(writer: ByteWriter, session: SessionId | undefined): ByteWriter {
  return writeSessionId(writer, session ?? (NO_SESSION as SessionId))
}

/** The only flag of a message, in bit 0. @throws TallyError MALFORMED when a reserved bit is set */
export function readFlag(reader: ByteReader): boolean {
  const flags = reader.u8()
  if (flags > 1) throw malformed('a reserved flag is set')
  return flags === 1
}

export function writeFlag(writer: ByteWriter, flag: boolean): ByteWriter {
  return writer.u8(flag ? 1 : 0)
}

/** The name of a service. @throws TallyError MALFORMED unless it is 1 to 64 of a-z 0-9 . _ - */
export function checkService(service: string): string {
  if (!isServiceName(service)) throw malformed('a service is named by 1 to 64 of a-z 0-9 . _ -')
  return service
}

function malformed(message: string): TallyError {
  return new TallyError('MALFORMED', { message })
}
