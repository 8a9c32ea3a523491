import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Amount, amount } from '../../src/core/amount.ts'
import type { Address, Seconds } from '../../src/core/ids.ts'
import { METER_KINDS } from '../../src/core/meter.ts'
import type { Offer } from '../../src/core/offer.ts'
import { FREE, type Price, priceOf } from '../../src/core/price.ts'
import { basketCost, type Candidate, CRITERIA, NO_RECORD, rankOffers, WEIGHTS, whyFirst } from '../../src/core/ranking.ts'

const addressOf = (n: number): Address => `0x${n.toString(16).padStart(40, '0')}` as Address
const perMiB = (base: bigint): Price => priceOf([{ kind: 'down', amount: amount(base), per: 1n << 20n }])

interface Of extends Partial<Omit<Candidate, 'offer'>> {
  readonly offer?: Partial<Offer>
}

function candidate(n: number, { offer, ...rest }: Of = {}): Candidate {
  const whole: Offer = {
    provider: addressOf(n), sequence: 1n, expiry: 2_000_000_000 as Seconds, token: addressOf(9), service: 'films', kind: 'files', description: '',
    price: perMiB(10_000n), chunk: { kind: 'down', size: 65_536n }, minReservation: 0n as Amount, minTimeToExpiry: 3_600, addresses: [], inputs: '',
    outputs: '', ...offer,
  } // biome-ignore format: a record
  return { offer: whole, tookMs: 20, stake: 'none', record: NO_RECORD, free: 0n as Amount, ...rest }
}

const providers = (candidates: readonly Candidate[]): Address[] =>
  rankOffers(candidates).map((one) => one.candidate.offer.provider)
const first = (...candidates: readonly Candidate[]): Address | undefined => providers(candidates)[0]
const record = (completed: number, failed: number) => ({ completed, failed, paid: 0n as Amount })

describe('ranking offers', () => {
  test('all else equal, the better price, record, latency, demands or stake comes first, and the line says so', () => {
    const pairs: readonly (readonly [better: Of, worse: Of, why: RegExp])[] = [
      [{ offer: { price: perMiB(9_000n) } }, {}, /a lower price than/],
      [{ offer: { price: FREE } }, { offer: { price: perMiB(1n) } }, /a lower price than/],
      [{ record: record(3, 0) }, {}, /a better record/],
      [{}, { record: record(0, 1) }, /fewer failures/],
      [{ tookMs: 10 }, { tookMs: 500 }, /a quicker answer/],
      [{}, { offer: { minReservation: amount(5_000_000n) } }, /lower demands/],
      [{}, { offer: { minTimeToExpiry: 30 * 86_400 } }, /lower demands/],
      [{ stake: 'kept' }, {}, /more at stake/],
    ]
    for (const [better, worse, why] of pairs) {
      // the better one has the later address, so that the tie-break cannot be what decides
      const ranked = rankOffers([candidate(1, worse), candidate(2, better)])
      assert.equal(ranked[0]?.candidate.offer.provider, addressOf(2), String(why))
      assert.match(whyFirst(ranked), why)
    }
  })

  test('a demand that a reservation already meets costs no points', () => {
    const demanding = { offer: { minReservation: amount(5_000_000n) } }
    assert.equal(first(candidate(1, demanding), candidate(2, { ...demanding, free: amount(5_000_000n) })), addressOf(2))
  })

  test('a failure weighs more than a session that went well: a cheap provider that fails loses to one that does not', () => {
    const cheap = candidate(1, { offer: { price: perMiB(9_000n) }, record: record(1, 5) })
    assert.equal(first(cheap, candidate(2, { record: record(5, 0) })), addressOf(2))
  })

  test('an offer that breaks what its provider registered comes last, however cheap, and sets no price for the others', () => {
    const breaking = candidate(1, { offer: { price: FREE }, stake: 'breaks', tookMs: 0 })
    const dear = candidate(2, { offer: { price: perMiB(10_000_000n) }, record: record(0, 9) })
    const ranked = rankOffers([breaking, dear])
    assert.deepEqual(ranked.map((one) => one.candidate), [dear, breaking]) // biome-ignore format: one thought
    assert.equal(ranked[0]?.points.price, WEIGHTS.price * 1_000_000)
    assert.equal(whyFirst(ranked), 'the only offer that keeps what its provider registered on chain')
    assert.match(whyFirst(rankOffers([breaking])), /^no offer keeps/)
  })

  test('one offer, none, and two alike have their own words', () => {
    assert.equal(whyFirst([]), '')
    assert.equal(whyFirst(rankOffers([candidate(1)])), 'the only offer')
    assert.match(whyFirst(rankOffers([candidate(2), candidate(1)])), /^as good as the next of 2/)
  })

  test('a free or cheap first part buys no place: the dearest rate of a kind counts', () => {
    const rate = { kind: 'down' as const, per: 1n << 20n }
    const baited = priceOf([
      { ...rate, amount: amount(1n) },
      { ...rate, amount: amount(20_000n), from: 1n << 40n },
    ])
    const free = priceOf([{ ...rate, amount: amount(20_000n), from: 1n << 40n }])
    for (const price of [baited, free]) {
      assert.equal(basketCost(price), basketCost(perMiB(20_000n)))
      assert.equal(first(candidate(1, { offer: { price } }), candidate(2)), addressOf(2))
    }
  })

  test('prices of other rates are compared by one basket of everything', () => {
    const perSecond = priceOf([{ kind: 'ms', amount: amount(1_000n), per: 1_000n }])
    assert.equal(basketCost(perSecond), 60_000n * 1_000_000n)
    assert.equal(basketCost(perMiB(10_000n)), 640_000n * 1_000_000n)
    assert.equal(first(candidate(1), candidate(2, { offer: { price: perSecond } })), addressOf(2))
  })
})

const uint = (bits: bigint) => fc.oneof(fc.constantFrom(1n, (1n << bits) - 1n), fc.bigInt({ min: 1n, max: (1n << bits) - 1n }))
const anyPrice = fc
  .subarray([...METER_KINDS])
  .chain((kinds) =>
    fc
      .tuple(...kinds.map((kind) => fc.record({ kind: fc.constant(kind), amount: uint(96n).map(amount), per: uint(64n) })))
      .map((rates) => priceOf(rates, kinds.includes('units') ? 'page' : undefined)),
  )
const anyCandidate = fc
  .record({
    n: fc.nat(5),
    price: fc.oneof(fc.constant(FREE), anyPrice),
    minReservation: fc.bigInt({ min: 0n, max: (1n << 96n) - 1n }).map(amount),
    minTimeToExpiry: fc.nat(0xffff_ffff),
    sequence: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    tookMs: fc.oneof(fc.nat(5_000), fc.double(), fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, -1)),
    stake: fc.constantFrom('none' as const, 'kept' as const, 'breaks' as const),
    completed: fc.nat(1_000_000),
    failed: fc.nat(1_000_000),
    free: fc.bigInt({ min: 0n, max: (1n << 96n) - 1n }).map(amount),
  })
  .map(({ n, price, minReservation, minTimeToExpiry, sequence, tookMs, stake, completed, failed, free }) =>
    candidate(n, { offer: { price, minReservation, minTimeToExpiry, sequence }, tookMs, stake, record: record(completed, failed), free }),
  ) // biome-ignore format: a record

describe('ranking any offers', () => {
  test('no figure of an offer crashes it: points are whole, within their weights, and sum to the score', () => {
    fc.assert(
      fc.property(fc.array(anyCandidate, { maxLength: 12 }), (candidates) => {
        const ranked = rankOffers(candidates)
        assert.deepEqual(new Set(ranked.map((one) => one.candidate)), new Set(candidates))
        for (const { points, score } of ranked) {
          for (const criterion of CRITERIA) {
            const value = points[criterion]
            assert.ok(
              Number.isSafeInteger(value) && value >= 0 && value <= WEIGHTS[criterion] * 1_000_000,
              `${criterion} ${value}`,
            )
          }
          assert.equal(CRITERIA.reduce((sum, criterion) => sum + points[criterion], 0), score) // biome-ignore format: one thought
        }
        assert.equal(whyFirst(ranked) === '', candidates.length === 0)
        assert.ok(!whyFirst(ranked).includes('\n'))
      }),
    )
  })

  test('the order is total: it is the same in whatever order the offers came', () => {
    const key = ({ offer, tookMs, stake, record: seen, free }: Candidate): string =>
      JSON.stringify([offer, Math.round(tookMs), stake, seen, free], (_, value) =>
        typeof value === 'bigint' ? `${value}` : value,
      )
    const shuffled = fc
      .uniqueArray(anyCandidate, { maxLength: 12, selector: ({ offer }) => `${offer.provider} ${offer.sequence}` })
      .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })))
    fc.assert(
      fc.property(shuffled, ([list, other]) => {
        const keys = (ranked: readonly Candidate[]) => rankOffers(ranked).map((one) => key(one.candidate))
        assert.deepEqual(keys(list), keys(other))
      }),
    )
  })

  test('scores never rise along the order among offers that keep their word', () => {
    fc.assert(
      fc.property(fc.array(anyCandidate, { maxLength: 12 }), (candidates) => {
        const kept = rankOffers(candidates).filter(({ candidate: { stake } }) => stake !== 'breaks')
        for (const [i, { score }] of kept.entries()) assert.ok(score <= (kept[i - 1]?.score ?? score))
      }),
    )
  })

  test('a lower price of the same rates never comes later, all else equal', () => {
    fc.assert(
      fc.property(uint(95n), uint(95n), fc.array(anyCandidate, { maxLength: 6 }), (a, b, others) => {
        const [low, high] = a < b ? [a, b] : [b, a]
        const cheap = candidate(100, { offer: { price: perMiB(low) } })
        const dear = candidate(100, { offer: { price: perMiB(high) } })
        const ranked = rankOffers([dear, ...others, cheap]).map((one) => one.candidate)
        assert.ok(low === high || ranked.indexOf(cheap) < ranked.indexOf(dear))
      }),
    )
  })
})
