import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Amount, amount } from '../../src/core/amount.ts'
import { fromHex, toHex } from '../../src/core/bytes.ts'
import { TallyError } from '../../src/core/errors.ts'
import { addMeters, MAX_COUNT, METER_KINDS, type Meter, type MeterKind, meterOf } from '../../src/core/meter.ts'
import {
  chunkCost,
  comparePrices,
  decodePrice,
  due,
  encodePrice,
  isAtMost,
  MAX_PRICE_BYTES,
  maxCountWithin,
  type Price,
  priceOf,
  type Rate,
} from '../../src/core/price.ts'
import { freeOf, isPinned, lessFree } from '../../src/core/price-free.ts'
import { formatPrice, parsePrice } from '../../src/core/price-text.ts'

const rate = (kind: MeterKind, base: bigint, per: bigint, from?: bigint): Rate => ({
  kind,
  amount: base as Amount,
  per,
  ...(from !== undefined && { from }),
})
const usdc = { symbol: 'USDC', decimals: 6 } as Parameters<typeof parsePrice>[1]

/** Up to three rates of a kind, up to two kinds; small figures, so that the tiers meet. */
const tiered: fc.Arbitrary<Price> = fc
  .uniqueArray(fc.constantFrom(...METER_KINDS), { minLength: 1, maxLength: 2 })
  .chain((kinds) =>
    fc
      .tuple(
        ...kinds.map((kind) =>
          fc
            .uniqueArray(
              fc.record({
                amount: fc.bigInt({ min: 1n, max: 50n }),
                per: fc.bigInt({ min: 1n, max: 50n }),
                from: fc.bigInt({ min: 0n, max: 120n }),
              }),
              { minLength: 1, maxLength: 2, selector: ({ from }) => from },
            )
            .map((list) => list.map(({ amount: base, per, from }) => rate(kind, base, per, from))),
        ),
      )
      .map((lists) => priceOf(lists.flat(), kinds.includes('units') ? 'page' : undefined)),
  )
const meterUpTo = (max: bigint): fc.Arbitrary<Meter> => {
  const count = fc.bigInt({ min: 0n, max })
  return fc.record({ down: count, up: count, ms: count, calls: count, units: count })
}
const counts = fc.oneof(meterUpTo(200n), meterUpTo(1n << 30n))

/** The rule of the specification, one count after the other: each costs what the last rate that begins below it says. */
function longWay(price: Price, meter: Meter): bigint {
  const den = price.rates.reduce((product, { per }) => product * per, 1n)
  let num = 0n
  for (const kind of METER_KINDS) {
    for (let nth = 1n; nth <= meter[kind]; nth++) {
      const holds = price.rates.findLast((one) => one.kind === kind && (one.from ?? 0n) < nth)
      if (holds !== undefined) num += (den / holds.per) * holds.amount
    }
  }
  return (num + den - 1n) / den
}

describe('S1: a price with tiers', () => {
  test('costs what each count costs where it lies, rounded up once', () => {
    fc.assert(
      fc.property(tiered, meterUpTo(200n), (price, meter) => {
        assert.equal(due(price, meter), longWay(price, meter))
      }),
    )
  })
  test('never falls when a count rises', () => {
    fc.assert(
      fc.property(tiered, counts, meterUpTo(300n), (price, meter, more) => {
        assert.ok(due(price, addMeters(meter, more)) >= due(price, meter))
      }),
    )
  })
  test('the largest count within an amount is within it, and one more is not', () => {
    fc.assert(
      fc.property(tiered, counts, fc.constantFrom(...METER_KINDS), fc.bigInt({ min: 0n, max: 9_000n }), (price, meter, kind, limit) => {
        const count = maxCountWithin(price, meter, kind, amount(limit))
        if (count === undefined) return assert.ok(price.rates.every((one) => one.kind !== kind))
        if (count > 0n) assert.ok(due(price, { ...meter, [kind]: count }) <= limit)
        if (count < MAX_COUNT) assert.ok(due(price, { ...meter, [kind]: count + 1n }) > limit)
      }),
    ) // biome-ignore format: one property
  })
  test('no chunk costs more than the chunk cost, wherever it lies', () => {
    const size = fc.bigInt({ min: 1n, max: 300n })
    fc.assert(
      fc.property(tiered, meterUpTo(200n), fc.constantFrom(...METER_KINDS), size, (price, meter, kind, more) => {
        const rise = due(price, { ...meter, [kind]: meter[kind] + more }) - due(price, meter)
        assert.ok(rise <= chunkCost(price, { kind, size: more }))
      }),
    )
  })
  test('is at most another exactly when no count of any kind costs more', () => {
    fc.assert(
      fc.property(tiered, tiered, counts, (a, b, meter) => {
        if (isAtMost(a, b)) assert.ok(due(a, meter) <= due(b, meter))
        // beyond the last tier the slopes decide
        const far = { ...meter, down: 1n << 40n }
        if (comparePrices(a, b) === 0) assert.equal(due(a, far), due(b, far))
      }),
    )
    const cheap = priceOf([rate('down', 2n, 1n), rate('down', 1n, 1n, 100n)])
    assert.equal(isAtMost(cheap, priceOf([rate('down', 2n, 1n)])), true)
    assert.equal(isAtMost(priceOf([rate('down', 2n, 1n)]), cheap), false)
    // dearer only between 100 and 200
    const hump = priceOf([rate('down', 2n, 1n), rate('down', 3n, 1n, 100n), rate('down', 1n, 1n, 200n)])
    assert.equal(isAtMost(hump, priceOf([rate('down', 2n, 1n)])), false)
  })
  test('comes back as it was from its bytes, and has at most as many as any price', () => {
    fc.assert(
      fc.property(tiered, (price) => {
        assert.ok(encodePrice(price).length <= MAX_PRICE_BYTES)
        assert.deepEqual(decodePrice(encodePrice(price)), price)
      }),
    )
  })
  test('the layout: bit 7 of the kind, and what the rate holds from behind it', () => {
    const price = priceOf([rate('down', 2n, 3n), rate('down', 1n, 3n, 4n)])
    const row = (kind: string, base: string) => `${kind}${base.padStart(24, '0')}${'3'.padStart(16, '0')}`
    assert.equal(toHex(encodePrice(price)), `0x02${row('00', '2')}${row('80', '1')}${'4'.padStart(16, '0')}00`)
  })
  test('bytes that decode encode to the same bytes; all others throw nothing but MALFORMED', () => {
    const near = fc.tuple(tiered, fc.nat(), fc.nat(255)).map(([value, at, byte]) => {
      const bytes = encodePrice(value)
      bytes[at % bytes.length] = byte
      return bytes
    })
    fc.assert(
      fc.property(near, (bytes) => {
        try {
          assert.deepEqual(encodePrice(decodePrice(bytes)), bytes)
        } catch (error) {
          assert.ok(error instanceof TallyError && error.code === 'MALFORMED')
        }
      }),
    )
    const row = (kind: string, from = '') => `${kind}${'1'.padStart(24, '0')}${'1'.padStart(16, '0')}${from}`
    const from = (count: string) => count.padStart(16, '0')
    const bad = {
      'a tier from zero': `01${row('80', from('0'))}00`,
      'a tier before the rate that it follows': `02${row('80', from('5'))}${row('80', from('4'))}00`,
      'two from the same count': `02${row('80', from('5'))}${row('80', from('5'))}00`,
      'a rate from the first on behind a tier': `02${row('80', from('5'))}${row('00')}00`,
      'a tier of an unknown kind': `01${row('85', from('5'))}00`,
      'a tier cut short': `01${row('80')}00`,
      'too many bytes': `05${[1, 2, 3, 4, 5].map((n) => row('80', from(`${n}`))).join('')}00`,
    }
    for (const [what, hex] of Object.entries(bad))
      assert.throws(() => decodePrice(fromHex(`0x${hex}`)), { code: 'MALFORMED' }, what)
  })
})

describe('S11: what a price gives for nothing', () => {
  const price = priceOf([rate('down', 2n, 1n, 10n), rate('down', 1n, 1n, 50n), rate('calls', 5n, 1n)])

  test('is what lies before its first rate of a kind, and no more than was had less', () => {
    assert.deepEqual(freeOf(price), meterOf({ down: 10n }))
    assert.deepEqual(freeOf(lessFree(price, meterOf({ down: 4n }))), meterOf({ down: 6n }))
    assert.equal(due(lessFree(price, meterOf({ down: 10n, calls: 9n })), meterOf({ down: 10n, calls: 1n })), 25n)
  })
  test('may be less in the terms than in the offer, and nothing else may be another', () => {
    assert.equal(isPinned(lessFree(price, meterOf({ down: 3n })), price), true)
    assert.equal(isPinned(price, lessFree(price, meterOf({ down: 3n }))), false)
    const other = (...rates: Rate[]): Price => priceOf(rates)
    assert.equal(isPinned(other(rate('down', 2n, 1n), rate('down', 1n, 1n, 51n), rate('calls', 5n, 1n)), price), false)
    assert.equal(isPinned(other(rate('down', 3n, 1n, 10n), rate('down', 1n, 1n, 50n), rate('calls', 5n, 1n)), price), false)
    assert.equal(isPinned(other(rate('down', 2n, 1n, 10n), rate('down', 1n, 1n, 50n)), price), false)
  })
  test('property: however it is shared out, an owner has it once', () => {
    fc.assert(
      fc.property(tiered, fc.array(meterUpTo(60n), { maxLength: 6 }), (value, sessions) => {
        let had = meterOf({})
        for (const used of sessions) {
          const free = freeOf(lessFree(value, had))
          for (const kind of METER_KINDS) {
            const taken = used[kind] < free[kind] ? used[kind] : free[kind]
            had = { ...had, [kind]: had[kind] + taken }
          }
        }
        const most = freeOf(value)
        for (const kind of METER_KINDS) assert.ok(had[kind] <= most[kind])
      }),
    )
  })
})

describe('tiers as text', () => {
  test('are joined by commas, each from a count on; without a first rate the beginning is free', () => {
    const mib = 1_048_576n
    assert.deepEqual(
      parsePrice('0.02/MiB,0.01/MiB>1GiB', usdc),
      priceOf([rate('down', 20_000n, mib), rate('down', 10_000n, mib, 1_024n * mib)]),
    )
    assert.deepEqual(parsePrice('0.01/MiB>10MiB', usdc), priceOf([rate('down', 10_000n, mib, 10n * mib)]))
    assert.deepEqual(
      parsePrice('0.002/call > 100 call, 0.001/call>1000call + 0.01/up:MiB', usdc),
      priceOf([rate('up', 10_000n, mib), rate('calls', 2_000n, 1n, 100n), rate('calls', 1_000n, 1n, 1_000n)]),
    )
  })
  test('tokens have a short form', () => {
    assert.deepEqual(parsePrice('0.5/Mtoken', usdc), priceOf([rate('units', 500_000n, 1_000_000n)], 'token'))
    assert.deepEqual(parsePrice('1/ktoken', usdc), priceOf([rate('units', 1_000_000n, 1_000n)], 'token'))
    assert.deepEqual(parsePrice('1/token', usdc), parsePrice('1/unit:token', usdc))
  })
  test('come back from their own words', () => {
    fc.assert(
      fc.property(tiered, (price) => {
        assert.deepEqual(parsePrice(formatPrice(price, usdc), usdc), price)
      }),
    )
  })
  test('are refused where they mean nothing or two things', () => {
    for (const [text, why] of [
      ['0.01/MiB,0.02/MiB', /two rates for bytes to the consumer/],
      ['0.02/MiB>2GiB,0.01/MiB>1GiB', /two rates/],
      ['0.01/MiB+0.02/MiB>1GiB', /two rates/],
      ['0.01/MiB,0.1/call', /between commas are for the same count/],
      ['1/unit:page,1/unit:token>5 unit:token', /between commas are for the same count/],
      ['0.01/MiB>5call', /holds from a count of bytes to the consumer/],
      ['0.01/MiB>', /unit/],
      ['0.01/MiB>1GiB>2GiB', /one count on/],
      ['0.01/MiB>0MiB', /1 or more/],
    ] as const) assert.throws(() => parsePrice(text, usdc), (thrown: TallyError) => thrown.code === 'PRICE_INVALID' && why.test(thrown.message), text) // biome-ignore format: a table
  })
})
