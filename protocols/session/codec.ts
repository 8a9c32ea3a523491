import { ByteReader, ByteWriter } from '../../src/core/bytes.ts'
import { asTallyError, ERRORS, TallyError } from '../../src/core/errors.ts'
import type { FromPayee, FromPayer, Message } from '../../src/core/session/messages.ts'
import * as payee from './from-payee.ts'
import * as payer from './from-payer.ts'
import { MAX_SESSION_FRAME_BYTES, MESSAGES, type MessageKind, type Sender } from './protocol.ts'

type Read<M> = (reader: ByteReader) => M
type Writers = { readonly [T in Message['type']]: (writer: ByteWriter, message: Extract<Message, { type: T }>) => void }

const WRITERS: Writers = {
  hello: payer.writeHello,
  terms: payee.writeTerms,
  restate: payer.writeRestate,
  accept: payer.writeSigned,
  ready: payee.writeReady,
  promise: payer.writePay,
  tick: payer.writeTick,
  ack: payer.writeAck,
  meter: payee.writeReport,
  close: payer.writeClose,
  closing: payee.writeClosing,
  receipt: payee.writeReceipt,
  countersign: payer.writeSigned,
  fault: payee.writeFault,
  release: payer.writeRelease,
  released: payee.writeReleased,
  charge: payee.writeCharge,
  agree: payer.writeAgree,
}

const PAYER_READERS: Readonly<Record<FromPayer['type'], Read<FromPayer>>> = {
  hello: payer.readHello,
  restate: payer.readRestate,
  accept: payer.readAccept,
  promise: payer.readPay,
  tick: payer.readTick,
  ack: payer.readAck,
  agree: payer.readAgree,
  close: payer.readClose,
  countersign: payer.readCountersign,
  release: payer.readRelease,
  fault: payee.readFault,
}

const PAYEE_READERS: Readonly<Record<FromPayee['type'], Read<FromPayee>>> = {
  terms: payee.readTerms,
  ready: payee.readReady,
  meter: payee.readReport,
  charge: payee.readCharge,
  closing: payee.readClosing,
  receipt: payee.readReceipt,
  released: payee.readReleased,
  fault: payee.readFault,
}

interface KnownType<M> extends MessageKind {
  readonly name: string
  /** undefined: the other side's message */
  readonly read: Read<M> | undefined
}

function typesFor<M>(readers: Readonly<Record<string, Read<M>>>): ReadonlyMap<number, KnownType<M>> {
  return new Map(Object.entries(MESSAGES).map(([name, kind]) => [kind.type, { ...kind, name, read: readers[name] }]))
}

const BY_PAYER = typesFor(PAYER_READERS)
const BY_PAYEE = typesFor(PAYEE_READERS)

// Messages are written here one after the other; whoever sends one has copied it before the next is written.
const shared = new ByteWriter(MAX_SESSION_FRAME_BYTES)

/**
 * A message as one frame, in memory that the next message is written to: copy it, or let it be copied, at once.
 *
 * @throws TallyError MALFORMED when a field is out of range, LOCKS_REFUSED, FRAME_TOO_LARGE above the size of its type
 */
export function encodeShared(message: Message): Uint8Array {
  const { type, maxBytes } = MESSAGES[message.type]
  const writer = shared.restart().u8(type)
  // The key is the message's own type, which the compiler cannot follow through the look-up.
  const write = WRITERS[message.type] as (writer: ByteWriter, message: Message) => void
  write(writer, message)
  if (writer.length > maxBytes) throw tooLarge(message.type, writer.length, maxBytes)
  return writer.written()
}

/** A message as one frame of its own. @throws TallyError as `encodeShared` */
export function encodeMessage(message: Message): Uint8Array {
  return encodeShared(message).slice()
}

/**
 * What a payer sent; undefined for an odd type that this version does not know.
 *
 * @throws TallyError MALFORMED, FRAME_TOO_LARGE, UNSUPPORTED (an unknown even type), WRONG_STATE (a message of payees), LOCKS_REFUSED
 */
export function decodeFromPayer(frame: Uint8Array): FromPayer | undefined {
  return decode(frame, 'payer', BY_PAYER)
}

/** What a payee sent; otherwise as `decodeFromPayer`. */
export function decodeFromPayee(frame: Uint8Array): FromPayee | undefined {
  return decode(frame, 'payee', BY_PAYEE)
}

function decode<M>(frame: Uint8Array, sender: Sender, types: ReadonlyMap<number, KnownType<M>>): M | undefined {
  if (frame.length > MAX_SESSION_FRAME_BYTES) throw tooLarge('frame', frame.length, MAX_SESSION_FRAME_BYTES)
  const reader = new ByteReader(frame)
  const type = reader.u8()
  const known = types.get(type)
  if (known === undefined) {
    if (type % 2 === 1) return undefined
    throw new TallyError('UNSUPPORTED', { message: `message type ${type} is not known`, fields: { type } })
  }
  if (known.read === undefined) {
    throw new TallyError('WRONG_STATE', { message: `a ${sender} never sends ${known.name}`, fields: { type, sender } })
  }
  if (frame.length > known.maxBytes) throw tooLarge(known.name, frame.length, known.maxBytes)
  try {
    const message = known.read(reader)
    reader.end()
    return message
  } catch (thrown) {
    throw forTheWire(asTallyError(thrown), known.name)
  }
}

/** A code without a number (a price or an amount that is none, say) means to a peer that its bytes break the specification. */
function forTheWire(error: TallyError, name: string): TallyError {
  if ('wire' in ERRORS[error.code] && error.code !== 'INTERNAL') return error
  return new TallyError('MALFORMED', { message: `${name} does not decode: ${error.message}`, cause: error })
}

function tooLarge(name: string, length: number, maxBytes: number): TallyError {
  return new TallyError('FRAME_TOO_LARGE', {
    message: `${name} of ${length} bytes; at most ${maxBytes}`,
    fields: { length, max_frame_bytes: maxBytes },
  })
}
