import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { signerOf } from '../../src/core/crypto/secp256k1.ts'
import { codeOfWire } from '../../src/core/errors.ts'
import type { SessionId } from '../../src/core/ids.ts'
import { preparePromises } from '../../src/core/promise.ts'
import type { FromPayer } from '../../src/core/session/messages.ts'
import { A, DOMAIN } from './market.ts'
import { type Guest, sessionsOf, until, withGuest } from './payee-guest.ts'

const BYTE = 0xa2
const UNIT = 1_000
/** more than the rules check by themselves in one turn, and more than are checked ahead of one session */
const COUNT = 30
const POLICY = { policy: { poolPerHour: A(1_000_000) } }

/** Promises of one unit after the other, from the `first` on. */
function promises(guest: Guest, session: SessionId, first: number, forged?: number): FromPayer[] {
  const [good, bad] = [BYTE, BYTE + 1].map((byte) => signerOf(new Uint8Array(32).fill(byte)))
  const prepared = preparePromises(DOMAIN, guest.parties)
  return Array.from({ length: COUNT }, (_, i) => {
    const total = A((first + i) * UNIT)
    const sign = first + i === forged ? bad : good
    return { type: 'promise', session, total, promise: prepared.sign(total, [], sign ?? assert.fail()), salt: undefined }
  })
}

describe('promises that come in one piece', () => {
  test('are all counted, whichever thread checks them', async () => {
    await withGuest(POLICY, async (market, guest) => {
      const session = await guest.begin()
      for (const message of promises(guest, session, 1)) guest.send(message)
      await until(() => guest.pair.said.some((one) => one.type === 'meter' && one.paid === BigInt(COUNT * UNIT)))
      assert.equal(sessionsOf(market)[0]?.total, BigInt(COUNT * UNIT))
    }, BYTE) // biome-ignore format: a body
  })

  for (const forged of [3, 12, 25])
    test(`count up to the one that is forged, number ${forged} of the piece`, async () => {
      await withGuest(POLICY, async (market, guest) => {
        const session = await guest.begin()
        for (const message of promises(guest, session, 1, forged).slice(0, forged)) guest.send(message)
        const fault = await guest.heard('fault', session)
        assert.equal(codeOfWire(fault.code), 'SIGNER_WRONG')
        const [channel] = await until(async () => await Array.fromAsync(market.payee.shelf.channels()))
        assert.equal(channel?.best?.promise.amount, BigInt((forged - 1) * UNIT))
      }, BYTE) // biome-ignore format: a body
    })
})
