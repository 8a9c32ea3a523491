import { type Amount, isAmount } from './amount.ts'
import { inLargestUnit, quoted, ratioOf, splitQuantity, type UnitTable } from './decimal.ts'
import { DURATION_UNITS } from './duration.ts'
import { asTallyError, TallyError } from './errors.ts'
import { MAX_COUNT, type MeterKind, meterOf } from './meter.ts'
import { type Chunk, due, isUnitName, type Price, priceOf, type Rate } from './price.ts'
import { SIZE_UNITS } from './size.ts'
import { formatAmount, type TokenInfo, unitShift } from './token.ts'

const TIME_UNITS: UnitTable = DURATION_UNITS.filter(([name]) => name !== 'd')
const BYTE_UNITS: UnitTable = SIZE_UNITS.filter(([name]) => name !== 'TiB')
/** a unit that many services count by: short for `unit:token` */
const TOKEN_UNITS: UnitTable = [
  ['Mtoken', 1_000_000n],
  ['ktoken', 1_000n],
  ['token', 1n],
]
const TOKEN = 'token'
const UPLOAD = 'up:'
const NAMED = 'unit:'
const MAX_PRICE_TEXT = 1024

const HINT = 'write it like `0.01/MiB`, `0.0001/call+0.01/up:MiB`, `0.5/h`, `2/unit:page`, `0.02/MiB,0.01/MiB>1GiB` or `free`'

const KIND_WORDS: Readonly<Record<MeterKind, string>> = {
  down: 'bytes to the consumer',
  up: 'bytes from the consumer',
  ms: 'time',
  calls: 'calls',
  units: 'units',
}

function refuse(text: string, why: string, hint = HINT): TallyError {
  return new TallyError('PRICE_INVALID', {
    message: `${quoted(text)} is not a price: ${why}`,
    hint,
    fields: { text: quoted(text) },
  })
}

/** How many of which kind a unit stands for. */
interface Unit {
  readonly kind: MeterKind
  readonly size: bigint
  readonly unitName?: string
}

function unitOf(name: string): Unit | undefined {
  if (name === 'call') return { kind: 'calls', size: 1n }
  const tokens = TOKEN_UNITS.find(([unit]) => unit === name)
  if (tokens !== undefined) return { kind: 'units', size: tokens[1], unitName: TOKEN }
  if (name.startsWith(NAMED)) {
    const unitName = name.slice(NAMED.length)
    return isUnitName(unitName) ? { kind: 'units', size: 1n, unitName } : undefined
  }
  const up = name.startsWith(UPLOAD)
  const bytes = BYTE_UNITS.find(([unit]) => unit === (up ? name.slice(UPLOAD.length) : name))
  if (bytes !== undefined) return { kind: up ? 'up' : 'down', size: bytes[1] }
  const time = TIME_UNITS.find(([unit]) => unit === name)
  return time === undefined ? undefined : { kind: 'ms', size: time[1] }
}

/** 'MiB', '10 up:MiB': a whole number of a unit, 1 <= x < 2^64 of its kind. A reason when it is none. */
function countOf(text: string): Unit | string {
  const counted = /^\s*(?:(\d{1,20})\s*)?([a-zA-Z]\S*)\s*$/.exec(text)
  const unit = unitOf(counted?.[2] ?? '')
  if (unit === undefined) return 'its unit is not one of B, KiB, MiB, GiB, up:MiB, ms, s, min, h, call, token, unit:NAME'
  const size = unit.size * BigInt(counted?.[1] ?? 1)
  return size > 0n && size <= MAX_COUNT ? { ...unit, size } : 'the number of units must be 1 or more, and less than 2^64'
}

const gcd = (a: bigint, b: bigint): bigint => (b === 0n ? a : gcd(b, a % b))

type NamedRate = Rate & { readonly unitName: string | undefined }

/** `RATE` or `RATE>COUNT UNIT`: from that count on. */
function tierOfText(text: string, token: TokenInfo): NamedRate | string {
  const [money = '', from, more] = text.split('>')
  const rate = rateOfText(money, token)
  if (typeof rate === 'string' || from === undefined) return rate
  if (more !== undefined) return 'a rate holds from one count on'
  const count = countOf(from)
  if (typeof count === 'string') return count
  if (count.kind !== rate.kind || count.unitName !== rate.unitName)
    return `a rate for ${KIND_WORDS[rate.kind]} holds from a count of ${KIND_WORDS[rate.kind]}`
  return { ...rate, from: count.size }
}

/** Whole base units per whole count. Parts of a base unit make both larger: 0.1 per byte becomes 1 per 10 bytes. */
function rateOfText(part: string, token: TokenInfo): NamedRate | string {
  const [money = '', per, more] = part.split('/')
  if (per === undefined) return 'a rate needs a unit behind a slash'
  if (more !== undefined) return 'a rate has one slash'
  const quantity = splitQuantity(money)
  if (typeof quantity === 'string') return quantity
  const shift = quantity.rest === '' ? token.decimals : unitShift(quantity.rest, token)
  if (shift === undefined) return `the token here is ${token.symbol}, not ${quoted(quantity.rest, 32)}`
  const count = countOf(per)
  if (typeof count === 'string') return count
  const { num, den } = ratioOf(quantity.value, shift)
  if (num === 0n) return 'a rate of zero is left out, and a price without rates is `free`'
  const common = den === 1n ? 1n : gcd(num, den * count.size)
  const base = num / common
  const scaled = (den * count.size) / common
  if (!isAmount(base)) return 'it is more than any amount can be'
  if (scaled > MAX_COUNT) return 'it is too small to be charged: less than one base unit per 2^64'
  return { kind: count.kind, amount: base, per: scaled, unitName: count.unitName }
}

/**
 * Reads a price: `AMOUNT [TOKEN]/[COUNT] UNIT`, several joined by `+`, or `free`. Units: B KiB MiB GiB (to the consumer; `up:MiB`
 * from the consumer), ms s min h, call, token ktoken Mtoken, unit:NAME. The token of the money may be left out. Exact: '0.01/MiB' with 6
 * decimals is 10,000 per 1,048,576 bytes.
 *
 * Tiers are joined by `,`, each from a count on: '0.02/MiB,0.01/MiB>1GiB' is 0.02 for each MiB up to 1 GiB of the session, and 0.01 for each
 * beyond. Where the first rate has a count too, what is below is free, once for each owner: '0.01/MiB>10MiB'.
 *
 * @throws TallyError PRICE_INVALID for everything else: another token, two rates of one kind from the same count on, zero, or what cannot
 * be said in whole base units per less than 2^64
 */
export function parsePrice(text: string, token: TokenInfo): Price {
  if (text.length > MAX_PRICE_TEXT) throw refuse(text, `it is longer than ${MAX_PRICE_TEXT} characters`)
  if (text.trim() === 'free') return priceOf([])
  const all: NamedRate[] = []
  for (const part of text.split('+')) {
    const tiers = part.split(',').map((tier) => tierOfText(tier, token))
    const flaw = tiers.find((tier) => typeof tier === 'string')
    if (flaw !== undefined) throw refuse(text, flaw)
    const rates = tiers as NamedRate[]
    const [kind, unitName] = [rates[0]?.kind, rates[0]?.unitName]
    if (rates.some((rate) => rate.kind !== kind || rate.unitName !== unitName))
      throw refuse(text, 'the rates between commas are for the same count; others are joined by `+`')
    const same = rates.some((rate, i) => i > 0 && (rate.from ?? 0n) <= (rates[i - 1]?.from ?? 0n))
    if (kind !== undefined && (same || all.some((rate) => rate.kind === kind)))
      throw refuse(text, `it has two rates for ${KIND_WORDS[kind]}`)
    all.push(...rates)
  }
  try {
    return priceOf(all, all.find((rate) => rate.unitName !== undefined)?.unitName)
  } catch (thrown) {
    throw refuse(text, asTallyError(thrown).message)
  }
}

/** A count in the largest unit that divides it, as unit and how often; `unit:` and `up:` in front where they belong. */
function written(
  kind: MeterKind,
  count: bigint,
  unitName: string | undefined,
): { readonly times: bigint; readonly unit: string } {
  switch (kind) {
    case 'down':
      return inLargestUnit(count, BYTE_UNITS)
    case 'up': {
      const { times, unit } = inLargestUnit(count, BYTE_UNITS)
      return { times, unit: UPLOAD + unit }
    }
    case 'ms':
      return inLargestUnit(count, TIME_UNITS)
    case 'calls':
      return { times: count, unit: 'call' }
    case 'units':
      return unitName === TOKEN ? inLargestUnit(count, TOKEN_UNITS) : { times: count, unit: NAMED + (unitName ?? '') }
  }
}

/** A count of a kind: '64 KiB', '10 s', '3 call', '2 unit:page'. Exact; what `parseChunk` reads. */
export function formatCount(kind: MeterKind, count: bigint, unitName?: string): string {
  const { times, unit } = written(kind, count, unitName)
  return `${times} ${unit}`
}

/** The price in the words that `parsePrice` reads, back to the same rates: '0.01 tUSDC/MiB + 0.5 tUSDC/10 call'. */
export function formatPrice(price: Price, token: TokenInfo): string {
  if (price.rates.length === 0) return 'free'
  const kinds = [...new Set(price.rates.map(({ kind }) => kind))]
  return kinds
    .map((kind) =>
      price.rates
        .filter((rate) => rate.kind === kind)
        .map((rate) => formatRate(rate, price.unitName, token))
        .join(', '),
    )
    .join(' + ')
}

function formatRate({ kind, amount, per, from }: Rate, unitName: string | undefined, token: TokenInfo): string {
  const { times, unit } = written(kind, per, unitName)
  const rate = `${formatAmount(amount, token)}/${times === 1n ? unit : `${times} ${unit}`}`
  return from === undefined ? rate : `${rate} > ${formatCount(kind, from, unitName)}`
}

/**
 * What a count costs by itself, as a line for a person: '1 GiB = 10.24 USDC'.
 *
 * @throws TallyError AMOUNT_INVALID at 2^96 or above
 */
export function quote(price: Price, kind: MeterKind, count: bigint, token: TokenInfo): string {
  const cost: Amount = due(price, meterOf({ [kind]: count }))
  return `${formatCount(kind, count, price.unitName)} = ${formatAmount(cost, token)}`
}

function notAChunk(text: string, why: string): TallyError {
  const hint = 'write it like `64 KiB`, `10 s` or `1 call`'
  return new TallyError('PRICE_INVALID', {
    message: `${quoted(text)} is not a chunk: ${why}`,
    hint,
    fields: { text: quoted(text) },
  })
}

/**
 * Reads a chunk: a whole count and its unit, as in a price: '64 KiB', '10 s', '1 call', '100 unit:page'.
 *
 * @throws TallyError PRICE_INVALID for anything else, and for a named unit that is not the one of the price
 */
export function parseChunk(text: string, price: Price): Chunk {
  const count = text.length > MAX_PRICE_TEXT ? 'it is too long' : countOf(text)
  if (typeof count === 'string') throw notAChunk(text, count)
  if (count.kind === 'units' && count.unitName !== price.unitName) {
    throw notAChunk(text, `the price counts ${price.unitName ?? 'no units'}, not ${count.unitName}`)
  }
  return { kind: count.kind, size: count.size }
}
