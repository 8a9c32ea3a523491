// Offers for the wire; the signature is not one, because the protocol only carries it.
import type { Amount } from '../../../src/core/amount.ts'
import type { Seconds } from '../../../src/core/ids.ts'
import { encodeSignedOffer, MAX_OFFER_BYTES, type SignedOffer } from '../../../src/core/offer.ts'
import { priceOf } from '../../../src/core/price.ts'
import { address, bytes } from '../session/samples.ts'

export const signedOffer = (service: string, description = ''): SignedOffer => ({
  offer: {
    provider: address('b1'),
    sequence: 1n,
    expiry: 1_700_000_000 as Seconds,
    token: address('c1'),
    service,
    kind: 'files',
    description,
    price: priceOf([{ kind: 'down', amount: 10n as Amount, per: 1024n }]),
    chunk: { kind: 'down', size: 65_536n },
    minReservation: 5n as Amount,
    minTimeToExpiry: 60,
    addresses: ['/ip4/127.0.0.1/tcp/4001'],
    inputs: 'a path',
    outputs: 'bytes',
  },
  signature: bytes(65),
})

/** The largest offer that there can be. */
export const largest = (service: string): SignedOffer => {
  const offer = { ...signedOffer(service).offer, inputs: 'i'.repeat(1024), outputs: 'o'.repeat(1024), addresses: [] as string[] }
  while (encodeSignedOffer({ offer, signature: bytes(65) }).length + 258 <= MAX_OFFER_BYTES) offer.addresses.push('a'.repeat(256))
  return { offer, signature: bytes(65) }
}
