import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Amount, amount, MAX_AMOUNT } from '../../src/core/amount.ts'
import { fromHex, toHex } from '../../src/core/bytes.ts'
import { TallyError } from '../../src/core/errors.ts'
import { addMeters, MAX_COUNT, METER_KINDS, type Meter, type MeterKind, meterOf, ZERO_METER } from '../../src/core/meter.ts'
import {
  chunkCost,
  comparePrices,
  decodeChunk,
  decodePrice,
  due,
  dueFloor,
  encodeChunk,
  encodePrice,
  FREE,
  isAtMost,
  isUnitName,
  MAX_PRICE_BYTES,
  maxCountWithin,
  type Price,
  priceOf,
  type Rate,
} from '../../src/core/price.ts'

const malformed = { name: 'TallyError', code: 'MALFORMED' }
const invalid = { name: 'TallyError', code: 'PRICE_INVALID' }
const tooMuch = { name: 'TallyError', code: 'AMOUNT_INVALID' }

const uint = (bits: bigint) =>
  fc.oneof(
    fc.constantFrom(1n, (1n << bits) - 1n),
    fc.bigInt({ min: 1n, max: 1_000_000n }),
    fc.bigInt({ min: 1n, max: (1n << bits) - 1n }),
  )
const rateOfKind = (kind: MeterKind) => fc.record({ kind: fc.constant(kind), amount: uint(96n).map(amount), per: uint(64n) })
const unitName = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,31}$/)
const price = fc
  .tuple(fc.subarray([...METER_KINDS]), unitName)
  .chain(([kinds, name]) =>
    fc.tuple(...kinds.map(rateOfKind)).map((rates) => priceOf(rates, kinds.includes('units') ? name : undefined)),
  )
const modest = fc
  .tuple(
    fc.subarray([...METER_KINDS], { minLength: 1 }),
    fc.infiniteStream(fc.tuple(fc.bigInt({ min: 1n, max: 50n }), fc.bigInt({ min: 1n, max: 50n }))),
  )
  .map(([kinds, figures]) => {
    const rates = kinds.map((kind) => {
      const [base, per] = figures.next().value as [bigint, bigint]
      return { kind, amount: amount(base), per }
    })
    return priceOf(rates, kinds.includes('units') ? 'page' : undefined)
  })
const meterUpTo = (max: bigint) => {
  const count = fc.bigInt({ min: 0n, max })
  return fc.record({ down: count, up: count, ms: count, calls: count, units: count })
}
const meter = fc.oneof(meterUpTo(100n), meterUpTo(1n << 40n), meterUpTo(MAX_COUNT))

/** The rule of the specification, the long way: every rate over the product of all denominators. */
function exactSum(value: Price, counts: Meter): { readonly num: bigint; readonly den: bigint } {
  const den = value.rates.reduce((product, { per }) => product * per, 1n)
  return { num: value.rates.reduce((sum, rate) => sum + (counts[rate.kind] * rate.amount * den) / rate.per, 0n), den }
}

const rate = (kind: MeterKind, base: bigint, per: bigint): Rate => ({ kind, amount: base as Amount, per })

describe('due', () => {
  test('is the exact sum of all rates, rounded up once, or refused at 2^96', () => {
    fc.assert(
      fc.property(fc.oneof(price, modest), meter, (value, counts) => {
        const { num, den } = exactSum(value, counts)
        const [floor, ceil] = [num / den, (num + den - 1n) / den]
        if (ceil <= MAX_AMOUNT) assert.equal(due(value, counts), ceil)
        else assert.throws(() => due(value, counts), tooMuch)
        if (floor <= MAX_AMOUNT) assert.equal(dueFloor(value, counts), floor)
        else assert.throws(() => dueFloor(value, counts), tooMuch)
      }),
    )
  })

  test('never falls when a count rises', () => {
    fc.assert(
      fc.property(modest, meterUpTo(1n << 40n), meterUpTo(1000n), (value, counts, more) => {
        assert.ok(due(value, addMeters(counts, more)) >= due(value, counts))
      }),
    )
  })

  test('counted cumulatively is never more than the parts counted one by one, and less by under one base unit each', () => {
    fc.assert(
      fc.property(modest, fc.array(meterUpTo(1000n), { minLength: 1, maxLength: 8 }), (value, parts) => {
        const whole = due(value, parts.reduce(addMeters, ZERO_METER))
        const sum = parts.reduce((total, part) => total + due(value, part), 0n)
        assert.ok(whole <= sum)
        assert.ok(sum - whole < BigInt(parts.length) + 1n)
      }),
    )
  })

  test('rounds the sum, not each rate', () => {
    const value = priceOf([rate('down', 1n, 3n), rate('ms', 1n, 3n), rate('calls', 1n, 3n)])
    assert.equal(due(value, meterOf({ down: 1n, ms: 1n, calls: 1n })), 1n)
    assert.equal(due(value, meterOf({ down: 1n, ms: 1n, calls: 2n })), 2n)
    assert.equal(dueFloor(value, meterOf({ down: 1n, ms: 1n, calls: 2n })), 1n)
  })

  test('is zero for nothing and for what is free', () => {
    assert.equal(due(FREE, meterOf({ down: MAX_COUNT })), 0n)
    assert.equal(dueFloor(FREE, meterOf({ down: MAX_COUNT })), 0n)
    assert.equal(due(priceOf([rate('ms', 5n, 1n)]), meterOf({ down: MAX_COUNT })), 0n)
  })
})

describe('chunk cost', () => {
  test('is what is due for the chunk alone', () => {
    fc.assert(
      fc.property(modest, fc.constantFrom(...METER_KINDS), fc.bigInt({ min: 1n, max: 1n << 40n }), (value, kind, size) => {
        assert.equal(chunkCost(value, { kind, size }), due(value, meterOf({ [kind]: size })))
      }),
    )
  })

  test('is zero for a kind that is free, and refused at 2^96', () => {
    assert.equal(chunkCost(FREE, { kind: 'down', size: 5n }), 0n)
    assert.throws(() => chunkCost(priceOf([rate('down', MAX_AMOUNT, 1n)]), { kind: 'down', size: 2n }), tooMuch)
  })
})

describe('the largest count within an amount', () => {
  test('is within it, and one more is not', () => {
    const limit = fc.oneof(fc.bigInt({ min: 0n, max: 5000n }), fc.bigInt({ min: 0n, max: 1n << 60n })).map(amount)
    const counts = fc.oneof(meterUpTo(100n), meterUpTo(1n << 40n))
    fc.assert(
      fc.property(fc.oneof(modest, price), counts, fc.constantFrom(...METER_KINDS), limit, (value, meterNow, kind, most) => {
        const cost = (count: bigint): bigint => {
          const { num, den } = exactSum(value, { ...meterNow, [kind]: count })
          return (num + den - 1n) / den
        }
        const count = maxCountWithin(value, meterNow, kind, most)
        if (count === undefined) {
          assert.ok(!value.rates.some((each) => each.kind === kind))
          return
        }
        assert.ok(count >= 0n && count <= MAX_COUNT)
        if (count > 0n) assert.ok(cost(count) <= most)
        if (count < MAX_COUNT) assert.ok(cost(count + 1n) > most)
      }),
    )
  })

  test('is the inverse of due: what a count costs allows at least that count', () => {
    fc.assert(
      fc.property(modest, meterUpTo(1n << 40n), fc.constantFrom(...METER_KINDS), (value, counts, kind) => {
        const count = maxCountWithin(value, counts, kind, due(value, counts))
        if (count !== undefined) assert.ok(count >= counts[kind])
      }),
    )
  })

  test('is zero when the other counts alone cost more, undefined when the kind is free, 2^64 - 1 at most', () => {
    const value = priceOf([rate('down', 1n, 1n), rate('ms', 1n, 1n)])
    assert.equal(maxCountWithin(value, meterOf({ ms: 6n }), 'down', amount(5n)), 0n)
    assert.equal(maxCountWithin(value, meterOf({ ms: 5n }), 'down', amount(5n)), 0n)
    assert.equal(maxCountWithin(value, meterOf({ ms: 4n }), 'down', amount(5n)), 1n)
    assert.equal(maxCountWithin(value, ZERO_METER, 'up', amount(5n)), undefined)
    assert.equal(maxCountWithin(FREE, ZERO_METER, 'down', amount(0n)), undefined)
    assert.equal(maxCountWithin(value, ZERO_METER, 'down', MAX_AMOUNT), MAX_COUNT)
  })
})

describe('comparing prices', () => {
  const cheap = priceOf([rate('down', 10_000n, 1_048_576n)])

  test('is exact: one part in 2^96 decides', () => {
    const a = priceOf([rate('down', MAX_AMOUNT - 1n, MAX_COUNT)])
    const b = priceOf([rate('down', MAX_AMOUNT, MAX_COUNT)])
    assert.equal(isAtMost(a, b), true)
    assert.equal(isAtMost(b, a), false)
    assert.equal(comparePrices(a, b), -1)
    assert.equal(comparePrices(b, a), 1)
    assert.equal(comparePrices(cheap, priceOf([rate('down', 2500n, 262_144n)])), 0)
  })

  test('a kind that the maximum does not name must be free', () => {
    const both = priceOf([rate('down', 1n, 1_048_576n), rate('calls', 1n, 1n)])
    assert.equal(isAtMost(both, cheap), false)
    assert.equal(isAtMost(FREE, cheap), true)
    assert.equal(isAtMost(cheap, FREE), false)
    assert.equal(comparePrices(both, cheap), undefined)
  })

  test('units of another name are another thing', () => {
    const pages = priceOf([rate('units', 1n, 1n)], 'page')
    const tokens = priceOf([rate('units', 1n, 1n)], 'token')
    assert.equal(isAtMost(pages, tokens), false)
    assert.equal(comparePrices(pages, tokens), undefined)
    assert.equal(comparePrices(pages, pages), 0)
  })

  test('a price at most another never costs more', () => {
    fc.assert(
      fc.property(modest, modest, meterUpTo(1n << 30n), (a, b, counts) => {
        if (isAtMost(a, b)) assert.ok(due(a, counts) <= due(b, counts))
      }),
    )
  })
})

describe('a price', () => {
  test('puts its rates in order and cannot be changed afterwards', () => {
    const value = priceOf([rate('units', 3n, 1n), rate('down', 1n, 2n)], 'page')
    assert.deepEqual(value, { rates: [rate('down', 1n, 2n), rate('units', 3n, 1n)], unitName: 'page' })
    assert.ok(Object.isFrozen(value) && Object.isFrozen(value.rates) && value.rates.every(Object.isFrozen))
    assert.equal(priceOf([]), FREE)
  })

  test('refuses rates that mean nothing or two things', () => {
    const bad: readonly (readonly [readonly Rate[], string?])[] = [
      [[rate('down', 0n, 1n)]],
      [[rate('down', -1n, 1n)]],
      [[rate('down', 1n << 96n, 1n)]],
      [[rate('down', 1n, 0n)]],
      [[rate('down', 1n, 1n << 64n)]],
      [[rate('down', 1n, 1n), rate('down', 2n, 1n)]],
      [[rate('tokens' as MeterKind, 1n, 1n)]],
      [[rate('units', 1n, 1n)]],
      [[rate('units', 1n, 1n)], 'Page'],
      [[rate('units', 1n, 1n)], 'x'.repeat(33)],
      [[rate('calls', 1n, 1n)], 'page'],
      [[], 'page'],
    ]
    for (const [rates, name] of bad) assert.throws(() => priceOf(rates, name), invalid)
  })

  test('a unit name is short, lower-case and plain', () => {
    for (const name of ['page', '1k-token', 'a.b_c']) assert.ok(isUnitName(name))
    for (const name of ['', 'A', 'a b', '-a', 'é', 'a\n']) assert.ok(!isUnitName(name))
  })
})

describe('bytes of prices and chunks', () => {
  test('a price comes back as it was', () => {
    fc.assert(
      fc.property(price, (value) => {
        const bytes = encodePrice(value)
        assert.ok(bytes.length <= MAX_PRICE_BYTES)
        assert.deepEqual(decodePrice(bytes), value)
      }),
    )
  })

  test('the layout is count, then kind | amount | per, then the unit name', () => {
    assert.equal(toHex(encodePrice(FREE)), '0x0000')
    const value = priceOf([rate('down', 10_000n, 1_048_576n), rate('units', 7n, 1n)], 'pg')
    assert.equal(
      toHex(encodePrice(value)),
      `0x02${'00'}${'0'.repeat(20)}2710${'0000000000100000'}${'04'}${'0'.repeat(23)}7${'0000000000000001'}${'027067'}`,
    )
  })

  test('refuses what is out of order, twice, zero, unknown, too many, unnamed, too long or too short', () => {
    const row = (kind: string, base = '000000000000000000000001', per = '0000000000000001') => kind + base + per
    const bad = {
      'out of order': `02${row('02')}${row('00')}00`,
      twice: `02${row('00')}${row('00')}00`,
      'zero amount': `01${row('00', '0'.repeat(24))}00`,
      'zero per': `01${row('00', undefined, '0'.repeat(16))}00`,
      'unknown kind': `01${row('05')}00`,
      'too many': `06${row('00')}${row('01')}${row('02')}${row('03')}${row('04')}${row('05')}00`,
      'unit without a name': `01${row('04')}00`,
      'name without a unit': `01${row('00')}0161`,
      'name of a free price': '000161',
      'name in capitals': `01${row('04')}0141`,
      'name not UTF-8': `01${row('04')}01ff`,
      'name too long': `01${row('04')}21${'61'.repeat(33)}`,
      'trailing byte': `01${row('00')}0000`,
      'cut short': `01${row('00')}`,
      nothing: '',
    }
    for (const [what, hex] of Object.entries(bad)) assert.throws(() => decodePrice(fromHex(`0x${hex}`)), malformed, what)
  })

  test('bytes that decode encode to the same bytes; all others throw nothing but MALFORMED', () => {
    const near = fc.tuple(price, fc.nat(), fc.nat(255)).map(([value, at, byte]) => {
      const bytes = encodePrice(value)
      bytes[at % bytes.length] = byte
      return bytes
    })
    fc.assert(
      fc.property(fc.oneof(near, fc.uint8Array({ maxLength: 60 })), (bytes) => {
        try {
          assert.deepEqual(encodePrice(decodePrice(bytes)), bytes)
        } catch (error) {
          if (!(error instanceof TallyError)) throw error
          assert.equal(error.code, 'MALFORMED')
        }
      }),
    )
  })

  test('a chunk is kind and size; size zero and unknown kinds are refused', () => {
    fc.assert(
      fc.property(fc.constantFrom(...METER_KINDS), uint(64n), (kind, size) =>
        assert.deepEqual(decodeChunk(encodeChunk({ kind, size })), { kind, size }),
      ),
    )
    assert.equal(toHex(encodeChunk({ kind: 'ms', size: 1000n })), '0x0200000000000003e8')
    for (const hex of ['0x000000000000000000', '0x050000000000000001', '0x0000000000000001', '0x00000000000000000100']) {
      assert.throws(() => decodeChunk(fromHex(hex)), malformed)
    }
    assert.throws(() => encodeChunk({ kind: 'down', size: 0n }), malformed)
  })
})
