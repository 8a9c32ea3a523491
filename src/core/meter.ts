import { ByteReader, ByteWriter } from './bytes.ts'
import { TallyError } from './errors.ts'

/**
 * What can be metered, in the order of every encoding: bytes to the consumer, bytes from the consumer, milliseconds, calls, and
 * units that the service names itself.
 */
export const METER_KINDS = ['down', 'up', 'ms', 'calls', 'units'] as const

export type MeterKind = (typeof METER_KINDS)[number]

/** Cumulative counts of one session, each in 0 <= x < 2^64. */
export interface Meter {
  /** bytes, provider to consumer */
  readonly down: bigint
  /** bytes, consumer to provider */
  readonly up: bigint
  /** milliseconds of running time */
  readonly ms: bigint
  readonly calls: bigint
  /** units as the price names them */
  readonly units: bigint
}

/** The largest count, 2^64 - 1. */
export const MAX_COUNT = (1n << 64n) - 1n

/** Bytes of an encoded meter. */
export const METER_BYTES = 40

export const ZERO_METER: Meter = Object.freeze({ down: 0n, up: 0n, ms: 0n, calls: 0n, units: 0n })

/** Refuses a count outside 0 <= x < 2^64. @throws TallyError MALFORMED */
function checked(kind: MeterKind, count: bigint): bigint {
  if (count >= 0n && count <= MAX_COUNT) return count
  throw new TallyError('MALFORMED', {
    message: `the ${kind} count ${count} is not within 0 and 2^64 - 1`,
    fields: { kind, count },
  })
}

/** A meter with these counts, the others zero. @throws TallyError MALFORMED for a count outside 0 <= x < 2^64 */
export function meterOf(counts: Partial<Meter>): Meter {
  const { down = 0n, up = 0n, ms = 0n, calls = 0n, units = 0n } = counts
  return {
    down: checked('down', down),
    up: checked('up', up),
    ms: checked('ms', ms),
    calls: checked('calls', calls),
    units: checked('units', units),
  }
}

/** The sum, count by count. @throws TallyError MALFORMED when a count would reach 2^64 */
export function addMeters(a: Meter, b: Meter): Meter {
  return meterOf({ down: a.down + b.down, up: a.up + b.up, ms: a.ms + b.ms, calls: a.calls + b.calls, units: a.units + b.units })
}

/** Whether no count of `after` is below its count in `before`: what a cumulative meter must always be. */
export function isMonotone(before: Meter, after: Meter): boolean {
  return METER_KINDS.every((kind) => after[kind] >= before[kind])
}

/** Appends the meter as 5 x u64. @throws TallyError MALFORMED for a count outside 0 <= x < 2^64 */
export function writeMeter(writer: ByteWriter, meter: Meter): ByteWriter {
  return writer.u64(meter.down).u64(meter.up).u64(meter.ms).u64(meter.calls).u64(meter.units)
}

/** The next 40 bytes as a meter. @throws TallyError MALFORMED when there are fewer */
export function readMeter(reader: ByteReader): Meter {
  return { down: reader.u64(), up: reader.u64(), ms: reader.u64(), calls: reader.u64(), units: reader.u64() }
}

/** The meter as 40 bytes. @throws TallyError MALFORMED for a count outside 0 <= x < 2^64 */
export function encodeMeter(meter: Meter): Uint8Array {
  return writeMeter(new ByteWriter(METER_BYTES), meter).finish()
}

/** The meter in exactly 40 bytes. @throws TallyError MALFORMED for any other length */
export function decodeMeter(bytes: Uint8Array): Meter {
  const reader = new ByteReader(bytes)
  const meter = readMeter(reader)
  reader.end()
  return meter
}
