import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { keccak256 } from 'ethers'
import fc from 'fast-check'
import { amount } from '../../src/core/amount.ts'
import { ByteReader, fromHex, toHex } from '../../src/core/bytes.ts'
import { TallyError } from '../../src/core/errors.ts'
import { hash32FromBytes, parseHash32, seconds } from '../../src/core/ids.ts'
import {
  fullValue,
  isLive,
  type Lock,
  locksHash,
  opens,
  packLocks,
  packShownLocks,
  type Reveal,
  readLocks,
  type ShownLock,
  sameLocks,
  showLocks,
  shownValue,
  walk,
} from '../../src/core/lock.ts'
import { anyLocks } from '../vector-cases/arbitrary.ts'
import { bytesOf, type Case, given, lockOf, readVectors } from '../vector-cases/read.ts'
import { hashLockInputs, packLockInputs, type ShownInput } from '../vector-cases/reference.ts'

const SEED = new Uint8Array(32).fill(3)
const NOW = seconds(1_800_000_000)

function lock(steps: number, expiry = 0, unit = 10n): Lock {
  return { anchor: hash32FromBytes(walk(SEED, steps)), unit: amount(unit), steps, expiry: seconds(expiry) }
}

function revealsOf(shown: readonly ShownInput[]): Map<Lock['anchor'], Reveal> {
  return new Map(shown.map(({ anchor, word, k }) => [parseHash32(anchor), { word: fromHex(word), k }]))
}

describe('a walk', () => {
  test('hashes k times', () => {
    let word: string = toHex(SEED)
    for (let k = 0; k <= 5; k++) {
      assert.equal(toHex(walk(SEED, k)), word)
      word = keccak256(word)
    }
  })

  test('of too many steps, or of a word of another length, is refused before anything is hashed', () => {
    for (const k of [-1, 1025, 10 ** 9, 0.5, Number.NaN]) assert.throws(() => walk(SEED, k), { code: 'MALFORMED' })
    assert.throws(() => walk(SEED.subarray(1), 1), { code: 'MALFORMED' })
  })

  test('opens a lock with the word of that many steps and with no other', () => {
    const five = lock(5)
    for (let k = 0; k <= 5; k++) {
      assert.equal(opens(five, { word: walk(SEED, 5 - k), k }), true)
      assert.equal(opens(five, { word: walk(SEED, 6 - k), k }), false)
    }
    assert.equal(opens({ ...five, steps: 4 }, { word: SEED, k: 5 }), false, 'beyond the steps of the lock')
    assert.equal(opens(five, { word: SEED.subarray(1), k: 5 }), false)
    assert.equal(opens(five, { word: SEED, k: 1e9 }), false)
    assert.equal(opens({ ...five, steps: 1e9 }, { word: SEED, k: 1e9 }), false)
  })
})

describe('the signed list', () => {
  test('has 51 bytes a lock, comes back, and is hashed as the specification says', () => {
    fc.assert(
      fc.property(anyLocks, (inputs) => {
        const locks = inputs.map(lockOf)
        const packed = packLocks(locks)
        assert.equal(toHex(packed), packLockInputs(inputs))
        assert.equal(toHex(locksHash(locks)), hashLockInputs(inputs))
        assert.deepEqual(readLocks(new ByteReader(packed), locks.length), locks)
        assert.ok(sameLocks(locks, readLocks(new ByteReader(packed), locks.length)))
      }),
    )
  })

  test('of hostile bytes decodes to the same bytes or is refused with a known code', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 0, max: 255 }), (bytes, count) => {
        try {
          const packed = packLocks(readLocks(new ByteReader(bytes), count))
          assert.deepEqual(packed, bytes.subarray(0, packed.length))
        } catch (thrown) {
          assert.ok(thrown instanceof TallyError && ['MALFORMED', 'LOCKS_REFUSED'].includes(thrown.code))
        }
      }),
    )
  })

  test('differs when a field or the order differs', () => {
    const [a, b] = [lock(5), lock(6)]
    assert.equal(sameLocks([a, b], [a, b]), true)
    for (const other of [[b, a], [a], [], [a, { ...b, unit: amount(11n) }], [a, { ...b, expiry: seconds(1) }]]) {
      assert.equal(sameLocks([a, b], other), false)
    }
  })
})

describe('the shown list', () => {
  test('shows an unopened lock by its anchor', () => {
    const five = lock(5)
    const [shown] = showLocks([five], new Map())
    assert.deepEqual(shown, { lock: five, word: fromHex(five.anchor), k: 0 })
  })

  test('refuses a word that opens nothing, and a word without a lock', () => {
    const five = lock(5)
    assert.throws(() => showLocks([five], new Map([[five.anchor, { word: SEED, k: 4 }]])), { code: 'LOCKS_REFUSED' })
    assert.throws(() => showLocks([], new Map([[five.anchor, { word: SEED, k: 5 }]])), { code: 'LOCKS_REFUSED' })
  })
})

describe('the value of locks', () => {
  const shown = (steps: number, k: number, expiry: number): ShownLock => ({
    lock: lock(steps, expiry),
    word: walk(SEED, steps - k),
    k,
  })

  test('counts shown steps of locks that have not expired, as the ledger does at that time', () => {
    const list = [shown(5, 3, 0), shown(6, 6, NOW + 1), shown(7, 7, NOW)]
    assert.equal(shownValue(list, NOW), 90n)
    assert.equal(shownValue(list, seconds(NOW + 1)), 30n)
    assert.equal(isLive(lock(1, NOW), NOW), false)
    assert.equal(isLive(lock(1, NOW), seconds(NOW - 1)), true)
  })

  test('in full counts every step of a live lock', () => {
    assert.equal(fullValue([lock(5), lock(6, NOW + 1), lock(7, NOW)], NOW), 110n)
  })

  test('does not wrap round at 96 bits', () => {
    assert.equal(fullValue([lock(1024, 0, 2n ** 96n - 1n)], NOW), 1024n * (2n ** 96n - 1n))
  })
})

interface LockExtra {
  readonly shown?: string
  readonly hash?: string
  readonly value?: string
}

const { valid, mustFail } = readVectors<Case<{ shown: readonly ShownInput[] }, LockExtra>>('ledger/vectors/locks')

for (const { comment, input, encoded, shown, hash, value } of valid) {
  test(`vector: ${comment}`, () => {
    const locks = input.shown.map(lockOf)
    const list = showLocks(locks, revealsOf(input.shown))
    assert.equal(toHex(packLocks(locks)), encoded)
    assert.equal(toHex(locksHash(locks)), hash)
    assert.equal(toHex(packShownLocks(list)), shown)
    assert.equal(shownValue(list, NOW), BigInt(given(value)))
    assert.deepEqual(readLocks(new ByteReader(bytesOf(encoded)), locks.length), locks)
  })
}

for (const { comment, input, encoded, error } of mustFail) {
  test(`must fail: ${comment}`, () => {
    const locks = input.shown.map(lockOf)
    assert.throws(() => packShownLocks(showLocks(locks, revealsOf(input.shown))), { code: error })
    if (encoded === undefined) return
    assert.throws(() => packLocks(locks), { code: error })
    assert.throws(() => readLocks(new ByteReader(bytesOf(encoded)), locks.length), { code: error })
  })
}
