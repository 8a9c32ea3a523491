import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { concat, dataLength, dataSlice, hexlify, randomBytes, toBeHex } from 'ethers'
import { type Chain, newWallet, openChannel, type Parties, readBalance, startChain } from './fixture.ts'
import { compact, type ShownLock, showLocks, signPromise, walk } from './messages.ts'

describe('ledger locks', () => {
  let chain: Chain
  before(async () => {
    chain = await startChain()
  })
  after(() => chain.stop())

  const anyone = newWallet().address

  /** A lock of n steps, shown up to step k. */
  function newLock(unit: bigint, steps: number, k: number, expiry = 0n): ShownLock {
    const word = hexlify(randomBytes(32))
    return { anchor: walk(word, k), unit, steps, expiry, word, k }
  }

  /** A promise with these locks, shown as the bytes say. */
  async function call(p: Parties, amount: bigint, locks: readonly ShownLock[], shown: string) {
    const signature = compact(await signPromise(p, amount, locks))
    const count = toBeHex(Math.ceil(dataLength(shown) / 53), 1)
    const row = concat(['0x03', toBeHex(amount, 12), signature, p.owner.address, count, shown])
    return ['settle', p.target.address, p.token, row] as const
  }

  async function settle(p: Parties, amount: bigint, locks: readonly ShownLock[], shown = showLocks(locks)): Promise<bigint> {
    const before = await readBalance(chain, p.target.address)
    await chain.ledger.send(anyone, ...(await call(p, amount, locks, shown)))
    return (await readBalance(chain, p.target.address)) - before
  }

  async function refuse(p: Parties, amount: bigint, locks: readonly ShownLock[], shown = showLocks(locks)): Promise<string> {
    return (await chain.ledger.fails(anyone, ...(await call(p, amount, locks, shown)))).name
  }

  test('a promise is worth its amount plus the shown steps of its locks', async () => {
    const p = await openChannel(chain, 1000n)
    assert.equal(await settle(p, 40n, [newLock(3n, 16, 5), newLock(100n, 1, 1), newLock(7n, 8, 0)]), 40n + 15n + 100n)
  })

  test('a lock that is shown further pays the difference', async () => {
    const p = await openChannel(chain, 1000n)
    const word = hexlify(randomBytes(32))
    const lock = { anchor: walk(word, 10), unit: 5n, steps: 10, expiry: 0n }
    assert.equal(await settle(p, 0n, [{ ...lock, word: walk(word, 7), k: 3 }]), 15n)
    assert.equal(await settle(p, 0n, [{ ...lock, word, k: 10 }]), 35n)
    assert.equal(await refuse(p, 0n, [{ ...lock, word: walk(word, 7), k: 3 }]), 'NothingToSettle')
  })

  test('a later promise folds what was shown into its amount and carries the rest of the lock', async () => {
    const p = await openChannel(chain, 1000n)
    const word = hexlify(randomBytes(32))
    const lock = { anchor: walk(word, 10), unit: 5n, steps: 10, expiry: 0n }
    assert.equal(await settle(p, 20n, [{ ...lock, word: walk(word, 6), k: 4 }]), 40n)
    // 20 + 4 * 5 are folded; what is left is a lock of 6 steps under the word that was shown last
    const rest = { anchor: walk(word, 6), unit: 5n, steps: 6, expiry: 0n }
    assert.equal(await refuse(p, 40n, [{ ...rest, word: walk(word, 6), k: 0 }]), 'NothingToSettle')
    assert.equal(await settle(p, 40n, [{ ...rest, word: walk(word, 3), k: 3 }]), 15n)
    // the older promise, shown as deep, is worth the same: the two never add up
    assert.equal(await refuse(p, 20n, [{ ...lock, word: walk(word, 3), k: 7 }]), 'NothingToSettle')
    assert.equal(await settle(p, 20n, [{ ...lock, word, k: 10 }]), 15n)
    assert.equal(await refuse(p, 40n, [{ ...rest, word, k: 6 }]), 'NothingToSettle')
  })

  test('the deepest word that is shown of each lock stands in a log, and nothing of a lock that shows its anchor only', async () => {
    const p = await openChannel(chain, 1000n)
    const [a, b, c] = [newLock(5n, 10, 4), newLock(7n, 10, 0), newLock(9n, 3, 1, 1n)]
    const { events } = await chain.ledger.send(anyone, ...(await call(p, 1n, [a, b, c], showLocks([a, b, c]))))
    assert.deepEqual(
      events.map((e) => [e.name, ...e.args.slice(0, 3)]),
      [
        ['WordShown', a.anchor, a.word, 4n],
        // an expired lock is worth nothing here; it may still be owed by somebody who promised under the same anchor
        ['WordShown', c.anchor, c.word, 1n],
        ['Settled', p.target.address, p.token, p.target.address],
      ],
    )
  })

  test('a list whose count says less than there is, is refused', async () => {
    const p = await openChannel(chain, 1000n)
    const locks = [newLock(1n, 4, 2), newLock(1n, 4, 2)]
    const [fn, target, token, row] = await call(p, 1n, locks, showLocks(locks))
    const place = 77 + 20
    const fewer = concat([dataSlice(row, 0, place), '0x01', dataSlice(row, place + 1)])
    assert.equal((await chain.ledger.fails(anyone, fn, target, token, fewer)).name, 'MalformedRows')
  })

  test('the anchor itself, k = 0, is worth nothing', async () => {
    const p = await openChannel(chain, 1000n)
    assert.equal(await refuse(p, 0n, [newLock(5n, 10, 0)]), 'NothingToSettle')
    assert.equal(await settle(p, 1n, [newLock(5n, 10, 0)]), 1n)
  })

  test('a lock counts before its expiry and is worth nothing from its expiry on; the amount stays good', async () => {
    const p = await openChannel(chain, 1000n)
    const time = (await chain.now()) + 1000n
    const lock = newLock(5n, 10, 4, time)
    await chain.nextBlockAt(time)
    assert.equal(await settle(p, 3n, [lock]), 3n)
    const later = newLock(5n, 10, 4, time + 100n)
    await chain.nextBlockAt(time + 99n)
    assert.equal(await settle(p, 3n, [later]), 20n)
  })

  test('a lock with expiry 0 never expires', async () => {
    const p = await openChannel(chain, 1000n)
    const lock = newLock(5n, 10, 4)
    await chain.nextBlockAt((await chain.now()) + 86_400n * 800n)
    assert.equal(await settle(p, 0n, [lock]), 20n)
  })

  test('each lock is shown once, in its place: missing, doubled, swapped or added locks are not what was signed', async () => {
    const p = await openChannel(chain, 1000n)
    const [a, b] = [newLock(5n, 10, 4), newLock(7n, 10, 2)]
    const changed = [[a], [b], [a, a], [b, a], [a, b, b], []]
    for (const shown of changed) assert.equal(await refuse(p, 10n, [a, b], showLocks(shown)), 'UnknownChannel')
    assert.equal(await settle(p, 10n, [a, b]), 44n)
  })

  test('the terms of a lock are signed: another unit, number of steps, expiry, word or k is refused', async () => {
    const p = await openChannel(chain, 1000n)
    const lock = newLock(5n, 10, 4, (await chain.now()) + 1000n)
    const changes = [{ unit: 6n }, { steps: 11 }, { expiry: 0n }, { k: 5 }, { k: 3 }, { word: hexlify(randomBytes(32)) }]
    for (const change of changes) {
      assert.equal(await refuse(p, 10n, [lock], showLocks([{ ...lock, ...change }])), 'UnknownChannel')
    }
  })

  test('nobody shows more steps than the lock has', async () => {
    const p = await openChannel(chain, 1000n)
    // the chain is longer than the lock: without the bound its next word would be worth one more unit
    assert.equal(await refuse(p, 10n, [newLock(5n, 3, 4)]), 'InvalidLocks')
  })

  test('a lock has at most 1,024 steps', async () => {
    const p = await openChannel(chain, 5000n)
    assert.equal(await refuse(p, 10n, [newLock(1n, 1025, 1)]), 'InvalidLocks')
    assert.equal(await settle(p, 10n, [newLock(1n, 1024, 1024)]), 1034n)
  })

  test('a promise has at most 64 locks', async () => {
    const p = await openChannel(chain, 1000n)
    const locks = Array.from({ length: 65 }, () => newLock(1n, 1, 1))
    assert.equal(await refuse(p, 0n, locks), 'InvalidLocks')
    assert.equal(await settle(p, 0n, locks.slice(1)), 64n)
  })

  test('a list that ends inside a lock is refused', async () => {
    const p = await openChannel(chain, 1000n)
    const locks = [newLock(1n, 4, 2), newLock(1n, 4, 2)]
    const shown = showLocks(locks)
    for (const wrong of [dataSlice(shown, 0, 105), dataSlice(shown, 0, 1), concat([shown, '0x00'])]) {
      assert.equal(await refuse(p, 1n, locks, wrong), 'MalformedRows')
    }
  })

  test('the sum of the largest locks is capped by the deposit and does not overflow', async () => {
    const p = await openChannel(chain, 1000n)
    const most = 2n ** 96n - 1n
    const word = hexlify(randomBytes(32))
    const lock: ShownLock = { anchor: walk(word, 1024), unit: most, steps: 1024, expiry: 0n, word, k: 1024 }
    assert.equal(await settle(p, most, [lock, newLock(most, 1, 1), newLock(most, 64, 64)]), 1000n)
  })

  test('the worst promise that the ledger accepts, 64 locks of 1,024 steps, settles within one transaction', async () => {
    const p = await openChannel(chain, 1_000_000n)
    const word = hexlify(randomBytes(32))
    const lock: ShownLock = { anchor: walk(word, 1024), unit: 1n, steps: 1024, expiry: 0n, word, k: 1024 }
    assert.equal(
      await settle(
        p,
        0n,
        Array.from({ length: 64 }, () => lock),
      ),
      65_536n,
    )
  })
})
