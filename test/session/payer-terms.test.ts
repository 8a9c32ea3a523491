import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { codeOfWire, type ErrorCode } from '../../src/core/errors.ts'
import type { Address, Seconds } from '../../src/core/ids.ts'
import { priceOf } from '../../src/core/price.ts'
import type { Wish } from '../../src/core/session/payer-terms.ts'
import type { Terms } from '../../src/core/terms.ts'
import { A, START_S, selfOf } from './market.ts'
import { down, type Offering, refused, type Script, ScriptedProvider } from './scripted-provider.ts'

const offering =
  (of: Offering): Script =>
  (message, provider) =>
    message.type === 'hello' ? [provider.offered(message, of)] : undefined
const terms = (of: Partial<Terms>): Script => offering({ terms: of })
const stranger = selfOf(0x77)

describe('terms that are not agreed on', () => {
  const cases: { name: string; code: ErrorCode; script?: Script; wish?: Partial<Wish> }[] = [
    {
      name: 'another price',
      code: 'TERMS_REFUSED',
      script: terms({ price: priceOf([{ kind: 'down', amount: A(2), per: 1n }]) }),
    },
    { name: 'a price that costs less', code: 'TERMS_REFUSED', script: terms({ price: priceOf([]) }) },
    { name: 'another chunk', code: 'TERMS_REFUSED', script: terms({ chunk: { kind: 'down', size: 1_001n } }) },
    { name: 'a chunk of another kind', code: 'TERMS_REFUSED', script: terms({ chunk: { kind: 'ms', size: 1_000n } }) },
    { name: 'another token', code: 'TERMS_REFUSED', script: terms({ token: `0x${'c2'.repeat(20)}` as Address }) },
    { name: 'another service', code: 'TERMS_REFUSED', script: terms({ service: 'other' }) },
    { name: 'another owner', code: 'TERMS_REFUSED', script: terms({ owner: stranger.address }) },
    { name: 'another signer', code: 'TERMS_REFUSED', script: terms({ signer: stranger.address }) },
    { name: 'another provider', code: 'TERMS_REFUSED', script: terms({ provider: stranger.address }) },
    { name: 'terms that are over', code: 'TERMS_REFUSED', script: terms({ expiry: START_S as Seconds }) },
    { name: 'a patience below a second', code: 'TERMS_REFUSED', script: terms({ patienceMs: 999 }) },
    { name: 'a signature by somebody else', code: 'SIGNER_WRONG', script: offering({ sign: stranger.sign }) },
    { name: 'a chunk above the limit at risk', code: 'RISK_TOO_HIGH', wish: { limitAtRisk: A(999) } },
    {
      name: 'a price above the maximum',
      code: 'PRICE_TOO_HIGH',
      wish: { maxPrice: priceOf([{ kind: 'down', amount: A(999), per: 1_000n }]) },
    },
    { name: 'arrears that nobody knows', code: 'DEBT_DISPUTED', script: terms({ arrears: A(1) }) },
    { name: 'arrears above what is known', code: 'DEBT_DISPUTED', script: terms({ arrears: A(501) }), wish: { owed: A(500) } },
    {
      name: 'arrears that are all of the budget',
      code: 'BUDGET_REACHED',
      script: terms({ arrears: A(500) }),
      wish: { owed: A(500), budget: A(500) },
    },
    { name: 'payments in a session that is new', code: 'HEAD_DISAGREES', script: offering({ total: A(1) }) },
    { name: 'bytes in a session that is new', code: 'HEAD_DISAGREES', script: offering({ acked: down(1) }) },
    {
      name: 'a head without our signature',
      code: 'HEAD_DISAGREES',
      script: (message, provider) =>
        message.type === 'hello' ? [provider.offered(message, { head: { promise: provider.promise(1_000n) } })] : undefined,
    },
    {
      name: 'a head with our signature on another amount',
      code: 'HEAD_DISAGREES',
      script: (message, provider) => {
        if (message.type !== 'hello') return undefined
        const head = { ...provider.promise(1_000n, provider.payer.sign), amount: A(1_001) }
        return [provider.offered(message, { head: { promise: head } })]
      },
    },
  ]
  for (const { name, code, script, wish } of cases) {
    test(`${name}: ${code}, the provider is told, and nothing is signed`, async () => {
      await ScriptedProvider.meet(script === undefined ? {} : { script }, async (provider) => {
        assert.equal(await refused(provider.open(wish)), code)
        const fault = await provider.until('fault')
        assert.equal(codeOfWire(fault.code), code)
        assert.deepEqual(
          provider.heard.map(({ type }) => type),
          ['hello', 'fault'],
        )
        assert.equal(provider.signatures, 0)
        assert.deepEqual([...provider.desk.liveSessions()], [])
        assert.deepEqual(await Array.fromAsync(provider.desk.book.cutSessions()), [])
      })
    })
  }

  test('arrears that are known are part of what is paid', async () => {
    await ScriptedProvider.meet({ script: terms({ arrears: A(500) }) }, async (provider) => {
      const live = await provider.open({ owed: A(500) })
      const closing = live.close()
      assert.equal((await provider.until('close')).total, 500n)
      assert.equal((await closing).session.total, 500n)
    })
  })

  test('terms for a session that is not ours are not heard', async () => {
    const script: Script = (message, provider) => {
      if (message.type !== 'hello') return undefined
      const other = { ...message, session: `0x${'ee'.repeat(16)}` as typeof message.session }
      return [provider.offered(other), provider.offered(message)]
    }
    await ScriptedProvider.meet({ script }, async (provider) => {
      const live = await provider.open()
      assert.equal(live.session.status, 'live')
      assert.equal(provider.heard.filter(({ type }) => type === 'accept').length, 1)
    })
  })
})
