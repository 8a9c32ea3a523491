import { join } from 'node:path'
import { ByteReader, ByteWriter } from '../core/bytes.ts'
import { TallyError } from '../core/errors.ts'
import { type Address, readAddress, writeAddress } from '../core/ids.ts'
import { readJsonObject, writeFileDurably } from './durable-file.ts'

/** Format of the database as a whole: spaces, keys, checksums. A database of a higher format is refused. */
export const STORE_FORMAT = 1

/** Whose database this is. One database serves one node on one ledger for all its life. */
export interface Genesis {
  readonly address: Address
  /** below 2^64 */
  readonly chainId: bigint
  readonly ledger: Address
}

/** The genesis record: written once, checked at every open. */
export interface GenesisRecord extends Genesis {
  readonly format: number
  /** unix seconds; tells two databases of the same node apart */
  readonly created: number
}

export const GENESIS_KEY = new TextEncoder().encode('genesis')

/** u16 format, address (20), u64 chain id, ledger (20), u40 created. Every later format begins with its u16 too. */
export function encodeGenesis(record: GenesisRecord): Uint8Array {
  const writer = new ByteWriter().u16(record.format)
  writeAddress(writer, record.address).u64(record.chainId)
  return writeAddress(writer, record.ledger).u40(record.created).finish()
}

/** @throws TallyError STORE_NEWER for a higher format; MALFORMED for anything else that is not a genesis record */
export function decodeGenesis(bytes: Uint8Array): GenesisRecord {
  const reader = new ByteReader(bytes)
  const format = reader.u16()
  if (format > STORE_FORMAT) throw newerFormat(format)
  const address = readAddress(reader)
  const chainId = reader.u64()
  const ledger = readAddress(reader)
  const created = reader.u40()
  reader.end()
  return { format, address, chainId, ledger, created }
}

export function newerFormat(format: number): TallyError {
  return new TallyError('STORE_NEWER', {
    message: `the database has format ${format}, and this version knows formats up to ${STORE_FORMAT}`,
    hint: 'Run the newer version of tallystick that wrote it; a database cannot be taken back to an older format.',
    fields: { format, known: STORE_FORMAT },
  })
}

/** @throws TallyError STORE_EMPTIED when the database is of another node, chain or ledger */
export function checkGenesis(found: Genesis, expected: Genesis, path: string): void {
  const differs = (['address', 'chainId', 'ledger'] as const).find((name) => found[name] !== expected[name])
  if (differs === undefined) return
  const words = { address: 'node', chainId: 'chain', ledger: 'ledger' } as const
  throw new TallyError('STORE_EMPTIED', {
    message: `the database belongs to ${words[differs]} ${found[differs]}, but this is ${words[differs]} ${expected[differs]}`,
    hint: 'Use one home folder per node and ledger; put the folder of this node back in its place.',
    fields: { path, found: found[differs], expected: expected[differs] },
  })
}

/** The marker beside the database says, also when the database itself is gone, that there was one. */
function markerPath(home: string): string {
  return join(home, 'GENESIS')
}

export async function writeMarker(home: string, record: GenesisRecord): Promise<void> {
  await writeFileDurably(markerPath(home), `${JSON.stringify({ ...record, chainId: String(record.chainId) }, undefined, 2)}\n`)
}

/** What the marker says; `unreadable` when it is there without saying it; undefined when there is none. @throws STORE_NEWER */
export async function readMarker(home: string): Promise<GenesisRecord | 'unreadable' | undefined> {
  const found = await readJsonObject(markerPath(home))
  if (found === undefined) return undefined
  if (typeof found?.format === 'number' && found.format > STORE_FORMAT) throw newerFormat(found.format)
  if (typeof found?.chainId !== 'string' || !/^\d{1,20}$/.test(found.chainId)) return 'unreadable'
  // A marker that differs in anything from the record is told later, so the types are all that must be right here.
  return { ...(found as unknown as GenesisRecord), chainId: BigInt(found.chainId) }
}

/** Whether the marker was written for this very database. */
export function sameGenesis(a: GenesisRecord, b: GenesisRecord): boolean {
  const names = ['format', 'address', 'chainId', 'ledger', 'created'] as const
  return names.every((name) => a[name] === b[name])
}
