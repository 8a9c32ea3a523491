/** Random inputs of the signed objects, in the JSON form of the vectors. */
import fc from 'fast-check'
import type { ChunkInput, LockInput, OfferInput, Parties, PriceInput, ReceiptInput, TermsInput } from './reference.ts'

const hex = (bytes: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => `0x${Buffer.from(value).toString('hex')}`)
const decimal = (bits: number, min = 0n): fc.Arbitrary<string> => fc.bigInt({ min, max: (1n << BigInt(bits)) - 1n }).map(String)
const time = fc.integer({ min: 0, max: 2 ** 40 - 1 })
const name = (length: number): fc.Arbitrary<string> =>
  fc.stringMatching(new RegExp(`^[a-z0-9._-]{1,${length}}$`), { size: 'max' })
const KINDS = ['down', 'up', 'ms', 'calls', 'units'] as const

export const anyAmount = decimal(96)
export const anyTime = time
export const anyEpoch = fc.integer({ min: 0, max: 2 ** 24 - 1 })
export const anyWord = hex(32)
export const anyParties: fc.Arbitrary<Parties> = fc
  .record({ owner: hex(20), signer: hex(20), target: hex(20), token: hex(20), own: fc.boolean() })
  .map(({ own, ...parties }) => (own ? { ...parties, owner: parties.signer } : parties))

export const anyLocks: fc.Arbitrary<LockInput[]> = fc.uniqueArray(
  fc.record({ anchor: hex(32), unit: decimal(96), steps: fc.integer({ min: 1, max: 1024 }), expiry: time }),
  { selector: ({ anchor }) => anchor, maxLength: 8 },
)

const anyPrice: fc.Arbitrary<PriceInput> = fc
  .tuple(fc.subarray([...KINDS]), fc.array(fc.tuple(decimal(96, 1n), decimal(64, 1n)), { minLength: 5, maxLength: 5 }), name(8))
  .map(([kinds, figures, unit]) => {
    const rates = kinds.map((kind, i) => ({ kind, amount: figures[i]?.[0] ?? '1', per: figures[i]?.[1] ?? '1' }))
    return kinds.includes('units') ? { rates, unitName: `u${unit}`.slice(0, 32) } : { rates }
  })
const anyChunk: fc.Arbitrary<ChunkInput> = fc.record({ kind: fc.constantFrom(...KINDS), size: decimal(64, 1n) })
const text = (maxLength: number): fc.Arbitrary<string> => fc.string({ unit: 'grapheme-ascii', maxLength })

/** A chunk that no amount can pay is no offer: `refuses` tests hold that; here it costs what it can. */
const payable = ({ price, chunk }: OfferInput): boolean => {
  const rate = price.rates.find(({ kind }) => kind === chunk.kind)
  return rate === undefined || (BigInt(rate.amount) * BigInt(chunk.size)) / BigInt(rate.per) < 2n ** 96n - 1n
}

export const anyOffer: fc.Arbitrary<OfferInput> = fc
  .record({
    provider: hex(20),
    sequence: decimal(64),
    expiry: time,
    token: hex(20),
    service: name(64),
    kind: name(32),
    description: text(200),
    price: anyPrice,
    chunk: anyChunk,
    minReservation: decimal(96),
    minTimeToExpiry: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    unconfirmedCredit: decimal(96),
    addresses: fc.array(fc.stringMatching(/^[\x21-\x7e]{1,30}$/), { maxLength: 16 }),
    inputs: text(100),
    outputs: text(300),
  })
  .filter(payable)

export const anyTerms: fc.Arbitrary<TermsInput> = fc.record({
  session: hex(16),
  owner: hex(20),
  signer: hex(20),
  provider: hex(20),
  token: hex(20),
  service: name(64),
  offerSequence: decimal(64),
  price: anyPrice,
  chunk: anyChunk,
  arrears: decimal(96),
  patienceMs: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  opened: time,
  expiry: time,
  content: fc.uint8Array({ maxLength: 1024 }).map((value) => `0x${Buffer.from(value).toString('hex')}`),
})

export const anyReceipt: fc.Arbitrary<ReceiptInput> = fc.record({
  session: hex(16),
  terms: hex(32),
  channel: hex(32),
  total: decimal(96),
  amount: decimal(96),
  meter: fc.record({ down: decimal(64), up: decimal(64), ms: decimal(64), calls: decimal(64), units: decimal(64) }),
  closed: time,
  reason: fc.integer({ min: 0, max: 65_535 }),
})
