import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { concat, dataLength, dataSlice, hexlify, randomBytes, toBeHex } from 'ethers'
import fc from 'fast-check'
import { type Chain, type Done, newWallet, openChannel, type Parties, readBalance, readChannel, startChain } from './fixture.ts'
import { encodeRow, logEntry, type ShownLock, signedRow, signedShortRow, signPromise, walk } from './messages.ts'

const UNKNOWN = 1n
const NOTHING_NEW = 2n
const BAD_LOCKS = 3n

describe('ledger batches', () => {
  let chain: Chain
  before(async () => {
    chain = await startChain()
  })
  after(() => chain.stop())

  const anyone = newWallet().address

  async function openMany(count: number): Promise<Parties[]> {
    const target = newWallet()
    const channels: Parties[] = []
    for (let i = 0; i < count; i++) channels.push(await openChannel(chain, 100n, { target }))
    return channels
  }

  function at<T>(list: readonly T[], index: number): T {
    const item = list[index]
    assert.ok(item !== undefined)
    return item
  }

  const settle = (p: Parties, ...rows: string[]): Promise<Done> =>
    chain.ledger.send(anyone, 'settleBatch', p.target.address, p.token, concat(rows))
  const skipped = (done: Done): bigint[][] =>
    done.events.filter((e) => e.name === 'RowSkipped').map((e) => [e.args.index, e.args.reason])

  test('promises of many owners to one target are paid in one transaction, with one log', async () => {
    const [a, b, c] = (await openMany(3)) as [Parties, Parties, Parties]
    const done = await settle(a, await signedRow(a, 10n), await signedRow(b, 20n), await signedRow(c, 30n))
    const entries = [logEntry(a, 10n), logEntry(b, 20n), logEntry(c, 30n)]
    assert.deepEqual(
      done.events.map((e) => [e.name, ...e.args.toArray(true)]),
      [['BatchSettled', a.target.address, a.token, a.target.address, entries]],
    )
    assert.equal(await readBalance(chain, a.target.address), 60n)
  })

  test('a row without an owner is of a signer that owns the channel itself', async () => {
    const owner = newWallet()
    const p = await openChannel(chain, 100n, { owner, signer: owner })
    await settle(p, await signedShortRow(p, 30n))
    assert.equal(await readBalance(chain, p.target.address), 30n)
    // the same signature does not serve as a row with an owner, nor the other way round
    const named = encodeRow(40n, await signPromise(p, 40n))
    assert.deepEqual(skipped(await settle(p, named)), [[0n, UNKNOWN]])
  })

  test('rows with locks and rows without stand side by side', async () => {
    const [a, b, c] = (await openMany(3)) as [Parties, Parties, Parties]
    const word = hexlify(randomBytes(32))
    const lock: ShownLock = { anchor: walk(word, 4), unit: 5n, steps: 8, expiry: 0n, word, k: 4 }
    await settle(a, await signedRow(a, 10n, [lock, lock]), await signedRow(b, 20n), await signedRow(c, 1n, []))
    assert.equal(await readBalance(chain, a.target.address), 50n + 20n + 1n)
  })

  test('bad rows are skipped and reported, good ones are paid', async () => {
    const channels = await openMany(6)
    const [a, b, c, d, e, f] = channels as [Parties, Parties, Parties, Parties, Parties, Parties]
    const word = hexlify(randomBytes(32))
    const long: ShownLock = { anchor: walk(word, 1), unit: 5n, steps: 1025, expiry: 0n, word, k: 1 }
    const over: ShownLock = { ...long, steps: 3, k: 4 }
    await settle(b, await signedRow(b, 20n))
    const forged = encodeRow(10n, await signPromise(d, 10n, [], { by: newWallet() }), { owner: d.owner.address })
    const done = await settle(
      a,
      await signedRow(a, 10n),
      await signedRow(b, 20n),
      forged,
      await signedRow(e, 10n, [long]),
      await signedRow(e, 10n, [over]),
      await signedRow(
        f,
        10n,
        Array.from({ length: 65 }, () => ({ ...long, steps: 1 })),
      ),
      encodeRow(10n, concat([toBeHex(1, 32), toBeHex(1, 32), '0x1b']), { owner: e.owner.address }),
      await signedRow(c, 30n),
    )
    const reasons = [
      [1n, NOTHING_NEW],
      [2n, UNKNOWN],
      [3n, BAD_LOCKS],
      [4n, BAD_LOCKS],
      [5n, BAD_LOCKS],
      [6n, UNKNOWN],
    ]
    assert.deepEqual(skipped(done), reasons)
    const settled = done.events.at(-1)
    assert.deepEqual(settled?.args.toArray(true)[3], [logEntry(a, 10n), logEntry(c, 30n)])
    assert.equal(await readBalance(chain, a.target.address), 60n)
  })

  test('a word that a skipped row shows is told all the same: it leads to its anchor whoever says so', async () => {
    const [a] = (await openMany(1)) as [Parties]
    const word = hexlify(randomBytes(32))
    const lock: ShownLock = { anchor: walk(word, 3), unit: 5n, steps: 8, expiry: 0n, word, k: 3 }
    const forged = encodeRow(1n, await signPromise(a, 1n, [lock], { by: newWallet() }), { owner: a.owner.address, locks: [lock] })
    assert.deepEqual(
      (await settle(a, forged)).events.map((e) => [e.name, ...e.args]),
      [
        ['WordShown', lock.anchor, word, 3n],
        ['RowSkipped', a.target.address, a.token, 0n, UNKNOWN],
      ],
    )
  })

  test('a failing recovery does not lend the signer of the row before', async () => {
    const [a, b] = (await openMany(2)) as [Parties, Parties]
    const garbage = `0x${'ff'.repeat(64)}`
    const row = concat([toBeHex(1, 1), toBeHex(90, 12), garbage, a.owner.address])
    assert.deepEqual(skipped(await settle(a, await signedRow(a, 10n), row, await signedRow(b, 20n))), [[1n, UNKNOWN]])
    assert.equal((await readChannel(chain, a.id)).settled, 10n)
  })

  test('the same promise twice in one batch pays once', async () => {
    const [a] = (await openMany(1)) as [Parties]
    assert.deepEqual(skipped(await settle(a, await signedRow(a, 10n), await signedRow(a, 10n))), [[1n, NOTHING_NEW]])
    assert.equal(await readBalance(chain, a.target.address), 10n)
  })

  test('two promises of one channel in one batch pay the larger one once', async () => {
    const [a] = (await openMany(1)) as [Parties]
    await settle(a, await signedRow(a, 10n), await signedRow(a, 25n))
    assert.equal(await readBalance(chain, a.target.address), 25n)
  })

  test('a channel that the owner reclaimed a moment before sinks nothing', async () => {
    const [a, b] = (await openMany(2)) as [Parties, Parties]
    const rows = [await signedRow(a, 10n), await signedRow(b, 20n)]
    await chain.nextBlockAt((await readChannel(chain, b.id)).expiry)
    await chain.ledger.send(a.owner.address, 'reclaim', a.signer.address, a.target.address, a.token)
    assert.deepEqual(skipped(await settle(a, ...rows)), [[0n, NOTHING_NEW]])
    assert.equal(await readBalance(chain, a.target.address), 20n)
  })

  test('a promise to another target or in another token is skipped', async () => {
    const [a] = (await openMany(1)) as [Parties]
    const [b] = (await openMany(1)) as [Parties]
    assert.deepEqual(skipped(await settle(a, await signedRow(b, 10n))), [[0n, UNKNOWN]])
    const row = await signedRow(a, 10n)
    const done = await chain.ledger.send(anyone, 'settleBatch', a.target.address, chain.forwarder.address, row)
    assert.deepEqual(skipped(done), [[0n, UNKNOWN]])
  })

  test('a batch in which nothing pays credits nobody and says why', async () => {
    const [a] = (await openMany(1)) as [Parties]
    assert.deepEqual((await settle(a)).events, [])
    const done = await settle(a, encodeRow(10n, await signPromise(a, 11n), { owner: a.owner.address }))
    assert.deepEqual(
      done.events.map((e) => e.name),
      ['RowSkipped'],
    )
  })

  test('several targets of one operator are settled in one transaction, which withdraws what their payout got', async () => {
    const payout = newWallet().address
    const [a, b] = (await openMany(2)) as [Parties, Parties]
    const [c] = (await openMany(1)) as [Parties]
    for (const { target, token } of [a, c]) {
      await chain.ledger.send(target.address, 'proposePayout', target.address, token, payout)
      await chain.ledger.send(payout, 'acceptPayout', target.address, token)
    }
    const word = hexlify(randomBytes(32))
    const lock: ShownLock = { anchor: walk(word, 2), unit: 5n, steps: 8, expiry: 0n, word, k: 2 }
    const rows = concat([await signedRow(a, 10n), await signedRow(a, 10n), await signedRow(b, 20n, [lock])])
    const calls = [
      chain.ledger.data('settleBatch', a.target.address, a.token, rows),
      chain.ledger.data('settleBatch', c.target.address, c.token, await signedRow(c, 7n)),
      chain.ledger.data('withdraw', a.token, payout, 47n),
    ]
    const done = await chain.ledger.send(payout, 'multicall', calls)
    assert.deepEqual(skipped(done), [[1n, NOTHING_NEW]])
    assert.deepEqual([await readBalance(chain, payout), (await chain.token.read('balanceOf', payout))[0]], [0n, 47n])
  })

  test('rows that end early revert, wherever they are cut', async () => {
    const [a] = (await openMany(1)) as [Parties]
    const word = hexlify(randomBytes(32))
    const lock: ShownLock = { anchor: walk(word, 4), unit: 5n, steps: 8, expiry: 0n, word, k: 4 }
    const first = await signedRow(a, 5n)
    const second = await signedRow(a, 10n, [lock])
    const rows = concat([first, second])
    const start = dataLength(first)
    assert.equal(dataLength(second), 77 + 20 + 1 + 53)
    for (const length of [1, 12, 76, 77, 96, 97, 98, 150]) {
      const cut = dataSlice(rows, 0, start + length)
      const { name, args } = await chain.ledger.fails(anyone, 'settleBatch', a.target.address, a.token, cut)
      assert.deepEqual([name, ...args], ['MalformedRows', 1n], `cut after ${length} bytes`)
    }
    // a cut that the zeros after the argument would complete to a good signature
    const owner = newWallet()
    const p = await openChannel(chain, 100n, { owner, signer: owner })
    let amount = 1n
    let row = await signedShortRow(p, amount)
    while (!row.endsWith('00')) row = await signedShortRow(p, ++amount)
    const call = ['settleBatch', p.target.address, p.token, dataSlice(row, 0, 76)] as const
    assert.equal((await chain.ledger.fails(anyone, ...call)).name, 'MalformedRows')
    assert.equal(await readBalance(chain, a.target.address), 0n)
  })

  test('rows are read from their own argument only: what follows in the calldata completes no row', async () => {
    const [a] = (await openMany(1)) as [Parties]
    const row = await signedRow(a, 10n)
    const half = chain.ledger.data('settleBatch', a.target.address, a.token, dataSlice(row, 0, 77))
    // the 20 bytes of the owner stand exactly where the padding of the argument, or a forwarder's suffix, would be
    const data = concat([dataSlice(half, 0, dataLength(half) - 19), dataSlice(row, 77), `0x${'00'.repeat(19)}`])
    await assert.rejects(chain.rpc('eth_call', { to: chain.ledger.address, data }, 'latest'), /revert/)
  })

  test('unknown flags revert, since what follows could not be located', async () => {
    const [a] = (await openMany(1)) as [Parties]
    const row = await signedRow(a, 10n)
    for (const flags of [4, 5, 8, 128, 255]) {
      const { name } = await chain.ledger.fails(
        anyone,
        'settleBatch',
        a.target.address,
        a.token,
        concat([toBeHex(flags, 1), dataSlice(row, 1)]),
      )
      assert.equal(name, 'MalformedRows')
    }
  })

  test('no gas limit makes a batch pay in part', async () => {
    const channels = await openMany(4)
    const a = at(channels, 0)
    const rows = concat(await Promise.all(channels.map((p) => signedRow(p, 10n))))
    const data = chain.ledger.data('settleBatch', a.target.address, a.token, rows)
    const whole = Number(await chain.rpc('eth_estimateGas', { from: anyone, to: chain.ledger.address, data }))
    for (let gas = 30_000; gas < whole + 6_000; gas += 1_511) {
      const call = { from: anyone, to: chain.ledger.address, data, gas: `0x${gas.toString(16)}` }
      const paid = await chain.rpc('eth_call', call, 'latest').then(BigInt as (value: unknown) => bigint, () => 0n)
      assert.ok(paid === 0n || paid === 40n, `${paid} with ${gas} gas`)
    }
  })

  test('whatever bytes come, a batch reverts as malformed or pays nothing that was not promised', async () => {
    const [a] = (await openMany(1)) as [Parties]
    const good = await signedRow(a, 10n)
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat({ max: 96 }), { minLength: 1, maxLength: 3 }))
    await fc.assert(
      fc.asyncProperty(bytes, async (input) => {
        const rows = input instanceof Uint8Array ? hexlify(input) : flip(good, input)
        if (rows === good) return
        const data = chain.ledger.data('settleBatch', a.target.address, a.token, rows)
        const paid = await chain
          .rpc('eth_call', { to: chain.ledger.address, data }, 'latest')
          .then(BigInt as (v: unknown) => bigint, () => 0n)
        assert.equal(paid, 0n)
      }),
      { numRuns: 150, seed: 7 },
    )
  })

  /** Inverts the bytes at these places. */
  function flip(row: string, places: readonly number[]): string {
    const bytes = Uint8Array.from(Buffer.from(row.slice(2), 'hex'))
    for (const place of places) bytes[place] = (bytes[place] ?? 0) ^ 0xff
    return hexlify(bytes)
  }
})
