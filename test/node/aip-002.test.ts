// What AIP-002 asks of step 3, use and pay, statement by statement, against real nodes. Steps 1, 2 and 4 stand with the ledger.
// A payment here is cumulative, for a chunk of the service; reservation, user and provider are those of the session's terms, which both sign.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, type TestContext, test } from 'node:test'
import { dataService } from '../../protocols/data/service.ts'
import { decodeFromPayer, encodeMessage } from '../../protocols/session/codec.ts'
import { signerOf } from '../../src/core/crypto/secp256k1.ts'
import type { Domain } from '../../src/core/eip712.ts'
import type { TallyNode } from '../../src/node/node.ts'
import { startRpcProxy } from '../chain/support/rpc-proxy.ts'
import { addressOf, bytesService, codeOf, RESERVATION, readBytes, type TestNetwork, testNetwork } from '../support/network.ts'
import { RoguePayer } from './rogue.ts'
import { earnedNothing, isFault } from './verdicts.ts'

describe('AIP-002: S3 use and pay', () => {
  let net: TestNetwork
  let domain: Domain
  before(async () => {
    net = await testNetwork()
    domain = { chainId: BigInt(net.dev.chainId), ledger: net.dev.ledger }
  })
  after(() => net.stop())

  async function seller(t: TestContext, options: Parameters<TestNetwork['provider']>[1] = {}): Promise<TallyNode> {
    const provider = await net.provider(t, options)
    await provider.serve({ name: 'bytes', service: bytesService(), price: '0.01/MiB', minTimeToExpiryS: 0 })
    return provider
  }

  /** A payer with a reservation of 10 tokens, that says what the test wants. */
  async function payerOf(t: TestContext, provider: TallyNode): Promise<RoguePayer> {
    const privateKey = randomBytes(32)
    const honest = await net.consumer(t, [provider], { privateKey })
    await honest.stop()
    return await RoguePayer.dial(t, addressOf(provider), domain, privateKey)
  }

  test('3.1 a payment names its reservation by its session, amount and signature; with a part of it missing it is none', async (t) => {
    const provider = await seller(t)
    const payer = await payerOf(t, provider)
    const offered = await payer.begin(net.dev.token, 'bytes')
    const { owner, signer, provider: target, token } = offered.terms
    assert.deepEqual([owner, signer, target, token], [payer.address, payer.address, provider.address, net.dev.token])
    const message = {
      type: 'promise',
      session: offered.terms.session,
      total: 100n,
      promise: payer.promise(offered, 100n),
    } as const
    const whole = encodeMessage(message as Parameters<typeof encodeMessage>[0])
    for (let length = 1; length < whole.length; length++)
      assert.equal(await codeOf(async () => decodeFromPayer(whole.subarray(0, length))), 'MALFORMED', `${length} bytes`)
    // one for a session that there is not pays for nothing
    payer.send({ ...message, session: `0x${'11'.repeat(16)}`, total: message.total } as Parameters<RoguePayer['send']>[0])
    isFault(await payer.fault(), 'SESSION_UNKNOWN')
    await earnedNothing(net, provider)
  })

  test('3.1 without any payment there is no service: a provider that gives no credit delivers not a byte', async (t) => {
    const provider = await seller(t, { provider: { poolPerHour: '0 token' } })
    const payer = await payerOf(t, provider)
    const offered = await payer.begin(net.dev.token, 'bytes')
    assert.equal(offered.credit, 0n)
    let written = 0n
    provider.events.on('payee:session', ({ session }) => {
      for (const { written: bytes } of session.flow.open.values()) written = bytes > written ? bytes : written
    })
    const session = { session: offered.terms.session, stream: 1, request: new Uint8Array(0) }
    const data = dataService({ onStream: () => undefined })(
      (payer.node as unknown as { components: Parameters<ReturnType<typeof dataService>>[0] }).components,
    )
    const opened = await data.openData(provider.peerId, session)
    // it says that it waits for money, and that nothing was written
    const meter = await payer.meter()
    assert.deepEqual([meter.paused, meter.written.down, written], [true, 0n, 0n])
    payer.pay(offered, 1_000n, payer.promise(offered, 1_000n))
    assert.ok(((await opened.bytes.read())?.length ?? 0) > 0)
  })

  test('3.2 a payment with a wrong signature is refused, and nothing is delivered for it', async (t) => {
    const provider = await seller(t)
    const payer = await payerOf(t, provider)
    const offered = await payer.begin(net.dev.token, 'bytes')
    payer.pay(offered, 100n, payer.promise(offered, 100n, { sign: signerOf(randomBytes(32)) }))
    isFault(await payer.fault(), 'SIGNER_WRONG')
    assert.equal(await payer.closed, 'SIGNER_WRONG')
    await earnedNothing(net, provider)
  })

  test('3.3 a payment that the reservation does not cover is refused: what was paid and is not charged yet counts', async (t) => {
    const provider = await seller(t)
    const payer = await payerOf(t, provider)
    const first = await payer.begin(net.dev.token, 'bytes')
    const paid = RESERVATION - 100n
    payer.pay(first, paid, payer.promise(first, paid))
    assert.equal((await payer.meter()).paid, paid)
    // another session of the same reservation has the 100 that are left, though nothing was charged
    const second = await payer.begin(net.dev.token, 'bytes')
    payer.pay(second, 101n, payer.promise(second, RESERVATION + 1n))
    isFault(await payer.fault(), 'AMOUNT_OVER_DEPOSIT')
    assert.equal((await payer.next())?.type, 'receipt')
    const third = await payer.begin(net.dev.token, 'bytes')
    payer.pay(third, 100n, payer.promise(third, RESERVATION))
    assert.equal((await payer.meter()).paid, 100n)
    assert.equal((await Array.fromAsync(provider.money.channels()))[0]?.settled, 0n)
  })

  test('3.4 and 3.5 valid payments are answered at once with what they pay for, and none of it asks the chain: it is stopped', async (t) => {
    const privateKeys = [randomBytes(32), randomBytes(32)]
    const rpc = await startRpcProxy(net.dev.rpcUrl)
    t.after(() => rpc.down())
    const chain = { ...net.chain, rpcUrl: rpc.url }
    const provider = await seller(t, { chain, privateKey: privateKeys[0] as Uint8Array })
    const consumer = await net.consumer(t, [provider], { chain, privateKey: privateKeys[1] as Uint8Array })
    const session = await consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '5 token' })
    await rpc.down()
    let payments = 0
    consumer.events.on('payer:paid', () => (payments += 1))
    await readBytes(await session.open(), 20_000_000)
    const { code, figures, receipt } = await session.close()
    assert.deepEqual([code, receipt?.receipt.total], [undefined, figures.signed])
    assert.ok(payments > 20 && figures.signed >= 190_000n, `${payments} payments, ${figures.signed}`)
  })
})
