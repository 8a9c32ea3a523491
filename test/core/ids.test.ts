import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AbiCoder, getAddress, keccak256 } from 'ethers'
import fc from 'fast-check'
import { ByteReader, ByteWriter, toHex } from '../../src/core/bytes.ts'
import {
  type Address,
  addressFromBytes,
  addressToBytes,
  type ChannelId,
  channelId,
  channelIdFromBytes,
  channelIdToBytes,
  formatAddress,
  type Hash32,
  hash32FromBytes,
  hash32ToBytes,
  isAddress,
  isChannelId,
  isHash32,
  isSeconds,
  isSessionId,
  MAX_SECONDS,
  parseAddress,
  parseChannelId,
  parseHash32,
  parseSessionId,
  readAddress,
  readChannelId,
  readHash32,
  readSeconds,
  readSessionId,
  type SessionId,
  seconds,
  sessionIdFromBytes,
  sessionIdToBytes,
  writeAddress,
  writeChannelId,
  writeHash32,
  writeSessionId,
} from '../../src/core/ids.ts'
import { anyParties } from '../vector-cases/arbitrary.ts'
import { type Case, partiesOf, readVectors } from '../vector-cases/read.ts'
import type { Parties } from '../vector-cases/reference.ts'

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length })

describe('addresses', () => {
  test('are read in lower case, in upper case and with a right checksum, and are lower case then', () => {
    fc.assert(
      fc.property(bytes(20), (raw) => {
        const canonical = toHex(raw)
        for (const text of [canonical, getAddress(canonical), `0x${canonical.slice(2).toUpperCase()}`])
          assert.equal(parseAddress(text), canonical)
      }),
    )
  })

  test('are shown with the checksum that ethers shows', () => {
    fc.assert(fc.property(bytes(20), (raw) => formatAddress(addressFromBytes(raw)) === getAddress(toHex(raw))))
  })

  test('with one letter in the wrong case are refused', () => {
    const good = '0x5FbDB2315678afecb367f032d93F642f64180aa3'
    assert.throws(() => parseAddress(good.replace('F642', 'f642')), { code: 'ADDRESS_INVALID' })
  })

  test('that are none are refused with a sentence that is safe to print', () => {
    const bad = [
      '',
      '0x',
      '5fbdb2315678afecb367f032d93f642f64180aa3',
      `0x${'0'.repeat(39)}`,
      `0x${'0'.repeat(41)}`,
      `0X${'0'.repeat(40)}`,
    ]
    for (const text of [...bad, `0x${'g'.repeat(40)}`, `0x${'0'.repeat(40)}\n`, 'alice.eth']) {
      assert.throws(() => parseAddress(text), { code: 'ADDRESS_INVALID' }, JSON.stringify(text))
      assert.equal(isAddress(text), false)
    }
    assert.throws(
      () => parseAddress('\u001b[2J'.repeat(1000)),
      (error: Error) => !error.message.includes('\u001b') && error.message.length < 700,
    )
  })

  test('are canonical in lower case only', () => {
    assert.equal(isAddress('0x5FbDB2315678afecb367f032d93F642f64180aa3'), false)
    assert.equal(isAddress('0x5fbdb2315678afecb367f032d93f642f64180aa3'), true)
  })
})

describe('ids and hashes', () => {
  test('are read in their canonical form only', () => {
    const word = `0x${'ab'.repeat(32)}`
    assert.equal(parseChannelId(word), word)
    assert.equal(parseHash32(word), word)
    assert.equal(parseSessionId(word.slice(0, 34)), word.slice(0, 34))
    for (const bad of [word.slice(2), word.toUpperCase(), `${word}0`, word.slice(0, 65), '']) {
      assert.throws(() => parseChannelId(bad), { code: 'MALFORMED' })
      assert.throws(() => parseHash32(bad), { code: 'MALFORMED' })
      assert.throws(() => parseSessionId(bad), { code: 'MALFORMED' })
      assert.equal(isChannelId(bad) || isHash32(bad) || isSessionId(bad), false)
    }
  })

  test('come back from their bytes', () => {
    fc.assert(
      fc.property(bytes(32), (raw) => {
        const text = toHex(raw)
        assert.deepEqual(addressToBytes(addressFromBytes(raw.subarray(0, 20))), raw.subarray(0, 20))
        assert.deepEqual(sessionIdToBytes(sessionIdFromBytes(raw.subarray(0, 16))), raw.subarray(0, 16))
        assert.equal(channelIdFromBytes(channelIdToBytes(text as ChannelId)), text)
        assert.equal(hash32FromBytes(hash32ToBytes(text as Hash32)), text)
      }),
    )
  })

  test('are not made of another number of bytes', () => {
    for (const make of [addressFromBytes, channelIdFromBytes, sessionIdFromBytes, hash32FromBytes]) {
      for (const length of [0, 15, 19, 31, 33]) assert.throws(() => make(new Uint8Array(length)), { code: 'MALFORMED' })
    }
  })

  test('are written and read one after the other', () => {
    const address = `0x${'0a'.repeat(20)}` as Address
    const word = `0x${'0b'.repeat(32)}`
    const session = `0x${'0c'.repeat(16)}` as SessionId
    const writer = writeSessionId(
      writeHash32(writeChannelId(writeAddress(new ByteWriter(), address), word as ChannelId), word as Hash32),
      session,
    )
    const reader = new ByteReader(writer.u40(7).finish())
    assert.equal(readAddress(reader), address)
    assert.equal(readChannelId(reader), word)
    assert.equal(readHash32(reader), word)
    assert.equal(readSessionId(reader), session)
    assert.equal(readSeconds(reader), 7)
    reader.end()
  })
})

test('a time is a whole number of seconds below 2^40', () => {
  for (const good of [0, 1, MAX_SECONDS]) assert.equal(seconds(good), good)
  for (const bad of [-1, 0.5, MAX_SECONDS + 1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => seconds(bad), { code: 'MALFORMED' })
    assert.equal(isSeconds(bad), false)
  }
})

describe('the id of a channel', () => {
  test('is the hash of the four addresses as the ledger encodes them', () => {
    fc.assert(
      fc.property(anyParties, (parties) => {
        const { owner, signer, target, token } = parties
        const encoded = AbiCoder.defaultAbiCoder().encode(
          ['address', 'address', 'address', 'address'],
          [owner, signer, target, token],
        )
        assert.equal(channelId(partiesOf(parties)), keccak256(encoded))
      }),
    )
  })

  for (const { comment, input, id } of readVectors<Case<Parties, { id: string }>>('ledger/vectors/channels').valid) {
    test(`vector: ${comment}`, () => assert.equal(channelId(partiesOf(input)), id))
  }
})
