import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { signerOf } from '../../src/core/crypto/secp256k1.ts'
import { codeOfWire } from '../../src/core/errors.ts'
import type { WordChain } from '../../src/core/head.ts'
import type { Seconds, SessionId } from '../../src/core/ids.ts'
import { preparePromises } from '../../src/core/promise.ts'
import type { FromPayer } from '../../src/core/session/messages.ts'
import { A, DOMAIN, type Market } from './market.ts'
import { type Guest, sessionsOf, until, withGuest } from './payee-guest.ts'

const BYTE = 0xa1
const sign = signerOf(new Uint8Array(32).fill(BYTE))
const UNIT = 1_000n
const SALT = new Uint8Array(32).fill(3)
/** chunks of all sessions may be owed, so that it is the payments that count */
const POLICY = { policy: { poolPerHour: A(1_000_000) } }

/** A payer whose promise of one unit begins a chain. */
class TickGuest {
  readonly #guest: Guest
  readonly words: WordChain
  readonly #promises: ReturnType<typeof preparePromises>

  constructor(guest: Guest) {
    this.#guest = guest
    this.words = guest.self.chains(DOMAIN, guest.channel, SALT, 20)
    this.#promises = preparePromises(DOMAIN, guest.parties)
  }

  promise(session: SessionId, amount: bigint, total: bigint, chain: boolean): FromPayer {
    const lock = { anchor: this.words.anchor, unit: A(UNIT), steps: 20, expiry: 0 as Seconds }
    const promise = this.#promises.sign(A(amount), chain ? [lock] : [], sign)
    return { type: 'promise', session, total: A(total), promise, salt: chain ? SALT : undefined }
  }

  tick(session: SessionId, k: number, word = this.words.word(k)): FromPayer {
    return { type: 'tick', session, k, word }
  }

  /** All of it in one piece. */
  send(...messages: FromPayer[]): void {
    for (const message of messages) this.#guest.send(message)
  }
}

const withTicks = (body: (market: Market, guest: Guest, ticks: TickGuest) => Promise<void>): Promise<void> =>
  withGuest(POLICY, (market, guest) => body(market, guest, new TickGuest(guest)), BYTE)
const totals = (market: Market): [SessionId, bigint][] => sessionsOf(market).map(({ id, total }) => [id, total])
const best = async (market: Market) => (await Array.fromAsync(market.payee.shelf.channels()))[0]?.best

describe('ticks that come in one piece', () => {
  test('are all counted before the promise behind them, which folds them', async () => {
    await withTicks(async (market, guest, ticks) => {
      const session = await guest.begin()
      const { promise, tick } = bound(ticks, session)
      ticks.send(promise(UNIT, UNIT, true), tick(1), tick(2), tick(2), tick(5), promise(7n * UNIT, 7n * UNIT, false))
      await until(() => guest.pair.said.some((one) => one.type === 'meter' && one.paid === 7n * UNIT))
      assert.deepEqual(totals(market), [[session, 7n * UNIT]])
      assert.equal((await best(market))?.chain, undefined)
    })
  })

  test('of two sessions of one channel are counted for their own session each', async () => {
    await withTicks(async (market, guest, ticks) => {
      const [one, other] = [await guest.begin(), await guest.begin()]
      ticks.send(ticks.promise(one, UNIT, UNIT, true))
      ticks.send(ticks.tick(one, 1), ticks.tick(other, 2), ticks.tick(other, 4), ticks.tick(one, 5), ticks.tick(one, 6))
      await until(() => totals(market).reduce((sum, [, total]) => sum + total, 0n) === 7n * UNIT)
      assert.deepEqual(new Map(totals(market)), new Map([[one, 4n * UNIT], [other, 3n * UNIT]])) // biome-ignore format: two entries
    })
  })

  test('are one payment also with acknowledgements between them', async () => {
    await withTicks(async (market, guest, ticks) => {
      const session = await guest.begin()
      const { bytes } = await guest.open(session, 1)
      await bytes.read()
      const ack = (count: bigint): FromPayer => ({ type: 'ack', session, stream: 1, bytes: count, ms: 0n, final: false })
      const { promise, tick } = bound(ticks, session)
      ticks.send(promise(UNIT, UNIT, true), ack(100n), tick(1), ack(200n), tick(2), ack(300n), tick(3))
      await until(() => guest.pair.said.some((one) => one.type === 'meter' && one.paid === 4n * UNIT))
      assert.equal((await best(market))?.chain?.k, 3)
      assert.equal(sessionsOf(market)[0]?.flow.open[0]?.acked, 300n)
    })
  })

  test('count up to the first that is wrong: that one ends the session and the stream', async () => {
    await withTicks(async (market, guest, ticks) => {
      const session = await guest.begin()
      const { promise, tick } = bound(ticks, session)
      ticks.send(promise(UNIT, UNIT, true), tick(1), tick(2), tick(3, new Uint8Array(32)))
      const fault = await guest.heard('fault', session)
      assert.equal(codeOfWire(fault.code), 'WORD_WRONG')
      assert.equal((await best(market))?.chain?.k, 2)
    })
  })
})

const bound = (ticks: TickGuest, session: SessionId) => ({
  promise: (amount: bigint, total: bigint, chain: boolean) => ticks.promise(session, amount, total, chain),
  tick: (k: number, word?: Uint8Array) => ticks.tick(session, k, word),
})
