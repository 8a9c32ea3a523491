import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { concat, dataSlice, id as hashOf, toBeHex } from 'ethers'
import { ledgerInterface } from '../../src/chain/abi.ts'
import { FOLLOWED_TOPICS, newWatchList, touchesOf } from '../../src/chain/ledger-logs.ts'
import type { Address, ChannelId } from '../../src/core/ids.ts'

const address = (digit: string): Address => `0x${digit.repeat(40)}` as Address
const [LEDGER, TARGET, TOKEN, PAYOUT] = [address('1'), address('2'), address('3'), address('4')]
const [known, unknown] = [hashOf('known'), hashOf('unknown')] as [ChannelId, ChannelId]
const entry = (id: ChannelId): string => concat([dataSlice(id, 0, 20), toBeHex(5, 12)])

function log(name: string, ...values: unknown[]): object {
  const { topics, data } = ledgerInterface.encodeEventLog(name, values)
  assert.ok(FOLLOWED_TOPICS.includes(topics[0] ?? ''), `${name} is asked for`)
  return { address: LEDGER, blockNumber: '0x1', blockHash: '0x2', logIndex: '0x0', removed: false, topics, data }
}

describe('logs of settlements', () => {
  const touches = (one: object): readonly string[] => {
    const watched = newWatchList()
    watched.add(known)
    return touchesOf([one], LEDGER, new Set([PAYOUT]), watched)
  }

  test('one promise touches its channel and the balance of the payout', () => {
    const expected = [`settled channel ${known}`, `settled balance ${PAYOUT} ${TOKEN}`]
    assert.deepEqual(touches(log('Settled', TARGET, TOKEN, PAYOUT, entry(known))), expected)
  })

  test('a direct settlement touches its channel only', () => {
    assert.deepEqual(touches(log('SettledDirect', entry(known))), [`settled channel ${known}`])
  })

  test('a batch touches every channel of it that is watched, and the balance of the payout once', () => {
    const expected = [`settled channel ${known}`, `settled balance ${PAYOUT} ${TOKEN}`]
    const rows = [entry(unknown), entry(known)]
    assert.deepEqual(touches(log('BatchSettled', TARGET, TOKEN, PAYOUT, rows)), expected)
  })
})
