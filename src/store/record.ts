import { crc32 } from 'node:zlib'
import { toHex } from '../core/bytes.ts'
import { TallyError } from '../core/errors.ts'
import { SPACES, type Space } from '../ports/store.ts'

const CRC_BYTES = 4

/** An operation on the database itself: the key begins with the number of its space. */
export type StoredOp =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array }

/** The key as it stands in the database, in memory of its own: number of the space, then the key. */
export function storedKey(space: Space, key: Uint8Array): Uint8Array {
  const stored = new Uint8Array(1 + key.length)
  stored[0] = SPACES[space]
  stored.set(key, 1)
  return stored
}

/**
 * The value as it stands in the database, in memory of its own: CRC-32 (big-endian), then the value.
 *
 * The checksum covers the stored key too, so that a value which comes back under another key is noticed.
 */
export function sealValue(key: Uint8Array, value: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(CRC_BYTES + value.length)
  new DataView(sealed.buffer).setUint32(0, crc32(value, crc32(key)))
  sealed.set(value, CRC_BYTES)
  return sealed
}

/** The value that was sealed under this stored key. @throws TallyError STORE_CORRUPT when it is not the one that was written */
export function unsealValue(key: Uint8Array, sealed: Uint8Array): Uint8Array {
  // A plain Uint8Array, whatever class the database answers with.
  const value = new Uint8Array(sealed.buffer, sealed.byteOffset + CRC_BYTES, Math.max(0, sealed.byteLength - CRC_BYTES))
  if (sealed.byteLength >= CRC_BYTES) {
    const written = new DataView(sealed.buffer, sealed.byteOffset).getUint32(0)
    if (written === crc32(value, crc32(key))) return value
  }
  throw corruptRecord(key, 'does not carry its checksum')
}

/** STORE_CORRUPT that names the space and the key. @param what what is wrong with the record, as the end of a sentence */
export function corruptRecord(key: Uint8Array, what: string, cause?: unknown): TallyError {
  const space = spaceName(key[0])
  const hex = toHex(key.subarray(1))
  return new TallyError('STORE_CORRUPT', {
    message: `the record ${hex} of ${space} ${what}`,
    hint: DAMAGE_HINT,
    fields: { space, key: hex },
    cause,
  })
}

/** What to do about damage: nothing may be lost twice by a hasty repair. */
export const DAMAGE_HINT = 'Stop the node, copy its home folder elsewhere as it is, check the disk, then restore a backup.'

function spaceName(number: number | undefined): string {
  for (const [name, known] of Object.entries(SPACES)) if (known === number) return name
  return `space ${number}`
}
