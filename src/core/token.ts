import { type Amount, isAmount, MAX_AMOUNT } from './amount.ts'
import { formatDecimal, type Quantity, quoted, ratioOf, splitQuantity } from './decimal.ts'
import { TallyError } from './errors.ts'
import type { Address } from './ids.ts'

/** One ERC-20 token as this node knows it. Make one with `tokenInfo`: its symbol is then safe to print and to read back. */
export interface TokenInfo {
  readonly address: Address
  readonly symbol: string
  /** 0 to 36; 1 token = 10^decimals base units */
  readonly decimals: number
}

/** An amount together with the token it is of. */
export interface TokenAmount {
  readonly amount: Amount
  readonly token: TokenInfo
}

/** Written instead of a symbol: the amount is in base units. */
const BASE_WORD = 'base'

const MAX_DECIMALS = 36
const SYMBOL = /^[A-Za-z][A-Za-z0-9._-]{0,15}$/

/**
 * A token as described by its contract, which may say anything. A symbol that could not be written in an amount or a price
 * (blank, too long, a slash, other scripts, the word `base`) is replaced by `token-` and the start of the address.
 *
 * @throws TallyError CONFIG_INVALID when the decimals are not a whole number of 0 to 36
 */
export function tokenInfo(address: Address, symbol: string, decimals: number): TokenInfo {
  if (!Number.isInteger(decimals) || decimals < 0 || decimals > MAX_DECIMALS) {
    throw new TallyError('CONFIG_INVALID', {
      message: `the token ${address} has ${decimals} decimals; 0 to ${MAX_DECIMALS} are supported`,
      fields: { token: address, decimals },
    })
  }
  const usable = SYMBOL.test(symbol) && symbol !== BASE_WORD
  return { address, symbol: usable ? symbol : `token-${address.slice(2, 10)}`, decimals }
}

/** The amount with its token, exact, in the fewest digits: '0.5 tUSDC'. Reads back to the same amount. */
export function formatAmount(amount: Amount, token: TokenInfo): string {
  return `${formatDecimal(amount, token.decimals)} ${token.symbol}`
}

/**
 * The same with at least `fraction` digits after the point, for columns: '0.5000 tUSDC'. It only adds zeros, never rounds, and
 * adds none beyond the decimals of the token, so it reads back to the same amount.
 *
 * @default fraction 4
 */
export function formatAmountPadded(amount: Amount, token: TokenInfo, fraction = 4): string {
  return `${formatDecimal(amount, token.decimals, Math.min(fraction, token.decimals))} ${token.symbol}`
}

function refuse(text: string, why: string, hint?: string): TallyError {
  const message = `${quoted(text)} is not an amount: ${why}`
  return new TallyError(
    'AMOUNT_INVALID',
    hint === undefined ? { message, fields: { text: quoted(text) } } : { message, hint, fields: { text: quoted(text) } },
  )
}

/**
 * How far the written unit is from base units, as a power of ten: `USDC` 6, `uUSDC` (millionths of a token) 0, `base` 0 for a
 * token of 6 decimals. Undefined for a unit that is not of this token. The own symbol goes first, so a token that is called `uX`
 * is not mistaken.
 */
export function unitShift(unit: string, token: TokenInfo): number | undefined {
  if (unit === token.symbol) return token.decimals
  if (unit === BASE_WORD) return 0
  return unit === `u${token.symbol}` ? token.decimals - 6 : undefined
}

/** Which of the tokens a unit belongs to. A full symbol wins over another token's millionths. */
function tokenOf(text: string, unit: string, number: string, tokens: readonly TokenInfo[]): TokenInfo {
  const named = tokens.filter((token) => token.symbol === unit)
  const found = named.length > 0 ? named : tokens.filter((token) => unitShift(unit, token) !== undefined)
  const [token, other] = found
  const example = tokens[0]?.symbol ?? 'USDC'
  if (unit === '') throw new TallyError('AMOUNT_INVALID', { message: `${number} of what?`, hint: `try \`${number} ${example}\`` })
  if (token === undefined) {
    const symbols = tokens.map(({ symbol }) => symbol).join(' or ')
    throw refuse(text, `the token here is ${symbols}, not ${quoted(unit, 32)}`, `try \`${number} ${example}\``)
  }
  if (other !== undefined)
    throw refuse(text, `${quoted(unit, 32)} could be of ${found.map(({ address }) => address).join(' or ')}`)
  return token
}

/** The base units of a written number, or why there are none. */
function baseUnits({ value, rest }: Quantity, token: TokenInfo): bigint | string {
  const { num, den } = ratioOf(value, unitShift(rest, token) ?? 0)
  if (rest === token.symbol && value.scale > token.decimals) {
    return `${token.symbol} has ${token.decimals} decimals, the smallest amount is ${formatAmount(1n as Amount, token)}`
  }
  return num % den === 0n
    ? num / den
    : `it is not a whole number of base units; the smallest amount is ${formatAmount(1n as Amount, token)}`
}

/**
 * Reads an amount of one of the given tokens: '0.5 USDC', '500_000 uUSDC' (millionths of a token), '500000 base' (base units).
 * Exact: what cannot be said in whole base units is refused, never rounded.
 *
 * @throws TallyError AMOUNT_INVALID for a bare number, another token, too many decimals, a sign, an exponent, hex, or 2^96 and
 * above
 */
export function parseTokenAmount(text: string, tokens: readonly TokenInfo[]): TokenAmount {
  const quantity = splitQuantity(text)
  if (typeof quantity === 'string') throw refuse(text, quantity, `write it like \`0.5 ${tokens[0]?.symbol ?? 'USDC'}\``)
  const number = formatDecimal(quantity.value.digits, quantity.value.scale)
  const token = tokenOf(text, quantity.rest, number, tokens)
  const units = baseUnits(quantity, token)
  if (typeof units === 'string') throw refuse(text, units)
  if (!isAmount(units)) throw refuse(text, `the largest amount is ${formatAmount(MAX_AMOUNT, token)}`)
  return { amount: units, token }
}

/** The same for one token. @throws TallyError AMOUNT_INVALID as `parseTokenAmount` */
export function parseAmount(text: string, token: TokenInfo): Amount {
  return parseTokenAmount(text, [token]).amount
}
