/** Every session on record, as it is now: what is going on comes from memory, where it is ahead of the disk. */
import type { SessionId } from '../core/ids.ts'
import type { PayeeSession } from '../core/session/payee.ts'
import type { PayerSession } from '../core/session/payer.ts'
import type { Store } from '../ports/store.ts'
import { type RelayRecord, requestTable } from '../relay/records.ts'
import type { PayeeDesk } from '../session/payee-desk.ts'
import type { PayerDesk } from '../session/payer-desk.ts'
import { PayeeRecords, PayerRecords } from '../session/records.ts'

export interface HistoryComponents {
  readonly store: Store
  readonly payer: PayerDesk
  readonly payee: PayeeDesk
}

/** Read as it is asked for, in no order, each session once: there may be very many. */
export class History {
  readonly #of: HistoryComponents

  constructor(components: HistoryComponents) {
    this.#of = components
  }

  /** Sessions in which this node is paid. @throws STORE_* */
  sold(): AsyncGenerator<PayeeSession> {
    const { store, payee } = this.#of
    return merged(new PayeeRecords(store).sessions(), payee.sessions())
  }

  /** What this node has handed in for others, or agreed to. @throws STORE_* */
  relayed(): AsyncIterable<RelayRecord> {
    return requestTable(this.#of.store).list()
  }

  /** Sessions in which this node pays. @throws STORE_* */
  bought(): AsyncGenerator<PayerSession> {
    const { store, payer } = this.#of
    return merged(new PayerRecords(store).sessions(), [...payer.liveSessions(), ...payer.cutSessions()])
  }
}

async function* merged<S extends { readonly id: SessionId }>(stored: AsyncIterable<S>, now: Iterable<S>): AsyncGenerator<S> {
  const live = new Map<SessionId, S>()
  for (const session of now) live.set(session.id, session)
  for await (const session of stored) {
    yield live.get(session.id) ?? session
    live.delete(session.id)
  }
  // not on the disk yet
  yield* live.values()
}
