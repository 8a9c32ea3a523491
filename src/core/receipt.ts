/**
 * Receipts: what one session delivered and what was paid for it, signed by both ends.
 * @see protocols/session/SPEC.md section Terms, receipt
 */
import { type Amount, readAmount } from './amount.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import { recoverAddress, type Sign } from './crypto/secp256k1.ts'
import { bytesWord, type Domain, fixedWord, structDigest, typeHash, uintWord } from './eip712.ts'
import {
  type Address,
  type ChannelId,
  channelIdToBytes,
  type Hash32,
  hash32ToBytes,
  readChannelId,
  readHash32,
  readSeconds,
  readSessionId,
  type Seconds,
  type SessionId,
  sessionIdToBytes,
  writeChannelId,
  writeHash32,
  writeSessionId,
} from './ids.ts'
import { encodeMeter, METER_BYTES, type Meter, readMeter, writeMeter } from './meter.ts'

export interface Receipt {
  readonly session: SessionId
  /** digest of the terms */
  readonly terms: Hash32
  readonly channel: ChannelId
  /** this session's payments, base units */
  readonly total: Amount
  /** the channel's best promise after the session, cumulative over its whole life, base units */
  readonly amount: Amount
  /** what the consumer acknowledged */
  readonly meter: Meter
  readonly closed: Seconds
  /** 0 = completed, else a registered error number; u16 */
  readonly reason: number
}

/** A receipt as the provider gives it. */
export interface SignedReceipt {
  readonly receipt: Receipt
  /** 65 bytes r | s | v by the provider */
  readonly signature: Uint8Array
}

/** Bytes of an encoded receipt, without the signature. */
export const RECEIPT_BYTES = 16 + 32 + 32 + 12 + 12 + METER_BYTES + 5 + 2

const RECEIPT_TYPE = typeHash(
  'Receipt(bytes16 session,bytes32 terms,bytes32 channel,uint96 total,uint96 amount,bytes meter,uint40 closed,uint16 reason)',
)

/** What both ends sign, 32 bytes. @throws TallyError MALFORMED for a field out of its range */
export function receiptDigest(domain: Domain, receipt: Receipt): Uint8Array {
  return structDigest(domain, RECEIPT_TYPE, [
    fixedWord(sessionIdToBytes(receipt.session)),
    fixedWord(hash32ToBytes(receipt.terms)),
    fixedWord(channelIdToBytes(receipt.channel)),
    uintWord(receipt.total, 96),
    uintWord(receipt.amount, 96),
    bytesWord(encodeMeter(receipt.meter)),
    uintWord(receipt.closed, 40),
    uintWord(receipt.reason, 16),
  ])
}

/** The signature of the provider, or of the channel's signer: both sign the same, 65 bytes. @throws TallyError as `receiptDigest` */
export function signReceipt(domain: Domain, receipt: Receipt, sign: Sign): Uint8Array {
  return sign(receiptDigest(domain, receipt))
}

/** Whether this is the canonical signature of `by` on the receipt. @throws TallyError as `receiptDigest` */
export function isReceiptSignedBy(domain: Domain, receipt: Receipt, signature: Uint8Array, by: Address): boolean {
  return recoverAddress(receiptDigest(domain, receipt), signature) === by
}

/** Appends the fields in the order of the signed type, 151 bytes. @throws TallyError MALFORMED for a field out of its range */
export function writeReceipt(writer: ByteWriter, receipt: Receipt): ByteWriter {
  writeChannelId(writeHash32(writeSessionId(writer, receipt.session), receipt.terms), receipt.channel)
  writeMeter(writer.u96(receipt.total).u96(receipt.amount), receipt.meter)
  return writer.u40(receipt.closed).u16(receipt.reason)
}

/** The next 151 bytes as a receipt; no signature is checked. @throws TallyError MALFORMED when there are fewer */
export function readReceipt(reader: ByteReader): Receipt {
  return {
    session: readSessionId(reader),
    terms: readHash32(reader),
    channel: readChannelId(reader),
    total: readAmount(reader),
    amount: readAmount(reader),
    meter: readMeter(reader),
    closed: readSeconds(reader),
    reason: reader.u16(),
  }
}

/** The receipt as 151 bytes. @throws TallyError as `writeReceipt` */
export function encodeReceipt(receipt: Receipt): Uint8Array {
  return writeReceipt(new ByteWriter(RECEIPT_BYTES), receipt).finish()
}

/** The receipt in exactly 151 bytes. @throws TallyError MALFORMED for any other length */
export function decodeReceipt(bytes: Uint8Array): Receipt {
  const reader = new ByteReader(bytes)
  const receipt = readReceipt(reader)
  reader.end()
  return receipt
}
