import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { knownChannels } from '../../src/chain/known-channels.ts'
import { newWatchList, withMore } from '../../src/chain/ledger-logs.ts'
import { type ChannelId, channelIdToBytes } from '../../src/core/ids.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'

const idOf = (byte: number, last = 0): ChannelId =>
  `0x${byte.toString(16).padStart(2, '0').repeat(31)}${last.toString(16).padStart(2, '0')}` as ChannelId

describe('channels on record', () => {
  test('are found on the disk by id, and by the 20 bytes that a settle event carries, whoever pays in them', async () => {
    const store = openMemoryStore()
    const value = Uint8Array.of(1)
    await store.commit([
      { type: 'put', space: 'channelIn', key: channelIdToBytes(idOf(0x11, 7)), value },
      { type: 'put', space: 'channelOut', key: channelIdToBytes(idOf(0xff, 9)), value },
    ])
    const known = knownChannels(store)
    assert.deepEqual(
      [await known.has(idOf(0x11, 7)), await known.has(idOf(0xff, 9)), await known.has(idOf(0x11, 8))],
      [true, true, false],
    )
    const prefixed = [0x11, 0xff, 0x12].map((byte) => known.byPrefix(idOf(byte).slice(0, 42)))
    assert.deepEqual(await Promise.all(prefixed), [idOf(0x11, 7), idOf(0xff, 9), undefined])
    assert.deepEqual(await Array.fromAsync(known.all()), [idOf(0x11, 7), idOf(0xff, 9)])
  })

  test('a list of watched channels forgets the oldest first, and never those that were just found', () => {
    const watched = newWatchList()
    for (let byte = 1; byte <= 9; byte++) watched.add(idOf(byte))
    const more = withMore(watched, [idOf(0x20)])
    watched.trim(8)
    assert.deepEqual(
      [watched.has(idOf(1)), watched.has(idOf(9)), more.has(idOf(9)), more.has(idOf(0x20))],
      [false, true, true, true],
    )
    more.add(idOf(0x30))
    assert.ok(watched.has(idOf(0x30)))
  })
})
