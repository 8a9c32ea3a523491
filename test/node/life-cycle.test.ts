import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { TallyNode } from '../../src/node/node.ts'
import type { NodeSession } from '../../src/node/node-session.ts'
import type { PaidStream } from '../../src/ports/service.ts'
import { startRpcProxy } from '../chain/support/rpc-proxy.ts'
import { type FaultProxy, faultProxy } from '../support/fault-proxy.ts'
import {
  addressOf,
  assertBytes,
  bytesService,
  codeOf,
  eventually,
  failure,
  portOf,
  readBytes,
  type TestNetwork,
  testNetwork,
  through,
} from '../support/network.ts'

/** base units for 64 KiB at 0.01 token per MiB, 6 decimals */
const CHUNK_COST = 625n

describe('the life of a session', () => {
  let net: TestNetwork
  before(async () => {
    net = await testNetwork()
  })
  after(() => net.stop())

  async function seller(t: TestContext, total = Infinity): Promise<TallyNode> {
    const provider = await net.provider(t)
    await provider.serve({ name: 'bytes', service: bytesService({ total }), price: '0.01/MiB' })
    return provider
  }
  const buy = (consumer: TallyNode, provider: TallyNode, via = addressOf(provider)): Promise<NodeSession> =>
    consumer.open({ service: 'bytes', provider: via, budget: '1 token' })

  /** Everything that was signed is what the other end holds. */
  async function sumsAgree(consumer: TallyNode, provider: TallyNode): Promise<void> {
    const out = await consumer.money.payingTo(provider.address)
    assert.ok(out !== undefined)
    assert.equal((await provider.money.channel(out.id)).signed, out.signed)
  }

  async function proxied(t: TestContext, provider: TallyNode): Promise<{ proxy: FaultProxy; via: string }> {
    const proxy = await faultProxy(portOf(addressOf(provider)))
    t.after(() => proxy.close())
    return { proxy, via: through(proxy.port, addressOf(provider)) }
  }

  /** Reads until the stream breaks; returns how many bytes were used. */
  async function readUntilCut(stream: PaidStream, from: number, onBytes: (bytes: number) => void): Promise<number> {
    let bytes = from
    try {
      for await (const piece of stream) {
        assertBytes(piece, bytes)
        bytes += piece.length
        onBytes(bytes)
      }
    } catch {
      // the cut
    }
    return bytes
  }

  test('a session that was cut goes on at the same byte, with the same totals, and is paid once', async (t) => {
    const provider = await seller(t, 1_000_000)
    const { proxy, via } = await proxied(t, provider)
    const consumer = await net.consumer(t, [provider])
    const found = await consumer.offerOf(via, 'bytes')
    let session = await consumer.open({ service: found, budget: '1 token' })
    let bytes = 0
    for (const goal of [300_000, 700_000]) {
      const stream = await session.open(new TextEncoder().encode(String(bytes)))
      bytes = await readUntilCut(stream, bytes, (so_far) => so_far > goal && proxy.reset())
      assert.equal((await session.ended).code, 'STREAM_CUT')
      await consumer.dial(via)
      session = await consumer.resume(session.id, found, { usedBytes: BigInt(bytes) })
      assert.equal(session.figures.delivered.down, BigInt(bytes))
    }
    const stream = await session.open(new TextEncoder().encode(String(bytes)))
    assert.equal(bytes + (await readBytes(stream, Infinity, bytes)), 1_000_000)
    const { code, figures, receipt } = await session.close()
    assert.equal(code, undefined)
    assert.equal(figures.delivered.down, 1_000_000n)
    assert.equal(figures.signed, 9_537n)
    assert.equal(receipt?.receipt.total, figures.signed)
    await sumsAgree(consumer, provider)
  })

  test('a provider that goes away while a session is being opened ends the opening at once', async (t) => {
    const provider = await seller(t)
    const { proxy, via } = await proxied(t, provider)
    const consumer = await net.consumer(t, [provider])
    const found = await consumer.offerOf(via, 'bytes')
    await consumer.lineTo(via)
    proxy.set({ blackHole: true })
    const opening = consumer.open({ service: found, budget: '1 token' })
    const refused = failure(() => opening)
    // its hello is on the dead line
    while ([...consumer.buying].length === 0) await new Promise((resolve) => setImmediate(resolve))
    proxy.reset()
    assert.ok(['STREAM_CUT', 'PEER_UNREACHABLE'].includes((await refused).code))
    assert.deepEqual([...consumer.buying], [])
    proxy.set({ blackHole: false })
    const session = await consumer.open({ service: found, budget: '1 token' })
    await readBytes(session, 50_000)
    await session.close()
    await sumsAgree(consumer, provider)
  })

  test('opening with a signal that fired asks nobody; one that fires later ends the session before it begins', async (t) => {
    const provider = await seller(t)
    const consumer = await net.consumer(t, [provider])
    const open = (signal: AbortSignal) =>
      consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token', signal })
    assert.equal(await codeOf(() => open(AbortSignal.abort())), 'ABORTED')
    assert.equal(consumer.peers, 0)
    const soon = new AbortController()
    const opening = open(soon.signal)
    soon.abort()
    assert.equal(await codeOf(() => opening), 'ABORTED')
    // the line that was being made is not spoilt for the others
    const session = await buy(consumer, provider)
    await readBytes(session, 10_000)
    await session.close()
    assert.deepEqual([...consumer.buying], [])
    await sumsAgree(consumer, provider)
  })

  test('one caller that gives up does not take the line away from another', async (t) => {
    const provider = await seller(t)
    const consumer = await net.consumer(t, [provider])
    const found = await consumer.offerOf(addressOf(provider), 'bytes')
    const stop = new AbortController()
    const first = failure(() => consumer.open({ service: found, budget: '1 token', signal: stop.signal }))
    const second = consumer.open({ service: found, budget: '1 token' })
    stop.abort()
    assert.equal((await first).code, 'ABORTED')
    await readBytes(await second, 10_000)
    await (await second).close()
    await sumsAgree(consumer, provider)
  })

  test('a data stream ends when its signal fires, and its session goes on', async (t) => {
    const provider = await seller(t)
    const consumer = await net.consumer(t, [provider])
    const session = await buy(consumer, provider)
    assert.equal(await codeOf(() => session.open(new Uint8Array(0), { signal: AbortSignal.abort() })), 'ABORTED')
    assert.ok((await readBytes(await session.open(), 50_000)) >= 50_000)
    assert.equal((await session.close()).code, undefined)
    await sumsAgree(consumer, provider)
  })

  test('a change of price counts for new sessions; what was agreed on stays, and so does what is sold in it', async (t) => {
    const provider = await seller(t)
    const consumer = await net.consumer(t, [provider])
    const old = await buy(consumer, provider)
    await provider.serve({ name: 'bytes', service: bytesService({ total: 1 << 20 }), price: '0.02/MiB' })
    const fresh = await buy(consumer, provider)
    assert.equal(await readBytes(await fresh.open()), 1 << 20)
    assert.ok((await readBytes(await old.open(), 1_200_000)) >= 1_200_000)
    const [cheap, dear] = [await old.close(), await fresh.close()]
    assert.equal(dear.figures.signed, 20_000n)
    assert.equal(cheap.figures.signed, (cheap.figures.delivered.down * 10_000n + 1_048_575n) >> 20n)
    assert.equal(provider.offers.length, 1)
    await sumsAgree(consumer, provider)
  })

  test('two sessions of one consumer at once are paid on one channel: each what it used, and what it had to prepay beside the other', async (t) => {
    const provider = await seller(t)
    const consumer = await net.consumer(t, [provider])
    const sessions = await Promise.all([buy(consumer, provider), buy(consumer, provider)])
    await Promise.all(sessions.map((session, i) => readBytes(session, 300_000 * (i + 1))))
    const ends = await Promise.all(sessions.map((session) => session.close()))
    for (const { code, figures, receipt } of ends) {
      assert.equal(code, undefined)
      // the credit is the owner's: what one session is using of it, the other prepays (S4), never more than the chunk that it lacks
      const prepaid = figures.signed - ((figures.delivered.down * 10_000n + 1_048_575n) >> 20n)
      assert.ok(prepaid >= 0n && prepaid <= CHUNK_COST, `${prepaid} prepaid`)
      assert.equal(receipt?.receipt.total, figures.signed)
    }
    assert.equal(
      consumer.money.sums.spent.signed,
      ends.reduce((sum, { figures }) => sum + figures.signed, 0n),
    )
    await sumsAgree(consumer, provider)
  })

  test('two consumers at once get the same bytes, and each pays its own', async (t) => {
    const provider = await seller(t, 500_000)
    const consumers = [await net.consumer(t, [provider]), await net.consumer(t, [provider])]
    const ends = await Promise.all(
      consumers.map(async (consumer) => {
        const session = await buy(consumer, provider)
        assert.equal(await readBytes(session), 500_000)
        return await session.close()
      }),
    )
    for (const { code, figures } of ends) assert.deepEqual([code, figures.signed], [undefined, 4_769n])
    for (const consumer of consumers) await sumsAgree(consumer, provider)
  })

  test('a provider that stops lets its consumer pay for what came, and both ends have the receipt', async (t) => {
    const provider = await seller(t)
    const consumer = await net.consumer(t, [provider])
    const session = await buy(consumer, provider)
    const reading = (async () => {
      let bytes = 0
      for await (const piece of session) bytes += piece.length
      return bytes
    })().catch(() => undefined)
    await eventually(
      (again) => {
        consumer.events.on('payer:paid', again)
        return () => consumer.events.off('payer:paid', again)
      },
      () => (session.figures.signed > 2_000n ? true : undefined),
    )
    const via = addressOf(provider)
    await provider.stop()
    const { code, receipt, figures } = await session.close()
    await reading
    assert.equal(code, 'SHUTTING_DOWN')
    assert.equal(receipt?.receipt.total, figures.signed)
    assert.equal(receipt?.receipt.meter.down, figures.delivered.down)
    assert.equal(await codeOf(() => buy(consumer, provider, via)), 'PEER_UNREACHABLE')
  })

  test('a consumer that stops closes and pays its sessions; stopping twice is stopping once', async (t) => {
    const provider = await seller(t)
    const consumer = await net.consumer(t, [provider])
    const session = await buy(consumer, provider)
    await readBytes(await session.open(), 100_000)
    await Promise.all([consumer.stop(), consumer.stop()])
    const { code, receipt, figures } = await session.close()
    assert.equal(code, undefined)
    assert.equal(receipt?.receipt.total, figures.signed)
    assert.equal(provider.money.sums.earned.signed, figures.signed)
    await consumer.stop()
    assert.equal(await codeOf(() => buy(consumer, provider)), 'SHUTTING_DOWN')
  })

  test('a provider that goes away while the chain is asked about the channel ends the opening, too', async (t) => {
    const provider = await seller(t)
    const { proxy, via } = await proxied(t, provider)
    const rpc = await startRpcProxy(net.dev.rpcUrl)
    t.after(() => rpc.down())
    const privateKey = randomBytes(32)
    await (await net.consumer(t, [provider], { privateKey })).stop()
    // the same key on another machine: this node has never seen its own channel
    const consumer = await net.node(t, { privateKey, chain: { ...net.chain, rpcUrl: rpc.url } })
    const { line } = await consumer.lineTo(via)
    const found = await consumer.offerOf(via, 'bytes')
    const asked = new Promise<void>((resolve) => {
      rpc.judge = ({ method, params }) => {
        if (method !== 'eth_call' || !JSON.stringify(params).includes(net.dev.ledger.slice(2))) return 'pass'
        return (result) => {
          resolve()
          proxy.reset()
          return result
        }
      }
    })
    const opening = failure(() => consumer.open({ service: found, budget: '1 token' }))
    await asked
    assert.ok(['STREAM_CUT', 'PEER_UNREACHABLE'].includes((await opening).code))
    assert.equal(line.link.address, provider.address)
  })

  test('a provider whose consumer is silent stops as soon as its signal says so', async (t) => {
    const provider = await seller(t)
    const { proxy, via } = await proxied(t, provider)
    const consumer = await net.consumer(t, [provider])
    const session = await buy(consumer, provider, via)
    await readBytes(await session.open(), 50_000)
    proxy.set({ blackHole: true })
    await provider.stop({ signal: AbortSignal.abort() })
    proxy.reset()
    assert.equal((await session.ended).code, 'STREAM_CUT')
    // what was cut may be resumed, should the provider come back
    assert.equal((await Array.fromAsync(consumer.resumable)).length, 1)
  })

  test('what is sold is closed with the node, and so is what was replaced', async (t) => {
    const provider = await net.provider(t)
    const services = [bytesService(), bytesService()] as const
    for (const service of services) await provider.serve({ name: 'bytes', service, price: '0.01/MiB' })
    await provider.stop()
    assert.deepEqual(services.map((service) => service.closed()), [true, true]) // biome-ignore format: one thought
  })
})
