import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { codeOfWire } from '../../src/core/errors.ts'
import type { FromPayer } from '../../src/core/session/messages.ts'
import { bytes, refused, type Script, ScriptedProvider } from './scripted-provider.ts'

/** Never answers a message of this type. */
const muteAt =
  (type: FromPayer['type']): Script =>
  (message) =>
    message.type === type ? [] : undefined

describe('a signal that is aborted', () => {
  test('before the call: nothing is said', async () => {
    await ScriptedProvider.meet({}, async (provider) => {
      assert.equal(await refused(provider.open({}, { signal: AbortSignal.abort() })), 'ABORTED')
      assert.deepEqual(provider.heard, [])
      assert.deepEqual([...provider.desk.liveSessions()], [])
    })
  })

  test('while the ledger is asked: nothing is said', async () => {
    const asked = Promise.withResolvers<void>()
    const answer = Promise.withResolvers<void>()
    const ledger = (): Promise<void> => {
      asked.resolve()
      return answer.promise
    }
    await ScriptedProvider.meet({ asked: ledger }, async (provider) => {
      const abort = new AbortController()
      const opening = refused(provider.open({}, { signal: abort.signal }))
      await asked.promise
      abort.abort()
      answer.resolve()
      assert.equal(await opening, 'ABORTED')
      assert.deepEqual(provider.heard, [])
    })
  })

  for (const stage of ['hello', 'accept'] as const) {
    test(`while the ${stage} is not answered: the provider is told, and the session is over`, async () => {
      await ScriptedProvider.meet({ script: muteAt(stage) }, async (provider) => {
        const abort = new AbortController()
        const opening = refused(provider.open({}, { signal: abort.signal }))
        await provider.until(stage)
        abort.abort()
        assert.equal(await opening, 'ABORTED')
        assert.equal(codeOfWire((await provider.until('fault')).code), 'ABORTED')
        assert.deepEqual([...provider.desk.liveSessions()], [])
        assert.deepEqual(provider.payments, [])
      })
    })
  }

  test('while a resume is not answered: the session stays cut, and may be resumed', async () => {
    await ScriptedProvider.meet({}, async (provider) => {
      const { session, ended } = await provider.open()
      provider.cut()
      await ended
      provider.reconnect()
      const from = provider.heard.length
      provider.script = muteAt('hello')
      const abort = new AbortController()
      const resuming = refused(provider.desk.resume(provider.line, session.id, 0n, { signal: abort.signal }))
      await provider.until('hello', from)
      abort.abort()
      assert.equal(await resuming, 'ABORTED')
      assert.deepEqual(
        (await Array.fromAsync(provider.desk.book.cutSessions())).map(({ id }) => id),
        [session.id],
      )
      provider.script = () => undefined
      assert.equal((await provider.desk.resume(provider.line, session.id, 0n)).session.status, 'live')
    })
  })

  test('when a stream is opened: the session goes on', async () => {
    await ScriptedProvider.meet({}, async (provider) => {
      const live = await provider.open()
      await assert.rejects(live.open(bytes(0), { signal: AbortSignal.abort() }))
      assert.equal(live.session.status, 'live')
      assert.equal((await live.close()).code, undefined)
    })
  })

  test('while the receipt is waited for: the call ends, and the receipt is taken when it comes', async () => {
    await ScriptedProvider.meet({ script: muteAt('close') }, async (provider) => {
      const live = await provider.open()
      const abort = new AbortController()
      const closing = refused(live.close({ signal: abort.signal }))
      const close = await provider.until('close')
      abort.abort()
      assert.equal(await closing, 'ABORTED')
      provider.say({ type: 'receipt', session: close.session, receipt: provider.receipt(close) })
      const { code, receipt } = await live.ended
      assert.equal(code, undefined)
      assert.ok(receipt !== undefined)
      await provider.until('countersign')
    })
  })
})
