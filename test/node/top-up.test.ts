// Reservations that are made while a session goes on, against a chain whose blocks need confirmations.
import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { TallyNode } from '../../src/node/node.ts'
import type { NodeSession } from '../../src/node/node-session.ts'
import { addressOf, assertBytes, bytesService, type TestNetwork, testNetwork } from '../support/network.ts'

const MIB = 1_048_576

describe('a session and a chain that needs time', () => {
  let net: TestNetwork
  before(async () => {
    net = await testNetwork()
  })
  after(() => net.stop())

  const slow = (confirmations: number) => ({ chain: { ...net.chain, confirmations } })
  async function pair(t: TestContext, confirmations: number, unconfirmedCredit = '0 token') {
    const provider = await net.provider(t, { ...slow(confirmations), provider: { unconfirmedCredit } })
    await provider.serve({ name: 'bytes', service: bytesService(), price: '0.01/MiB' })
    return { provider, consumer: await net.consumer(t, [], slow(confirmations)) }
  }
  /** A block every so often, until the test is over. */
  function mining(t: TestContext, everyMs: number): void {
    const stop = new AbortController()
    t.after(() => stop.abort())
    void (async () => {
      while (!stop.signal.aborted) {
        await net.dev.mine().catch(() => stop.abort())
        await delay(everyMs, undefined, { signal: stop.signal }).catch(() => undefined)
      }
    })()
  }
  /** Reads so many bytes and checks each; told how far it is. */
  async function read(session: NodeSession, bytes: number, at: (done: number) => void = () => undefined): Promise<void> {
    const stream = await session.open(new TextEncoder().encode('0'))
    let done = 0
    for await (const piece of stream) {
      assertBytes(piece, done)
      done += piece.length
      at(done)
      if (done >= bytes) return
    }
    assert.fail(`the stream ended after ${done} bytes`)
  }
  const paidOf = async (node: TallyNode): Promise<bigint> =>
    (await Array.fromAsync(node.money.paying())).reduce((sum, { deposit }) => sum + deposit, 0n)

  test('a purchase several times larger than what was reserved first runs through in one session, byte for byte', async (t) => {
    const { provider, consumer } = await pair(t, 1)
    mining(t, 150)
    const reserve = { upTo: '0.04 token' }
    const session = await consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token', reserve })
    await read(session, 24 * MIB)
    const { code, receipt } = await session.close()
    assert.equal(code, undefined)
    assert.ok((receipt?.receipt.total ?? 0n) >= 239_000n)
    const paid = await paidOf(consumer)
    assert.ok(paid >= 239_000n && paid <= 1_000_000n)
  })

  test('a session begins on a reservation that is not confirmed yet, stands still at its credit, and goes on once it is confirmed', async (t) => {
    const { provider, consumer } = await pair(t, 2, '0.05 token')
    const opening = consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '0.5 token', reserve: 'auto' })
    // nobody mines: blocks come with transactions only
    const session = await opening
    const credit = Promise.withResolvers<void>()
    const reading = read(session, 8 * MIB, (done) => {
      if (done > 4 * MIB) credit.resolve()
    })
    await credit.promise
    assert.ok(session.figures.signed <= 50_000n)
    mining(t, 100)
    await reading
    const { code } = await session.close()
    assert.equal(code, undefined)
    assert.ok(session.figures.signed >= 79_000n)
    assert.equal([...provider.selling].length, 0)
  })

  test('a reservation that was final and is taken back all the same by a reorganisation is made again', async (t) => {
    const { provider, consumer } = await pair(t, 0)
    const wish = { service: 'bytes', provider: addressOf(provider), budget: '1 token', reserve: 'auto' } as const
    const snapshot = await net.dev.rpc('evm_snapshot', [])
    await (await consumer.open(wish)).close()
    const opens = () => consumer.chain.transactions.list().filter(({ kind }) => kind === 'open').length
    assert.equal(opens(), 1)
    await net.dev.rpc('evm_revert', [snapshot])
    assert.equal((await consumer.chain.channel(consumer.money.parties(provider.address))).latest, undefined)
    // as many blocks as there were: what was final is not merely behind
    await net.dev.mine(3)
    await consumer.money.channelTo(provider.address).catch(() => undefined)
    const session = await consumer.open(wish)
    await read(session, 100_000)
    assert.equal((await session.close()).code, undefined)
    assert.equal(opens(), 2)
  })
})
