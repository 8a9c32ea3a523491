import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { ChannelId, Hash32, SessionId } from '../../src/core/ids.ts'
import type { Meter } from '../../src/core/meter.ts'
import type { Receipt } from '../../src/core/receipt.ts'
import type { FromPayer } from '../../src/core/session/messages.ts'
import { A, selfOf } from './market.ts'
import { bytes, ScriptedProvider, useAll } from './scripted-provider.ts'

type Close = Extract<FromPayer, { type: 'close' }>
type Forge = (close: Close, provider: ScriptedProvider) => ReturnType<ScriptedProvider['receipt']>
const saying =
  (of: (close: Close) => Partial<Receipt>): Forge =>
  (close, provider) =>
    provider.receipt(close, of(close))
const counting = (of: Partial<Record<keyof Meter, bigint>>): Forge =>
  saying(({ acked }) => {
    const meter = { ...acked }
    for (const [kind, more] of Object.entries(of)) meter[kind as keyof Meter] += more
    return { meter }
  })

/** Buys 1,500 bytes and closes; `forge` is the receipt. */
async function bought(provider: ScriptedProvider, forge: Forge) {
  provider.script = (message) =>
    message.type === 'close' ? [{ type: 'receipt', session: message.session, receipt: forge(message, provider) }] : undefined
  const live = await provider.open()
  const using = useAll(await live.open(bytes(0)))
  await provider.streams.at(-1)?.write(bytes(1_500))
  await provider.streams.at(-1)?.closeWrite()
  await using
  return await live.close()
}

describe('a receipt', () => {
  const wrong: Record<string, Forge> = {
    'more paid than was': saying(({ total }) => ({ total: A(total + 1n) })),
    'less paid than was': saying(({ total }) => ({ total: A(total - 1n) })),
    'more bytes than were used': counting({ down: 1n }),
    'fewer bytes than were used': counting({ down: -1n }),
    'bytes that were never sent': counting({ up: 1n }),
    'time that never passed': counting({ ms: 1n }),
    'calls that were never made': counting({ calls: 1n }),
    'units that nobody asked for': counting({ units: 1n }),
    'a promise above what was reserved': saying(() => ({ amount: A(1_000_000) })),
    'another session': saying(() => ({ session: `0x${'ee'.repeat(16)}` as SessionId })),
    'other terms': saying(() => ({ terms: `0x${'ee'.repeat(32)}` as Hash32 })),
    'another channel': saying(() => ({ channel: `0x${'ee'.repeat(32)}` as ChannelId })),
    'the signature of somebody else': (close, provider) => provider.receipt(close, {}, selfOf(0x66).sign),
    'our own signature': (close, provider) => provider.receipt(close, {}, provider.payer.sign),
  }
  for (const [name, forge] of Object.entries(wrong)) {
    test(`with ${name} is RECEIPT_WRONG and never countersigned`, async () => {
      await ScriptedProvider.meet({}, async (provider) => {
        const { code, session } = await bought(provider, forge)
        assert.equal(code, 'RECEIPT_WRONG')
        assert.equal(session.total, 1_500n)
        // the right one that follows is kept as the provider's word, and not countersigned either
        const close = await provider.until('close')
        provider.say({ type: 'receipt', session: close.session, receipt: provider.receipt(close) })
        await turn()
        assert.equal(
          provider.heard.some(({ type }) => type === 'countersign'),
          false,
        )
      })
    })
  }

  test('that comes before the session is closed is not countersigned', async () => {
    await ScriptedProvider.meet({}, async (provider) => {
      const live = await provider.open()
      const { id: session } = live.session
      const acked = { down: 0n, up: 0n, ms: 0n, calls: 0n, units: 0n }
      const receipt = provider.receipt({ type: 'close', session, total: A(0), acked, reason: 0 })
      provider.say({ type: 'receipt', session, receipt })
      assert.equal((await live.ended).code, 'RECEIPT_WRONG')
      await turn()
      assert.equal(
        provider.heard.some(({ type }) => type === 'countersign'),
        false,
      )
    })
  })

  test('that follows a fault is kept, and not countersigned', async () => {
    await ScriptedProvider.meet({}, async (provider) => {
      const live = await provider.open()
      const { id: session } = live.session
      provider.say({ type: 'fault', session, code: 205 })
      const acked = { down: 0n, up: 0n, ms: 0n, calls: 0n, units: 0n }
      const receipt = provider.receipt({ type: 'close', session, total: A(0), acked, reason: 205 })
      provider.say({ type: 'receipt', session, receipt })
      assert.equal((await live.ended).code, 'PATIENCE_OVER')
      while (live.session.receipt === undefined) await turn()
      assert.deepEqual(live.session.receipt, receipt)
      assert.equal(
        provider.heard.some(({ type }) => type === 'countersign'),
        false,
      )
    })
  })
})
