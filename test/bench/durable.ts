/** What a payee's database holds: a figure counts only when every payment of it is found there. */
import { headWorth, isWhole } from '../../src/core/head.ts'
import type { ChannelId, SessionId } from '../../src/core/ids.ts'
import type { Store } from '../../src/ports/store.ts'
import { PayeeRecords } from '../../src/session/records.ts'

/** Base units as they are on the disk. */
export interface Durable {
  /** payments of each session */
  readonly sessions: ReadonlyMap<SessionId, bigint>
  /** the worth of each channel's promise, the words of its chain included */
  readonly channels: ReadonlyMap<ChannelId, bigint>
}

/** @throws when a stored word does not hash to the anchor of its promise */
export async function readDurable(store: Store): Promise<Durable> {
  const records = new PayeeRecords(store)
  const sessions = new Map<SessionId, bigint>()
  for await (const { id, paid } of records.sessions()) sessions.set(id, paid)
  const channels = new Map<ChannelId, bigint>()
  for await (const { id, best } of records.channels()) {
    if (best !== undefined && !isWhole(best)) throw new Error(`the stored word of channel ${id} does not open its promise`)
    channels.set(id, headWorth(best))
  }
  return { sessions, channels }
}

/** @throws unless the disk holds exactly what was paid, base units by session or by channel */
export function demandSame<Id>(what: string, paid: Iterable<readonly [Id, bigint]>, held: ReadonlyMap<Id, bigint>): void {
  for (const [id, amount] of paid) {
    if (held.get(id) !== amount) throw new Error(`${what} ${id}: ${amount} was paid, ${held.get(id)} is on the disk`)
  }
}
