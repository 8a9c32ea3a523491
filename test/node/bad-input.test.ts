import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, type TestContext, test } from 'node:test'
import { signerOf } from '../../src/core/crypto/secp256k1.ts'
import type { Domain } from '../../src/core/eip712.ts'
import { ERRORS } from '../../src/core/errors.ts'
import type { Address } from '../../src/core/ids.ts'
import type { TermsOffered } from '../../src/core/session/messages.ts'
import type { TallyNode } from '../../src/node/node.ts'
import { addressOf, bytesService, RESERVATION, readBytes, type TestNetwork, testNetwork } from '../support/network.ts'
import { RoguePayer } from './rogue.ts'
import { earnedNothing, isFault } from './verdicts.ts'

describe('a provider and a payer that breaks the rules', () => {
  let net: TestNetwork
  let domain: Domain
  before(async () => {
    net = await testNetwork()
    domain = { chainId: BigInt(net.dev.chainId), ledger: net.dev.ledger }
  })
  after(() => net.stop())

  async function seller(t: TestContext): Promise<TallyNode> {
    const provider = await net.provider(t, { provider: { settleOnClose: true } })
    await provider.serve({ name: 'bytes', service: bytesService(), price: '0.01/MiB', minTimeToExpiryS: 0 })
    return provider
  }

  /** A payer whose channel is on the ledger, and who says what the test wants. */
  async function rogue(t: TestContext, provider: TallyNode, how: { amount?: bigint; forS?: number } = {}): Promise<RoguePayer> {
    const privateKey = randomBytes(32)
    const honest = await net.consumer(t, [], { privateKey })
    await net.reserve(honest, provider.address, how as { forS?: number })
    await honest.stop()
    return await RoguePayer.dial(t, addressOf(provider), domain, privateKey)
  }

  const stored = (provider: TallyNode): bigint => provider.money.sums.earned.signed

  test('a channel that the ledger does not know is refused', async (t) => {
    const provider = await seller(t)
    const payer = await RoguePayer.dial(t, addressOf(provider), domain)
    payer.hello(net.dev.token, 'bytes')
    isFault(await payer.fault(), 'CHANNEL_UNKNOWN')
    await earnedNothing(net, provider)
  })

  test('a service that is not sold, and a token that it is not sold for, are refused', async (t) => {
    const provider = await seller(t)
    const payer = await rogue(t, provider)
    payer.hello(net.dev.token, 'other')
    isFault(await payer.fault(), 'SERVICE_UNKNOWN')
    payer.hello(net.dev.forwarder as Address, 'bytes')
    isFault(await payer.fault(), 'OFFER_FOREIGN')
    await earnedNothing(net, provider)
  })

  test('a promise by another key, for another chain, or for another contract is refused and ends the stream', async (t) => {
    const wrong: ((payer: RoguePayer, offered: TermsOffered) => ReturnType<RoguePayer['promise']>)[] = [
      (payer, offered) => payer.promise(offered, 100n, { sign: signerOf(randomBytes(32)) }),
      (payer, offered) => payer.promise(offered, 100n, { domain: { ...domain, chainId: domain.chainId + 1n } }),
      (payer, offered) => payer.promise(offered, 100n, { domain: { ...domain, ledger: net.dev.forwarder } }),
      (payer, offered) => ({ ...payer.promise(offered, 100n), amount: 99n as typeof RESERVATION }),
      (payer, offered) => ({ ...payer.promise(offered, 100n), signature: new Uint8Array(65) }),
    ]
    const provider = await seller(t)
    for (const forge of wrong) {
      const payer = await rogue(t, provider)
      const offered = await payer.begin(net.dev.token, 'bytes')
      payer.pay(offered, 100n, forge(payer, offered))
      isFault(await payer.fault(), 'SIGNER_WRONG')
      assert.equal(await payer.closed, 'SIGNER_WRONG')
    }
    await earnedNothing(net, provider)
  })

  test('a promise that is worth less than the one before is refused; what was paid stays paid', async (t) => {
    const provider = await seller(t)
    const payer = await rogue(t, provider)
    const offered = await payer.begin(net.dev.token, 'bytes')
    payer.pay(offered, 100n, payer.promise(offered, 100n))
    assert.equal((await payer.meter()).paid, 100n)
    payer.pay(offered, 99n, payer.promise(offered, 99n))
    isFault(await payer.fault(), 'AMOUNT_TOO_LOW')
    assert.equal(stored(provider), 100n)
  })

  test('a promise above the deposit is refused', async (t) => {
    const provider = await seller(t)
    const payer = await rogue(t, provider)
    const offered = await payer.begin(net.dev.token, 'bytes')
    const amount = RESERVATION + 1n
    payer.pay(offered, amount, payer.promise(offered, amount))
    isFault(await payer.fault(), 'AMOUNT_OVER_DEPOSIT')
    await earnedNothing(net, provider)
  })

  test('a promise that rises on the channel by something else than in its session is refused', async (t) => {
    const provider = await seller(t)
    const payer = await rogue(t, provider)
    const offered = await payer.begin(net.dev.token, 'bytes')
    payer.pay(offered, 200n, payer.promise(offered, 100n))
    isFault(await payer.fault(), 'RISE_MISMATCH')
    await earnedNothing(net, provider)
  })

  test('the same promise again changes nothing, in its session and in another one', async (t) => {
    const provider = await seller(t)
    const payer = await rogue(t, provider)
    const first = await payer.begin(net.dev.token, 'bytes')
    const promise = payer.promise(first, 100n)
    for (let i = 0; i < 3; i++) {
      payer.pay(first, 100n, promise)
      assert.equal((await payer.meter()).paid, 100n)
    }
    assert.equal(stored(provider), 100n)
    const second = await payer.begin(net.dev.token, 'bytes')
    assert.equal(second.head?.promise.amount, 100n)
    payer.pay(second, 100n, promise)
    isFault(await payer.fault(), 'RISE_MISMATCH')
    assert.equal(stored(provider), 100n)
    await provider.money.settle('all')
    assert.equal(await provider.chain.ledgerBalance(net.dev.token, provider.address), 100n)
  })

  test('a reservation that has expired, or is within the margin, begins no session', async (t) => {
    const provider = await seller(t)
    // the margin of a provider is ten minutes
    const payer = await rogue(t, provider, { forS: 500 })
    payer.hello(net.dev.token, 'bytes')
    isFault(await payer.fault(), 'CHANNEL_EXPIRED')
    await earnedNothing(net, provider)
  })

  test('a message in a state that does not allow it ends its session alone', async (t) => {
    const provider = await seller(t)
    const payer = await rogue(t, provider)
    const session = payer.hello(net.dev.token, 'bytes')
    const offered = await payer.next()
    assert.ok(offered?.type === 'terms')
    payer.pay(offered, 1n, payer.promise(offered, 1n))
    isFault(await payer.fault(), 'WRONG_STATE')
    payer.send({ type: 'countersign', session, signature: new Uint8Array(65) })
    payer.pay(
      { ...offered, terms: { ...offered.terms, session: `0x${'ab'.repeat(16)}` as typeof session } },
      1n,
      payer.promise(offered, 1n),
    )
    isFault(await payer.fault(), 'SESSION_UNKNOWN')
    await payer.begin(net.dev.token, 'bytes')
    await earnedNothing(net, provider)
  })

  test('the end of a channel is signed neither at another amount than the last promise nor while a session uses it', async (t) => {
    const provider = await seller(t)
    const payer = await rogue(t, provider)
    const offered = await payer.begin(net.dev.token, 'bytes')
    payer.pay(offered, 100n, payer.promise(offered, 100n))
    await payer.meter()
    const release = { type: 'release', owner: payer.address, token: net.dev.token, epoch: 0 } as const
    payer.send({ ...release, amount: 100n as typeof RESERVATION })
    isFault(await payer.fault(), 'CHANNEL_IN_USE')
    payer.send({ type: 'fault', session: offered.terms.session, code: ERRORS.SHUTTING_DOWN.wire })
    isFault(await payer.fault(), 'SHUTTING_DOWN')
    assert.equal((await payer.next())?.type, 'receipt')
    payer.send({ ...release, amount: 99n as typeof RESERVATION })
    isFault(await payer.fault(), 'HEAD_DISAGREES')
    assert.equal(stored(provider), 100n)
  })

  describe('bytes that are no messages', () => {
    const frame = (body: Uint8Array, length = body.length): Uint8Array => {
      const bytes = new Uint8Array(4 + body.length)
      new DataView(bytes.buffer).setUint32(0, length)
      bytes.set(body, 4)
      return bytes
    }
    /** the last frame of an answer is a fault of the whole stream: type 26, no session, the number */
    const faultIn = (answer: Uint8Array): number =>
      new DataView(answer.buffer, answer.byteOffset + answer.length - 2).getUint16(0)
    const cases = [
      { name: 'garbage', bytes: frame(new Uint8Array(100).fill(2)), code: 'MALFORMED' },
      {
        name: 'a frame above the limit of its message',
        bytes: frame(Uint8Array.of(12, ...new Uint8Array(4000))),
        code: 'FRAME_TOO_LARGE',
      },
      { name: 'an unknown even type', bytes: frame(Uint8Array.of(200, 1, 2, 3)), code: 'UNSUPPORTED' },
      {
        name: 'a message that only a provider sends',
        bytes: frame(Uint8Array.of(10, ...new Uint8Array(28))),
        code: 'WRONG_STATE',
      },
    ] as const
    for (const { name, bytes, code } of cases) {
      test(`${name} ends the stream with ${code}, and the provider goes on selling`, async (t) => {
        const provider = await seller(t)
        const payer = await RoguePayer.dial(t, addressOf(provider), domain)
        await payer.link.close()
        const stream = await payer.raw(addressOf(provider))
        stream.send(bytes)
        const parts: Uint8Array[] = []
        for await (const part of stream) parts.push(part instanceof Uint8Array ? part : part.subarray())
        assert.equal(faultIn(Buffer.concat(parts)), ERRORS[code].wire)
        await earnedNothing(net, provider)
        await buysAll(t, provider)
      })
    }

    test('a frame above the limit of the framing resets the stream before its body is read, and the provider goes on selling', async (t) => {
      const provider = await seller(t)
      const payer = await RoguePayer.dial(t, addressOf(provider), domain)
      const stream = await payer.raw(addressOf(provider))
      const ended = new Promise<void>((resolve) => stream.addEventListener('close', () => resolve(), { once: true }))
      stream.send(frame(new Uint8Array(16), 0x7fff_ffff))
      await ended
      assert.equal(stream.status, 'reset')
      await earnedNothing(net, provider)
      await buysAll(t, provider)
    })

    /** An honest consumer buys from the same provider. */
    async function buysAll(t: TestContext, provider: TallyNode): Promise<void> {
      const consumer = await net.consumer(t, [provider])
      const session = await consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token' })
      assert.ok((await readBytes(session, 200_000)) >= 200_000)
      const { code, figures } = await session.close()
      assert.equal(code, undefined)
      assert.equal(figures.signed, provider.money.sums.earned.signed)
    }
  })
})
