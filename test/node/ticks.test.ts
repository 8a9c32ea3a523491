import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { TallyNode } from '../../src/node/node.ts'
import type { NodeSession } from '../../src/node/node-session.ts'
import type { NodeOptions } from '../../src/node/options.ts'
import { faultProxy } from '../support/fault-proxy.ts'
import { addressOf, bytesService, portOf, readBytes, type TestNetwork, testNetwork, through } from '../support/network.ts'

/** base units for 16 KiB at 0.01 token per MiB */
const CHUNK_COST = 157n
const CHUNK = 16_384

describe('a session that is paid with ticks', () => {
  let net: TestNetwork
  before(async () => {
    net = await testNetwork()
  })
  after(() => net.stop())

  async function seller(t: TestContext, options: Partial<NodeOptions> = {}): Promise<TallyNode> {
    const provider = await net.provider(t, options)
    await provider.serve({ name: 'bytes', service: bytesService(), price: '0.01/MiB', chunk: '16 KiB' })
    return provider
  }
  const buyer = (t: TestContext, provider: TallyNode, options: Partial<NodeOptions> = {}): Promise<TallyNode> =>
    net.consumer(t, [provider], { pay: 'tick', ...options })
  const buy = (consumer: TallyNode, provider: TallyNode, via = addressOf(provider)): Promise<NodeSession> =>
    consumer.open({ service: 'bytes', provider: via, budget: '5 token' })
  const due = (bytes: bigint): bigint => (bytes * 10_000n + 1_048_575n) >> 20n
  const worth = ({ money }: TallyNode): bigint => money.sums.earned.signed + money.sums.spent.signed
  const inLedger = (node: TallyNode): Promise<bigint> => node.chain.ledgerBalance(net.dev.token, node.address)
  /** how many signatures and how many payments a consumer made */
  function counted(consumer: TallyNode): { payments: number } {
    const count = { payments: 0 }
    consumer.events.on('payer:paid', () => (count.payments += 1))
    return count
  }

  test('is paid exactly, and its receipt says so', async (t) => {
    const provider = await seller(t)
    const consumer = await buyer(t, provider)
    const count = counted(consumer)
    const session = await buy(consumer, provider)
    await readBytes(session, 3_000_000)
    const { code, figures, receipt } = await session.close()
    assert.equal(code, undefined)
    assert.ok(figures.signed >= due(figures.delivered.down) && figures.signed <= due(figures.delivered.down) + CHUNK_COST)
    assert.equal(receipt?.receipt.total, figures.signed)
    assert.deepEqual([worth(consumer), worth(provider)], [figures.signed, figures.signed])
    // sixteen chunks may come in one piece, and are paid by one word
    assert.ok(count.payments >= 3_000_000 / CHUNK / 16, `${count.payments} payments`)
    await provider.money.settle('all')
    assert.equal(await inLedger(provider), figures.signed)
  })

  test('a provider settles in mid-session with the deepest word, and the session goes on', async (t) => {
    const provider = await seller(t)
    const consumer = await buyer(t, provider)
    const session = await buy(consumer, provider)
    await readBytes(await session.open(), 1_000_000)
    const held = worth(provider)
    assert.ok(held > 0n)
    await provider.money.settle('all')
    // what came while the transaction was made may be in it, or not
    const paid = await inLedger(provider)
    assert.ok(paid >= held && paid <= worth(provider), `${paid} of ${held}`)
    await readBytes(await session.open(), 1_000_000)
    const { code, figures } = await session.close()
    assert.equal(code, undefined)
    await provider.money.settle('all')
    assert.equal(await inLedger(provider), figures.signed)
  })

  test('goes on at the same byte after a cut, and the chain with it', async (t) => {
    const provider = await seller(t)
    const proxy = await faultProxy(portOf(addressOf(provider)))
    t.after(() => proxy.close())
    const via = through(proxy.port, addressOf(provider))
    const consumer = await buyer(t, provider)
    const found = await consumer.offerOf(via, 'bytes')
    let session = await consumer.open({ service: found, budget: '5 token' })
    let bytes = 0
    for (const goal of [800_000, 1_600_000]) {
      try {
        for await (const piece of await session.open()) {
          bytes += piece.length
          if (bytes > goal) proxy.reset()
        }
      } catch {
        // the stream is cut
      }
      assert.equal((await session.ended).code, 'STREAM_CUT')
      await consumer.dial(via)
      session = await consumer.resume(session.id, found, { usedBytes: BigInt(bytes) })
      bytes = Number(session.figures.delivered.down)
    }
    await readBytes(await session.open(), 500_000)
    const { code, figures } = await session.close()
    assert.equal(code, undefined)
    assert.ok(figures.signed >= due(figures.delivered.down))
    assert.deepEqual([worth(consumer), worth(provider)], [figures.signed, figures.signed])
  })

  test('two sessions share the chain of their channel, each paid for itself', async (t) => {
    const provider = await seller(t)
    const consumer = await buyer(t, provider)
    const sessions = [await buy(consumer, provider), await buy(consumer, provider)]
    await Promise.all(sessions.map((session) => readBytes(session, 1_000_000)))
    const ends = await Promise.all(sessions.map((session) => session.close()))
    for (const { code, figures } of ends) {
      assert.equal(code, undefined)
      assert.ok(figures.signed >= due(figures.delivered.down) && figures.signed <= due(figures.delivered.down) + 2n * CHUNK_COST)
    }
    const sum = ends.reduce((all, { figures }) => all + figures.signed, 0n)
    assert.deepEqual([worth(consumer), worth(provider)], [sum, sum])
    await provider.money.settle('all')
    assert.equal(await inLedger(provider), sum)
  })
})
