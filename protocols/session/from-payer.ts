import { readAmount } from '../../src/core/amount.ts'
import type { ByteReader, ByteWriter } from '../../src/core/bytes.ts'
import { SIGNATURE_BYTES } from '../../src/core/crypto/secp256k1.ts'
import { TallyError } from '../../src/core/errors.ts'
import { SALT_BYTES } from '../../src/core/head.ts'
import { readAddress, writeAddress } from '../../src/core/ids.ts'
import { WORD_BYTES } from '../../src/core/lock.ts'
import { readMeter, writeMeter } from '../../src/core/meter.ts'
import { readPromise, writePromise } from '../../src/core/promise.ts'
import type {
  Accept,
  Ack,
  Agree,
  Close,
  Countersign,
  Hello,
  Pay,
  Release,
  Restate,
  Tick,
} from '../../src/core/session/messages.ts'
import { checkService, readFlag, readSession, writeFlag, writeSession } from './fields.ts'
import { MAX_INPUT_BYTES, MAX_SERVICE_BYTES } from './protocol.ts'

/** The fields of each message that a payer sends, after the type byte, in the order of the table. @see SPEC.md section Messages */

export function writeHello(writer: ByteWriter, message: Hello): void {
  writeFlag(writeSession(writer, message.session), message.resume)
  writeAddress(writeAddress(writer, message.owner), message.token)
  writer.str8(checkService(message.service), MAX_SERVICE_BYTES).bytes16(message.inputs, MAX_INPUT_BYTES).u96(message.signed)
  writeMeter(writer, message.acked)
}

export function readHello(reader: ByteReader): Hello {
  return {
    type: 'hello',
    session: readSession(reader),
    resume: readFlag(reader),
    owner: readAddress(reader),
    token: readAddress(reader),
    service: checkService(reader.str8(MAX_SERVICE_BYTES)),
    inputs: reader.bytes16(MAX_INPUT_BYTES),
    signed: readAmount(reader),
    acked: readMeter(reader),
  }
}

export function writeRestate(writer: ByteWriter, message: Restate): void {
  writePromise(writeSession(writer, message.session), message.promise)
}

export function readRestate(reader: ByteReader): Restate {
  return { type: 'restate', session: readSession(reader), promise: readPromise(reader) }
}

/** Accept and countersign: a session and the payer's signature. */
export function writeSigned(writer: ByteWriter, message: Accept | Countersign): void {
  writeSession(writer, message.session).bytes(message.signature, SIGNATURE_BYTES)
}

export function readAccept(reader: ByteReader): Accept {
  return { type: 'accept', session: readSession(reader), signature: reader.bytes(SIGNATURE_BYTES) }
}

export function readCountersign(reader: ByteReader): Countersign {
  return { type: 'countersign', session: readSession(reader), signature: reader.bytes(SIGNATURE_BYTES) }
}

export function writePay(writer: ByteWriter, message: Pay): void {
  const { promise, salt } = message
  writePromise(writeSession(writer, message.session).u96(message.total), promise)
  if ((salt === undefined) !== (promise.locks.length === 0))
    throw new TallyError('MALFORMED', { message: 'a salt goes with a lock' })
  if (salt !== undefined) writer.bytes(salt, SALT_BYTES)
}

export function readPay(reader: ByteReader): Pay {
  const pay = { type: 'promise', session: readSession(reader), total: readAmount(reader), promise: readPromise(reader) } as const
  return pay.promise.locks.length === 0 ? pay : { ...pay, salt: reader.bytes(SALT_BYTES) }
}

export function writeTick(writer: ByteWriter, message: Tick): void {
  writeSession(writer, message.session).u16(message.k).bytes(message.word, WORD_BYTES)
}

export function readTick(reader: ByteReader): Tick {
  return { type: 'tick', session: readSession(reader), k: reader.u16(), word: reader.bytes(WORD_BYTES) }
}

export function writeAck(writer: ByteWriter, message: Ack): void {
  writeFlag(writeSession(writer, message.session).u32(message.stream).u64(message.bytes).u64(message.ms), message.final)
}

export function readAck(reader: ByteReader): Ack {
  return {
    type: 'ack',
    session: readSession(reader),
    stream: reader.u32(),
    bytes: reader.u64(),
    ms: reader.u64(),
    final: readFlag(reader),
  }
}

export function writeAgree(writer: ByteWriter, message: Agree): void {
  writeSession(writer, message.session).u32(message.stream).u64(message.up).u64(message.calls).u64(message.units)
}

export function readAgree(reader: ByteReader): Agree {
  return {
    type: 'agree',
    session: readSession(reader),
    stream: reader.u32(),
    up: reader.u64(),
    calls: reader.u64(),
    units: reader.u64(),
  }
}

export function writeClose(writer: ByteWriter, message: Close): void {
  writeMeter(writeSession(writer, message.session).u96(message.total), message.acked).u16(message.reason)
}

export function readClose(reader: ByteReader): Close {
  return {
    type: 'close',
    session: readSession(reader),
    total: readAmount(reader),
    acked: readMeter(reader),
    reason: reader.u16(),
  }
}

export function writeRelease(writer: ByteWriter, message: Release): void {
  writeAddress(writeAddress(writer, message.owner), message.token).u96(message.amount).u24(message.epoch)
}

export function readRelease(reader: ByteReader): Release {
  return {
    type: 'release',
    owner: readAddress(reader),
    token: readAddress(reader),
    amount: readAmount(reader),
    epoch: reader.u24(),
  }
}
