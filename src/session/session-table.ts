/**
 * Sessions on disk. Those that are over have a space of their own, so that what is open is found without reading all that ever was. A session
 * moves in the very commit that ends it: whatever a crash leaves is one of the two.
 */
import { type SessionId, sessionIdToBytes } from '../core/ids.ts'
import type { Space, Store, StoreOp } from '../ports/store.ts'
import { table } from '../ports/table.ts'
import type { RecordCodec } from './record-codecs.ts'

interface Session {
  readonly id: SessionId
}

export interface SessionTableInit<S extends Session> {
  readonly open: Space
  readonly past: Space
  readonly codec: RecordCodec<S>
  /** of layout 1 */
  readonly older: RecordCodec<S>['read']
  readonly isOver: (session: S) => boolean
  /** what is written with a session that is over */
  readonly beside?: (session: S) => StoreOp[]
  /** what is written with one that is not */
  readonly withOpen?: (session: S) => StoreOp[]
}

export interface SessionTable<S extends Session> {
  get(id: SessionId): Promise<S | undefined>
  put(session: S): StoreOp[]
  del(id: SessionId): StoreOp[]
  open(): AsyncIterable<S>
  /** All that ever were, the open ones first: for lists, never for work. */
  all(): AsyncIterable<S>
  /** Moves what older programs left among the open ones, a commit for every few; a crash in between is gone on with. @throws STORE_* */
  tidy(): Promise<void>
}

/** how many are moved in one commit */
const MOVED_AT_ONCE = 500

export function sessionTable<S extends Session>(store: Store, init: SessionTableInit<S>): SessionTable<S> {
  const layout = { version: 2, key: sessionIdToBytes, ...init.codec, older: { 1: init.older } }
  const open = table<SessionId, S>(store, { space: init.open, ...layout })
  const past = table<SessionId, S>(store, { space: init.past, ...layout })
  const put = (session: S): StoreOp[] =>
    init.isOver(session)
      ? [open.del(session.id), past.put(session.id, session), ...(init.beside?.(session) ?? [])]
      : [open.put(session.id, session), ...(init.withOpen?.(session) ?? [])]
  return {
    get: async (id) => (await open.get(id)) ?? (await past.get(id)),
    put,
    del: (id) => [open.del(id), past.del(id)],
    open: () => open.list(),
    async *all() {
      const told = new Set<SessionId>()
      for await (const session of open.list()) {
        told.add(session.id)
        yield session
      }
      // one that ends meanwhile moves there
      for await (const session of past.list()) if (!told.has(session.id)) yield session
    },
    async tidy() {
      let ops: StoreOp[] = []
      let moved = 0
      for await (const session of open.list()) {
        if (!init.isOver(session)) continue
        ops.push(...put(session))
        if (++moved % MOVED_AT_ONCE > 0) continue
        await store.commit(ops)
        ops = []
      }
      if (ops.length > 0) await store.commit(ops)
    },
  }
}
