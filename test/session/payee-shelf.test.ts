import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Amount } from '../../src/core/amount.ts'
import { channelBooks, sumBooks } from '../../src/core/books.ts'
import { bestAmount, type ChannelIn } from '../../src/core/channel.ts'
import type { Pool } from '../../src/core/credit.ts'
import { asTallyError } from '../../src/core/errors.ts'
import { type Address, addressFromBytes, type ChannelId, channelId, type Seconds } from '../../src/core/ids.ts'
import { payable } from '../../src/core/settlement.ts'
import type { Store } from '../../src/ports/store.ts'
import { table } from '../../src/ports/table.ts'
import { PayeeShelf } from '../../src/session/payee-shelf.ts'
import { poolCodec } from '../../src/session/record-codecs.ts'
import { PayeeRecords } from '../../src/session/records.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { collectGarbage } from '../support/gc.ts'

const address = (byte: number): Address => addressFromBytes(new Uint8Array(20).fill(byte))
const TOKENS = [address(0x71), address(0x72)] as const

function channelOf(n: number, of: { deposit?: number; settled?: number; signed?: number; expiry?: number } = {}): ChannelIn {
  const parties = { owner: address(n + 1), signer: address(n + 1), target: address(0xee), token: TOKENS[n % 2] as Address }
  const { deposit = 1_000, settled = 0, signed = 0, expiry = 5_000 } = of
  const promise = { amount: BigInt(signed) as Amount, locks: [], signature: new Uint8Array(65).fill(1) }
  return {
    id: channelId(parties), parties, best: signed === 0 ? undefined : { promise }, frozen: undefined,
    facts: { deposit: BigInt(deposit) as Amount, settled: BigInt(settled) as Amount, expiry: expiry as Seconds, epoch: 0 },
  } // biome-ignore format: a record
}

async function shelfOver(store: Store, maxIdle?: number): Promise<PayeeShelf> {
  const shelf = new PayeeShelf(store, new PayeeRecords(store), maxIdle)
  await shelf.load()
  return shelf
}

async function put(store: Store, shelf: PayeeShelf, ...channels: ChannelIn[]): Promise<void> {
  const files = []
  for (const channel of channels) {
    const file = await shelf.channel(channel.id)
    file.channel = channel
    files.push(file)
  }
  await store.commit(shelf.ops(files))
}

/** What index and sums say is what the records say. */
async function isConsistent(store: Store): Promise<void> {
  const shelf = await shelfOver(store)
  const channels = await Array.fromAsync(new PayeeRecords(store).channels())
  const due = await Array.fromAsync(shelf.due())
  const expected = channels.filter((one) => payable(one) > 0n)
  const order = (a: ChannelIn, b: ChannelIn): number => a.facts.expiry - b.facts.expiry || (a.id < b.id ? -1 : 1)
  assert.deepEqual(
    due.map(({ id, expiry }) => [id, expiry]),
    expected.sort(order).map(({ id, facts }) => [id, facts.expiry]),
  )
  for (const token of TOKENS) {
    const books = channels.filter(({ parties }) => parties.token === token).map((one) => channelBooks(one.facts, bestAmount(one)))
    assert.deepEqual(shelf.books(token), sumBooks(books))
  }
}

describe('the payee’s channels', () => {
  test('index and sums are what the records say after any changes, and after a crash at any commit', async () => {
    const change = fc.record({
      n: fc.nat(5), deposit: fc.nat(2_000), settled: fc.nat(1_500), signed: fc.nat(2_000), expiry: fc.integer({ min: 1, max: 9_000 }),
    }) // biome-ignore format: a record
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(change, { minLength: 1, maxLength: 4 }), { maxLength: 12 }),
        fc.nat(12),
        async (batches, crashAt) => {
          let batch = 0
          const store = openMemoryStore({
            beforeSync: (ops) => {
              if (ops > 0 && batch++ === crashAt) throw new Error('the power is gone')
            },
          })
          const shelf = await shelfOver(store).catch(() => undefined)
          for (const changes of batches) {
            if (shelf !== undefined)
              await put(store, shelf, ...changes.map(({ n, ...of }) => channelOf(n, of))).catch(() => undefined)
          }
          await isConsistent(openMemoryStore({ from: store.crash() }))
        },
      ),
      { numRuns: 150 },
    )
  })

  test('a database of an older program gets its index and sums, also when that is cut short', async () => {
    const old = openMemoryStore()
    const records = new PayeeRecords(old)
    const channels = Array.from({ length: 40 }, (_, n) =>
      channelOf(n, { signed: n % 3 === 0 ? 0 : 10 * n, settled: n % 2 === 0 ? 10 * n : 0, expiry: 100 + n }),
    )
    await old.commit(channels.map((channel) => records.putChannel(channel)))
    const before = old.snapshot()
    for (const crashAfter of [0, 1]) {
      let batches = 0
      const store = openMemoryStore({
        from: before,
        beforeSync: (ops) => {
          if (ops > 0 && batches++ === crashAfter) throw new Error('the power is gone')
        },
      })
      await shelfOver(store).catch(() => undefined)
      await isConsistent(openMemoryStore({ from: store.crash() }))
    }
    await isConsistent(old)
  })

  test('a database that has its index is refused by an older program, which would not keep it', async () => {
    const store = openMemoryStore()
    await shelfOver(store)
    const older = table<string, Pool>(store, {
      space: 'counter',
      version: 1,
      key: (name) => new TextEncoder().encode(name),
      ...poolCodec,
    })
    assert.equal(await older.get('newcomers-pool').catch((thrown: unknown) => asTallyError(thrown).code), 'STORE_NEWER')
  })

  test('a channel that is read again is as it was given to the store, even while that is being written', async () => {
    let release: () => void = () => undefined
    let isSlow = false
    const store = openMemoryStore({
      beforeSync: async () => (isSlow ? await new Promise<void>((resolve) => (release = resolve)) : undefined),
    })
    const shelf = await shelfOver(store, 1)
    const { id } = channelOf(1)
    await put(store, shelf, channelOf(1, { signed: 100 }))
    isSlow = true
    const written = (async () => {
      const file = await shelf.channel(id)
      file.channel = channelOf(1, { signed: 200 })
      await store.commit(shelf.ops([file]))
    })()
    await new Promise((resolve) => setImmediate(resolve))
    await collectGarbage()
    const read = shelf.channel(id)
    await new Promise((resolve) => setImmediate(resolve))
    isSlow = false
    release()
    await written
    assert.equal(bestAmount((await read).channel as ChannelIn), 200n)
  })

  test('a channel that a session changed and did not write is never read from the disk as it was before', async () => {
    const store = openMemoryStore()
    const shelf = await shelfOver(store, 1)
    await put(store, shelf, channelOf(1, { signed: 100 }), channelOf(2))
    const change = async (id: ChannelId): Promise<void> => {
      const record = await shelf.channel(id)
      const file = await shelf.owner(address(2), TOKENS[1])
      record.channel = channelOf(1, { signed: 200 })
      shelf.left({ session: { status: 'live' }, record, file } as Parameters<PayeeShelf['left']>[0])
    }
    await change(channelOf(1).id)
    await shelf.channel(channelOf(2).id)
    await collectGarbage()
    assert.equal(bestAmount((await shelf.channel(channelOf(1).id)).channel as ChannelIn), 200n)
  })
})
