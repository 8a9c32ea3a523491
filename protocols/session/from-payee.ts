import { readAmount } from '../../src/core/amount.ts'
import type { ByteReader, ByteWriter } from '../../src/core/bytes.ts'
import { SIGNATURE_BYTES } from '../../src/core/crypto/secp256k1.ts'
import { TallyError } from '../../src/core/errors.ts'
import { readHead, writeHead } from '../../src/core/head.ts'
import { readChannelId, readSeconds, type SessionId, writeChannelId } from '../../src/core/ids.ts'
import { readMeter, writeMeter } from '../../src/core/meter.ts'
import { decodeReceipt, encodeReceipt, RECEIPT_BYTES } from '../../src/core/receipt.ts'
import type {
  Charge,
  Closing,
  Fault,
  MeterReport,
  Ready,
  ReceiptSigned,
  Released,
  TermsOffered,
} from '../../src/core/session/messages.ts'
import { decodeTerms, encodeTerms, MAX_TERMS_BYTES } from '../../src/core/terms.ts'
import { readFlag, readSession, readSessionOrNone, writeFlag, writeSession, writeSessionOrNone } from './fields.ts'

/** The fields of each message that a payee sends, after the type byte, in the order of the table. @see SPEC.md section Messages */

export function writeTerms(writer: ByteWriter, message: TermsOffered): void {
  writer.bytes16(encodeTerms(message.terms), MAX_TERMS_BYTES).bytes(message.signature, SIGNATURE_BYTES)
  writeFlag(writer, message.head !== undefined)
  if (message.head !== undefined) writeHead(writer, message.head)
  writeMeter(writer.u96(message.total), message.acked).u96(message.credit)
}

export function readTerms(reader: ByteReader): TermsOffered {
  return {
    type: 'terms',
    terms: decodeTerms(reader.bytes16(MAX_TERMS_BYTES)),
    signature: reader.bytes(SIGNATURE_BYTES),
    head: readFlag(reader) ? readHead(reader) : undefined,
    total: readAmount(reader),
    acked: readMeter(reader),
    credit: readAmount(reader),
  }
}

export function writeReady(writer: ByteWriter, message: Ready): void {
  writeSession(writer, message.session).u96(message.credit)
}

export function readReady(reader: ByteReader): Ready {
  return { type: 'ready', session: readSession(reader), credit: readAmount(reader) }
}

export function writeReport(writer: ByteWriter, message: MeterReport): void {
  writeMeter(writeSession(writer, message.session), message.written).u96(message.paid).u96(message.credit)
  writeFlag(writer, message.paused)
}

export function readReport(reader: ByteReader): MeterReport {
  return {
    type: 'meter',
    session: readSession(reader),
    written: readMeter(reader),
    paid: readAmount(reader),
    credit: readAmount(reader),
    paused: readFlag(reader),
  }
}

export function writeCharge(writer: ByteWriter, message: Charge): void {
  writeSession(writer, message.session).u32(message.stream).u64(message.up).u64(message.calls).u64(message.units)
  writeFlag(writer, message.final)
}

export function readCharge(reader: ByteReader): Charge {
  return {
    type: 'charge',
    session: readSession(reader),
    stream: reader.u32(),
    up: reader.u64(),
    calls: reader.u64(),
    units: reader.u64(),
    final: readFlag(reader),
  }
}

export function writeClosing(writer: ByteWriter, message: Closing): void {
  writeSession(writer, message.session).u16(message.reason)
}

export function readClosing(reader: ByteReader): Closing {
  return { type: 'closing', session: readSession(reader), reason: reader.u16() }
}

export function writeReceipt(writer: ByteWriter, message: ReceiptSigned): void {
  const { receipt, signature } = message.receipt
  checkSame(message.session, receipt.session)
  writeSession(writer, message.session).bytes16(encodeReceipt(receipt), RECEIPT_BYTES).bytes(signature, SIGNATURE_BYTES)
}

export function readReceipt(reader: ByteReader): ReceiptSigned {
  const session = readSession(reader)
  const receipt = decodeReceipt(reader.bytes16(RECEIPT_BYTES))
  checkSame(session, receipt.session)
  return { type: 'receipt', session, receipt: { receipt, signature: reader.bytes(SIGNATURE_BYTES) } }
}

/** The message names its session twice. @throws TallyError MALFORMED when the two differ */
function checkSame(session: SessionId, signed: SessionId): void {
  if (session !== signed) throw new TallyError('MALFORMED', { message: 'the receipt is of another session than its message' })
}

export function writeReleased(writer: ByteWriter, message: Released): void {
  writeChannelId(writer, message.channel).u96(message.amount).u40(message.deadline).u24(message.epoch)
  writer.bytes(message.signature, SIGNATURE_BYTES)
}

export function readReleased(reader: ByteReader): Released {
  return {
    type: 'released',
    channel: readChannelId(reader),
    amount: readAmount(reader),
    deadline: readSeconds(reader),
    epoch: reader.u24(),
    signature: reader.bytes(SIGNATURE_BYTES),
  }
}

/** A fault is the one message that both sides send. */
export function writeFault(writer: ByteWriter, message: Fault): void {
  writeSessionOrNone(writer, message.session).u16(message.code)
}

export function readFault(reader: ByteReader): Fault {
  return { type: 'fault', session: readSessionOrNone(reader), code: reader.u16() }
}
