/** How the desks' records look on disk. Every value is read back strictly: what does not decode is damage, not a default. */
import { type Amount, readAmount } from '../core/amount.ts'
import { type ByteReader, ByteWriter } from '../core/bytes.ts'
import type { ChannelFacts, ChannelIn, ChannelOut } from '../core/channel.ts'
import { newOwner, type OwnerAccount, type Pool } from '../core/credit.ts'
import { codeOfWire, TallyError } from '../core/errors.ts'
import { type Head, readHead, writeHead } from '../core/head.ts'
import {
  type ChannelParties,
  channelId,
  readAddress,
  readHash32,
  readSeconds,
  readSessionId,
  writeAddress,
  writeHash32,
  writeSessionId,
} from '../core/ids.ts'
import { readMeter, writeMeter, ZERO_METER } from '../core/meter.ts'
import { readChunk, readPrice, writeChunk, writePrice } from '../core/price.ts'
import { readPromise, type SignedPromise, writePromise } from '../core/promise.ts'
import { decodeReceipt, encodeReceipt, RECEIPT_BYTES, type SignedReceipt } from '../core/receipt.ts'
import { NO_COUNT_FLOWS, NO_COUNTS } from '../core/session/counts.ts'
import { ackedOf, flowOf } from '../core/session/flow.ts'
import { BYTE, type PayeeSession, writtenMeter } from '../core/session/payee.ts'
import { type PayerSession, usedMeter } from '../core/session/payer.ts'
import type { Wish } from '../core/session/payer-terms.ts'
import { decodeTerms, encodeTerms, MAX_TERMS_BYTES, type Terms } from '../core/terms.ts'
import { readAgreed, readCharged, writeAgreed, writeCharged } from './count-codecs.ts'

/** A record's bytes, without version and checksum. */
export interface RecordCodec<T> {
  write(writer: ByteWriter, value: T): void
  read(reader: ByteReader): T
}

const SIGNATURE = 65
const flagged = (reader: ByteReader): boolean => {
  const value = reader.u8()
  if (value > 1) throw new TallyError('MALFORMED', { message: 'a flag that is neither 0 nor 1' })
  return value === 1
}
function writeOptional<T>(writer: ByteWriter, value: T | undefined, write: (writer: ByteWriter, value: T) => unknown): void {
  if (value === undefined) writer.u8(0)
  else write(writer.u8(1), value)
}
const readOptional = <T>(reader: ByteReader, read: (reader: ByteReader) => T): T | undefined =>
  flagged(reader) ? read(reader) : undefined
const writeSignature = (writer: ByteWriter, value: Uint8Array): unknown => writer.bytes(value, SIGNATURE)
const readSignature = (reader: ByteReader): Uint8Array => reader.bytes(SIGNATURE)

function writeParties(writer: ByteWriter, parties: ChannelParties): void {
  for (const one of [parties.owner, parties.signer, parties.target, parties.token]) writeAddress(writer, one)
}
function readParties(reader: ByteReader): ChannelParties {
  return { owner: readAddress(reader), signer: readAddress(reader), target: readAddress(reader), token: readAddress(reader) }
}

function writeFacts(writer: ByteWriter, facts: ChannelFacts): void {
  writer.u96(facts.deposit).u96(facts.settled).u40(facts.expiry).u24(facts.epoch)
}
function readFacts(reader: ByteReader): ChannelFacts {
  return { deposit: readAmount(reader), settled: readAmount(reader), expiry: readSeconds(reader), epoch: reader.u24() }
}

export const channelInCodec: RecordCodec<ChannelIn> = {
  write(writer, channel) {
    writeParties(writer, channel.parties)
    writeFacts(writer, channel.facts)
    writeOptional<Head>(writer, channel.best, writeHead)
    writeOptional(writer, channel.frozen, (to, frozen) => to.u40(frozen.until).u24(frozen.epoch))
    writeOptional(writer, channel.pending, (to, pending) => to.u96(pending.credit).u96(pending.deposit))
    writer.u96(channel.uncovered ?? 0n)
  },
  read(reader) {
    const channel = readChannelIn(reader)
    const pending = readOptional(reader, (from) => ({ credit: readAmount(from), deposit: readAmount(from) }))
    const uncovered = readAmount(reader)
    return { ...channel, ...(pending !== undefined && { pending }), ...(uncovered > 0n && { uncovered }) }
  },
}

/** A record of version 1 or 2: nothing was given on what is not confirmed. One of version 1 has no chains; there it reads the same. */
export function readChannelIn(reader: ByteReader): ChannelIn {
  const parties = readParties(reader)
  const facts = readFacts(reader)
  const best = readOptional(reader, readHead)
  const frozen = readOptional(reader, (from) => ({ until: readSeconds(from), epoch: from.u24() }))
  return { id: channelId(parties), parties, facts, best, frozen }
}

export const channelOutCodec: RecordCodec<ChannelOut> = {
  write(writer, channel) {
    writeParties(writer, channel.parties)
    writeFacts(writer, channel.facts)
    writer.u96(channel.reserved).u96(channel.at).u96(channel.unconfirmed).u96(channel.forgotten)
    const { drift } = channel
    writer
      .u8(drift < 0n ? 1 : 0)
      .u96(drift < 0n ? -drift : drift)
      .u8(channel.abandoned ? 1 : 0)
    writeOptional<SignedPromise>(writer, channel.last, writePromise)
  },
  read(reader) {
    const parties = readParties(reader)
    const facts = readFacts(reader)
    const reserved = readAmount(reader)
    const at = readAmount(reader)
    const unconfirmed = readAmount(reader)
    // up to the mark may have been signed after this record was written
    const forgotten = (reader.u96() + (reserved > at ? reserved - at : 0n)) as Amount
    const short = flagged(reader)
    const apart = reader.u96()
    const abandoned = flagged(reader)
    return {
      id: channelId(parties),
      parties,
      facts,
      reserved,
      at,
      head: undefined,
      unconfirmed,
      forgotten,
      drift: short ? -apart : apart,
      abandoned,
      last: readOptional(reader, readPromise),
    }
  },
}

export const ownerCodec: RecordCodec<OwnerAccount> = {
  write(writer, account) {
    writeAddress(writer, account.owner)
    writeAddress(writer, account.token)
    writer.u96(account.paid).u96(account.debt).u96(account.burnt).u96(account.grant)
    writeMeter(writer, account.had)
  },
  read: (reader) => ({ ...readOwner(reader), had: readMeter(reader) }),
}

/** A record of version 1: nothing was given for nothing. */
export function readOwner(reader: ByteReader): OwnerAccount {
  const account = newOwner(readAddress(reader), readAddress(reader))
  return { ...account, paid: reader.u96(), debt: readAmount(reader), burnt: readAmount(reader), grant: readAmount(reader) }
}

export const poolCodec: RecordCodec<Pool> = {
  write: (writer, pool) => void writer.u32(pool.hour).u96(pool.left),
  read: (reader) => ({ hour: reader.u32(), left: readAmount(reader) }),
}

// Terms never change, and a session is written again with each of its payments: their bytes are made once.
const termsBytes = new WeakMap<Terms, Uint8Array>()
function writeTerms(writer: ByteWriter, terms: Terms): void {
  const bytes = termsBytes.get(terms) ?? encodeTerms(terms)
  termsBytes.set(terms, bytes)
  writer.bytes16(bytes, MAX_TERMS_BYTES)
}
const readTerms = (reader: ByteReader): Terms => decodeTerms(reader.bytes16(MAX_TERMS_BYTES))
const writeSignedReceipt = (writer: ByteWriter, signed: SignedReceipt): unknown =>
  writeSignature(writer.bytes(encodeReceipt(signed.receipt), RECEIPT_BYTES), signed.signature)
const readSignedReceipt = (reader: ByteReader): SignedReceipt => ({
  receipt: decodeReceipt(reader.bytes(RECEIPT_BYTES)),
  signature: readSignature(reader),
})

const PAYEE_STATES = ['offered', 'live', 'closing', 'cut', 'closed'] as const
const PAYER_STATES = ['asked', 'starting', 'live', 'closing', 'cut', 'closed'] as const
function stateOf<T extends string>(states: readonly T[], index: number): T {
  const state = states[index]
  if (state === undefined) throw new TallyError('MALFORMED', { message: `no state ${index}` })
  return state
}

/** What the payee's session remembers. Byte counts are folded: streams do not outlive the process, what they had written does. */
export const payeeSessionCodec: RecordCodec<PayeeSession> = {
  write(writer, session) {
    writer.u8(PAYEE_STATES.indexOf(session.status))
    writeTerms(writer, session.terms)
    writeHash32(writer, session.termsDigest)
    writeSignature(writer, session.termsSignature)
    writeOptional(writer, session.payerSignature, writeSignature)
    writer.u96(session.total).u96(session.paid)
    const written = writtenMeter(session)
    writer
      .u64(ackedOf(session.flow))
      .u64(written.down)
      .u64(session.flow.lost)
      .u64(session.ms)
      .u64(session.ackedMs)
      .u16(session.closeReason)
    writeOptional(writer, session.receipt, writeSignedReceipt)
    writeOptional(writer, session.countersignature, writeSignature)
    writeCharged(writer, session.counts, session.held)
  },
  read: (reader) => ({ ...readPayeeSession(reader), counts: readCharged(reader) }),
}

/** A record of version 1: only bytes and time were counted. */
export function readPayeeSession(reader: ByteReader): PayeeSession {
  const status = stateOf(PAYEE_STATES, reader.u8())
  const terms = readTerms(reader)
  const termsDigest = readHash32(reader)
  const termsSignature = readSignature(reader)
  const payerSignature = readOptional(reader, readSignature)
  const total = readAmount(reader)
  const paid = readAmount(reader)
  const done = reader.u64()
  const written = reader.u64()
  const lost = reader.u64()
  const ms = reader.u64()
  const ackedMs = reader.u64()
  const closeReason = reader.u16()
  const receipt = readOptional(reader, readSignedReceipt)
  const countersignature = readOptional(reader, readSignature)
  return {
      id: terms.session, status, terms, termsDigest, termsSignature, payerSignature, total, paid, flow: flowOf(done, written, lost),
      counts: NO_COUNT_FLOWS, held: NO_COUNTS, unsaid: new Map(), ms, ackedMs, paused: false, want: BYTE, waitingSince: undefined, at: 0, stopping: undefined, closeReason, receipt, countersignature,
    } // biome-ignore format: a record
}

// a wish does not change either
const wishBytes = new WeakMap<Wish, Uint8Array>()
function writeWish(writer: ByteWriter, wish: Wish): void {
  let bytes = wishBytes.get(wish)
  if (bytes === undefined) {
    const own = new ByteWriter(256)
    writeWishFields(own, wish)
    bytes = own.finish()
    wishBytes.set(wish, bytes)
  }
  writer.bytes(bytes, bytes.length)
}

function writeWishFields(writer: ByteWriter, wish: Wish): void {
  writer.str8(wish.service, 64).bytes16(wish.inputs, 1024)
  for (const one of [wish.owner, wish.signer, wish.provider, wish.token]) writeAddress(writer, one)
  writeChunk(writePrice(writer, wish.offered.price), wish.offered.chunk).u64(wish.offered.sequence)
  writeOptional(writer, wish.maxPrice, writePrice)
  writer.u96(wish.budget).u96(wish.limitAtRisk).u96(wish.owed)
  writeOptional(writer, wish.expect, (to, expect) => to.u64(expect))
}

function readWish(reader: ByteReader): Wish {
  const service = reader.str8(64)
  const inputs = reader.bytes16(1024)
  const [owner, signer, provider, token] = [readAddress(reader), readAddress(reader), readAddress(reader), readAddress(reader)]
  const offered = { price: readPrice(reader), chunk: readChunk(reader), sequence: reader.u64() }
  const maxPrice = readOptional(reader, readPrice)
  const [budget, limitAtRisk, owed] = [readAmount(reader), readAmount(reader), readAmount(reader)]
  return {
    service,
    inputs,
    owner,
    signer,
    provider,
    token,
    offered,
    maxPrice,
    budget,
    limitAtRisk,
    owed,
    expect: readOptional(reader, (from) => from.u64()),
  }
}

/** What the payer's session remembers. */
export const payerSessionCodec: RecordCodec<PayerSession> = {
  write(writer, session) {
    writer.u8(PAYER_STATES.indexOf(session.status)).u8(session.stale ? 1 : 0)
    writeSessionId(writer, session.id)
    writeWish(writer, session.wish)
    writeOptional<Terms>(writer, session.terms, writeTerms)
    writeOptional(writer, session.termsDigest, writeHash32)
    writeOptional(writer, session.termsSignature, writeSignature)
    const used = usedMeter(session)
    writer.u96(session.total).u96(session.paid).u64(used.down).u64(used.ms).u96(session.credit)
    writeOptional(writer, session.finishing, (to, reason) => to.u16(reason))
    writeOptional(writer, session.receipt, writeSignedReceipt)
    writeOptional(writer, session.failure, (to, code) => to.u16(new TallyError(code).wire))
    writeAgreed(writer, session.counts)
  },
  read: (reader) => ({ ...readPayerSession(reader), counts: readAgreed(reader) }),
}

/** A record of version 1: only bytes and time were counted. */
export function readPayerSession(reader: ByteReader): PayerSession {
  const status = stateOf(PAYER_STATES, reader.u8())
  const wasStale = flagged(reader)
  const id = readSessionId(reader)
  const wish = readWish(reader)
  const terms = readOptional(reader, readTerms)
  const termsDigest = readOptional(reader, readHash32)
  const termsSignature = readOptional(reader, readSignature)
  const [total, paid] = [readAmount(reader), readAmount(reader)]
  const used = reader.u64()
  const ms = reader.u64()
  const credit = readAmount(reader)
  const finishing = readOptional(reader, (from) => from.u16())
  const receipt = readOptional(reader, readSignedReceipt)
  const failure = readOptional(reader, (from) => codeOfWire(from.u16()) ?? ('INTERNAL' as const))
  return {
      id, status, wish, terms, termsDigest, termsSignature, total, paid, flow: flowOf(used, used, 0n), counts: NO_COUNT_FLOWS, most: new Map(),
      ms, saidMs: ms, at: 0, credit, paused: false, waiting: false, written: ZERO_METER,
      // a session that went on after this record was made may have sent what is not in it
      stirred: 0, stale: wasStale || (status !== 'closed' && status !== 'cut'), reserving: undefined, finishing, receipt, failure,
    } // biome-ignore format: a record
}
