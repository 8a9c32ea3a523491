/**
 * What is counted beside bytes to the consumer and time: bytes from the consumer, calls, units. Each has a flow of its own: `written` is
 * what the payee charged, `acked` what the payer agreed to.
 * @see protocols/session/SPEC.md M1, M6
 */
import type { Meter } from '../meter.ts'
import { type Price, rateOf } from '../price.ts'
import { acknowledge, countOf, endStream, type Flow, foldAll, NO_FLOW, openStream, wrote } from './flow.ts'

export const COUNT_KINDS = ['up', 'calls', 'units'] as const
export type CountKind = (typeof COUNT_KINDS)[number]
export type Counts = Readonly<Record<CountKind, bigint>>
export type CountFlows = Readonly<Record<CountKind, Flow>>

export const NO_COUNTS: Counts = Object.freeze({ up: 0n, calls: 0n, units: 0n })
export const NO_COUNT_FLOWS: CountFlows = Object.freeze({ up: NO_FLOW, calls: NO_FLOW, units: NO_FLOW })

/** Whether the price names any of them: else nothing is ever said about them (M1). */
export const sellsCounts = ({ rates }: Price): boolean => rates.some(({ kind }) => kind !== 'down' && kind !== 'ms')

/** The counts that the price names; what it does not name is not counted (M1). */
export function soldOf(price: Price, { up, calls, units }: Counts): Counts {
  const of = (kind: CountKind, count: bigint): bigint => (rateOf(price, kind) === undefined ? 0n : count)
  return { up: of('up', up), calls: of('calls', calls), units: of('units', units) }
}

export const someCount = ({ up, calls, units }: Counts): boolean => up > 0n || calls > 0n || units > 0n
export const addCounts = (a: Counts, b: Counts): Counts => ({
  up: a.up + b.up,
  calls: a.calls + b.calls,
  units: a.units + b.units,
})
export const lessCounts = (a: Counts, b: Counts): Counts => ({
  up: a.up - b.up,
  calls: a.calls - b.calls,
  units: a.units - b.units,
})
/** Whether no count of `a` is above its count in `b`. */
export const isWithin = (a: Counts, b: Counts): boolean => COUNT_KINDS.every((kind) => a[kind] <= b[kind])
export const mostOf = (a: Counts, b: Counts): Counts => {
  const of = (kind: CountKind): bigint => (a[kind] > b[kind] ? a[kind] : b[kind])
  return { up: of('up'), calls: of('calls'), units: of('units') }
}
export const countsIn = ({ up, calls, units }: Meter): Counts => ({ up, calls, units })

const each = (flows: CountFlows, of: (flow: Flow, kind: CountKind) => Flow): CountFlows => ({
  up: of(flows.up, 'up'),
  calls: of(flows.calls, 'calls'),
  units: of(flows.units, 'units'),
})

/** One figure of every flow. Most sessions have none of them: that costs nothing. */
export function countsOf(flows: CountFlows, of: (flow: Flow) => bigint): Counts {
  return flows === NO_COUNT_FLOWS ? NO_COUNTS : { up: of(flows.up), calls: of(flows.calls), units: of(flows.units) }
}

export const openCounts = (flows: CountFlows, stream: number): CountFlows => each(flows, (flow) => openStream(flow, stream))
export const endCounts = (flows: CountFlows, stream: number): CountFlows =>
  flows === NO_COUNT_FLOWS ? flows : each(flows, (flow) => endStream(flow, stream))

/** The payee charged so much more; on a stream that is over it is lost. */
export const chargeCounts = (flows: CountFlows, stream: number, counts: Counts): CountFlows =>
  each(flows, (flow, kind) => (counts[kind] === 0n ? flow : wrote(flow, stream, counts[kind])))

/** The payer's cumulative word on one stream; undefined when it is beyond what was charged. */
export function agreeCounts(flows: CountFlows, stream: number, counts: Counts): CountFlows | undefined {
  const up = acknowledge(flows.up, stream, counts.up, false)
  const calls = acknowledge(flows.calls, stream, counts.calls, false)
  const units = acknowledge(flows.units, stream, counts.units, false)
  return up === undefined || calls === undefined || units === undefined ? undefined : { up, calls, units }
}

/** What was charged, and agreed to, on one stream that is open. */
export function countsAt(flows: CountFlows, stream: number, what: 'written' | 'acked'): Counts {
  const of = (flow: Flow): bigint => countOf(flow, stream)?.[what] ?? 0n
  return { up: of(flows.up), calls: of(flows.calls), units: of(flows.units) }
}

/** Whether more is lost after than before. */
export const losesMore = (before: CountFlows, after: CountFlows): boolean =>
  before !== after && COUNT_KINDS.some((kind) => after[kind].lost > before[kind].lost)

export function foldCounts(flows: CountFlows, atLeast: Counts = NO_COUNTS): CountFlows {
  if (flows === NO_COUNT_FLOWS && !someCount(atLeast)) return flows
  return each(flows, (flow, kind) => foldAll(flow, atLeast[kind]))
}
