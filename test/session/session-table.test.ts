import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { SessionId } from '../../src/core/ids.ts'
import { readSessionId, sessionIdToBytes, writeSessionId } from '../../src/core/ids.ts'
import type { Store } from '../../src/ports/store.ts'
import { table } from '../../src/ports/table.ts'
import type { RecordCodec } from '../../src/session/record-codecs.ts'
import { type SessionTable, sessionTable } from '../../src/session/session-table.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'

interface Toy {
  readonly id: SessionId
  readonly over: boolean
}
const codec: RecordCodec<Toy> = {
  write: (writer, { id, over }) => {
    writeSessionId(writer, id)
    writer.u8(over ? 1 : 0)
  },
  read: (reader) => ({ id: readSessionId(reader), over: reader.u8() === 1 }),
}
const idOf = (n: number): SessionId => `0x${n.toString(16).padStart(32, '0')}` as SessionId
const over = (store: Store): SessionTable<Toy> =>
  sessionTable(store, { open: 'sessionIn', past: 'sessionInPast', codec, older: codec.read, isOver: (toy) => toy.over })
const ids = async (list: AsyncIterable<Toy>): Promise<SessionId[]> => (await Array.fromAsync(list)).map(({ id }) => id)

describe('sessions on disk', () => {
  test('one that ends is no longer among the open ones, and is still found', async () => {
    const store = openMemoryStore()
    const sessions = over(store)
    await store.commit([1, 2].flatMap((n) => sessions.put({ id: idOf(n), over: false })))
    await store.commit(sessions.put({ id: idOf(1), over: true }))
    assert.deepEqual([await ids(sessions.open()), await ids(sessions.all())], [[idOf(2)], [idOf(2), idOf(1)]])
    assert.deepEqual([(await sessions.get(idOf(1)))?.over, (await sessions.get(idOf(2)))?.over], [true, false])
    await store.commit(sessions.del(idOf(1)))
    assert.equal(await sessions.get(idOf(1)), undefined)
  })

  test('what an older program left is moved, whatever commit the move is cut short at', async () => {
    const old = openMemoryStore()
    const plain = table<SessionId, Toy>(old, { space: 'sessionIn', version: 1, key: sessionIdToBytes, ...codec })
    await old.commit(Array.from({ length: 1_200 }, (_, n) => plain.put(idOf(n), { id: idOf(n), over: n % 100 > 0 })))
    for (const crashAt of [0, 1, 2]) {
      let batches = 0
      const cut = openMemoryStore({
        from: old.snapshot(),
        beforeSync: () => {
          if (batches++ === crashAt) throw new Error('the power is gone')
        },
      })
      await assert.rejects(over(cut).tidy())
      const store = openMemoryStore({ from: cut.crash() })
      const sessions = over(store)
      await sessions.tidy()
      assert.deepEqual(
        await ids(sessions.open()),
        Array.from({ length: 12 }, (_, n) => idOf(100 * n)),
      )
      assert.equal((await ids(sessions.all())).length, 1_200)
    }
  })
})
