import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { Amount } from '../../src/core/amount.ts'
import type { Seconds } from '../../src/core/ids.ts'
import type { TallyNode } from '../../src/node/node.ts'
import type { NodeOptions, ProviderOptions } from '../../src/node/options.ts'
import type { Job } from '../../src/ports/chain.ts'
import { type RpcCall, startRpcProxy } from '../chain/support/rpc-proxy.ts'
import { addressOf, bytesService, eventually, readBytes, TestLog, type TestNetwork, testNetwork } from '../support/network.ts'

describe('settlement', () => {
  let net: TestNetwork
  before(async () => {
    net = await testNetwork()
  })
  after(() => net.stop())

  async function seller(t: TestContext, provider: ProviderOptions, options: Partial<NodeOptions> = {}): Promise<TallyNode> {
    const node = await net.provider(t, { provider, ...options })
    await node.serve({ name: 'bytes', service: bytesService(), price: '0.01/MiB', chunk: '16 KiB', minTimeToExpiryS: 0 })
    return node
  }

  /** Buys and closes; returns what was signed. */
  async function buy(consumer: TallyNode, provider: TallyNode, bytes: number): Promise<bigint> {
    const session = await consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token' })
    await readBytes(session, bytes)
    return (await session.close()).figures.signed
  }

  const settlements = (node: TallyNode): Job[] => node.chain.transactions.list().filter(({ kind }) => kind.startsWith('settle'))
  const done = ({ state }: Job): boolean => state === 'mined' || state === 'confirmed'
  const unsettled = (node: TallyNode): bigint => node.money.sums.earned.unsettled
  const inLedger = (node: TallyNode): Promise<bigint> => node.chain.ledgerBalance(net.dev.token, node.address)
  /** resolves when the node has this many settlements on the chain, and has taken note of them */
  const settled = (node: TallyNode, count = 1): Promise<true> =>
    eventually(
      (again) => {
        const off = [
          node.chain.transactions.observe(() => setImmediate(again)),
          node.chain.follow(() => void setImmediate(again)),
        ]
        return () => {
          for (const end of off) end()
        }
      },
      () => (settlements(node).filter(done).length >= count && unsettled(node) === 0n ? true : undefined),
    )

  test('every session that closes is settled when the policy says so', async (t) => {
    const provider = await seller(t, { settleOnClose: true })
    const consumer = await net.consumer(t, [provider])
    const first = await buy(consumer, provider, 100_000)
    await settled(provider)
    const second = await buy(consumer, provider, 100_000)
    await settled(provider, 2)
    assert.equal(await inLedger(provider), first + second)
    assert.equal(consumer.money.sums.spent.signed, first + second)
  })

  test('a session that closes while another settlement is on its way is settled after it', async (t) => {
    const provider = await seller(t, { settleOnClose: true })
    const consumer = await net.consumer(t, [provider])
    await net.dev.rpc('evm_setAutomine', [false])
    t.after(() => net.dev.rpc('evm_setAutomine', [true]))
    const first = await buy(consumer, provider, 50_000)
    await eventually(
      (again) => provider.chain.transactions.observe(() => setImmediate(again)),
      () => settlements(provider).find(({ state }) => state === 'sent'),
    )
    const second = await buy(consumer, provider, 50_000)
    await net.dev.rpc('evm_setAutomine', [true])
    await net.dev.mine()
    await settled(provider, 2)
    assert.equal(await inLedger(provider), first + second)
  })

  test('an amount that is reached is settled in mid-session, and only then', async (t) => {
    const provider = await seller(t, { settleAt: '0.005 token' })
    const consumer = await net.consumer(t, [provider])
    assert.ok((await buy(consumer, provider, 100_000)) < 5_000n)
    await net.dev.mine(3)
    assert.equal(settlements(provider).length, 0)
    const session = await consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token' })
    const pieces = session[Symbol.asyncIterator]()
    for (let bytes = 0; bytes < 500_000; ) bytes += ((await pieces.next()).value as Uint8Array).length
    await net.dev.mine()
    await eventually(
      (again) => provider.chain.transactions.observe(() => setImmediate(again)),
      () => settlements(provider).find(done),
    )
    await session.close()
    assert.ok((await inLedger(provider)) >= 5_000n)
  })

  test('before a reservation ends everything is settled, whatever the amount, without a block or a session to remind of it', async (t) => {
    let ahead = 0
    const clock = { nowMs: () => performance.now(), nowS: () => (Math.floor(Date.now() / 1000) + ahead) as Seconds }
    const provider = await seller(t, { settleAt: '100 token', expiryMarginS: 600 }, { clock })
    const consumer = await net.consumer(t)
    await net.reserve(consumer, provider.address, { forS: 3_000 })
    const signed = await buy(consumer, provider, 100_000)
    assert.equal(settlements(provider).length, 0)
    // the wall clock jumps to one second before the margin; the settler has its own timer for the rest
    ahead = 2_399
    await net.dev.mine()
    await settled(provider)
    assert.equal(await inLedger(provider), signed)
  })

  test('before the margin of a reservation a session is closed while it can still be paid, and then everything is settled', async (t) => {
    let ahead = 0
    const clock = { nowMs: () => performance.now(), nowS: () => (Math.floor(Date.now() / 1000) + ahead) as Seconds }
    const provider = await seller(t, { settleAt: '100 token', expiryMarginS: 600 }, { clock })
    const consumer = await net.consumer(t)
    await net.reserve(consumer, provider.address, { forS: 3_000 })
    const session = await consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token' })
    await readBytes(await session.open(), 100_000)
    // 15 s before the margin, from which on no promise counts
    ahead = 2_385
    assert.equal((await session.ended).code, 'CHANNEL_EXPIRED')
    ahead = 2_400
    await net.dev.mine()
    await settled(provider)
    const { figures, receipt } = await session.close()
    assert.equal(receipt?.receipt.total, figures.signed)
    assert.equal(await inLedger(provider), figures.signed)
  })

  test('the promises of two payers go into one transaction', async (t) => {
    const provider = await seller(t, {})
    const consumers = [await net.consumer(t, [provider]), await net.consumer(t, [provider])]
    const sums = await Promise.all(consumers.map((consumer) => buy(consumer, provider, 100_000)))
    const jobs = await provider.money.settle('all')
    assert.deepEqual(jobs.map(({ kind }) => kind), ['settle-batch']) // biome-ignore format: one thought
    assert.equal(
      await inLedger(provider),
      sums.reduce((sum, one) => sum + one, 0n),
    )
    assert.deepEqual(await provider.money.settle('all'), [])
  })

  test('a settlement that is interrupted after it was sent ends as exactly one payment', async (t) => {
    const rpc = await startRpcProxy(net.dev.rpcUrl)
    t.after(() => rpc.down())
    const store = { path: join(await net.folder(), 'db') }
    const privateKey = randomBytes(32)
    const options = { privateKey, store, chain: { ...net.chain, rpcUrl: rpc.url } }
    const provider = await seller(t, { settleOnClose: true }, options)
    const consumer = await net.consumer(t, [provider])
    const sent = new Promise<void>((resolve) => {
      // the transaction goes through, and nobody ever hears of it
      rpc.judge = ({ method }: RpcCall) => {
        if (method !== 'eth_sendRawTransaction') return 'pass'
        setImmediate(resolve)
        rpc.judge = () => 'cut'
        return 'lose'
      }
    })
    const signed = await buy(consumer, provider, 100_000)
    await sent
    await provider.stop({ signal: AbortSignal.abort() })
    rpc.judge = () => 'pass'
    const again = await net.provider(t, { ...options, provider: { settleOnClose: true } })
    await settled(again)
    assert.equal(await inLedger(again), signed)
    assert.equal(settlements(again).length, 1)
  })

  test('a settlement that was final and is taken back all the same by a reorganisation is made again', async (t) => {
    const provider = await seller(t, {})
    const consumer = await net.consumer(t, [provider])
    const signed = await buy(consumer, provider, 100_000)
    const before = await net.dev.rpc('evm_snapshot', [])
    await provider.money.settle('all')
    await settled(provider)
    assert.equal(await inLedger(provider), signed)
    await net.dev.rpc('evm_revert', [before])
    await net.dev.mine(3)
    await eventually(
      (again) => provider.chain.follow(() => void setImmediate(again)),
      () => (unsettled(provider) === signed ? true : undefined),
    )
    await provider.money.settle('all')
    assert.equal(await inLedger(provider), signed)
  })

  test('a session that closed and was not settled before the node died is settled at the next start', async (t) => {
    const options = { privateKey: randomBytes(32), store: { path: join(await net.folder(), 'db') } }
    const provider = await seller(t, {}, options)
    const consumer = await net.consumer(t, [provider])
    const signed = await buy(consumer, provider, 100_000)
    await provider.stop()
    const again = await net.provider(t, { ...options, provider: { settleOnClose: true } })
    await settled(again)
    assert.equal(await inLedger(again), signed)
  })

  test('a settlement that cannot work is tried ever more rarely, not with every block', async (t) => {
    const log = new TestLog()
    const provider = await seller(t, { settleOnClose: true }, { log })
    const consumer = await net.consumer(t, [provider])
    await net.dev.rpc('anvil_setBalance', [provider.address, '0x0'])
    const warned = (): number => log.entries.filter(({ level }) => level === 'warn').length
    const signed = await buy(consumer, provider, 100_000)
    const heads = async (count: number): Promise<void> => {
      for (let seen = 0; seen < count; seen++) {
        const told = Promise.withResolvers<void>()
        const deaf = provider.chain.follow(() => told.resolve())
        await net.dev.mine()
        await told.promise
        deaf()
      }
    }
    await heads(6)
    assert.equal(warned(), 1, log.text('warn'))
    assert.match(log.text('warn'), /GAS_LOW/)
    // what the operator asks for is tried at once
    await net.dev.fund(provider.address, { wei: 10n ** 18n })
    await provider.money.settle('all')
    assert.equal(await inLedger(provider), signed)
    await heads(2)
    assert.equal(settlements(provider).filter(done).length, 1)
    assert.equal(unsettled(provider), 0n as Amount)
  })
})
