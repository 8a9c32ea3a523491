import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { Amount } from '../../src/core/amount.ts'
import { signerOf } from '../../src/core/crypto/secp256k1.ts'
import type { Domain } from '../../src/core/eip712.ts'
import { ERRORS, type ErrorCode } from '../../src/core/errors.ts'
import type { Seconds, SessionId } from '../../src/core/ids.ts'
import { ZERO_METER } from '../../src/core/meter.ts'
import { preparePromises } from '../../src/core/promise.ts'
import type { FromPayee, TermsOffered } from '../../src/core/session/messages.ts'
import { signTerms, type Terms } from '../../src/core/terms.ts'
import type { OpenOptions, TallyNode } from '../../src/node/node.ts'
import { addressOf, bytesService, eventually, readBytes, type TestNetwork, testNetwork } from '../support/network.ts'
import { PRICE, RogueProvider, type RogueScript } from './rogue.ts'
import { paidNothing, refuses } from './verdicts.ts'

describe('a consumer and a provider that breaks the rules', () => {
  let net: TestNetwork
  let domain: Domain
  before(async () => {
    net = await testNetwork()
    domain = { chainId: BigInt(net.dev.chainId), ledger: net.dev.ledger }
  })
  after(() => net.stop())

  async function meeting(t: TestContext, script: RogueScript): Promise<{ rogue: RogueProvider; consumer: TallyNode }> {
    const rogue = await RogueProvider.start(t, domain, net.dev.token, script)
    const consumer = await net.consumer(t)
    await net.reserve(consumer, rogue.address)
    return { rogue, consumer }
  }
  const buy = (consumer: TallyNode, rogue: RogueProvider, more: Partial<OpenOptions> = {}) =>
    consumer.open({ service: 'bait', provider: rogue.multiaddr, budget: '1 token', ...more })

  /** terms that differ from the right ones, signed by the provider all the same */
  const changed =
    (change: Partial<Terms>): NonNullable<RogueScript['terms']> =>
    ({ terms }, provider) =>
      provider.offered({ ...terms, ...change })

  const double = { ...PRICE, rates: PRICE.rates.map((rate) => ({ ...rate, amount: (rate.amount * 2n) as Amount })) }
  const broken: { name: string; code: ErrorCode; terms: NonNullable<RogueScript['terms']> }[] = [
    { name: 'another price than its offer', code: 'TERMS_REFUSED', terms: changed({ price: double }) },
    { name: 'another chunk than its offer', code: 'TERMS_REFUSED', terms: changed({ chunk: { kind: 'down', size: 1n << 30n } }) },
    { name: 'terms that are over already', code: 'TERMS_REFUSED', terms: changed({ expiry: 1 as Seconds }) },
    { name: 'a debt that nobody knows', code: 'DEBT_DISPUTED', terms: changed({ arrears: 1n as Amount }) },
    {
      name: 'terms with the signature of another key',
      code: 'SIGNER_WRONG',
      terms: (right) => ({ ...right, signature: signTerms(domain, right.terms, signerOf(randomBytes(32))) }),
    },
    {
      name: 'terms that are signed for another chain',
      code: 'SIGNER_WRONG',
      terms: (right, { sign }) => ({ ...right, signature: signTerms({ ...domain, chainId: 1n }, right.terms, sign) }),
    },
    {
      name: 'a head that the consumer never signed',
      code: 'HEAD_DISAGREES',
      terms: (right, { sign }) => ({ ...right, head: { promise: forgedHead(right, sign) } }),
    },
  ]
  function forgedHead({ terms }: TermsOffered, sign: RogueProvider['sign']) {
    const { owner, signer, provider: target, token } = terms
    return preparePromises(domain, { owner, signer, target, token }).sign(5_000_000n as Amount, [], sign)
  }
  for (const { name, code, terms } of broken) {
    test(`${name}: ${code}, and nothing is signed`, async (t) => {
      const { rogue, consumer } = await meeting(t, { terms })
      await refuses(code, () => buy(consumer, rogue))
      assert.deepEqual(rogue.promises, [])
      paidNothing(consumer)
    })
  }

  test('a price above the maximum that was set is refused before anything is signed', async (t) => {
    const { rogue, consumer } = await meeting(t, {})
    await refuses('PRICE_TOO_HIGH', () => buy(consumer, rogue, { maxPrice: '0.009/MiB' }))
    paidNothing(consumer)
  })

  test('a chunk that costs more than the limit at risk is refused before anything is signed', async (t) => {
    const { rogue, consumer } = await meeting(t, { offer: { chunk: { kind: 'down', size: 64n << 20n } } })
    await refuses('RISK_TOO_HIGH', () => buy(consumer, rogue, { limitAtRisk: '0.5 token' }))
    paidNothing(consumer)
  })

  test('an offer of another token, or by another provider, is refused', async (t) => {
    const foreign = await meeting(t, { offer: { token: net.dev.forwarder } })
    await refuses('OFFER_FOREIGN', () => buy(foreign.consumer, foreign.rogue))
    const stolen = await meeting(t, { offer: { provider: net.dev.forwarder } })
    await refuses('OFFER_INVALID', () => buy(stolen.consumer, stolen.rogue))
    const old = await meeting(t, { offer: { expiry: 1_700_000_000 as Seconds } })
    await refuses('OFFER_EXPIRED', () => buy(old.consumer, old.rogue))
  })

  test('a provider that takes the money, asks for more and delivers nothing gets no more than the limit at risk', async (t) => {
    const more = (session: SessionId, paid: bigint): FromPayee[] => [
      { type: 'meter', session, written: ZERO_METER, paid: paid as Amount, credit: 0n as Amount, paused: true },
    ]
    const { rogue, consumer } = await meeting(t, {
      answer: (message, provider) => {
        if (message.type === 'promise' || message.type === 'tick') return more(message.session, provider.worth)
        if (message.type !== 'accept') return undefined
        return [{ type: 'ready', session: message.session, credit: 0n as Amount }, ...more(message.session, 0n)]
      },
    })
    const session = await buy(consumer, rogue, { limitAtRisk: '0.002 token' })
    await eventually(
      (again) => {
        consumer.events.on('payer:session', again)
        return () => consumer.events.off('payer:session', again)
      },
      () => [...consumer.buying].find(({ status }) => status === 'closing'),
    )
    const paid = rogue.worth
    assert.ok(paid > 0n && paid <= 2_000n, `${paid} base units`)
    assert.equal(session.figures.signed, paid)
    assert.equal(session.figures.atRisk, paid)
  })

  test('a receipt that does not say what happened is not countersigned', async (t) => {
    const { rogue, consumer } = await meeting(t, {
      answer: (message, provider) => {
        if (message.type === 'close') return [provider.receipt({ total: 999n, down: 7n })]
        return message.type === 'countersign' ? assert.fail('countersigned') : undefined
      },
    })
    const session = await buy(consumer, rogue)
    const { code, receipt } = await session.close()
    assert.equal(code, 'RECEIPT_WRONG')
    assert.equal(receipt?.consumerSignature, undefined)
  })

  test('an error number that is not registered is a refusal all the same', async (t) => {
    const { rogue, consumer } = await meeting(t, {
      answer: (message) => (message.type === 'hello' ? [{ type: 'fault', session: message.session, code: 60_000 }] : undefined),
    })
    await refuses('PEER_REFUSED', () => buy(consumer, rogue))
    paidNothing(consumer)
  })

  test('a provider that is busy says so', async (t) => {
    const { rogue, consumer } = await meeting(t, {
      answer: (message) =>
        message.type === 'hello' ? [{ type: 'fault', session: message.session, code: ERRORS.BUSY.wire }] : undefined,
    })
    await refuses('BUSY', () => buy(consumer, rogue))
  })

  test('a provider that does not answer, a hello or a close, is not waited for for ever', async (t) => {
    let ahead = 0
    const clock = { nowMs: () => performance.now() + ahead, nowS: () => Math.floor(Date.now() / 1000) as Seconds }
    const dumb = await RogueProvider.start(t, domain, net.dev.token, { terms: () => undefined })
    const greedy = await RogueProvider.start(t, domain, net.dev.token)
    const consumer = await net.consumer(t, [], { clock })
    for (const { address } of [dumb, greedy]) await net.reserve(consumer, address)
    const session = await buy(consumer, greedy)
    const closing = session.close()
    const asking = buy(consumer, dumb)
    while ([...consumer.buying].length < 2) await new Promise((resolve) => setImmediate(resolve))
    ahead = 31_000
    assert.deepEqual([(await closing).code, (await closing).receipt], ['STREAM_CUT', undefined])
    ahead = 122_000
    await refuses('STREAM_CUT', () => asking)
    paidNothing(consumer)
  })

  test('a provider that does not answer a hello is waited for only as long as the caller says', async (t) => {
    const { rogue, consumer } = await meeting(t, { terms: () => undefined })
    const asked = new AbortController()
    const opening = buy(consumer, rogue, { signal: asked.signal })
    while (consumer.buying[Symbol.iterator]().next().done === true) await new Promise((resolve) => setImmediate(resolve))
    asked.abort()
    await refuses('ABORTED', () => opening)
    assert.deepEqual([...consumer.buying], [])
    paidNothing(consumer)
  })

  test('a budget ends the session when it is used up: everything that came is paid, and no more', async (t) => {
    const provider = await net.provider(t)
    await provider.serve({ name: 'bytes', service: bytesService(), price: '0.01/MiB' })
    const consumer = await net.consumer(t, [provider])
    const session = await consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '0.005 token' })
    let bytes = 0
    await refuses('BUDGET_REACHED', async () => {
      for await (const piece of session) bytes += piece.length
    })
    const { code, figures } = await session.close()
    assert.equal(code, 'BUDGET_REACHED')
    assert.equal(figures.signed, 5_000n)
    assert.equal(figures.delivered.down, BigInt(bytes))
    assert.ok(bytes <= 524_288 && bytes > 458_752, `${bytes} bytes for 0.005 token at 0.01 token/MiB`)
    assert.equal(provider.money.sums.earned.signed, 5_000n)
  })

  test('a reservation that is smaller than the budget ends the session when it is used up', async (t) => {
    const provider = await net.provider(t)
    await provider.serve({ name: 'bytes', service: bytesService(), price: '0.01/MiB' })
    const consumer = await net.consumer(t)
    await net.reserve(consumer, provider.address, { amount: 3_000n as Amount })
    const session = await consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token' })
    await refuses('AMOUNT_OVER_DEPOSIT', () => readBytes(session))
    const { code, figures } = await session.close()
    assert.deepEqual([code, figures.signed], ['AMOUNT_OVER_DEPOSIT', 3_000n])
    const again = () => consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token' })
    await refuses('RESERVATION_TOO_SMALL', again)
  })

  test('a reservation that ends too soon begins no session', async (t) => {
    const provider = await net.provider(t)
    await provider.serve({ name: 'bytes', service: bytesService(), price: '0.01/MiB' })
    const consumer = await net.consumer(t)
    await net.reserve(consumer, provider.address, { forS: 3_000 })
    await refuses('CHANNEL_EXPIRED', () => consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token' }))
    paidNothing(consumer)
  })

  test('without a reservation nothing is asked of the provider', async (t) => {
    const provider = await net.provider(t)
    await provider.serve({ name: 'bytes', service: bytesService({ total: 10 }), price: '0.01/MiB' })
    const consumer = await net.consumer(t)
    const call = () => consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token' })
    await refuses('CHANNEL_UNKNOWN', call)
    await net.reserve(consumer, provider.address)
    assert.equal(await readBytes(await call()), 10)
  })
})
