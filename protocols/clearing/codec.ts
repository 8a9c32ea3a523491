import type {
  ClearEntry,
  ClearingMessage,
  FromHopPayee,
  FromHopPayer,
  HeldLink,
  OnwardHop,
} from '../../src/core/accountant/messages.ts'
import { readAmount } from '../../src/core/amount.ts'
import { ByteReader, ByteWriter } from '../../src/core/bytes.ts'
import { SIGNATURE_BYTES } from '../../src/core/crypto/secp256k1.ts'
import { asTallyError, ERRORS, TallyError } from '../../src/core/errors.ts'
import { type Hash32, readAddress, readHash32, readSeconds, writeAddress, writeHash32 } from '../../src/core/ids.ts'
import { MAX_LOCKS, MAX_STEPS, WORD_BYTES } from '../../src/core/lock.ts'
import { readPromise, writePromise } from '../../src/core/promise.ts'
import { CLEARING_MESSAGES, type HopEnd, MAX_CLEARING_FRAME_BYTES, MAX_ONWARD_HOPS } from './protocol.ts'

const PEER_BYTES = 33
/** In a fault the anchor of no link: the whole stream is meant. */
const NO_ANCHOR = `0x${'0'.repeat(64)}` as Hash32
const MILLION = 1_000_000

type Kind = ClearingMessage['type']
type Of<T extends Kind> = Extract<ClearingMessage, { type: T }>
interface Form<T extends Kind> {
  readonly write: (writer: ByteWriter, message: Of<T>) => void
  readonly read: (reader: ByteReader) => Of<T>
}

/** The fields of each message after the type byte, in the order of the table. @see SPEC.md section 2 */
const FORMS: { readonly [T in Kind]: Form<T> } = {
  open: {
    write: (writer, { owner, token }) => writeAddress(writeAddress(writer, owner), token),
    read: (reader) => ({ type: 'open', ...readChannel(reader) }),
  },
  held: {
    write: (writer, { owner, token, promise, links }) => {
      if (links.length !== (promise?.locks.length ?? 0)) throw malformed('a link goes with each lock')
      writeFlag(writeAddress(writeAddress(writer, owner), token), promise !== undefined)
      if (promise !== undefined) writePromise(writer, promise)
      writer.u8(links.length)
      for (const link of links) writeHeldLink(writer, link)
    },
    read: (reader) => {
      const channel = readChannel(reader)
      const promise = readFlag(reader) ? readPromise(reader) : undefined
      const links = readList(reader, MAX_LOCKS, readHeldLink)
      if (links.length !== (promise?.locks.length ?? 0)) throw malformed('a link goes with each lock')
      return { type: 'held', ...channel, promise, links }
    },
  },
  ask: {
    write: (writer, { token }) => writeAddress(writer, token),
    read: (reader) => ({ type: 'ask', token: readAddress(reader) }),
  },
  tariff: {
    write: (writer, { token, tariff }) => {
      if (tariff.share > MILLION) throw malformed('a share above the whole')
      writeFlag(writeAddress(writer, token), tariff.forwards)
      writer.u96(tariff.perStep).u32(tariff.share).u96(tariff.rent).u32(tariff.longestS).u32(tariff.marginS)
    },
    read: (reader) => {
      const token = readAddress(reader)
      const tariff = {
        forwards: readFlag(reader), perStep: readAmount(reader), share: reader.u32(), rent: readAmount(reader),
        longestS: reader.u32(), marginS: reader.u32(),
      } // biome-ignore format: a record
      if (tariff.share > MILLION) throw malformed('a share above the whole')
      return { type: 'tariff', token, tariff }
    },
  },
  link: {
    write: (writer, { owner, token, consumer, promise, hops }) => {
      writePromise(writeAddress(writeAddress(writeAddress(writer, owner), token), consumer), promise)
      checkHops(promise.locks.length, hops)
      writer.u8(hops.length)
      for (const hop of hops) writeHop(writer, hop)
    },
    read: (reader) => {
      const channel = readChannel(reader)
      const consumer = readAddress(reader)
      const promise = readPromise(reader)
      const hops = readList(reader, MAX_ONWARD_HOPS, readHop)
      checkHops(promise.locks.length, hops)
      return { type: 'link', ...channel, consumer, promise, hops }
    },
  },
  taken: {
    write: (writer, { anchor }) => writeAnchor(writer, anchor),
    read: (reader) => ({ type: 'taken', anchor: readAnchor(reader) }),
  },
  grant: {
    write: (writer, { anchor, owner, signer, signature }) =>
      writeAddress(writeAddress(writeAnchor(writer, anchor), owner), signer).bytes(signature, SIGNATURE_BYTES),
    read: (reader) => ({
      type: 'grant', anchor: readAnchor(reader), owner: readAddress(reader), signer: readAddress(reader),
      signature: reader.bytes(SIGNATURE_BYTES),
    }), // biome-ignore format: a record
  },
  clear: {
    write: (writer, { owner, token, entries }) => {
      writeAddress(writeAddress(writer, owner), token).u8(checkCount(entries.length))
      for (const entry of entries) writeEntry(writer, entry)
    },
    read: (reader) => {
      const channel = readChannel(reader)
      const entries = readList(reader, MAX_LOCKS, readEntry)
      checkCount(entries.length)
      return { type: 'clear', ...channel, entries }
    },
  },
  fold: {
    write: (writer, { owner, token, promise }) => writePromise(writeAddress(writeAddress(writer, owner), token), promise),
    read: (reader) => ({ type: 'fold', ...readChannel(reader), promise: readPromise(reader) }),
  },
  stored: {
    write: (writer, { signature }) => writer.bytes(signature, SIGNATURE_BYTES),
    read: (reader) => ({ type: 'stored', signature: reader.bytes(SIGNATURE_BYTES) }),
  },
  fault: {
    write: (writer, { anchor, code }) => writeHash32(writer, anchor ?? NO_ANCHOR).u16(code),
    read: (reader) => {
      const anchor = readHash32(reader)
      return { type: 'fault', anchor: anchor === NO_ANCHOR ? undefined : anchor, code: reader.u16() }
    },
  },
}

const KINDS = new Map(
  Object.entries(CLEARING_MESSAGES).map(([name, kind]) => [kind.type as number, { ...kind, name: name as Kind }]),
)

/**
 * A message as one frame.
 *
 * @throws TallyError MALFORMED when a field is out of range, LOCKS_REFUSED
 */
export function encodeClearing(message: ClearingMessage): Uint8Array {
  const { type, maxBytes } = CLEARING_MESSAGES[message.type]
  const writer = new ByteWriter(Math.min(maxBytes, 256)).u8(type)
  // The key is the message's own type, which the compiler cannot follow through the look-up.
  const { write } = FORMS[message.type] as unknown as Form<Kind>
  write(writer, message as never)
  return writer.finish()
}

/**
 * What the payer of a hop sent; undefined for an odd type that this version does not know.
 *
 * @throws TallyError MALFORMED, FRAME_TOO_LARGE, UNSUPPORTED (an unknown even type), WRONG_STATE (a message of payees), LOCKS_REFUSED
 */
export function decodeFromHopPayer(frame: Uint8Array): FromHopPayer | undefined {
  return decode(frame, 'payer') as FromHopPayer | undefined
}

/** What the payee of a hop sent; otherwise as `decodeFromHopPayer`. */
export function decodeFromHopPayee(frame: Uint8Array): FromHopPayee | undefined {
  return decode(frame, 'payee') as FromHopPayee | undefined
}

function decode(frame: Uint8Array, sender: HopEnd): ClearingMessage | undefined {
  if (frame.length > MAX_CLEARING_FRAME_BYTES) throw tooLarge('frame', frame.length, MAX_CLEARING_FRAME_BYTES)
  const reader = new ByteReader(frame)
  const type = reader.u8()
  const kind = KINDS.get(type)
  if (kind === undefined) {
    if (type % 2 === 1) return undefined
    throw new TallyError('UNSUPPORTED', { message: `message type ${type} is not known`, fields: { type } })
  }
  if (kind.by !== 'both' && kind.by !== sender)
    throw new TallyError('WRONG_STATE', { message: `a ${sender} never sends ${kind.name}`, fields: { type, sender } })
  if (frame.length > kind.maxBytes) throw tooLarge(kind.name, frame.length, kind.maxBytes)
  try {
    const message = FORMS[kind.name].read(reader)
    reader.end()
    return message
  } catch (thrown) {
    throw forTheWire(asTallyError(thrown), kind.name)
  }
}

function readChannel(reader: ByteReader) {
  return { owner: readAddress(reader), token: readAddress(reader) }
}

/** A list with its count in front. @throws TallyError MALFORMED above `most` */
function readList<T>(reader: ByteReader, most: number, read: (reader: ByteReader) => T): T[] {
  const count = reader.u8()
  if (count > most) throw malformed(`${count} where at most ${most} belong`)
  return Array.from({ length: count }, () => read(reader))
}

function writeHeldLink(writer: ByteWriter, { anchor, steps, folded, known, word, freed }: HeldLink): void {
  checkKnown(steps, folded, known)
  writeFlag(writeAnchor(writer, anchor).u16(steps).u16(folded).u16(known).bytes(word, WORD_BYTES), freed)
}

function readHeldLink(reader: ByteReader): HeldLink {
  const anchor = readAnchor(reader)
  const [steps, folded, known] = [reader.u16(), reader.u16(), reader.u16()]
  checkKnown(steps, folded, known)
  return { anchor, steps, folded, known, word: reader.bytes(WORD_BYTES), freed: readFlag(reader) }
}

function checkKnown(steps: number, folded: number, known: number): void {
  if (steps < 1 || steps > MAX_STEPS || folded >= steps || known < folded || known > steps)
    throw malformed(`${folded} folded and ${known} known of ${steps} steps`)
}

function writeEntry(writer: ByteWriter, { anchor, known, word, free }: ClearEntry): void {
  if (known > MAX_STEPS) throw malformed(`${known} steps`)
  writeFlag(writeAnchor(writer, anchor).u16(known).bytes(word, WORD_BYTES), free)
}

function readEntry(reader: ByteReader): ClearEntry {
  const entry = { anchor: readAnchor(reader), known: reader.u16(), word: reader.bytes(WORD_BYTES), free: readFlag(reader) }
  if (entry.known > MAX_STEPS) throw malformed(`${entry.known} steps`)
  return entry
}

function checkCount(count: number): number {
  if (count < 1 || count > MAX_LOCKS) throw malformed(`a clear of ${count} links`)
  return count
}

function writeHop(writer: ByteWriter, { peer, unit, rent, expiry }: OnwardHop): void {
  writer.bytes(peer, PEER_BYTES).u96(unit).u96(rent).u40(expiry)
}

function readHop(reader: ByteReader): OnwardHop {
  return { peer: reader.bytes(PEER_BYTES), unit: readAmount(reader), rent: readAmount(reader), expiry: readSeconds(reader) }
}

/** F4, and that a link brings a lock. */
function checkHops(locks: number, hops: readonly OnwardHop[]): void {
  if (locks === 0) throw malformed('a link without a lock')
  if (hops.length > MAX_ONWARD_HOPS) throw malformed(`${hops.length} onward hops; at most ${MAX_ONWARD_HOPS}`)
  for (const { peer, unit } of hops)
    if ((peer[0] !== 2 && peer[0] !== 3) || unit === 0n) throw malformed('an onward hop without a peer or a unit')
  if (hops.at(-1)?.rent) throw malformed('a provider takes no rent')
}

function readAnchor(reader: ByteReader): Hash32 {
  return checkAnchor(readHash32(reader))
}

function writeAnchor(writer: ByteWriter, anchor: Hash32): ByteWriter {
  return writeHash32(writer, checkAnchor(anchor))
}

function checkAnchor(anchor: Hash32): Hash32 {
  if (anchor === NO_ANCHOR) throw malformed('an anchor of all zeros')
  return anchor
}

function readFlag(reader: ByteReader): boolean {
  const flags = reader.u8()
  if (flags > 1) throw malformed('a reserved flag is set')
  return flags === 1
}

const writeFlag = (writer: ByteWriter, flag: boolean): ByteWriter => writer.u8(flag ? 1 : 0)

function malformed(message: string): TallyError {
  return new TallyError('MALFORMED', { message })
}

/** A code without a number means to a peer that its bytes break the specification. */
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
