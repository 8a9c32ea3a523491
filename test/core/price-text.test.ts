import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Amount, amount, MAX_AMOUNT } from '../../src/core/amount.ts'
import { TallyError } from '../../src/core/errors.ts'
import type { Address } from '../../src/core/ids.ts'
import { MAX_COUNT, METER_KINDS, type MeterKind } from '../../src/core/meter.ts'
import { FREE, priceOf, type Rate } from '../../src/core/price.ts'
import { formatCount, formatPrice, parseChunk, parsePrice, quote } from '../../src/core/price-text.ts'
import { tokenInfo } from '../../src/core/token.ts'

const home = `0x${'12'.repeat(20)}` as Address
const usdc = tokenInfo(home, 'USDC', 6)
const KiB = 1024n
const MiB = 1_048_576n
const GiB = 1_073_741_824n

const rate = (kind: MeterKind, base: bigint, per: bigint): Rate => ({ kind, amount: base as Amount, per })

function refusal(text: string): string {
  try {
    parsePrice(text, usdc)
  } catch (error) {
    assert.ok(error instanceof TallyError)
    assert.equal(error.code, 'PRICE_INVALID')
    return error.message
  }
  return assert.fail(`${text} was read as a price`)
}

const figure = (bits: bigint) =>
  fc.oneof(
    fc.constantFrom(1n, (1n << bits) - 1n),
    fc.bigInt({ min: 1n, max: 100_000n }),
    fc.bigInt({ min: 1n, max: 1000n }).chain((n) => fc.constantFrom(n * MiB, n * GiB, n * 1000n, n * 3_600_000n)),
    fc.bigInt({ min: 1n, max: (1n << bits) - 1n }),
  )
const price = fc
  .tuple(fc.subarray([...METER_KINDS]), fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,31}$/))
  .chain(([kinds, name]) =>
    fc
      .tuple(...kinds.map((kind) => fc.record({ kind: fc.constant(kind), amount: figure(96n).map(amount), per: figure(64n) })))
      .map((rates) => priceOf(rates, kinds.includes('units') ? name : undefined)),
  )
const token = fc
  .tuple(fc.oneof(fc.stringMatching(/^[A-Za-z][A-Za-z0-9._-]{0,15}$/), fc.constantFrom('base', 'e6', 'call', 'MiB')), fc.nat(36))
  .map(([symbol, decimals]) => tokenInfo(home, symbol, decimals))

describe('prices as text', () => {
  test('a price that is printed reads back to the same rates, in any token', () => {
    fc.assert(fc.property(price, token, (value, of) => assert.deepEqual(parsePrice(formatPrice(value, of), of), value)))
  })

  test('bytes go to the consumer unless they say up', () => {
    assert.deepEqual(parsePrice('0.01/MiB', usdc), priceOf([rate('down', 10_000n, MiB)]))
    assert.deepEqual(parsePrice('0.01 USDC/up:MiB', usdc), priceOf([rate('up', 10_000n, MiB)]))
    assert.deepEqual(parsePrice('1/B', usdc), priceOf([rate('down', 1_000_000n, 1n)]))
    assert.deepEqual(parsePrice('1USDC/KiB', usdc), priceOf([rate('down', 1_000_000n, KiB)]))
    assert.deepEqual(parsePrice('10 uUSDC/GiB', usdc), priceOf([rate('down', 10n, GiB)]))
    assert.deepEqual(parsePrice('10 base/up:B', usdc), priceOf([rate('up', 10n, 1n)]))
  })

  test('time, calls and named units', () => {
    assert.deepEqual(parsePrice('0.5/h', usdc), priceOf([rate('ms', 500_000n, 3_600_000n)]))
    assert.deepEqual(parsePrice('0.5/min', usdc), priceOf([rate('ms', 500_000n, 60_000n)]))
    assert.deepEqual(parsePrice('0.5/s', usdc), priceOf([rate('ms', 500_000n, 1000n)]))
    assert.deepEqual(parsePrice('0.5/ms', usdc), priceOf([rate('ms', 500_000n, 1n)]))
    assert.deepEqual(parsePrice('0.001/call', usdc), priceOf([rate('calls', 1000n, 1n)]))
    assert.deepEqual(parsePrice('0.002/1000 unit:token', usdc), priceOf([rate('units', 2000n, 1000n)], 'token'))
  })

  test('sums are put in order, whatever the spaces', () => {
    const both = priceOf([rate('down', 10_000n, MiB), rate('calls', 100n, 1n)])
    assert.deepEqual(parsePrice('0.0001/call+0.01/MiB', usdc), both)
    assert.deepEqual(parsePrice(' 0.01 USDC / MiB  +  0.0001 / call ', usdc), both)
    assert.equal(formatPrice(both, usdc), '0.01 USDC/MiB + 0.0001 USDC/call')
  })

  test('free is a price', () => {
    assert.equal(parsePrice(' free ', usdc), FREE)
    assert.equal(formatPrice(FREE, usdc), 'free')
  })

  test('parts of a base unit make the unit larger, exactly', () => {
    assert.deepEqual(parsePrice('0.0000001/B', usdc), priceOf([rate('down', 1n, 10n)]))
    assert.deepEqual(parsePrice('0.0000025/KiB', usdc), priceOf([rate('down', 5n, 2048n)]))
    assert.deepEqual(parsePrice('0.00000001/1000 call', usdc), priceOf([rate('calls', 1n, 100_000n)]))
    assert.deepEqual(parsePrice('0.1 uUSDC/call', usdc), priceOf([rate('calls', 1n, 10n)]))
  })

  test('any decimal that is read is worth exactly what was written', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 10n ** 12n }), fc.integer({ min: 0, max: 15 }), (digits, scale) => {
        const text = digits.toString().padStart(scale + 1, '0')
        const decimal = scale === 0 ? text : `${text.slice(0, -scale)}.${text.slice(-scale)}`
        const [only] = parsePrice(`${decimal}/KiB`, usdc).rates
        assert.ok(only !== undefined)
        // amount / per = digits x 10^6 / (10^scale x 1024)
        assert.equal(only.amount * 10n ** BigInt(scale) * KiB, digits * 1_000_000n * only.per)
      }),
    )
  })

  test('what no rate can hold is refused', () => {
    assert.match(refusal(`0.${'0'.repeat(40)}1/B`), /too small/)
    assert.match(refusal(`${MAX_AMOUNT}/B`), /more than any amount/)
    assert.match(refusal(`1/${MAX_COUNT + 1n}B`), /less than 2\^64/)
    assert.match(refusal(`1/${MAX_COUNT}KiB`), /less than 2\^64/)
    assert.deepEqual(parsePrice(`1 base/${MAX_COUNT} B`, usdc), priceOf([rate('down', 1n, MAX_COUNT)]))
  })

  test('another token is refused and the right one is named', () => {
    assert.match(refusal('0.01 DAI/MiB'), /the token here is USDC, not "DAI"/)
  })

  test('two rates of one kind are refused', () => {
    assert.match(refusal('1/MiB+2/GiB'), /two rates for bytes to the consumer/)
    assert.match(refusal('1/s + 2/h'), /two rates for time/)
    assert.match(refusal('1/unit:a+1/unit:b'), /two rates for units/)
  })

  test('zero, signs, bare numbers, unknown units and broken sums are refused', () => {
    assert.match(refusal('0/MiB'), /`free`/)
    assert.match(refusal('0.01'), /a rate needs a unit behind a slash/)
    assert.match(refusal('0.01/MB'), /its unit is not one of/)
    const bad = [
      '',
      '+',
      '1/',
      '/MiB',
      '1/MiB+',
      '+1/MiB',
      '-1/MiB',
      '1//MiB',
      '1/MiB/s',
      '1/0 MiB',
      '1/1.5 MiB',
      '1/-1 MiB',
      '1/up:s',
      '1/up:',
      '1/unit:',
      '1/unit:A',
    ]
    const more = [
      '1e-3/MiB',
      '0x1/MiB',
      'free/MiB',
      'free+1/MiB',
      'Free',
      '1/mib',
      '1/call call',
      '1/tokens',
      '0.01/MiB,0.1/call',
      '1,5/MiB',
      '1/d',
      '1/TiB',
    ]
    for (const text of [...bad, ...more]) refusal(text)
    assert.match(refusal(`${'1/MiB+'.repeat(1000)}1/s`), /longer than/)
  })

  test('any text gives a price or PRICE_INVALID', () => {
    const word = fc.constantFrom(
      '1',
      '0.5',
      '/',
      '+',
      'MiB',
      'up:',
      'unit:',
      'page',
      ' ',
      'USDC',
      'call',
      's',
      '>',
      'free',
      '_',
      '.',
      'u',
      '0',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.array(word, { maxLength: 12 }).map((words) => words.join('')),
        ),
        (text) => {
          try {
            const read = parsePrice(text, usdc)
            assert.deepEqual(parsePrice(formatPrice(read, usdc), usdc), read)
          } catch (error) {
            if (!(error instanceof TallyError)) throw error
            assert.equal(error.code, 'PRICE_INVALID')
          }
        },
      ),
    )
  })
})

describe('quotes, counts and chunks', () => {
  test('a quote names the count and what it costs', () => {
    assert.equal(quote(parsePrice('0.01/MiB', usdc), 'down', GiB, usdc), '1 GiB = 10.24 USDC')
    assert.equal(quote(parsePrice('0.01/MiB', usdc), 'up', GiB, usdc), '1 up:GiB = 0 USDC')
    assert.equal(quote(parsePrice('1 base/MiB', usdc), 'down', 1n, usdc), '1 B = 0.000001 USDC')
    assert.equal(quote(parsePrice('2/unit:page', usdc), 'units', 3n, usdc), '3 unit:page = 6 USDC')
    assert.equal(quote(FREE, 'ms', 90_000n, usdc), '90 s = 0 USDC')
  })

  test('a count that is printed reads back as a chunk of that size', () => {
    const pages = parsePrice('1/unit:page', usdc)
    fc.assert(
      fc.property(fc.constantFrom(...METER_KINDS), figure(64n), (kind, size) => {
        assert.deepEqual(parseChunk(formatCount(kind, size, 'page'), pages), { kind, size })
      }),
    )
    assert.equal(formatCount('down', 0n), '0 B')
    assert.equal(formatCount('down', 64n * KiB), '64 KiB')
    assert.equal(formatCount('calls', 3n), '3 call')
  })

  test('a chunk without a number is one of its unit', () => {
    assert.deepEqual(parseChunk('MiB', FREE), { kind: 'down', size: MiB })
    assert.deepEqual(parseChunk('64KiB', FREE), { kind: 'down', size: 64n * KiB })
  })

  test('a chunk of zero, of parts, of no unit, or of units that the price does not count is refused', () => {
    for (const text of ['', '0 MiB', '1.5 MiB', '64', '64 KB', '-1 s', '5 unit:page', `${MAX_COUNT} KiB`, 'x'.repeat(5000)]) {
      assert.throws(() => parseChunk(text, FREE), { code: 'PRICE_INVALID', message: /is not a chunk/ })
    }
    assert.throws(() => parseChunk('5 unit:page', parsePrice('1/unit:token', usdc)), {
      message: /the price counts token, not page/,
    })
  })
})
