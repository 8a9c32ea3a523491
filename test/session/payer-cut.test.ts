import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { codeOfWire, type ErrorCode } from '../../src/core/errors.ts'
import { A, selfOf } from './market.ts'
import { bytes, down, type Offering, refused, ScriptedProvider, useAll } from './scripted-provider.ts'

/** A session that has used and paid this much, and was cut. */
async function cutAt(provider: ScriptedProvider, count: number) {
  const live = await provider.open()
  const stream = await live.open(bytes(0))
  const using = useAll(stream)
  await provider.streams.at(-1)?.write(bytes(count))
  await provider.untilPaid(BigInt(count))
  while (live.session.paid < BigInt(count)) await new Promise((resolve) => setImmediate(resolve))
  provider.cut()
  assert.deepEqual(await using, { used: count, code: 'STREAM_CUT' })
  assert.equal((await live.ended).code, 'STREAM_CUT')
  provider.reconnect()
  return live
}

describe('a session that was cut', () => {
  test('goes on with its id and its totals, and is paid once', async () => {
    await ScriptedProvider.meet({}, async (provider) => {
      const before = await cutAt(provider, 2_000)
      const from = provider.heard.length
      const live = await provider.desk.resume(provider.line, before.session.id, 2_000n)
      const hello = await provider.until('hello', from)
      assert.equal(hello.resume, true)
      assert.equal(hello.session, before.session.id)
      assert.equal(hello.acked.down, 2_000n)
      assert.equal(live.session.total, 2_000n)
      const using = useAll(await live.open(bytes(0)))
      await provider.streams.at(-1)?.write(bytes(1_500))
      await provider.streams.at(-1)?.closeWrite()
      assert.deepEqual(await using, { used: 1_500, code: undefined })
      const { code, receipt, session } = await live.close()
      assert.equal(code, undefined)
      assert.equal(session.total, 3_500n)
      assert.equal(receipt?.receipt.meter.down, 3_500n)
      assert.equal(provider.head?.amount, 3_500n)
    })
  })

  const lies: { name: string; of: (provider: ScriptedProvider) => Offering }[] = [
    { name: 'understates its total', of: () => ({ total: A(1_999) }) },
    { name: 'overstates its total', of: () => ({ total: A(2_001) }) },
    { name: 'claims more bytes than were used', of: () => ({ acked: down(2_001) }) },
    { name: 'shows a head without our signature', of: (provider) => ({ head: { promise: provider.promise(2_000n) } }) },
    {
      name: 'shows a head that somebody else signed',
      of: (provider) => ({ head: { promise: provider.promise(9_000n, selfOf(0x55).sign) } }),
    },
  ]
  for (const { name, of } of lies) {
    test(`is not resumed with a provider that ${name}: HEAD_DISAGREES, and nothing more is signed`, async () => {
      await ScriptedProvider.meet({}, async (provider) => {
        const before = await cutAt(provider, 2_000)
        const [from, signatures] = [provider.heard.length, provider.signatures]
        provider.script = (message) => (message.type === 'hello' ? [provider.offered(message, of(provider))] : undefined)
        assert.equal(await refused(provider.desk.resume(provider.line, before.session.id, 2_000n)), 'HEAD_DISAGREES')
        assert.equal(codeOfWire((await provider.until('fault', from)).code), 'HEAD_DISAGREES')
        assert.equal(provider.signatures, signatures)
        assert.equal(await refused(provider.desk.resume(provider.line, before.session.id, 2_000n)), 'SESSION_UNKNOWN')
      })
    })
  }

  test('whose provider shows an older head is told the promise again that was confirmed', async () => {
    await ScriptedProvider.meet({}, async (provider) => {
      const before = await cutAt(provider, 2_000)
      const from = provider.heard.length
      provider.script = (message) =>
        message.type === 'hello' ? [provider.offered(message, { head: undefined, total: A(2_000) })] : undefined
      await provider.desk.resume(provider.line, before.session.id, 2_000n)
      assert.equal((await provider.until('restate', from)).promise.amount, 2_000n)
    })
  })

  for (const code of ['BUSY', 'SHUTTING_DOWN'] satisfies ErrorCode[]) {
    test(`may be resumed later when the provider answers ${code}`, async () => {
      await ScriptedProvider.meet({}, async (provider) => {
        const before = await cutAt(provider, 1_000)
        const { id } = before.session
        provider.script = (message) =>
          message.type === 'hello' ? [{ type: 'fault', session: id, code: code === 'BUSY' ? 7 : 210 }] : undefined
        assert.equal(await refused(provider.desk.resume(provider.line, id, 1_000n)), code)
        provider.script = () => undefined
        assert.equal((await provider.desk.resume(provider.line, id, 1_000n)).session.total, 1_000n)
      })
    })
  }

  test('that had been closed in order is over when it is resumed: SESSION_UNKNOWN, and its receipt is countersigned', async () => {
    await ScriptedProvider.meet({}, async (provider) => {
      const { id } = (await cutAt(provider, 1_000)).session
      provider.script = (message) => {
        if (message.type !== 'hello') return undefined
        const receipt = provider.receipt({ type: 'close', session: id, total: A(1_000), acked: down(1_000), reason: 0 })
        return [{ type: 'receipt', session: id, receipt }]
      }
      assert.equal(await refused(provider.desk.resume(provider.line, id, 1_000n)), 'SESSION_UNKNOWN')
      assert.equal((await provider.until('countersign')).session, id)
    })
  })

  test('is not disturbed by what its first holder still says once it was resumed, or given up', async () => {
    await ScriptedProvider.meet({}, async (provider) => {
      const before = await cutAt(provider, 1_000)
      const { id } = before.session
      const live = await provider.desk.resume(provider.line, id, 1_000n)
      assert.equal((await before.close()).code, 'STREAM_CUT')
      assert.deepEqual(
        [...provider.desk.liveSessions()].map((session) => [session.id, session.status]),
        [[id, 'live']],
      )
      provider.cut()
      await live.ended
      await provider.desk.forget(id)
      await live.close()
      assert.deepEqual(await Array.fromAsync(provider.desk.book.cutSessions()), [])
    })
  })
})
