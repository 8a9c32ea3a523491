import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NO_CHANNEL } from '../../src/core/channel.ts'
import { signerOf } from '../../src/core/crypto/secp256k1.ts'
import { preparePromises } from '../../src/core/promise.ts'
import { writtenOf } from '../../src/core/session/flow.ts'
import { A, DOMAIN } from './market.ts'
import { sessionsOf, turn, until, withGuest } from './payee-guest.ts'

const BYTE = 0xa1
const sign = signerOf(new Uint8Array(32).fill(BYTE))

describe('what is booked before it is given away', () => {
  test('many streams that wait for one payment get what it covers together, and not each', async () => {
    await withGuest(
      { policy: { poolPerHour: A(0) } },
      async (market, guest) => {
        const session = await guest.begin()
        const streams = Array.from({ length: 20 }, (_, at) => guest.open(session, at + 1))
        await until(() => sessionsOf(market)[0]?.paused && sessionsOf(market)[0]?.flow.open.length === streams.length)
        const promise = preparePromises(DOMAIN, guest.parties).sign(A(1_000n), [], sign)
        guest.send({ type: 'promise', session, total: A(1_000n), promise })
        await until(() => sessionsOf(market).some(({ paid }) => paid === 1_000n))
        for (let i = 0; i < 50; i++) await turn()
        const [sold] = sessionsOf(market)
        assert.equal(sold && writtenOf(sold.flow), 1_000n)
      },
      BYTE,
    )
  })
})

describe('what the ledger says', () => {
  const facts = (deposit: bigint, block: number) => ({
    ...NO_CHANNEL,
    deposit: A(deposit),
    expiry: 0xff_ffff_ffff as never,
    block,
  })

  test('an answer of an earlier block that comes late changes nothing, but where the chain itself went back', async () => {
    await withGuest({}, async (market, guest) => {
      await guest.begin()
      const { channel: id } = guest
      const known = async () => (await market.payee.shelf.channel(id)).channel?.facts.deposit
      const tell = (deposit: bigint, block: number, cause: 'settled' | 'reorganised') =>
        market.payee.onFacts([{ type: 'channel', id, facts: facts(deposit, block), causes: [cause] }])
      await tell(500n, 20, 'settled')
      await tell(9_000n, 19, 'settled')
      assert.equal(await known(), 500n)
      await tell(400n, 18, 'reorganised')
      assert.equal(await known(), 400n)
    })
  })

  test('an opening that was taken back covers nothing', async () => {
    await withGuest({}, async (market, guest) => {
      await guest.begin()
      await market.payee.onFacts([{ type: 'channel', id: guest.channel, causes: ['reorganised'] }])
      assert.deepEqual((await market.payee.shelf.channel(guest.channel)).channel?.facts, NO_CHANNEL)
    })
  })
})
