/** What a relay must not forget: requests that it has agreed to hand in, and how those of each signer went. */
import type { Amount } from '../core/amount.ts'
import { readAmount } from '../core/amount.ts'
import type { ByteReader, ByteWriter } from '../core/bytes.ts'
import { SIGNATURE_BYTES } from '../core/crypto/secp256k1.ts'
import {
  type Address,
  addressToBytes,
  type Hash32,
  hash32ToBytes,
  readAddress,
  readHash32,
  readSeconds,
  type Seconds,
  writeAddress,
  writeHash32,
} from '../core/ids.ts'
import type { SignedForward } from '../core/relay/request.ts'
import type { SignerRecord } from '../core/relay/rules.ts'
import type { Store } from '../ports/store.ts'
import { type Table, table } from '../ports/table.ts'

/**
 * taken: it will be handed in, also after a crash. done: executed, the fee is ours (whoever handed it in). failed: our transaction was reverted, its
 * gas is lost. dropped: nothing was sent, or it cost nothing, and nothing will be.
 */
export const ENDS = ['taken', 'done', 'failed', 'dropped'] as const
export type RelayEnd = (typeof ENDS)[number]

/** One request that this relay has agreed to. Durable before anybody hears `taken`. */
export interface RelayRecord {
  readonly digest: Hash32
  readonly at: Seconds
  /** no block before this one holds its execution */
  readonly since: number
  readonly token: Address
  readonly fee: Amount
  readonly signed: SignedForward
  readonly end: RelayEnd
  /** of our transaction when it is over: gas used, and what it cost in wei */
  readonly gasUsed: bigint
  readonly feeWei: bigint
}

const MAX_DATA_BYTES = 60_000

export function requestTable(store: Store): Table<Hash32, RelayRecord> {
  return table(store, { space: 'relayIn', version: 1, key: hash32ToBytes, write: writeRecord, read: readRecord })
}

export function signerTable(store: Store): Table<Address, SignerRecord> {
  return table(store, {
    space: 'relaySigner',
    version: 1,
    key: addressToBytes,
    write: (writer, { done, failed, failedAt }) => void writer.u32(done).u32(failed).u40(failedAt),
    read: (reader) => ({ done: reader.u32(), failed: reader.u32(), failedAt: readSeconds(reader) }),
  })
}

function writeRecord(writer: ByteWriter, record: RelayRecord): void {
  const { request, signature } = record.signed
  writeHash32(writer, record.digest).u40(record.at).u40(record.since)
  writeAddress(writer, record.token).u96(record.fee).u8(ENDS.indexOf(record.end)).u64(record.gasUsed).u96(record.feeWei)
  writeAddress(writer, request.from)
  writeAddress(writer, request.to).u32(request.gas).u64(request.nonce).u40(request.deadline)
  writer.bytes32(request.data, MAX_DATA_BYTES).bytes(signature, SIGNATURE_BYTES)
}

function readRecord(reader: ByteReader): RelayRecord {
  const digest = readHash32(reader)
  const [at, since, token, fee] = [readSeconds(reader), reader.u40(), readAddress(reader), readAmount(reader)]
  const end = ENDS[reader.u8()] ?? 'dropped'
  const [gasUsed, feeWei] = [reader.u64(), reader.u96()]
  const request = {
    from: readAddress(reader),
    to: readAddress(reader),
    gas: reader.u32(),
    nonce: reader.u64(),
    deadline: readSeconds(reader),
    data: reader.bytes32(MAX_DATA_BYTES),
  }
  return { digest, at, since, token, fee, end, gasUsed, feeWei, signed: { request, signature: reader.bytes(SIGNATURE_BYTES) } }
}
