/** How the counts beside bytes and time look on disk. Streams do not outlive the process, what was charged on them does. */
import type { ByteReader, ByteWriter } from '../core/bytes.ts'
import {
  COUNT_KINDS,
  type CountFlows,
  type CountKind,
  type Counts,
  countsOf,
  NO_COUNT_FLOWS,
  someCount,
} from '../core/session/counts.ts'
import { ackedOf, type Flow, flowOf, writtenOf } from '../core/session/flow.ts'

function writeThree(writer: ByteWriter, counts: Counts): void {
  for (const kind of COUNT_KINDS) writer.u64(counts[kind])
}
const readThree = (reader: ByteReader): Counts => ({ up: reader.u64(), calls: reader.u64(), units: reader.u64() })

/** Of the payee: what was held is lost when the process ends, since the work ends with it. */
export function writeCharged(writer: ByteWriter, flows: CountFlows, held: Counts): void {
  const none = flows === NO_COUNT_FLOWS && !someCount(held)
  writer.u8(none ? 0 : 1)
  if (none) return
  writeThree(writer, countsOf(flows, ackedOf))
  writeThree(writer, countsOf(flows, writtenOf))
  const lost = countsOf(flows, (flow) => flow.lost)
  writeThree(writer, { up: lost.up + held.up, calls: lost.calls + held.calls, units: lost.units + held.units })
}

export function readCharged(reader: ByteReader): CountFlows {
  if (reader.u8() === 0) return NO_COUNT_FLOWS
  const [acked, written, lost] = [readThree(reader), readThree(reader), readThree(reader)]
  const flow = (kind: CountKind): Flow => flowOf(acked[kind], written[kind], lost[kind])
  return { up: flow('up'), calls: flow('calls'), units: flow('units') }
}

/** Of the payer: what was agreed to. */
export function writeAgreed(writer: ByteWriter, flows: CountFlows): void {
  writeThree(writer, countsOf(flows, ackedOf))
}

export function readAgreed(reader: ByteReader): CountFlows {
  const agreed = readThree(reader)
  if (!someCount(agreed)) return NO_COUNT_FLOWS
  const flow = (kind: CountKind): Flow => flowOf(agreed[kind], agreed[kind], 0n)
  return { up: flow('up'), calls: flow('calls'), units: flow('units') }
}
