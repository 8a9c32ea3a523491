import { type Amount, amount, isAmount, readAmount } from './amount.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import { TallyError } from './errors.ts'
import { MAX_COUNT, METER_KINDS, type Meter, type MeterKind } from './meter.ts'

/** `amount` base units for every `per` of one kind. Not reduced: 10,000 per 1,048,576 bytes stays what it was called. */
export interface Rate {
  readonly kind: MeterKind
  /** 1 <= x < 2^96; what is free has no rate */
  readonly amount: Amount
  /** bytes, milliseconds, calls or units; 1 <= x < 2^64 */
  readonly per: bigint
}

/**
 * A sum of rates, at most one of each kind, in the order of METER_KINDS; none = free. Make one with `priceOf`; never change it.
 */
export interface Price {
  readonly rates: readonly Rate[]
  /** what `units` counts; there exactly when there is a rate of that kind */
  readonly unitName?: string
}

/** The metered quantum after which a payment is due. */
export interface Chunk {
  readonly kind: MeterKind
  /** 1 <= x < 2^64 */
  readonly size: bigint
}

export const FREE: Price = Object.freeze({ rates: Object.freeze([]) })

/** The longest encoded price, in bytes. */
export const MAX_PRICE_BYTES = 1 + METER_KINDS.length * 21 + 1 + 32

/** Bytes of an encoded chunk. */
export const CHUNK_BYTES = 9

const UNIT_NAME = /^[a-z0-9][a-z0-9._-]{0,31}$/

/** Whether the text may name a unit: 1 to 32 of `a-z 0-9 . _ -`, the first a letter or digit. */
export function isUnitName(text: string): boolean {
  return UNIT_NAME.test(text)
}

/** What breaks the rules of a price, as a sentence; undefined when it is one. */
function flawOf(rates: readonly Rate[], unitName: string | undefined): string | undefined {
  let last = -1
  for (const { kind, amount: base, per } of rates) {
    const order = METER_KINDS.indexOf(kind)
    if (order < 0) return 'a price names a kind of count that does not exist'
    if (order <= last) return 'the rates of a price must be in order, and of each kind at most one'
    if (base === 0n || !isAmount(base))
      return `the ${kind} rate must cost at least 1 and less than 2^96 base units; what is free has no rate`
    if (per < 1n || per > MAX_COUNT) return `the ${kind} rate must be per 1 or more, and per less than 2^64`
    last = order
  }
  if ((unitName !== undefined) !== (last === METER_KINDS.indexOf('units')))
    return 'a price names its unit exactly when it has a rate per unit'
  if (unitName !== undefined && !isUnitName(unitName)) return 'a unit is named by 1 to 32 of a-z 0-9 . _ -'
  return undefined
}

function frozenPrice(rates: readonly Rate[], unitName: string | undefined): Price {
  if (rates.length === 0) return FREE
  const kept = Object.freeze(rates.map(({ kind, amount: base, per }) => Object.freeze({ kind, amount: base, per })))
  return Object.freeze(unitName === undefined ? { rates: kept } : { rates: kept, unitName })
}

/**
 * A price of these rates, put in order and frozen.
 *
 * @throws TallyError PRICE_INVALID for two rates of a kind, a rate of zero, per zero, figures out of range, or a unit without a
 * name
 */
export function priceOf(rates: readonly Rate[], unitName?: string): Price {
  const sorted = rates.toSorted((a, b) => METER_KINDS.indexOf(a.kind) - METER_KINDS.indexOf(b.kind))
  const flaw = flawOf(sorted, unitName)
  if (flaw !== undefined) throw new TallyError('PRICE_INVALID', { message: flaw })
  return frozenPrice(sorted, unitName)
}

/**
 * A price over one denominator: count x weight, summed, / denominator = exact base units. `weights` are in the order of
 * METER_KINDS, zero for what is free.
 */
interface Scale {
  readonly denominator: bigint
  readonly weights: Readonly<Record<MeterKind, bigint>>
}

const gcd = (a: bigint, b: bigint): bigint => (b === 0n ? a : gcd(b, a % b))

// Prices never change, and a session asks the same one for every write: what follows from a price is worked out once.
const scales = new WeakMap<Price, Scale>()

function scaleOf(price: Price): Scale {
  const known = scales.get(price)
  if (known !== undefined) return known
  let denominator = 1n
  for (const { per } of price.rates) denominator *= per / gcd(denominator, per)
  const weights = { down: 0n, up: 0n, ms: 0n, calls: 0n, units: 0n }
  for (const rate of price.rates) weights[rate.kind] = rate.amount * (denominator / rate.per)
  const scale = { denominator, weights }
  scales.set(price, scale)
  return scale
}

/** The exact sum of all rates, times the denominator. */
function weigh({ weights }: Scale, meter: Meter): bigint {
  return (
    meter.down * weights.down +
    meter.up * weights.up +
    meter.ms * weights.ms +
    meter.calls * weights.calls +
    meter.units * weights.units
  )
}

/**
 * What the counts cost in base units: the exact sum over all rates, rounded up once.
 *
 * @throws TallyError AMOUNT_INVALID at 2^96 or above
 * @see protocols/session/SPEC.md S1
 */
export function due(price: Price, meter: Meter): Amount {
  if (price.rates.length === 0) return 0n as Amount
  const scale = scaleOf(price)
  return amount((weigh(scale, meter) + scale.denominator - 1n) / scale.denominator)
}

/** The whole base units that the counts have reached, rounded down. @throws TallyError AMOUNT_INVALID at 2^96 or above */
export function dueFloor(price: Price, meter: Meter): Amount {
  if (price.rates.length === 0) return 0n as Amount
  const scale = scaleOf(price)
  return amount(weigh(scale, meter) / scale.denominator)
}

/** What one chunk costs by itself, rounded up; zero when its kind is free. @throws TallyError AMOUNT_INVALID at 2^96 or above */
export function chunkCost(price: Price, chunk: Chunk): Amount {
  const rate = rateOf(price, chunk.kind)
  return rate === undefined ? (0n as Amount) : amount((chunk.size * rate.amount + rate.per - 1n) / rate.per)
}

/**
 * The largest count of `kind`, the other counts as in `meter`, whose due is at most `limit`. Exact: one more would cost more.
 *
 * At most 2^64 - 1, the largest count there is. Zero when not even zero is within the limit, because the other counts alone cost
 * more. Undefined when `kind` is free: then its count changes nothing, and only the caller can say whether the rest is within the
 * limit.
 */
export function maxCountWithin(price: Price, meter: Meter, kind: MeterKind, limit: Amount): bigint | undefined {
  if (price.rates.length === 0) return undefined
  const scale = scaleOf(price)
  const weight = scale.weights[kind]
  if (weight === 0n) return undefined
  const left = limit * scale.denominator - (weigh(scale, meter) - meter[kind] * weight)
  if (left <= 0n) return 0n
  const count = left / weight
  if (count > MAX_COUNT) return MAX_COUNT
  return count
}

/** The rate of a kind; undefined when it is free. */
export function rateOf(price: Price, kind: MeterKind): Rate | undefined {
  return price.rates.find((rate) => rate.kind === kind)
}

/**
 * Whether `price` asks no more than `max` for any kind, compared exactly. A kind that `max` does not name must be free. Units
 * with different names are different things: then the answer is no.
 */
export function isAtMost(price: Price, max: Price): boolean {
  return price.rates.every((rate) => {
    const most = rateOf(max, rate.kind)
    if (most === undefined || (rate.kind === 'units' && price.unitName !== max.unitName)) return false
    return rate.amount * most.per <= most.amount * rate.per
  })
}

/**
 * -1 when `a` is nowhere dearer and somewhere cheaper than `b`, 1 the other way round, 0 when they are worth the same; else
 * undefined.
 */
export function comparePrices(a: Price, b: Price): -1 | 0 | 1 | undefined {
  const below = isAtMost(a, b)
  const above = isAtMost(b, a)
  if (below && above) return 0
  if (below) return -1
  return above ? 1 : undefined
}

/** Appends the price: count u8, per rate kind u8 | amount u96 | per u64 in rising kind, unit name str8 (empty: none). */
export function writePrice(writer: ByteWriter, price: Price): ByteWriter {
  writer.u8(price.rates.length)
  for (const { kind, amount: base, per } of price.rates) writer.u8(METER_KINDS.indexOf(kind)).u96(base).u64(per)
  return writer.str8(price.unitName ?? '', 32)
}

/**
 * The next bytes as a price. A kind is its place in METER_KINDS, from 0.
 *
 * @throws TallyError MALFORMED for anything that `writePrice` would not have written
 */
export function readPrice(reader: ByteReader): Price {
  const count = reader.u8()
  if (count > METER_KINDS.length) throw new TallyError('MALFORMED', { message: `a price of ${count} rates`, fields: { count } })
  const rates: Rate[] = []
  for (let i = 0; i < count; i++) rates.push({ kind: readKind(reader), amount: readAmount(reader), per: reader.u64() })
  const name = reader.str8(32)
  const unitName = name === '' ? undefined : name
  const flaw = flawOf(rates, unitName)
  if (flaw !== undefined) throw new TallyError('MALFORMED', { message: flaw })
  return frozenPrice(rates, unitName)
}

function readKind(reader: ByteReader): MeterKind {
  const code = reader.u8()
  const kind = METER_KINDS[code]
  if (kind === undefined)
    throw new TallyError('MALFORMED', { message: `no kind of count has the number ${code}`, fields: { code } })
  return kind
}

export function encodePrice(price: Price): Uint8Array {
  return writePrice(new ByteWriter(MAX_PRICE_BYTES), price).finish()
}

/** @throws TallyError MALFORMED for anything that `encodePrice` would not have written, trailing bytes included */
export function decodePrice(bytes: Uint8Array): Price {
  const reader = new ByteReader(bytes)
  const price = readPrice(reader)
  reader.end()
  return price
}

/** Appends the chunk: kind u8 | size u64. @throws TallyError MALFORMED for a size outside 1 <= x < 2^64 */
export function writeChunk(writer: ByteWriter, chunk: Chunk): ByteWriter {
  return writer.u8(METER_KINDS.indexOf(chunk.kind)).u64(checkedSize(chunk.size))
}

/** The next 9 bytes as a chunk. @throws TallyError MALFORMED for an unknown kind or a size of zero */
export function readChunk(reader: ByteReader): Chunk {
  return { kind: readKind(reader), size: checkedSize(reader.u64()) }
}

function checkedSize(size: bigint): bigint {
  if (size === 0n) throw new TallyError('MALFORMED', { message: 'a chunk holds at least one' })
  return size
}

export function encodeChunk(chunk: Chunk): Uint8Array {
  return writeChunk(new ByteWriter(CHUNK_BYTES), chunk).finish()
}

/** @throws TallyError MALFORMED for anything that `encodeChunk` would not have written */
export function decodeChunk(bytes: Uint8Array): Chunk {
  const reader = new ByteReader(bytes)
  const chunk = readChunk(reader)
  reader.end()
  return chunk
}
