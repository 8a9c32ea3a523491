import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TallyError } from '../../src/core/errors.ts'
import type { ServiceAdapter } from '../../src/ports/service.ts'
import { countingService, Market } from './market.ts'
import { Guest } from './payee-guest.ts'

describe('the slots of a service', () => {
  test('are taken by one owner up to half, over all its signers; the rest is for others', async () => {
    const service: ServiceAdapter = { ...countingService(1_000_000), slots: 4 }
    const market = await new Market({ service }).start()
    const guest = new Guest(market, 0xa1)
    const hand = new Guest(market, 0xa2, false)
    const other = new Guest(market, 0xa3)
    const owner = guest.self.address
    market.ledger.open({ ...hand.parties, owner })
    const refusal = async (opening: Promise<unknown>): Promise<string> =>
      await opening.then(
        () => 'open',
        (error: TallyError) => error.code,
      )
    try {
      const own = await guest.begin()
      assert.equal(await refusal(guest.open(own, 1)), 'open')
      assert.equal(await refusal(guest.open(own, 2)), 'open')
      assert.equal(await refusal(guest.open(own, 3)), 'BUSY')
      const handed = await hand.begin({ owner })
      assert.equal(await refusal(hand.open(handed, 1)), 'BUSY')
      const others = await other.begin()
      assert.equal(await refusal(other.open(others, 1)), 'open')
      await guest.cut()
      guest.connect()
      const again = await guest.begin()
      assert.equal(await refusal(guest.open(again, 1)), 'open')
    } finally {
      for (const one of [guest, hand, other]) await one.cut()
      await market.stop()
    }
  })
})
