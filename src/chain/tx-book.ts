import type { Store } from '../ports/store.ts'
import { isFinished, isInFlight, type TxRecord, txTable } from './tx-record.ts'

/**
 * All transactions of this node that the store knows. The authority for what was intended and signed: a change is on disk before
 * anybody sees it. Nothing is ever removed, so that a key stays good for ever.
 */
export interface TxBook {
  get(id: string): TxRecord | undefined
  /** In the order of submission. */
  unfinished(): readonly TxRecord[]
  /** Unfinished ones that go by relays, in the order of submission. */
  relayed(): readonly TxRecord[]
  /** Own transactions, signed and not yet deep enough in the chain, by nonce. */
  inFlight(): readonly TxRecord[]
  /** Unfinished first, then newest first. */
  all(): readonly TxRecord[]
  nextSeq(): number
  /** Writes the records, all or none; resolves when they are durable. On failure nothing has changed. */
  put(...records: readonly TxRecord[]): Promise<void>
}

/** Reads the book from the store; `onChange` hears of each change once it is durable. Throws STORE_CORRUPT, STORE_NEWER, STORE_CLOSED. */
export async function openTxBook(store: Store, onChange: (record: TxRecord) => void): Promise<TxBook> {
  const records = new Map<string, TxRecord>()
  const stored = txTable(store)
  for await (const record of stored.list()) records.set(record.id, record)
  let seq = Math.max(0, ...[...records.values()].map((record) => record.seq))

  const sorted = (keep: (record: TxRecord) => boolean, by: (record: TxRecord) => number) =>
    [...records.values()].filter(keep).sort((a, b) => by(a) - by(b))

  return {
    get: (id) => records.get(id),
    unfinished: () =>
      sorted(
        (record) => !isFinished(record.state),
        (record) => record.seq,
      ),
    relayed: () =>
      sorted(
        (record) => record.relayed !== undefined && !isFinished(record.state),
        (record) => record.seq,
      ),
    inFlight: () =>
      sorted(
        (record) => record.relayed === undefined && isInFlight(record.state),
        (record) => record.nonce ?? 0,
      ),
    all: () =>
      sorted(
        () => true,
        (record) => (isFinished(record.state) ? 0 : -(2 ** 40)) - record.seq,
      ),
    nextSeq: () => ++seq,
    async put(...changed) {
      await store.commit(changed.map((record) => stored.put(record.id, record)))
      for (const record of changed) {
        records.set(record.id, record)
        onChange(record)
      }
    },
  }
}
