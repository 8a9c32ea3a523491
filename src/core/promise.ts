/**
 * Promises: what a payer signs, and how the ledger wants to see it.
 * @see protocols/ledger/SPEC.md
 */
import { type Amount, amount as checkedAmount, readAmount } from './amount.ts'
import { type ByteReader, ByteWriter } from './bytes.ts'
import { keccak256 } from './crypto/keccak.ts'
import {
  addressOfPublicKey,
  COMPACT_SIGNATURE_BYTES,
  compactSignature,
  recoverPublicKey,
  SIGNATURE_BYTES,
  type Sign,
  verify,
} from './crypto/secp256k1.ts'
import { type Domain, preimageOf, typeHash } from './eip712.ts'
import { TallyError } from './errors.ts'
import { type Address, addressToBytes, type ChannelParties, type Hash32, writeAddress, ZERO_ADDRESS } from './ids.ts'
import {
  LOCK_BYTES,
  type Lock,
  locksHash,
  MAX_LOCKS,
  packLocks,
  packShownLocks,
  type Reveal,
  readLocks,
  SHOWN_LOCK_BYTES,
  showLocks,
} from './lock.ts'

export type { ChannelParties } from './ids.ts'

/** A promise as it travels and is stored; its channel is known from where it came or lies. */
export interface SignedPromise {
  /** cumulative over the channel's whole life, base units */
  readonly amount: Amount
  readonly locks: readonly Lock[]
  /** 65 bytes r | s | v by the signer of the channel */
  readonly signature: Uint8Array
}

/** Hashing, signing and checking for one channel, with all that never changes worked out once. */
export interface PreparedPromises {
  readonly channel: ChannelParties
  /** What is signed, 32 new bytes. @throws TallyError LOCKS_REFUSED for locks that no promise may carry, AMOUNT_INVALID */
  digest(amount: Amount, locks: readonly Lock[]): Uint8Array
  /** @throws TallyError as `digest` */
  sign(amount: Amount, locks: readonly Lock[], sign: Sign): SignedPromise
  /** Whether the signature is canonical and by the channel's signer. @throws TallyError as `digest` */
  verify(promise: SignedPromise): boolean
}

const PROMISE_TYPE = typeHash('Promise(address owner,address target,address token,uint96 amount,bytes32 locks)')

/** The longest encoded promise, in bytes. */
export const MAX_PROMISE_BYTES = 12 + SIGNATURE_BYTES + 1 + MAX_LOCKS * LOCK_BYTES

/**
 * The owner that a promise names: zero when the owner signs for itself. The ledger then takes the one that it recovers, which spares
 * 20 bytes in each row of a batch. There is no second form: a promise that names its own signer is refused.
 */
export function namedOwner({ owner, signer }: ChannelParties): Address {
  return owner === signer ? ZERO_ADDRESS : owner
}

/**
 * Prepares the promises of one channel in one domain. A digest then costs two hashes over buffers that are filled already.
 *
 * `verify` learns the signer's public key from the first good promise; from then on it compares keys and hashes no address.
 */
export function preparePromises(domain: Domain, channel: ChannelParties): PreparedPromises {
  // typehash | owner | target | token | amount | locks: only the last two change
  const struct = new Uint8Array(192)
  struct.set(PROMISE_TYPE)
  struct.set(addressToBytes(namedOwner(channel)), 44)
  struct.set(addressToBytes(channel.target), 76)
  struct.set(addressToBytes(channel.token), 108)
  const view = new DataView(struct.buffer)
  const preimage = preimageOf(domain)
  let signerKey: Uint8Array | undefined

  const digest = (amount: Amount, locks: readonly Lock[]): Uint8Array => {
    const value = checkedAmount(amount)
    view.setUint32(148, Number(value >> 64n))
    view.setBigUint64(152, value)
    struct.set(locksHash(locks), 160)
    preimage.set(keccak256(struct), 34)
    return keccak256(preimage)
  }
  return {
    channel,
    digest,
    sign: (amount, locks, sign) => ({ amount, locks, signature: sign(digest(amount, locks)) }),
    verify: ({ amount, locks, signature }) => {
      const hash = digest(amount, locks)
      if (signerKey !== undefined) return verify(hash, signature, signerKey)
      const key = recoverPublicKey(hash, signature)
      if (key === undefined || addressOfPublicKey(key) !== channel.signer) return false
      signerKey = key
      return true
    },
  }
}

/** Appends a promise: amount u96 | signature 65 | lock count u8 | locks of 51 bytes. @throws TallyError MALFORMED, LOCKS_REFUSED */
export function writePromise(writer: ByteWriter, { amount, locks, signature }: SignedPromise): ByteWriter {
  const packed = packLocks(locks)
  return writer.u96(amount).bytes(signature, SIGNATURE_BYTES).u8(locks.length).bytes(packed, packed.length)
}

/** The next bytes as a promise; the signature is not checked. @throws TallyError MALFORMED, LOCKS_REFUSED */
export function readPromise(reader: ByteReader): SignedPromise {
  const amount = readAmount(reader)
  const signature = reader.bytes(SIGNATURE_BYTES)
  return { amount, locks: readLocks(reader, reader.u8()), signature }
}

/** One promise as it is settled. */
export interface SettleRow {
  /** the owner that the promise names; absent when it names none, which means its signer */
  readonly owner?: Address
  readonly amount: Amount
  /** all its locks, 53 bytes each, with the words that are shown; empty when it has none */
  readonly locks: Uint8Array
  /** 64 bytes, EIP-2098 */
  readonly signature: Uint8Array
}

/**
 * A promise as it is settled, with what was revealed of its locks (by anchor). Every lock is shown, also an unopened one, because the
 * ledger rebuilds the signed list from what it is shown.
 *
 * @throws TallyError LOCKS_REFUSED when a word does not open its lock or belongs to none, MALFORMED when the signature is not canonical
 */
export function settleRow(
  channel: ChannelParties,
  promise: SignedPromise,
  reveals: ReadonlyMap<Hash32, Reveal> = NO_REVEALS,
): SettleRow {
  const locks = packShownLocks(showLocks(promise.locks, reveals))
  const row = { amount: promise.amount, locks, signature: compactSignature(promise.signature) }
  return channel.owner === channel.signer ? row : { ...row, owner: channel.owner }
}

const NO_REVEALS: ReadonlyMap<Hash32, Reveal> = new Map()
const HAS_OWNER = 1
const HAS_LOCKS = 2

/** Bytes of a row without owner and locks. */
const MIN_ROW_BYTES = 77

/**
 * Appends a row, one promise as `settle` and `settleBatch` read it: flags u8 | amount u96 | r 32 | vs 32 | [owner 20] | [count u8 | locks of 53 bytes].
 *
 * @throws TallyError MALFORMED for a signature that is not compact, or part of a lock
 */
function writeRow(writer: ByteWriter, { owner, amount, locks, signature }: SettleRow): ByteWriter {
  const count = locks.length / SHOWN_LOCK_BYTES
  if (!Number.isInteger(count) || count > MAX_LOCKS) {
    throw new TallyError('MALFORMED', { message: `${locks.length} bytes of shown locks`, fields: { length: locks.length } })
  }
  writer.u8((owner === undefined ? 0 : HAS_OWNER) | (count === 0 ? 0 : HAS_LOCKS))
  writer.u96(amount).bytes(signature, COMPACT_SIGNATURE_BYTES)
  if (owner !== undefined) writeAddress(writer, owner)
  return count === 0 ? writer : writer.u8(count).bytes(locks, locks.length)
}

/** Rows one after the other, the argument of settleBatch; one row alone is that of settle. @throws TallyError as `writeRow` */
export function encodeRows(rows: readonly SettleRow[]): Uint8Array {
  const writer = new ByteWriter(rows.length * MIN_ROW_BYTES)
  for (const row of rows) writeRow(writer, row)
  return writer.finish()
}
