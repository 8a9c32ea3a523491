import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { SessionId } from '../../src/core/ids.ts'
import { readSessionId, sessionIdToBytes, writeSessionId } from '../../src/core/ids.ts'
import { use } from '../../src/core/session/flow.ts'
import { owedOf } from '../../src/core/session/payer.ts'
import type { Store } from '../../src/ports/store.ts'
import { table } from '../../src/ports/table.ts'
import type { RecordCodec } from '../../src/session/record-codecs.ts'
import { PayerRecords } from '../../src/session/records.ts'
import { type SessionTable, sessionTable } from '../../src/session/session-table.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { PAYEE, PAYER, PayerBench, TOKEN } from '../core/session/fixture.ts'

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

  test('one that ends while all are listed is listed once', async () => {
    const store = openMemoryStore()
    const sessions = over(store)
    await store.commit([1, 2].flatMap((n) => sessions.put({ id: idOf(n), over: false })))
    const listed: SessionId[] = []
    for await (const { id } of sessions.all()) {
      listed.push(id)
      if (id === idOf(1)) await store.commit(sessions.put({ id, over: true }))
    }
    assert.deepEqual(listed, [idOf(1), idOf(2)])
  })

  test('what a session left owed is counted once, also when it ends while that is added up', async () => {
    const store = openMemoryStore()
    const { session } = new PayerBench().live()
    const cut = { ...session, status: 'cut' as const, flow: use(session.flow, 1, 2_400n) }
    await store.commit(new PayerRecords(store).putSession(cut))
    const ending: Store = {
      get: (space, key) => store.get(space, key),
      has: (space, key) => store.has(space, key),
      commit: (ops) => store.commit(ops),
      close: () => store.close(),
      async *list(space, range) {
        yield* store.list(space, range)
        if (space === 'sessionOut') await store.commit(new PayerRecords(store).putSession({ ...cut, status: 'closed' }))
      },
    }
    const parties = { owner: PAYER, signer: PAYER, target: PAYEE, token: TOKEN }
    const once = await new PayerRecords(ending).owedTo(parties, () => false)
    assert.ok(once > 0n)
    assert.equal(once, owedOf(cut) - cut.total)
    assert.equal(await new PayerRecords(store).owedTo(parties, () => false), once)
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
