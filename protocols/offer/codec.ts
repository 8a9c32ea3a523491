import { ByteReader, ByteWriter } from '../../src/core/bytes.ts'
import { TallyError } from '../../src/core/errors.ts'
import { decodeSignedOffer, encodeSignedOffer, isServiceName, MAX_OFFER_BYTES, type SignedOffer } from '../../src/core/offer.ts'
import { MAX_ANSWER_BYTES, MAX_OFFERS, MAX_REQUEST_BYTES, MAX_SERVICE_BYTES } from './protocol.ts'

/** The request for the offers of one service; an empty name asks for all. @throws TallyError MALFORMED when it is no service name */
export function encodeRequest(service: string): Uint8Array {
  return new ByteWriter(1 + service.length).str8(checkName(service), MAX_SERVICE_BYTES).finish()
}

/** @throws TallyError MALFORMED, FRAME_TOO_LARGE */
export function decodeRequest(frame: Uint8Array): string {
  checkSize(frame, MAX_REQUEST_BYTES)
  const reader = new ByteReader(frame)
  const service = checkName(reader.str8(MAX_SERVICE_BYTES))
  reader.end()
  return service
}

/** @throws TallyError MALFORMED for more than 16 offers or one above 3,900 bytes */
export function encodeOffers(offers: readonly SignedOffer[]): Uint8Array {
  checkCount(offers.length)
  const writer = new ByteWriter(1024).u8(offers.length)
  for (const offer of offers) writer.bytes16(encodeSignedOffer(offer), MAX_OFFER_BYTES)
  return writer.finish()
}

/** Offers that are well-formed; whether they are true (O1) is for the caller to check. @throws TallyError MALFORMED, FRAME_TOO_LARGE */
export function decodeOffers(frame: Uint8Array): SignedOffer[] {
  checkSize(frame, MAX_ANSWER_BYTES)
  const reader = new ByteReader(frame)
  const count = reader.u8()
  checkCount(count)
  const offers: SignedOffer[] = []
  for (let i = 0; i < count; i++) offers.push(decodeSignedOffer(reader.bytes16(MAX_OFFER_BYTES)))
  reader.end()
  return offers
}

function checkName(service: string): string {
  if (service === '' || isServiceName(service)) return service
  throw new TallyError('MALFORMED', {
    message: 'a service name has at most 64 of a-z 0-9 . _ -',
    fields: { length: service.length },
  })
}

function checkCount(count: number): void {
  if (count > MAX_OFFERS)
    throw new TallyError('MALFORMED', { message: `${count} offers in one answer`, fields: { count, max_offers: MAX_OFFERS } })
}

function checkSize(frame: Uint8Array, maxBytes: number): void {
  if (frame.length <= maxBytes) return
  throw new TallyError('FRAME_TOO_LARGE', { fields: { length: frame.length, max_frame_bytes: maxBytes } })
}
