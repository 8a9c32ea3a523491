/** The vectors of protocols/offer. */
import { concat, dataLength, dataSlice, toBeHex } from 'ethers'
import { forgeries } from './forgery.ts'
import { account, DOMAIN, encodeOffer, low, type OfferInput, offerValue, signTyped, TOKEN } from './reference.ts'

const provider = account(3)
const stranger = account(9)

/** When the offers of the file are read, unix seconds. */
export const OFFER_NOW = 1_800_000_000
const DAY = 86_400

const base: OfferInput = {
  provider: low(provider.address),
  sequence: '1',
  expiry: OFFER_NOW + DAY,
  token: TOKEN,
  service: 'films',
  kind: 'files',
  description: 'Films in the public domain',
  price: { rates: [{ kind: 'down', amount: '10000', per: '1048576' }] },
  chunk: { kind: 'down', size: '1048576' },
  minReservation: '1000000',
  minTimeToExpiry: 3600,
  unconfirmedCredit: '250000',
  addresses: ['/ip4/127.0.0.1/tcp/4001', '/dns4/films.example/tcp/443/wss'],
  inputs: '',
  outputs: '',
}

const TIERS = {
  rates: [
    { kind: 'down', amount: '20000', per: '1048576', from: `${10 * 1_048_576}` },
    { kind: 'down', amount: '10000', per: '1048576', from: `${2 ** 30}` },
  ],
}

const rich: OfferInput = {
  ...base,
  sequence: `${2n ** 64n - 1n}`,
  expiry: OFFER_NOW + 2 * DAY,
  service: `${'a-z.0_9'.repeat(9)}x`,
  kind: 'k'.repeat(32),
  description: 'ä'.repeat(128),
  price: {
    rates: [
      { kind: 'down', amount: '1', per: `${2n ** 64n - 1n}` },
      { kind: 'up', amount: `${2n ** 96n - 1n}`, per: '1' },
      { kind: 'ms', amount: '5', per: '3600000' },
      { kind: 'calls', amount: '7', per: '1000' },
      { kind: 'units', amount: '9', per: '10' },
    ],
    unitName: 'pages',
  },
  chunk: { kind: 'units', size: `${2n ** 64n - 1n}` },
  minReservation: `${2n ** 96n - 1n}`,
  minTimeToExpiry: 2 ** 32 - 1,
  unconfirmedCredit: `${2n ** 96n - 1n}`,
  addresses: ['/ip4/192.0.2.7/udp/4001'.padEnd(256, 'x')],
  inputs: '{"pages":"how many"}'.padEnd(1024, ' '),
  outputs: 'Ω'.repeat(512),
}

const free: OfferInput = {
  ...base,
  description: '',
  price: { rates: [] },
  minReservation: '0',
  minTimeToExpiry: 0,
  unconfirmedCredit: '0',
  addresses: [],
  expiry: OFFER_NOW + 1,
}

function offerCase(comment: string, input: OfferInput): object {
  const signed = signTyped('Offer', offerValue(input), provider)
  return { comment, input, encoded: encodeOffer(input, signed.signature), ...signed }
}

function refused(
  comment: string,
  input: OfferInput,
  error: string,
  made: OfferInput = input,
  by = provider,
  domain = DOMAIN,
): object {
  const { digest } = signTyped('Offer', offerValue(input), provider)
  const { signature } = signTyped('Offer', offerValue(made), by, domain)
  return { comment, input, encoded: encodeOffer(input, signature), digest, signature, signer: low(by.address), error }
}

export function offerCases(): object[] {
  const good = signTyped('Offer', offerValue(base), provider)
  const encoded = encodeOffer(base, good.signature)
  const raw = (comment: string, bytes: string): object => ({ comment, encoded: bytes, error: 'MALFORMED' })
  const spoilt = (comment: string, change: Partial<OfferInput>): object => {
    const { encoded: bytes } = offerCase(comment, { ...base, ...change }) as { encoded: string }
    return raw(comment, bytes)
  }
  return [
    offerCase('files by the byte', base),
    offerCase('everything at its limit', rich),
    offerCase('free, without addresses, about to expire', free),
    offerCase('tiers: the first 10 MiB free, cheaper beyond 1 GiB', { ...base, price: TIERS }),
    refused('signed by a stranger', base, 'OFFER_INVALID', base, stranger),
    refused(
      'by another provider than the one that was asked',
      { ...base, provider: low(stranger.address) },
      'OFFER_INVALID',
      undefined,
      stranger,
    ),
    refused('made for another chain', base, 'OFFER_INVALID', base, provider, { ...DOMAIN, chainId: 1 }),
    refused('made for another ledger', base, 'OFFER_INVALID', base, provider, { ...DOMAIN, verifyingContract: TOKEN }),
    refused('the price was changed', { ...base, price: free.price }, 'OFFER_INVALID', base),
    refused('the chunk was changed', { ...base, chunk: { kind: 'down', size: '1' } }, 'OFFER_INVALID', base),
    refused('the unconfirmed credit was changed', { ...base, unconfirmedCredit: '250001' }, 'OFFER_INVALID', base),
    refused('an address was taken out', { ...base, addresses: base.addresses.slice(1) }, 'OFFER_INVALID', base),
    refused('the description was changed', { ...base, description: 'Films' }, 'OFFER_INVALID', base),
    refused('it lives longer than 48 h', { ...base, expiry: OFFER_NOW + 2 * DAY + 1 }, 'OFFER_INVALID'),
    refused('it expires now', { ...base, expiry: OFFER_NOW }, 'OFFER_EXPIRED'),
    refused('it has expired', { ...base, expiry: OFFER_NOW - 1 }, 'OFFER_EXPIRED'),
    refused('in another token', { ...base, token: low(DOMAIN.verifyingContract) }, 'OFFER_FOREIGN'),
    ...forgeries(good.signature).map(({ comment, signature }) => ({
      comment,
      input: base,
      encoded: encodeOffer(base, signature),
      digest: good.digest,
      signature,
      signer: base.provider,
      error: 'OFFER_INVALID',
    })),
    spoilt('a service without a name', { service: '' }),
    spoilt('a service named in capitals', { service: 'Films' }),
    spoilt('a service name of 65 bytes', { service: 'a'.repeat(65) }),
    spoilt('a kind without a name', { kind: '' }),
    spoilt('a kind of 33 bytes', { kind: 'k'.repeat(33) }),
    spoilt('a description of 257 bytes', { description: 'd'.repeat(257) }),
    spoilt('a control character in the description', { description: 'Films\u001b[2J' }),
    spoilt('17 addresses', { addresses: Array.from({ length: 17 }, () => '/ip4/127.0.0.1') }),
    spoilt('an empty address', { addresses: [''] }),
    spoilt('an address of 257 bytes', { addresses: ['a'.repeat(257)] }),
    spoilt('inputs of 1,025 bytes', { inputs: 'i'.repeat(1025) }),
    spoilt('outputs of 1,025 bytes', { outputs: 'o'.repeat(1025) }),
    spoilt('more than 3,900 bytes in all', { addresses: Array.from({ length: 16 }, () => 'a'.repeat(256)) }),
    spoilt('the rates of the price out of order', { price: { rates: [...rich.price.rates.slice(0, 4)].reverse() } }),
    spoilt('a tier from zero', { price: { rates: [{ kind: 'down', amount: '1', per: '1', from: '0' }] } }),
    spoilt('tiers out of order', { price: { rates: [...TIERS.rates].reverse() } }),
    spoilt('two tiers from the same count', { price: { rates: [...TIERS.rates.slice(0, 1), ...TIERS.rates.slice(0, 1)] } }),
    spoilt('a rate of zero', { price: { rates: [{ kind: 'down', amount: '0', per: '1' }] } }),
    spoilt('a unit without a rate', { price: { ...base.price, unitName: 'pages' } }),
    spoilt('a chunk of zero', { chunk: { kind: 'down', size: '0' } }),
    raw('the text is not UTF-8', encoded.replace('46696c6d73', '46696cff73')),
    raw('cut off within the signature', dataSlice(encoded, 0, dataLength(encoded) - 1)),
    raw('cut off within the first field', dataSlice(encoded, 0, 10)),
    raw('a byte too many', concat([encoded, '0x00'])),
    raw('nothing at all', '0x'),
    raw('3,901 zeros', toBeHex(0, 3901)),
  ]
}

/** What the cases of the file are held against. */
export const OFFER_RULES = { provider: base.provider, now: OFFER_NOW, token: TOKEN }
