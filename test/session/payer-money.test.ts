import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { TallyError } from '../../src/core/errors.ts'
import { priceOf } from '../../src/core/price.ts'
import { isReceiptSignedBy } from '../../src/core/receipt.ts'
import type { LiveSession } from '../../src/session/live-session.ts'
import { PayerRecords } from '../../src/session/records.ts'
import { type MemorySnapshot, openMemoryStore } from '../../src/store/memory-store.ts'
import { A, DOMAIN } from './market.ts'
import { bytes, ScriptedProvider, useAll } from './scripted-provider.ts'

/** A disk that stands still when it is told to. */
function gate() {
  let open = Promise.withResolvers<void>()
  let reached = Promise.withResolvers<void>()
  let held = false
  return {
    beforeSync: async (): Promise<void> => {
      if (!held) return
      reached.resolve()
      await open.promise
    },
    /** the next write waits; resolves when it does */
    hold(): Promise<void> {
      held = true
      open = Promise.withResolvers()
      reached = Promise.withResolvers()
      return reached.promise
    },
    release(): void {
      held = false
      open.resolve()
    },
  }
}

/** Opens a stream, lets the provider write so much and uses it. */
async function deliver(provider: ScriptedProvider, live: LiveSession, count: number): ReturnType<typeof useAll> {
  const stream = await live.open(bytes(0))
  const end = provider.streams.findLast(({ session }) => session === live.session.id)
  assert.ok(end !== undefined)
  const using = useAll(stream)
  for (let at = 0; at < count; at += 700) await end.write(bytes(Math.min(700, count - at))).catch(() => undefined)
  await end.closeWrite()
  return await using
}

describe('a payer and its money', () => {
  test('a session is paid, closed, and its receipt countersigned', async () => {
    await ScriptedProvider.meet({}, async (provider) => {
      const live = await provider.open()
      assert.deepEqual(await deliver(provider, live, 3_500), { used: 3_500, code: undefined })
      const { code, receipt, session } = await live.close()
      assert.equal(code, undefined)
      assert.equal(session.total, 3_500n)
      assert.equal(receipt?.receipt.meter.down, 3_500n)
      assert.ok(receipt !== undefined && isReceiptSignedBy(DOMAIN, receipt.receipt, receipt.signature, provider.self.address))
      const { signature } = await provider.until('countersign')
      assert.ok(isReceiptSignedBy(DOMAIN, receipt.receipt, signature, provider.payer.address))
      const channel = await provider.desk.channel(provider.parties)
      assert.equal(channel.at, 3_500n)
      assert.equal(channel.unconfirmed, 0n)
    })
  })

  test('nothing is accepted before the terms are on the disk, and nothing is promised before its mark is', async () => {
    const disk = gate()
    await ScriptedProvider.meet({ credit: 0, beforeSync: disk.beforeSync }, async (provider) => {
      // the channel's own record is written first
      await provider.desk.channel(provider.parties)
      let held = disk.hold()
      const opening = provider.open()
      await held
      await turn()
      assert.deepEqual(
        provider.heard.map(({ type }) => type),
        ['hello'],
      )
      assert.equal(provider.signatures, 0)
      disk.release()
      await provider.until('accept')
      held = disk.hold()
      await held
      const signed = provider.signatures
      // a disk that is busy for long, while the provider asks for money again and again
      for (let i = 0; i < 5; i++) {
        const session = provider.heard[0]?.type === 'hello' ? provider.heard[0].session : assert.fail()
        const asking = { written: { down: 0n, up: 0n, ms: 0n, calls: 0n, units: 0n }, paid: A(0), credit: A(0), paused: true }
        provider.say({ type: 'meter', session, ...asking })
        await turn()
      }
      assert.deepEqual(provider.payments, [])
      assert.equal(provider.signatures, signed)
      disk.release()
      await provider.untilPaid(1_000n)
      await opening
    })
  })

  test('every promise that is sent is within the mark that is on the disk by then', async () => {
    await ScriptedProvider.meet({ credit: 0 }, async (provider) => {
      const sent: { amount: bigint; disk: MemorySnapshot }[] = []
      const { link } = provider.line
      const send = link.send.bind(link)
      link.send = (message) => {
        if (message.type === 'promise') sent.push({ amount: message.promise.amount, disk: provider.store.snapshot() })
        send(message)
      }
      const live = await provider.open()
      for (let i = 1n; i <= 10n; i++) {
        await deliver(provider, live, 2_000)
        await provider.untilPaid(i * 2_000n)
      }
      await live.close()
      assert.ok(sent.length > 3)
      for (const { amount, disk } of sent) {
        const [channel] = await Array.fromAsync(new PayerRecords(openMemoryStore({ from: disk })).channels())
        assert.ok(channel !== undefined && amount <= channel.reserved)
        // and the mark is no further ahead than the limit at risk
        assert.ok(channel.reserved <= amount + 4_000n)
      }
    })
  })

  test('a disk that fails ends the signing: only what its last mark covers was promised', async () => {
    let broken = false
    const beforeSync = (): void => {
      if (broken) throw new TallyError('STORE_FAILED')
    }
    await ScriptedProvider.meet({ credit: 0, beforeSync }, async (provider) => {
      const live = await provider.open()
      await provider.untilPaid(1_000n)
      const [before] = await Array.fromAsync(provider.desk.book.shelf.channels())
      broken = true
      await deliver(provider, live, 50_000)
      assert.equal((await live.ended).code, 'STREAM_CUT')
      assert.ok(before !== undefined && (provider.head?.amount ?? 0n) <= before.reserved)
      const signed = provider.signatures
      await turn()
      assert.equal(provider.signatures, signed)
      // nor does it begin anything new
      provider.reconnect()
      await assert.rejects(provider.open(), { code: 'STREAM_CUT' })
      assert.equal(provider.signatures, signed)
    })
  })

  const budgets = [
    { name: 'a base unit a byte', price: priceOf([{ kind: 'down', amount: A(1), per: 1n }]), budget: 2_500, covers: 2_500 },
    { name: '3 units for 7 bytes', price: priceOf([{ kind: 'down', amount: A(3), per: 7n }]), budget: 1_000, covers: 2_333 },
  ]
  for (const { name, price, budget, covers } of budgets) {
    for (const credit of [0, 2_000]) {
      test(`at ${name} with credit ${credit} a budget of ${budget} hands over exactly ${covers} bytes`, async () => {
        await ScriptedProvider.meet({ price, credit }, async (provider) => {
          const live = await provider.open({ budget: A(budget) })
          const { used, code } = await deliver(provider, live, 4_000)
          assert.equal(code, 'BUDGET_REACHED')
          assert.equal(used, covers)
          const end = await live.ended
          assert.equal(end.code, 'BUDGET_REACHED')
          assert.equal(end.session.total, BigInt(budget))
          assert.equal(end.receipt?.receipt.meter.down, BigInt(covers))
          assert.equal(provider.head?.amount, BigInt(budget))
        })
      })
    }
  }

  test('a deposit that is smaller than the budget ends the session with AMOUNT_OVER_DEPOSIT', async () => {
    await ScriptedProvider.meet({}, async (provider) => {
      provider.ledger.open(provider.parties, { deposit: A(1_500) })
      const live = await provider.open()
      const { used, code } = await deliver(provider, live, 4_000)
      assert.equal(code, 'AMOUNT_OVER_DEPOSIT')
      assert.equal(used, 1_500)
      assert.equal((await live.ended).code, 'AMOUNT_OVER_DEPOSIT')
      assert.equal(provider.head?.amount, 1_500n)
    })
  })

  test('a budget that one stream reaches is paid for what readers of the others still use', async () => {
    await ScriptedProvider.meet({}, async (provider) => {
      const live = await provider.open({ budget: A(2_000) })
      const [slow, fast] = [await live.open(bytes(0)), await live.open(bytes(0))]
      await provider.streams[0]?.write(bytes(700))
      const pieces = slow.unacknowledged[Symbol.asyncIterator]()
      assert.equal((await pieces.next()).value?.length, 700)
      const using = useAll(fast)
      await provider.streams[1]?.write(bytes(5_000))
      assert.deepEqual(await using, { used: 1_300, code: 'BUDGET_REACHED' })
      await turn()
      assert.equal(live.session.status, 'live')
      slow.acknowledge(700)
      const { code, session } = await live.ended
      assert.equal(code, 'BUDGET_REACHED')
      assert.equal(session.total, 2_000n)
    })
  })

  test('a budget that is reached does not wait for ever for a reader that uses nothing', async () => {
    await ScriptedProvider.meet({}, async (provider) => {
      const live = await provider.open({ budget: A(2_000) })
      const [idle, fast] = [await live.open(bytes(0)), await live.open(bytes(0))]
      await provider.streams[0]?.write(bytes(700))
      await idle.unacknowledged[Symbol.asyncIterator]().next()
      const using = useAll(fast)
      await provider.streams[1]?.write(bytes(5_000))
      await using
      await turn()
      for (const ms of [1, 2_002]) {
        provider.clock.ms = ms
        live.onClock(ms)
      }
      assert.deepEqual(live.onClock(2_002), { type: 'finish', code: 'BUDGET_REACHED' })
      const { session } = await live.ended
      assert.equal(session.total, 1_300n)
    })
  })

  test('bytes that the reader does not acknowledge are not paid', async () => {
    await ScriptedProvider.meet({}, async (provider) => {
      const live = await provider.open()
      const stream = await live.open(bytes(0))
      await provider.streams[0]?.write(bytes(3_000))
      for await (const piece of stream.unacknowledged) {
        stream.acknowledge(1_200)
        assert.ok(piece.length > 1_200)
        break
      }
      const { session } = await live.close()
      assert.equal(session.total, 1_200n)
    })
  })

  test('the promise of a channel with two sessions rises by the sum of what they pay', async () => {
    await ScriptedProvider.meet({}, async (provider) => {
      const [one, two] = [await provider.open(), await provider.open()]
      await Promise.all([deliver(provider, one, 5_400), deliver(provider, two, 3_300)])
      await Promise.all([one.close(), two.close()])
      const totals = new Map<string, bigint>()
      let amount = 0n
      for (const pay of provider.payments) {
        const rise = pay.total - (totals.get(pay.session) ?? 0n)
        assert.ok(rise > 0n)
        totals.set(pay.session, pay.total)
        assert.equal(pay.promise.amount, amount + rise)
        amount = pay.promise.amount
      }
      assert.deepEqual([...totals.values()].toSorted(), [3_300n, 5_400n])
      assert.equal(amount, 8_700n)
    })
  })
})
