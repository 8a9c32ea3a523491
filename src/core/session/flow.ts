/**
 * Byte counts of a session over its data streams: what the sender has written and what the receiver has acknowledged.
 * @see protocols/data/SPEC.md D3, D4
 */
export interface StreamCount {
  readonly written: bigint
  readonly acked: bigint
}

export interface Flow {
  /** acknowledged bytes of all streams that ended */
  readonly done: bigint
  /** bytes of streams that ended which were written and never acknowledged: they cannot become due, and they were delivered all the same */
  readonly lost: bigint
  readonly open: ReadonlyMap<number, StreamCount>
}

export const NO_FLOW: Flow = { done: 0n, lost: 0n, open: new Map() }

const total = (flow: Flow, what: keyof StreamCount): bigint => {
  let sum = flow.done
  for (const count of flow.open.values()) sum += count[what]
  return sum
}

/** Everything written so far that may still be acknowledged, plus everything acknowledged of streams that ended. */
export const writtenOf = (flow: Flow): bigint => total(flow, 'written')
/** Everything that was ever written: what the sender gave away before it was paid. */
export const exposedOf = (flow: Flow): bigint => writtenOf(flow) + flow.lost
export const ackedOf = (flow: Flow): bigint => total(flow, 'acked')

const withStream = (flow: Flow, stream: number, count: StreamCount): Flow => ({
  ...flow,
  open: new Map(flow.open).set(stream, count),
})

export function openStream(flow: Flow, stream: number): Flow {
  return flow.open.has(stream) ? flow : withStream(flow, stream, { written: 0n, acked: 0n })
}

/** Bytes into a stream that the receiver has finished with are lost, not free: else one early last word would buy the rest of it. */
export function wrote(flow: Flow, stream: number, bytes: bigint): Flow {
  const count = flow.open.get(stream)
  return count === undefined
    ? { ...flow, lost: flow.lost + bytes }
    : withStream(flow, stream, { ...count, written: count.written + bytes })
}

/**
 * The receiver's cumulative acknowledgement of one stream. One that does not grow changes nothing; one beyond what was written is
 * refused with undefined.
 */
export function acknowledge(flow: Flow, stream: number, bytes: bigint, final: boolean): Flow | undefined {
  const count = flow.open.get(stream)
  if (count === undefined) return flow
  if (bytes > count.written) return undefined
  const acked = bytes > count.acked ? bytes : count.acked
  if (!final) return acked === count.acked ? flow : withStream(flow, stream, { ...count, acked })
  const open = new Map(flow.open)
  open.delete(stream)
  return { done: flow.done + acked, lost: flow.lost + (count.written - acked), open }
}

/** Every stream ends at what is acknowledged, or at the receiver's own higher figure (`atLeast`, of all streams together). */
export function foldAll(flow: Flow, atLeast = 0n): Flow {
  const acked = ackedOf(flow)
  const done = acked > atLeast ? acked : atLeast
  const written = writtenOf(flow)
  return { done, lost: flow.lost + (written > done ? written - done : 0n), open: new Map() }
}

/** The receiver's count of a stream it reads: what was used of it is all that it knows was written. */
export function use(flow: Flow, stream: number, bytes: bigint): Flow {
  const count = flow.open.get(stream)
  if (count === undefined) return flow
  const sum = count.acked + bytes
  return withStream(flow, stream, { written: sum, acked: sum })
}

/** The receiver is done with a stream. */
export function endStream(flow: Flow, stream: number): Flow {
  const count = flow.open.get(stream)
  return count === undefined ? flow : (acknowledge(flow, stream, count.acked, true) ?? flow)
}
