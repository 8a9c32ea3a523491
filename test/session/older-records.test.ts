// What an earlier version of this program wrote is read: a node that is upgraded forgets nobody's money.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ByteWriter } from '../../src/core/bytes.ts'
import { newOwner } from '../../src/core/credit.ts'
import { addressToBytes, sessionIdToBytes } from '../../src/core/ids.ts'
import { meterOf, ZERO_METER } from '../../src/core/meter.ts'
import {
  agreeCounts,
  type CountFlows,
  chargeCounts,
  NO_COUNT_FLOWS,
  NO_COUNTS,
  openCounts,
} from '../../src/core/session/counts.ts'
import { ackedMeter, writtenMeter } from '../../src/core/session/payee.ts'
import { exposedMeter } from '../../src/core/session/payee-state.ts'
import { usedMeter } from '../../src/core/session/payer.ts'
import { ownerCodec, payeeSessionCodec, payerSessionCodec } from '../../src/session/record-codecs.ts'
import { PayeeRecords, PayerRecords } from '../../src/session/records.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { A, PAYER, PayeeBench, PayerBench, TOKEN } from '../core/session/fixture.ts'

type Space = 'owner' | 'sessionIn' | 'sessionOut'

/** The record as version 1 had it: without its last bytes. */
async function written<T>(
  space: Space,
  key: Uint8Array,
  value: T,
  codec: { write(writer: ByteWriter, value: T): void },
  less: number,
) {
  const store = openMemoryStore()
  const writer = new ByteWriter(256).u8(1)
  codec.write(writer, value)
  const bytes = writer.finish()
  await store.commit([{ type: 'put', space, key, value: bytes.subarray(0, bytes.length - less) }])
  return store
}

async function only<T>(list: AsyncIterable<T>): Promise<T> {
  for await (const one of list) return one
  return assert.fail('no record')
}

const COUNTED: CountFlows = (() => {
  const open = openCounts(NO_COUNT_FLOWS, 1)
  const charged = chargeCounts(open, 1, { up: 900n, calls: 3n, units: 70n })
  return agreeCounts(charged, 1, { up: 500n, calls: 2n, units: 70n }) ?? assert.fail()
})()

describe('a record of version 1', () => {
  test('of a session that is paid has no counts', async () => {
    const { session } = new PayeeBench().live()
    const store = await written('sessionIn', sessionIdToBytes(session.id), session, payeeSessionCodec, 1)
    const read = await only(new PayeeRecords(store).sessions())
    assert.deepEqual([read.counts, read.held, read.terms], [NO_COUNT_FLOWS, NO_COUNTS, session.terms])
  })
  test('of a session that pays has none either', async () => {
    const { session } = new PayerBench().live()
    const store = await written('sessionOut', sessionIdToBytes(session.id), session, payerSessionCodec, 24)
    const read = await only(new PayerRecords(store).sessions())
    assert.deepEqual([read.counts, read.total], [NO_COUNT_FLOWS, session.total])
  })
  test('of an owner had nothing for nothing', async () => {
    const owner = { ...newOwner(PAYER, TOKEN), paid: 7n, debt: A(3) }
    const key = Buffer.concat([addressToBytes(PAYER), addressToBytes(TOKEN)])
    const store = await written('owner', key, owner, ownerCodec, 40)
    assert.deepEqual(await only(new PayeeRecords(store).owners()), owner)
  })
})

describe('a record', () => {
  test('keeps what was charged, agreed to and lost; what was reserved is lost with the process', async () => {
    const store = openMemoryStore()
    const records = new PayeeRecords(store)
    const session = { ...new PayeeBench().live().session, counts: COUNTED, held: { up: 0n, calls: 1n, units: 30n } }
    await store.commit(records.putSession(session))
    const read = await only(records.sessions())
    const counts = { ...ZERO_METER, down: 0n, ms: session.ms }
    assert.deepEqual(ackedMeter(read), { ...counts, up: 500n, calls: 2n, units: 70n })
    assert.deepEqual(writtenMeter(read), { ...counts, up: 900n, calls: 3n, units: 70n })
    assert.deepEqual(exposedMeter(read), { ...counts, up: 900n, calls: 4n, units: 100n })
  })
  test('of a payer keeps what it agreed to', async () => {
    const store = openMemoryStore()
    const records = new PayerRecords(store)
    const session = { ...new PayerBench().live().session, counts: COUNTED }
    await store.commit(records.putSession(session))
    assert.deepEqual(usedMeter(await only(records.sessions())), { ...usedMeter(session), ms: session.ms })
  })
  test('of an owner keeps what it had for nothing', async () => {
    const store = openMemoryStore()
    const records = new PayeeRecords(store)
    const owner = { ...newOwner(PAYER, TOKEN), had: meterOf({ down: 5n, calls: 2n }) }
    await store.commit([records.putOwner(owner)])
    assert.deepEqual(await only(records.owners()), owner)
  })
})
