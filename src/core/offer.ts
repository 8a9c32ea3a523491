/**
 * Offers: what a provider says of a service, signed.
 * @see protocols/offer/SPEC.md
 */
import { type Amount, isAmount, MAX_AMOUNT, readAmount } from './amount.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import { recoverAddress, SIGNATURE_BYTES, type Sign } from './crypto/secp256k1.ts'
import { addressWord, bytesWord, type Domain, structDigest, textWord, typeHash, uintWord } from './eip712.ts'
import { TallyError } from './errors.ts'
import { type Address, readAddress, readSeconds, type Seconds, writeAddress } from './ids.ts'
import {
  type Chunk,
  chunkCost,
  encodeChunk,
  encodePrice,
  type Price,
  readChunk,
  readPrice,
  writeChunk,
  writePrice,
} from './price.ts'

/** Prices and demands of one service of one provider. All texts are a stranger's: escape them before they are shown. */
export interface Offer {
  readonly provider: Address
  /** rises with every change of the offer, u64 */
  readonly sequence: bigint
  /** at most 48 h ahead of the clock of whoever reads it */
  readonly expiry: Seconds
  readonly token: Address
  /** 1 to 64 of `a-z 0-9 . _ -` */
  readonly service: string
  /** what the service is to a program, 1 to 32 of `a-z 0-9 . _ -`: files, stream, ... */
  readonly kind: string
  /** one line for a person, at most 256 bytes, no control characters */
  readonly description: string
  readonly price: Price
  readonly chunk: Chunk
  /** what must be free in the consumer's reservation, base units */
  readonly minReservation: Amount
  /** how far the reservation's expiry must be away, s, u32 */
  readonly minTimeToExpiry: number
  /** what counts of a reservation that stands in a block and is not confirmed yet, base units. @default 0; never 0 where it is given */
  readonly unconfirmedCredit?: Amount
  /** multiaddrs: at most 16, each 1 to 256 bytes */
  readonly addresses: readonly string[]
  /** what the service takes and gives, in its own words; at most 1,024 bytes each */
  readonly inputs: string
  readonly outputs: string
}

export interface SignedOffer {
  readonly offer: Offer
  /** 65 bytes r | s | v by the provider */
  readonly signature: Uint8Array
}

/** How far ahead an offer may expire, s. */
export const MAX_OFFER_LIFE_S = 48 * 3600
/** The longest encoded signed offer, in bytes. The single limits add up to more: a long list of addresses leaves less for the texts. */
export const MAX_OFFER_BYTES = 3_900

const MAX_SERVICE_BYTES = 64
const MAX_KIND_BYTES = 32
const MAX_DESCRIPTION_BYTES = 256
const MAX_ADDRESSES = 16
const MAX_ADDRESS_BYTES = 256
const MAX_PARAMETERS_BYTES = 1024

const SERVICE = /^[a-z0-9._-]{1,64}$/
const KIND = /^[a-z0-9._-]{1,32}$/
// controls, and the marks that turn the direction of text around: either can make a terminal show what is not there
const CONTROL = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u
const PRINTABLE = /^[\x21-\x7e]+$/

const OFFER_TYPE = typeHash(
  'Offer(address provider,uint64 sequence,uint40 expiry,address token,string service,string kind,string description,' +
    'bytes price,bytes chunk,uint96 minReservation,uint32 minTimeToExpiry,uint96 unconfirmedCredit,bytes addresses,string inputs,string outputs)',
)

/** Whether the text may name a service: 1 to 64 of `a-z 0-9 . _ -`. */
export function isServiceName(text: string): boolean {
  return SERVICE.test(text)
}

/** Whether the text may name a kind of service: 1 to 32 of `a-z 0-9 . _ -`. */
export function isServiceKind(text: string): boolean {
  return KIND.test(text)
}

/** What breaks the rules of a single field that the codec does not know, as a sentence; undefined when nothing does. */
function flawOf({
  service,
  kind,
  description,
  addresses,
  minReservation,
  unconfirmedCredit,
  inputs,
  outputs,
  price,
  chunk,
}: Offer): string | undefined {
  if (!isServiceName(service)) return 'a service is named by 1 to 64 of a-z 0-9 . _ -'
  if (!isServiceKind(kind)) return 'a kind of service is named by 1 to 32 of a-z 0-9 . _ -'
  if (CONTROL.test(description + inputs + outputs)) return 'a text of the offer holds a control character'
  if (!isAmount(minReservation)) return 'the minimum reservation is not an amount'
  if (unconfirmedCredit !== undefined && !isAmount(unconfirmedCredit)) return 'the credit of the offer is not an amount'
  if (addresses.length > MAX_ADDRESSES) return `an offer names at most ${MAX_ADDRESSES} addresses`
  if (!addresses.every((address) => PRINTABLE.test(address))) return 'an address of the offer is empty or not printable'
  if (!isPayable(price, chunk)) return 'a chunk of the offer costs more than any amount can hold'
  return undefined
}

/** chunkCost() refuses 2^96 and more, and nothing else */
function isPayable(price: Price, chunk: Chunk): boolean {
  try {
    return chunkCost(price, chunk) <= MAX_AMOUNT
  } catch {
    return false
  }
}

function writeAddresses(writer: ByteWriter, addresses: readonly string[]): ByteWriter {
  writer.u8(addresses.length)
  for (const address of addresses) writer.str16(address, MAX_ADDRESS_BYTES)
  return writer
}

function readAddresses(reader: ByteReader): string[] {
  const count = reader.u8()
  if (count > MAX_ADDRESSES) throw new TallyError('MALFORMED', { message: `an offer with ${count} addresses`, fields: { count } })
  return Array.from({ length: count }, () => reader.str16(MAX_ADDRESS_BYTES))
}

/** What the provider signs, 32 bytes. @throws TallyError MALFORMED for a field out of its range */
export function offerDigest(domain: Domain, offer: Offer): Uint8Array {
  return structDigest(domain, OFFER_TYPE, [
    addressWord(offer.provider),
    uintWord(offer.sequence, 64),
    uintWord(offer.expiry, 40),
    addressWord(offer.token),
    textWord(offer.service),
    textWord(offer.kind),
    textWord(offer.description),
    bytesWord(encodePrice(offer.price)),
    bytesWord(encodeChunk(offer.chunk)),
    uintWord(offer.minReservation, 96),
    uintWord(offer.minTimeToExpiry, 32),
    uintWord(offer.unconfirmedCredit ?? 0n, 96),
    bytesWord(writeAddresses(new ByteWriter(), offer.addresses).finish()),
    textWord(offer.inputs),
    textWord(offer.outputs),
  ])
}

/**
 * The offer with its provider's signature.
 *
 * @throws TallyError OFFER_INVALID for a field that breaks its rule, MALFORMED for one out of its range or a whole that is too long
 */
export function signOffer(domain: Domain, offer: Offer, sign: Sign): SignedOffer {
  const flaw = flawOf(offer)
  if (flaw !== undefined) throw new TallyError('OFFER_INVALID', { message: flaw })
  const signed = { offer, signature: sign(offerDigest(domain, offer)) }
  encodeSignedOffer(signed)
  return signed
}

/** The fields in the order of the signed type, then the signature. @throws TallyError MALFORMED beyond a limit */
export function encodeSignedOffer({ offer, signature }: SignedOffer): Uint8Array {
  const writer = new ByteWriter(512)
  writeAddress(writer, offer.provider).u64(offer.sequence).u40(offer.expiry)
  writeAddress(writer, offer.token).str8(offer.service, MAX_SERVICE_BYTES).str8(offer.kind, MAX_KIND_BYTES)
  writer.str16(offer.description, MAX_DESCRIPTION_BYTES)
  writeChunk(writePrice(writer, offer.price), offer.chunk).u96(offer.minReservation).u32(offer.minTimeToExpiry)
  writer.u96(offer.unconfirmedCredit ?? 0n)
  writeAddresses(writer, offer.addresses).str16(offer.inputs, MAX_PARAMETERS_BYTES).str16(offer.outputs, MAX_PARAMETERS_BYTES)
  const bytes = writer.bytes(signature, SIGNATURE_BYTES).finish()
  checkLength(bytes.length)
  return bytes
}

/** Nothing is given by most: then the field is left out. */
function readUnconfirmed(reader: ByteReader): Pick<Offer, 'unconfirmedCredit'> {
  const unconfirmedCredit = readAmount(reader)
  return unconfirmedCredit > 0n ? { unconfirmedCredit } : {}
}

/** The signature is not checked: see `checkOffer`. @throws TallyError MALFORMED for anything that `signOffer` would not have made */
export function decodeSignedOffer(bytes: Uint8Array): SignedOffer {
  checkLength(bytes.length)
  const reader = new ByteReader(bytes)
  const offer: Offer = {
    provider: readAddress(reader),
    sequence: reader.u64(),
    expiry: readSeconds(reader),
    token: readAddress(reader),
    service: reader.str8(MAX_SERVICE_BYTES),
    kind: reader.str8(MAX_KIND_BYTES),
    description: reader.str16(MAX_DESCRIPTION_BYTES),
    price: readPrice(reader),
    chunk: readChunk(reader),
    minReservation: readAmount(reader),
    minTimeToExpiry: reader.u32(),
    ...readUnconfirmed(reader),
    addresses: readAddresses(reader),
    inputs: reader.str16(MAX_PARAMETERS_BYTES),
    outputs: reader.str16(MAX_PARAMETERS_BYTES),
  }
  const signature = reader.bytes(SIGNATURE_BYTES)
  reader.end()
  const flaw = flawOf(offer)
  if (flaw !== undefined) throw new TallyError('MALFORMED', { message: flaw })
  return { offer, signature }
}

function checkLength(length: number): void {
  if (length <= MAX_OFFER_BYTES) return
  throw new TallyError('MALFORMED', {
    message: `an offer of ${length} bytes; ${MAX_OFFER_BYTES} are allowed`,
    hint: 'Name fewer addresses, or shorten the texts.',
    fields: { length, cap: MAX_OFFER_BYTES },
  })
}

/** What an offer is held against. */
export interface OfferRules {
  /** whom we asked: the address behind the peer id of the connection */
  readonly provider: Address
  readonly now: Seconds
  /** the token, or the tokens, that this node pays with */
  readonly token: Address | readonly Address[]
}

/**
 * Refuses an offer that this node must not use (O1). An offer signed for another chain or ledger cannot be told from a forged one.
 *
 * @throws TallyError OFFER_INVALID (fields, provider, signature, a life beyond 48 h), OFFER_EXPIRED, OFFER_FOREIGN (another token)
 */
export function checkOffer(domain: Domain, { offer, signature }: SignedOffer, { provider, now, token }: OfferRules): void {
  const flaw = flawOf(offer)
  if (flaw !== undefined) throw new TallyError('OFFER_INVALID', { message: flaw })
  if (offer.provider !== provider) {
    throw new TallyError('OFFER_INVALID', { message: `the offer is by ${offer.provider} and came from ${provider}` })
  }
  if (recoverAddress(offerDigest(domain, offer), signature) !== provider) {
    throw new TallyError('OFFER_INVALID', {
      message: `the offer does not carry the signature of ${provider} for this chain and ledger`,
      hint: 'Check that both ends use the same chain and ledger.',
    })
  }
  const ahead = offer.expiry - now
  if (ahead <= 0)
    throw new TallyError('OFFER_EXPIRED', { message: `the offer expired ${-ahead} s ago`, fields: { expiry: offer.expiry } })
  if (ahead > MAX_OFFER_LIFE_S) {
    throw new TallyError('OFFER_INVALID', {
      message: `the offer expires in ${ahead} s; at most ${MAX_OFFER_LIFE_S} s are allowed`,
      hint: 'Check the clocks of both machines.',
    })
  }
  const ours = typeof token === 'string' ? offer.token === token : token.includes(offer.token)
  if (!ours)
    throw new TallyError('OFFER_FOREIGN', {
      message: `the offer is in the token ${offer.token}, which this node does not pay with`,
    })
}
