import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Amount } from '../../src/core/amount.ts'
import type { ChannelIn } from '../../src/core/channel.ts'
import { TallyError } from '../../src/core/errors.ts'
import { type Address, type ChannelId, channelId, type Seconds } from '../../src/core/ids.ts'
import { payable } from '../../src/core/settlement.ts'
import { Attempts } from '../../src/settlement/attempts.ts'
import { type Due, type PayeeChannels, Worklist } from '../../src/settlement/worklist.ts'

const START_S = 1_000_000
const MARGIN_S = 600

/** Channels in memory, with an index as the disk has it. */
class Channels implements PayeeChannels {
  readonly all = new Map<ChannelId, ChannelIn>()
  readonly used = new Set<ChannelId>()
  readonly damaged = new Set<ChannelId>()
  #changed: ChannelId[] = []

  put(channel: ChannelIn): void {
    this.all.set(channel.id, channel)
    if (payable(channel) > 0n) this.#changed.push(channel.id)
  }

  async channel(id: ChannelId): Promise<ChannelIn | undefined> {
    if (this.damaged.has(id)) throw new TallyError('STORE_CORRUPT')
    return this.all.get(id)
  }

  async *due(after?: Due): AsyncGenerator<Due> {
    const entries = [...this.all.values()]
      .filter((one) => payable(one) > 0n)
      .map(({ id, facts }) => ({ id, expiry: facts.expiry }))
    entries.sort((a, b) => a.expiry - b.expiry || (a.id < b.id ? -1 : 1))
    const isBehind = (one: Due): boolean =>
      after === undefined || one.expiry > after.expiry || (one.expiry === after.expiry && one.id > after.id)
    yield* entries.filter(isBehind)
  }

  takeChanged(): ChannelId[] {
    return this.#changed.splice(0)
  }

  isInUse({ id }: ChannelIn): boolean {
    return this.used.has(id)
  }
}

let made = 0
function channelOf(of: { signed: number; settled?: number; expiryS: number }): ChannelIn {
  const owner = `0x${(++made).toString(16).padStart(40, '0')}` as Address
  const parties = { owner, signer: owner, target: owner, token: owner }
  const promise = { amount: BigInt(of.signed) as Amount, locks: [], signature: new Uint8Array(65) }
  return {
    id: channelId(parties), parties, best: { promise }, frozen: undefined,
    facts: { deposit: 1_000_000n as Amount, settled: BigInt(of.settled ?? 0) as Amount, expiry: (START_S + of.expiryS) as Seconds, epoch: 0 },
  } // biome-ignore format: a record
}

function begin(channels: Channels, of: { settleAt?: number; onClose?: boolean } = {}) {
  let nowMs = 0
  const clock = { nowMs: () => nowMs, nowS: () => (START_S + Math.floor(nowMs / 1000)) as Seconds }
  const policy = { settleAt: BigInt(of.settleAt ?? 1_000_000) as Amount, onClose: of.onClose ?? false, marginS: MARGIN_S }
  const attempts = new Attempts()
  const told: ChannelId[] = []
  const work = new Worklist(channels, { policy, clock, attempts, onDamaged: (id) => told.push(id) })
  return { work, told, attempts, clock, wait: (ms: number) => (nowMs += ms) }
}

const settled = (channel: ChannelIn): ChannelIn => ({
  ...channel,
  facts: { ...channel.facts, settled: channel.best?.promise.amount ?? channel.facts.settled },
})

describe('what is to be settled', () => {
  test('one record that cannot be read keeps no other from being settled, and is told once', async () => {
    const channels = new Channels()
    const [bad, good] = [channelOf({ signed: 10, expiryS: 10 }), channelOf({ signed: 10, expiryS: 20 })]
    for (const one of [bad, good]) channels.put(one)
    channels.damaged.add(bad.id)
    const { work, told } = begin(channels)
    for (let i = 0; i < 2; i++) {
      const taken = await work.take()
      assert.deepEqual(taken.map(({ id }) => id), [good.id]) // biome-ignore format: one thought
      await work.untilNext()
    }
    assert.deepEqual(told, [bad.id])
  })

  test('after a restart every channel is settled before its reservation ends, whatever has been forgotten', async () => {
    const channel = fc.record({
      signed: fc.nat(50),
      settled: fc.nat(50),
      expiryS: fc.integer({ min: MARGIN_S + 1, max: 20_000 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(channel, { maxLength: 40 }), async (many) => {
        const channels = new Channels()
        for (const one of many) channels.put(channelOf(one))
        // a new process: nobody tells what had changed before
        channels.takeChanged()
        const { work, clock, wait } = begin(channels)
        while (clock.nowS() < START_S + 21_000) {
          for (const due of await work.take()) {
            assert.ok(clock.nowS() < due.facts.expiry)
            channels.put(settled(due))
          }
          wait(Math.max(50, await work.untilNext()))
        }
        assert.deepEqual(
          [...channels.all.values()].filter((one) => payable(one) > 0n),
          [],
        )
      }),
      { numRuns: 60 },
    )
  })

  test('what was left from before and is large enough is found without being told, a page at a time', async () => {
    const channels = new Channels()
    for (let i = 0; i < 2_500; i++) channels.put(channelOf({ signed: i % 50 === 0 ? 100 : 1, expiryS: 50_000 + i }))
    channels.takeChanged()
    const { work, wait } = begin(channels, { settleAt: 100 })
    let found = 0
    for (let look = 0; look < 3; look++) {
      for (const due of await work.take()) {
        channels.put(settled(due))
        found += 1
      }
      wait(await work.untilNext())
    }
    assert.equal(found, 50)
  })

  test('those whose reservation ends come first, and no more are taken at once than fit', async () => {
    const channels = new Channels()
    for (let i = 0; i < 3_500; i++) channels.put(channelOf({ signed: 100, expiryS: 50_000 }))
    const urgent = channelOf({ signed: 1, expiryS: MARGIN_S - 1 })
    channels.put(urgent)
    const { work } = begin(channels, { settleAt: 100 })
    const taken = await work.take()
    assert.deepEqual([taken.length, taken[0]?.id], [3_000, urgent.id])
    assert.equal(await work.untilNext(), 0)
  })

  test('a session that closes is a reason once, and again when its settlement did not work', async () => {
    const channels = new Channels()
    const channel = channelOf({ signed: 10, expiryS: 50_000 })
    channels.put(channel)
    channels.used.add(channel.id)
    const { work } = begin(channels, { onClose: true })
    assert.deepEqual(await work.take(), [])
    work.closed([channel.id])
    const taken = await work.take()
    assert.deepEqual(taken, [channel])
    const closed = work.begun(taken)
    assert.deepEqual(await work.take(), [])
    work.closed(closed)
    assert.deepEqual(await work.take(), [channel])
  })

  test('a channel that was frozen is looked at again when its Close has run out', async () => {
    const channels = new Channels()
    const open = channelOf({ signed: 100, expiryS: 50_000 })
    channels.put({ ...open, frozen: { until: (START_S + 100) as Seconds, epoch: 0 } })
    const { work, wait } = begin(channels, { settleAt: 100 })
    assert.deepEqual(await work.take(), [])
    wait(101_000)
    assert.deepEqual(
      (await work.take()).map(({ id }) => id),
      [open.id],
    )
  })
})
