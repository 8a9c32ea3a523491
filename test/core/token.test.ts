import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { amount, MAX_AMOUNT } from '../../src/core/amount.ts'
import { TallyError } from '../../src/core/errors.ts'
import type { Address } from '../../src/core/ids.ts'
import {
  formatAmount,
  formatAmountPadded,
  parseAmount,
  parseTokenAmount,
  type TokenInfo,
  tokenInfo,
} from '../../src/core/token.ts'

const invalid = { name: 'TallyError', code: 'AMOUNT_INVALID' }
const here = `0x${'12345678'.padEnd(40, '0')}` as Address
const there = `0x${'ab'.repeat(20)}` as Address
const usdc = tokenInfo(here, 'USDC', 6)
const ether = tokenInfo(there, 'WETH', 18)
const cents = tokenInfo(here, 'EURC', 2)
const whole = tokenInfo(here, 'TICKET', 0)

const anyAmount = fc
  .oneof(fc.constantFrom(0n, 1n, MAX_AMOUNT), fc.bigInt({ min: 0n, max: 10n ** 9n }), fc.bigInt({ min: 0n, max: MAX_AMOUNT }))
  .map(amount)
const anyToken = fc
  .tuple(
    fc.oneof(
      fc.stringMatching(/^[A-Za-z][A-Za-z0-9._-]{0,15}$/),
      fc.string(),
      fc.constantFrom('base', 'e6', 'x10', 'uUSDC', 'USD₮0'),
    ),
    fc.nat(36),
  )
  .map(([symbol, decimals]) => tokenInfo(here, symbol, decimals))

/** The message of the refusal of a text. */
function refusal(text: string, token: TokenInfo = usdc): string {
  try {
    parseAmount(text, token)
  } catch (error) {
    assert.ok(error instanceof TallyError)
    assert.equal(error.code, 'AMOUNT_INVALID')
    return `${error.message} | ${error.hint ?? ''}`
  }
  return assert.fail(`${text} was read as an amount`)
}

describe('amounts as text', () => {
  test('every amount that is printed reads back to the same amount, whatever the contract calls the token', () => {
    fc.assert(
      fc.property(anyAmount, anyToken, fc.nat(40), (value, token, fraction) => {
        assert.equal(parseAmount(formatAmount(value, token), token), value)
        assert.equal(parseAmount(formatAmountPadded(value, token, fraction), token), value)
      }),
    )
  })

  test('printed exactly, in the fewest digits', () => {
    assert.equal(formatAmount(amount(500_000n), usdc), '0.5 USDC')
    assert.equal(formatAmount(amount(1n), usdc), '0.000001 USDC')
    assert.equal(formatAmount(amount(12_000_000n), usdc), '12 USDC')
    assert.equal(formatAmount(amount(0n), usdc), '0 USDC')
    assert.equal(formatAmount(amount(1n), ether), '0.000000000000000001 WETH')
    assert.equal(formatAmount(amount(100n), whole), '100 TICKET')
    assert.equal(formatAmount(MAX_AMOUNT, usdc), '79228162514264337593543.950335 USDC')
  })

  test('padded with zeros for columns, never rounded, never beyond the decimals of the token', () => {
    assert.equal(formatAmountPadded(amount(640_000n), usdc), '0.6400 USDC')
    assert.equal(formatAmountPadded(amount(640_001n), usdc), '0.640001 USDC')
    assert.equal(formatAmountPadded(amount(100_000_000n), usdc), '100.0000 USDC')
    assert.equal(formatAmountPadded(amount(150n), cents), '1.50 EURC')
    assert.equal(formatAmountPadded(amount(3n), whole), '3 TICKET')
  })

  test('whole tokens, grouped digits, millionths and base units are understood', () => {
    const read: Record<string, bigint> = {
      '0.5 USDC': 500_000n,
      '0.5USDC': 500_000n,
      ' 5  USDC ': 5_000_000n,
      '1_000.25 USDC': 1_000_250_000n,
      '500_000 uUSDC': 500_000n,
      '500000 base': 500_000n,
      '0 USDC': 0n,
      '007 USDC': 7_000_000n,
      '0.500000 USDC': 500_000n,
    }
    for (const [text, units] of Object.entries(read)) assert.equal(parseAmount(text, usdc), units, text)
    assert.equal(parseAmount('0.5 uWETH', ether), 500_000_000_000n)
    assert.equal(parseAmount('20000 uEURC', cents), 2n)
  })

  test('a bare number is refused and asks of what', () => {
    assert.equal(refusal('0.5'), '0.5 of what? | try `0.5 USDC`')
    assert.equal(refusal('0'), '0 of what? | try `0 USDC`')
    assert.equal(refusal('1_000'), '1000 of what? | try `1000 USDC`')
  })

  test('another token is refused and the right one is named', () => {
    assert.match(refusal('0.5 DAI'), /the token here is USDC, not "DAI" \| try `0\.5 USDC`/)
    for (const text of ['0.5 usdc', '0.5 mUSDC', '0.5 USDC USDC', '0.5 uuUSDC', '0.5 BASE', '5 US DC'])
      assert.match(refusal(text), /the token here is USDC/)
  })

  test('more decimals than the token has are refused, zeros or not', () => {
    assert.match(refusal('0.0000001 USDC'), /USDC has 6 decimals, the smallest amount is 0\.000001 USDC/)
    refusal('0.5000000 USDC')
    refusal('1.0 TICKET', whole)
    assert.match(refusal('0.5 uUSDC'), /not a whole number of base units/)
    refusal('0.5 base')
    refusal('1 uEURC', cents)
  })

  test('signs, hex, exponents, words and unfinished numbers are refused', () => {
    const bad = [
      '',
      ' ',
      '-1 USDC',
      '+1 USDC',
      '−1 USDC',
      '0x10 USDC',
      '0X10',
      '1e6 USDC',
      '1E-3 USDC',
      '1e6',
      'NaN USDC',
      'Infinity USDC',
      'USDC 5',
      'USDC',
    ]
    const unfinished = [
      '.5 USDC',
      '5. USDC',
      '1_ USDC',
      '_1 USDC',
      '1__0 USDC',
      '1.5_0 USDC',
      '1,000 USDC',
      '1 000 USDC',
      '1.2.3 USDC',
      '٣ USDC',
      '$5',
    ]
    for (const text of [...bad, ...unfinished]) refusal(text)
    assert.match(refusal('-1 USDC'), /cannot be negative/)
    assert.match(refusal('1e6 USDC'), /exponent/)
    assert.match(refusal('0x10 USDC'), /hexadecimal/)
  })

  test('2^96 base units and above are refused, and so are endless texts', () => {
    assert.equal(parseAmount(`${MAX_AMOUNT} base`, usdc), MAX_AMOUNT)
    assert.match(refusal(`${MAX_AMOUNT + 1n} base`), /the largest amount is 79228162514264337593543\.950335 USDC/)
    assert.match(refusal(`${'9'.repeat(1_000_000)} USDC`), /too long/)
  })

  test('what a stranger wrote reaches no terminal as control characters', () => {
    const message = refusal('5 \u001b[2J\u009b2J\u202e')
    assert.match(message, /^[ -~]*$/)
  })

  test('any text gives an amount or AMOUNT_INVALID', () => {
    const near = fc
      .tuple(
        fc.stringMatching(/^[0-9._+-eEx]{0,12}$/),
        fc.constantFrom('', ' ', '  '),
        fc.constantFrom('USDC', 'uUSDC', 'base', 'x'),
      )
      .map((all) => all.join(''))
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), near), (text) => {
        try {
          assert.equal(amount(parseAmount(text, usdc)) >= 0n, true)
        } catch (error) {
          if (!(error instanceof TallyError)) throw error
          assert.equal(error.code, 'AMOUNT_INVALID')
        }
      }),
    )
  })
})

describe('amounts among several tokens', () => {
  test('the symbol says which token is meant', () => {
    assert.deepEqual(parseTokenAmount('2 WETH', [usdc, ether]), { amount: 2n * 10n ** 18n, token: ether })
    assert.deepEqual(parseTokenAmount('2 uUSDC', [usdc, ether]), { amount: 2n, token: usdc })
    assert.throws(() => parseTokenAmount('2 DAI', [usdc, ether]), { message: /the token here is USDC or WETH, not "DAI"/ })
  })

  test('a full symbol wins over the millionths of another token', () => {
    const odd = tokenInfo(there, 'uUSDC', 2)
    assert.deepEqual(parseTokenAmount('3 uUSDC', [usdc, odd]), { amount: 300n, token: odd })
    assert.equal(parseAmount('3 uuUSDC', tokenInfo(there, 'uUSDC', 6)), 3n)
  })

  test('a unit that two tokens could mean is refused', () => {
    assert.throws(() => parseTokenAmount('2 base', [usdc, ether]), invalid)
    assert.throws(() => parseTokenAmount('2 USDC', [usdc, tokenInfo(there, 'USDC', 18)]), invalid)
    assert.throws(() => parseTokenAmount('2 USDC', []), invalid)
  })
})

describe('what a contract says of its token', () => {
  test('a symbol that could not be read back gives way to the address', () => {
    for (const symbol of ['', 'base', 'US DC', 'USD/T', 'A+B', '5X', 'x'.repeat(17), 'USD₮0', 'a\u001b[2J']) {
      assert.equal(tokenInfo(here, symbol, 6).symbol, 'token-12345678')
    }
    for (const symbol of ['USDC', 'USDC.e', 'tUSDC', 'stETH-2']) assert.equal(tokenInfo(here, symbol, 6).symbol, symbol)
  })

  test('decimals beyond 0 to 36 are refused', () => {
    for (const decimals of [-1, 37, 255, 1.5, Number.NaN])
      assert.throws(() => tokenInfo(here, 'X', decimals), { code: 'CONFIG_INVALID' })
  })
})
