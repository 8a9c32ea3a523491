// What a service charges beside bytes and time, between two nodes: a real chain, real disks, TCP and noise.
import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { verifyReceipt } from '../../src/core/receipt-document.ts'
import type { TallyNode } from '../../src/node/node.ts'
import type { ClosedSession, NodeSession } from '../../src/node/node-session.ts'
import type { PayMode } from '../../src/node/options.ts'
import type { PaidStream, ServiceAdapter, ServiceCall } from '../../src/ports/service.ts'
import { addressOf, codeOf, type TestNetwork, testNetwork } from '../support/network.ts'

type Body = (call: ServiceCall) => AsyncGenerator<Uint8Array>

function service(body: Body): ServiceAdapter {
  return {
    kind: 'test',
    inputs: '',
    outputs: '',
    charges: ['up', 'calls', 'units'],
    prepare: async () => new Uint8Array(0),
    open: async (call) => ({ info: new Uint8Array(0), free: false, body: body(call) }),
    close: async () => undefined,
  }
}

const EMPTY = new Uint8Array(0)
const words = new TextEncoder()

/** A call that says how many tokens it used once it is over; asked for nothing it fails. */
const model: Body = async function* (call) {
  const reserved = await call.reserve({ calls: 1, units: 4_096 })
  const used = Number(new TextDecoder().decode(call.request))
  if (used === 0) {
    reserved.release()
    yield words.encode('503')
    return
  }
  for (let i = 0; i < 3; i++) yield words.encode('word ')
  reserved.debit({ calls: 1, units: used })
}
const echo: Body = async function* ({ input }) {
  yield* input
}
const ping: Body = async function* (call) {
  await call.charge({ calls: 1 })
  yield words.encode('pong')
}

async function textOf(stream: PaidStream): Promise<string> {
  let text = ''
  for await (const piece of stream) text += Buffer.from(piece).toString('latin1')
  return text
}

describe('a session that is charged more than bytes and time', () => {
  let net: TestNetwork
  before(async () => {
    net = await testNetwork()
  })
  after(() => net.stop())

  async function market(t: TestContext, body: Body, price: string): Promise<{ provider: TallyNode; consumer: TallyNode }> {
    const provider = await net.provider(t)
    await provider.serve({ name: 'api', service: service(body), price })
    return { provider, consumer: await net.consumer(t, [provider]) }
  }
  const buy = (consumer: TallyNode, provider: TallyNode, more: { budget?: string; pay?: PayMode } = {}): Promise<NodeSession> =>
    consumer.open({ service: 'api', provider: addressOf(provider), budget: '5 token', limitAtRisk: '1 token', ...more })
  /** Closed in order, the receipt right in every figure and signed by both, and the provider holds what it says. */
  function checked({ code, figures, receipt }: ClosedSession, provider: TallyNode): bigint {
    assert.equal(code, undefined)
    assert.ok(receipt !== undefined)
    const sums = verifyReceipt(receipt)
    assert.deepEqual(receipt.receipt.meter, figures.delivered)
    assert.equal(sums.countersigned, true)
    assert.equal(provider.money.sums.earned.signed, receipt.receipt.amount)
    return receipt.receipt.total
  }

  test('tokens are reserved, charged as they came out, and paid exactly; what failed costs nothing', async (t) => {
    const { provider, consumer } = await market(t, model, '0.001/call+0.5/Mtoken')
    const session = await buy(consumer, provider)
    const most = { calls: 1, units: 4_096 }
    for (const used of ['700', '0', '1300']) {
      const stream = await session.open(words.encode(used), { most })
      assert.equal(await textOf(stream), used === '0' ? '503' : 'word word word ')
    }
    const closed = await session.close()
    assert.deepEqual([closed.figures.delivered.calls, closed.figures.delivered.units], [2n, 2_000n])
    // 2 x 0.001 + 2,000 x 0.5 / 1,000,000 of a token with 6 decimals
    assert.equal(checked(closed, provider), 3_000n)
    await provider.money.settle('all')
    assert.equal(await provider.chain.ledgerBalance(net.dev.token, provider.address), 3_000n)
  })

  test('bytes are paid in both directions', async (t) => {
    const { provider, consumer } = await market(t, echo, '0.01/MiB+0.02/up:MiB')
    const session = await buy(consumer, provider)
    const stream = await session.open()
    const size = 3 * 1_048_576
    const pouring = (async () => {
      for (let at = 0; at < size; at += 65_536) await stream.write(new Uint8Array(65_536))
      await stream.closeWrite()
    })()
    let back = 0
    for await (const piece of stream) back += piece.length
    await pouring
    assert.equal(back, size)
    const closed = await session.close()
    assert.deepEqual([closed.figures.delivered.down, closed.figures.delivered.up], [BigInt(size), BigInt(size)])
    const total = checked(closed, provider)
    assert.ok(total >= 90_000n && total <= 90_000n + 1_250n, `${total}: what is prepaid is at most a chunk`)
  })

  test('many calls of one session are paid with ticks', async (t) => {
    const { provider, consumer } = await market(t, ping, '0.001/call')
    const session = await buy(consumer, provider, { pay: 'tick' })
    let ticks = 0
    consumer.events.on('payer:paid', () => (ticks += 1))
    for (let round = 0; round < 2; round++) {
      // no more than a session may have at once
      const asked = Array.from({ length: 20 }, async () => await textOf(await session.open(EMPTY, { most: { calls: 1 } })))
      assert.deepEqual(new Set(await Promise.all(asked)), new Set(['pong']))
    }
    assert.equal(checked(await session.close(), provider), 40_000n)
    assert.ok(ticks > 0)
  })

  test('S11: the first calls are free once for each owner, and each tier costs what it says', async (t) => {
    const { provider, consumer } = await market(t, ping, '0.002/call>3call,0.001/call>5call')
    const paid: bigint[] = []
    for (const calls of [2, 2, 6]) {
      const session = await buy(consumer, provider)
      for (let i = 0; i < calls; i++) await textOf(await session.open(EMPTY, { most: { calls: 1 } }))
      paid.push(checked(await session.close(), provider))
    }
    // 2 free; 1 free and 1 at 0.002; then 5 at 0.002 and 1 at 0.001
    assert.deepEqual(paid, [0n, 2_000n, 11_000n])
  })

  test('M4: a charge that nobody allowed is an error of its own, and is never paid', async (t) => {
    const greedy: Body = async function* (call) {
      await call.charge({ calls: 2 })
      yield words.encode('pong')
    }
    const { provider, consumer } = await market(t, greedy, '0.001/call')
    const session = await buy(consumer, provider)
    assert.equal(await codeOf(async () => await textOf(await session.open(EMPTY, { most: { calls: 1 } }))), 'CHARGE_REFUSED')
    const { receipt } = await session.close()
    assert.equal(receipt?.receipt.meter.calls, 0n)
  })
})
