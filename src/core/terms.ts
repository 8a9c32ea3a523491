/**
 * Terms: the offer's prices, pinned and signed for one session.
 * @see protocols/session/SPEC.md section Terms, receipt
 */
import { type Amount, readAmount } from './amount.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import { recoverAddress, type Sign } from './crypto/secp256k1.ts'
import {
  addressWord,
  bytesWord,
  type Digest,
  type Domain,
  digestOf,
  fixedWord,
  structDigest,
  textWord,
  typeHash,
  uintWord,
} from './eip712.ts'
import { TallyError } from './errors.ts'
import {
  type Address,
  type ChannelParties,
  readAddress,
  readSeconds,
  readSessionId,
  type Seconds,
  type SessionId,
  sessionIdToBytes,
  writeAddress,
  writeSessionId,
} from './ids.ts'
import { isServiceName } from './offer.ts'
import {
  CHUNK_BYTES,
  type Chunk,
  encodeChunk,
  encodePrice,
  MAX_PRICE_BYTES,
  type Price,
  readChunk,
  readPrice,
  writeChunk,
  writePrice,
} from './price.ts'

/** What one session costs and who is in it. Signed by the provider, countersigned by the signer of the channel. */
export interface Terms {
  readonly session: SessionId
  readonly owner: Address
  readonly signer: Address
  /** the target of the channel */
  readonly provider: Address
  readonly token: Address
  readonly service: string
  /** sequence of the offer that price and chunk are drawn from, u64 */
  readonly offerSequence: bigint
  readonly price: Price
  readonly chunk: Chunk
  /** what the owner still owes from before; part of what is due in this session, base units */
  readonly arrears: Amount
  /** how long the provider waits for a payment, ms, u32 */
  readonly patienceMs: number
  readonly opened: Seconds
  readonly expiry: Seconds
  /** what the service says of the thing that is sold, in its own words; at most 1,024 bytes */
  readonly content: Uint8Array
}

/** The most that a service may say of what is sold, in bytes. */
export const MAX_CONTENT_BYTES = 1024

const MAX_SERVICE_BYTES = 64

/** The longest encoded terms, in bytes. */
export const MAX_TERMS_BYTES =
  16 + 4 * 20 + 1 + MAX_SERVICE_BYTES + 8 + MAX_PRICE_BYTES + CHUNK_BYTES + 12 + 4 + 5 + 5 + 2 + MAX_CONTENT_BYTES

const TERMS_TYPE = typeHash(
  'Terms(bytes16 session,address owner,address signer,address provider,address token,string service,uint64 offerSequence,' +
    'bytes price,bytes chunk,uint96 arrears,uint32 patienceMs,uint40 opened,uint40 expiry,bytes content)',
)

/** The channel that pays for the session. */
export function termsChannel({ owner, signer, provider, token }: Terms): ChannelParties {
  return { owner, signer, target: provider, token }
}

/** What both ends sign. @throws TallyError MALFORMED for a field out of its range */
export function termsDigest(domain: Domain, terms: Terms): Digest {
  return digestOf(
    structDigest(domain, TERMS_TYPE, [
      fixedWord(sessionIdToBytes(terms.session)),
      addressWord(terms.owner),
      addressWord(terms.signer),
      addressWord(terms.provider),
      addressWord(terms.token),
      textWord(terms.service),
      uintWord(terms.offerSequence, 64),
      bytesWord(encodePrice(terms.price)),
      bytesWord(encodeChunk(terms.chunk)),
      uintWord(terms.arrears, 96),
      uintWord(terms.patienceMs, 32),
      uintWord(terms.opened, 40),
      uintWord(terms.expiry, 40),
      bytesWord(terms.content),
    ]),
  )
}

/** The signature of the provider, or of the channel's signer: both sign the same, 65 bytes. @throws TallyError as `termsDigest` */
export function signTerms(domain: Domain, terms: Terms, sign: Sign): Uint8Array {
  return sign(termsDigest(domain, terms).bytes)
}

/** Whether this is the canonical signature of `by` on the terms. @throws TallyError as `termsDigest` */
export function verifyTerms(domain: Domain, terms: Terms, signature: Uint8Array, by: Address): boolean {
  return recoverAddress(termsDigest(domain, terms).bytes, signature) === by
}

/** Appends the fields in the order of the signed type. @throws TallyError MALFORMED beyond a limit or for a service without a name */
export function writeTerms(writer: ByteWriter, terms: Terms): ByteWriter {
  checkService(terms.service)
  writeSessionId(writer, terms.session)
  for (const address of [terms.owner, terms.signer, terms.provider, terms.token]) writeAddress(writer, address)
  writer.str8(terms.service, MAX_SERVICE_BYTES).u64(terms.offerSequence)
  writeChunk(writePrice(writer, terms.price), terms.chunk).u96(terms.arrears).u32(terms.patienceMs)
  return writer.u40(terms.opened).u40(terms.expiry).bytes16(terms.content, MAX_CONTENT_BYTES)
}

/** The next bytes as terms; no signature is checked. @throws TallyError MALFORMED for anything that `writeTerms` would not have written */
export function readTerms(reader: ByteReader): Terms {
  const terms: Terms = {
    session: readSessionId(reader),
    owner: readAddress(reader),
    signer: readAddress(reader),
    provider: readAddress(reader),
    token: readAddress(reader),
    service: reader.str8(MAX_SERVICE_BYTES),
    offerSequence: reader.u64(),
    price: readPrice(reader),
    chunk: readChunk(reader),
    arrears: readAmount(reader),
    patienceMs: reader.u32(),
    opened: readSeconds(reader),
    expiry: readSeconds(reader),
    content: reader.bytes16(MAX_CONTENT_BYTES),
  }
  checkService(terms.service)
  return terms
}

/** @throws TallyError as `writeTerms` */
export function encodeTerms(terms: Terms): Uint8Array {
  return writeTerms(new ByteWriter(256 + terms.content.length), terms).finish()
}

/** @throws TallyError as `readTerms`, also for bytes that follow */
export function decodeTerms(bytes: Uint8Array): Terms {
  const reader = new ByteReader(bytes)
  const terms = readTerms(reader)
  reader.end()
  return terms
}

function checkService(service: string): void {
  if (!isServiceName(service)) throw new TallyError('MALFORMED', { message: 'a service is named by 1 to 64 of a-z 0-9 . _ -' })
}
