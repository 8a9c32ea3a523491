import { type Amount, amount, isAmount, readAmount } from './amount.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import { TallyError } from './errors.ts'
import { MAX_COUNT, METER_KINDS, type Meter, type MeterKind } from './meter.ts'
import { mostWithin, type Scale, scaleFor, type Tier, weigh, weighKind } from './price-scale.ts'

/** `amount` base units for every `per` of one kind. Not reduced: 10,000 per 1,048,576 bytes stays what it was called. */
export interface Rate {
  readonly kind: MeterKind
  /** 1 <= x < 2^96; what is free has no rate */
  readonly amount: Amount
  /** bytes, milliseconds, calls or units; 1 <= x < 2^64 */
  readonly per: bigint
  /**
   * The count of this kind, within the session, beyond which the rate holds; 1 <= x < 2^64. @default from the first on. Where even the
   * first rate of a kind has one, what is below is free: once for each owner.
   */
  readonly from?: bigint
}

/**
 * A sum of rates in the order of METER_KINDS, those of one kind in the order of what they hold from; none = free. Make one with
 * `priceOf`; never change it.
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

const RATE_BYTES = 21
const FROM_BYTES = 8
/** with this in the kind of a rate, what it holds from follows */
const TIER = 0x80

/** The longest encoded price, in bytes: a rate of each kind and the longest name, or fewer kinds and more tiers. */
export const MAX_PRICE_BYTES = 1 + METER_KINDS.length * RATE_BYTES + 1 + 32
/** no price of that many bytes has more */
const MAX_RATES = Math.floor((MAX_PRICE_BYTES - 2) / RATE_BYTES)

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
  let lastFrom = 0n
  const bytes = rates.reduce((sum, { from }) => sum + RATE_BYTES + (from ? FROM_BYTES : 0), 2 + (unitName?.length ?? 0))
  if (bytes > MAX_PRICE_BYTES) return `a price has at most ${MAX_PRICE_BYTES} bytes: this one has too many rates`
  for (const { kind, amount: base, per, from = 0n } of rates) {
    const order = METER_KINDS.indexOf(kind)
    if (order < 0) return 'a price names a kind of count that does not exist'
    if (order < last || (order === last && from <= lastFrom))
      return 'the rates of a price must be in order, and of each kind at most one from the same count on'
    if (base === 0n || !isAmount(base))
      return `the ${kind} rate must cost at least 1 and less than 2^96 base units; what is free has no rate`
    if (per < 1n || per > MAX_COUNT) return `the ${kind} rate must be per 1 or more, and per less than 2^64`
    if (from < 0n || from > MAX_COUNT) return `the ${kind} rate must hold from a count below 2^64`
    last = order
    lastFrom = from
  }
  if ((unitName !== undefined) !== (last === METER_KINDS.indexOf('units')))
    return 'a price names its unit exactly when it has a rate per unit'
  if (unitName !== undefined && !isUnitName(unitName)) return 'a unit is named by 1 to 32 of a-z 0-9 . _ -'
  return undefined
}

/** Rates that are in order and right, as a price. */
export function frozenPrice(rates: readonly Rate[], unitName: string | undefined): Price {
  if (rates.length === 0) return FREE
  const kept = Object.freeze(
    rates.map(({ kind, amount: base, per, from = 0n }) =>
      Object.freeze(from === 0n ? { kind, amount: base, per } : { kind, amount: base, per, from }),
    ),
  )
  return Object.freeze(unitName === undefined ? { rates: kept } : { rates: kept, unitName })
}

const orderOf = ({ kind }: Rate): number => METER_KINDS.indexOf(kind)
const byKindAndFrom = (a: Rate, b: Rate): number => orderOf(a) - orderOf(b) || ((a.from ?? 0n) < (b.from ?? 0n) ? -1 : 1)

/**
 * A price of these rates, put in order and frozen.
 *
 * @throws TallyError PRICE_INVALID for two rates of a kind that hold from the same count, a rate of zero, per zero, figures out of range,
 * more rates than MAX_PRICE_BYTES hold, or a unit without a name
 */
export function priceOf(rates: readonly Rate[], unitName?: string): Price {
  const sorted = rates.toSorted(byKindAndFrom)
  const flaw = flawOf(sorted, unitName)
  if (flaw !== undefined) throw new TallyError('PRICE_INVALID', { message: flaw })
  return frozenPrice(sorted, unitName)
}

// Prices never change, and a session asks the same one for every write: what follows from a price is worked out once.
const scales = new WeakMap<Price, Scale>()

function scaleOf(price: Price): Scale {
  const known = scales.get(price)
  if (known !== undefined) return known
  const scale = scaleFor(price.rates)
  scales.set(price, scale)
  return scale
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

/**
 * What one chunk costs by itself, where it costs most: the dearest rate of its kind, rounded up; zero when its kind is free.
 *
 * @throws TallyError AMOUNT_INVALID at 2^96 or above
 */
export function chunkCost(price: Price, chunk: Chunk): Amount {
  let most = 0n
  for (const { kind, amount: base, per } of price.rates) {
    if (kind !== chunk.kind) continue
    const cost = (chunk.size * base + per - 1n) / per
    if (cost > most) most = cost
  }
  return amount(most)
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
  const tiers = scale.tiers[kind]
  if (tiers.length === 0) return undefined
  const left = limit * scale.denominator - (weigh(scale, meter) - weighKind(tiers, meter[kind]))
  if (left < 0n) return 0n
  const count = mostWithin(tiers, left) ?? MAX_COUNT
  return count > MAX_COUNT ? MAX_COUNT : count
}

/** The first rate of a kind; undefined when it is free. */
export function rateOf(price: Price, kind: MeterKind): Rate | undefined {
  return price.rates.find((rate) => rate.kind === kind)
}

/**
 * Whether `price` asks no more than `max` for any count of any kind, compared exactly. A kind that `max` does not name must be free.
 * Units with different names are different things: then the answer is no.
 */
export function isAtMost(price: Price, max: Price): boolean {
  const [own, most] = [scaleOf(price), scaleOf(max)]
  return METER_KINDS.every((kind) => {
    const [mine, theirs] = [own.tiers[kind], most.tiers[kind]]
    const [last, limit] = [mine.at(-1), theirs.at(-1)]
    if (last === undefined) return true
    if (limit === undefined || (kind === 'units' && price.unitName !== max.unitName)) return false
    // both are straight between the counts where a rate begins, and after the last of them
    const isLess = (a: bigint, b: bigint): boolean => a * most.denominator <= b * own.denominator
    const isBelow = ({ from }: Tier): boolean => isLess(weighKind(mine, from), weighKind(theirs, from))
    return mine.every(isBelow) && theirs.every(isBelow) && isLess(last.weight, limit.weight)
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

/**
 * Appends the price: count u8, per rate kind u8 | amount u96 | per u64, and with bit 7 of the kind | from u64; in rising kind and from; unit
 * name str8 (empty: none).
 */
export function writePrice(writer: ByteWriter, price: Price): ByteWriter {
  writer.u8(price.rates.length)
  for (const { kind, amount: base, per, from } of price.rates) {
    writer
      .u8(METER_KINDS.indexOf(kind) + (from === undefined ? 0 : TIER))
      .u96(base)
      .u64(per)
    if (from !== undefined) writer.u64(from)
  }
  return writer.str8(price.unitName ?? '', 32)
}

/**
 * The next bytes as a price. A kind is its place in METER_KINDS, from 0.
 *
 * @throws TallyError MALFORMED for anything that `writePrice` would not have written
 */
export function readPrice(reader: ByteReader): Price {
  const count = reader.u8()
  if (count > MAX_RATES) throw new TallyError('MALFORMED', { message: `a price of ${count} rates`, fields: { count } })
  const rates: Rate[] = []
  for (let i = 0; i < count; i++) rates.push(readRate(reader))
  const name = reader.str8(32)
  const unitName = name === '' ? undefined : name
  const flaw = flawOf(rates, unitName)
  if (flaw !== undefined) throw new TallyError('MALFORMED', { message: flaw })
  return frozenPrice(rates, unitName)
}

function readRate(reader: ByteReader): Rate {
  const code = reader.u8()
  const rate = { kind: kindOf(code & ~TIER), amount: readAmount(reader), per: reader.u64() }
  if (code < TIER) return rate
  const from = reader.u64()
  if (from === 0n) throw new TallyError('MALFORMED', { message: 'a rate that holds from the first on does not say so' })
  return { ...rate, from }
}

function kindOf(code: number): MeterKind {
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
  return { kind: kindOf(reader.u8()), size: checkedSize(reader.u64()) }
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
