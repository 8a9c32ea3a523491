/**
 * Byte counts of a session over its data streams: what the sender has written and what the receiver has acknowledged.
 * @see protocols/data/SPEC.md D3, D4
 */
export interface StreamCount {
  /** the number of the stream */
  readonly stream: number
  readonly written: bigint
  readonly acked: bigint
}

/** Every piece and every payment makes a new one: the sums are carried along, and most sessions have one stream open. */
export interface Flow {
  /** acknowledged bytes of all streams that ended */
  readonly done: bigint
  /** bytes of streams that ended which were written and never acknowledged: they cannot become due, and they were delivered all the same */
  readonly lost: bigint
  /** what was written of the streams that are open, and acknowledged of them */
  readonly written: bigint
  readonly acked: bigint
  readonly open: readonly StreamCount[]
}

export const NO_FLOW: Flow = Object.freeze({ done: 0n, lost: 0n, written: 0n, acked: 0n, open: Object.freeze([]) })

/** Everything written so far that may still be acknowledged, plus everything acknowledged of streams that ended. */
export const writtenOf = (flow: Flow): bigint => flow.done + flow.written
/** Everything that was ever written: what the sender gave away before it was paid. */
export const exposedOf = (flow: Flow): bigint => flow.done + flow.written + flow.lost
export const ackedOf = (flow: Flow): bigint => flow.done + flow.acked

const placeOf = (flow: Flow, stream: number): number => flow.open.findIndex((count) => count.stream === stream)

/** The counts of a stream that is open. */
export const countOf = (flow: Flow, stream: number): StreamCount | undefined => flow.open.find((count) => count.stream === stream)
export const isOpen = (flow: Flow, stream: number): boolean => placeOf(flow, stream) >= 0

/** The open stream at this place has grown by so much. */
function grow(flow: Flow, place: number, written: bigint, acked: bigint): Flow {
  const count = flow.open[place] as StreamCount
  const grown = { stream: count.stream, written: count.written + written, acked: count.acked + acked }
  const open = flow.open.length === 1 ? [grown] : flow.open.with(place, grown)
  return { done: flow.done, lost: flow.lost, written: flow.written + written, acked: flow.acked + acked, open }
}

export function openStream(flow: Flow, stream: number): Flow {
  return isOpen(flow, stream) ? flow : { ...flow, open: [...flow.open, { stream, written: 0n, acked: 0n }] }
}

/** Bytes into a stream that the receiver has finished with are lost, not free: else one early last word would buy the rest of it. */
export function wrote(flow: Flow, stream: number, bytes: bigint): Flow {
  const place = placeOf(flow, stream)
  return place < 0 ? { ...flow, lost: flow.lost + bytes } : grow(flow, place, bytes, 0n)
}

/**
 * The receiver's cumulative acknowledgement of one stream. One that does not grow changes nothing; one beyond what was written is
 * refused with undefined.
 */
export function acknowledge(flow: Flow, stream: number, bytes: bigint, final: boolean): Flow | undefined {
  const place = placeOf(flow, stream)
  const count = flow.open[place]
  if (count === undefined) return flow
  if (bytes > count.written) return undefined
  const more = bytes > count.acked ? bytes - count.acked : 0n
  if (!final) return more === 0n ? flow : grow(flow, place, 0n, more)
  const acked = count.acked + more
  return {
    done: flow.done + acked,
    lost: flow.lost + (count.written - acked),
    written: flow.written - count.written,
    acked: flow.acked - count.acked,
    open: flow.open.toSpliced(place, 1),
  }
}

/** Every stream ends at what is acknowledged, or at the receiver's own higher figure (`atLeast`, of all streams together). */
export function foldAll(flow: Flow, atLeast = 0n): Flow {
  const acked = ackedOf(flow)
  const done = acked > atLeast ? acked : atLeast
  const written = writtenOf(flow)
  return { ...NO_FLOW, done, lost: flow.lost + (written > done ? written - done : 0n) }
}

/** The receiver's count of a stream it reads: what was used of it is all that it knows was written. */
export function use(flow: Flow, stream: number, bytes: bigint): Flow {
  const place = placeOf(flow, stream)
  return place < 0 ? flow : grow(flow, place, bytes, bytes)
}

/** What a record tells of a flow; stream 0, which is never used on the wire, stands for what is not acknowledged of streams that ended with their process. */
export function flowOf(done: bigint, written: bigint, lost: bigint): Flow {
  const left = written > done ? written - done : 0n
  return { done, lost, written: left, acked: 0n, open: left > 0n ? [{ stream: 0, written: left, acked: 0n }] : [] }
}

/** The receiver is done with a stream. */
export function endStream(flow: Flow, stream: number): Flow {
  const count = countOf(flow, stream)
  return count === undefined ? flow : (acknowledge(flow, stream, count.acked, true) ?? flow)
}
