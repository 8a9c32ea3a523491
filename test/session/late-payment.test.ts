import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { signerOf } from '../../src/core/crypto/secp256k1.ts'
import { preparePromises } from '../../src/core/promise.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { A, DOMAIN, Market, TOKEN } from './market.ts'
import { deliver, Guest, turn, until } from './payee-guest.ts'

const KEY = 0xa1

describe('a payment of a session that is over', () => {
  test('that is on the disk leaves no debt there, whatever else was written meanwhile, if the process ends then', async () => {
    let gate: Promise<void> | undefined
    let held = 0
    const payeeStore = openMemoryStore({
      beforeSync: async () => {
        held += 1
        await gate
      },
    })
    const market = await new Market({ payeeStore }).start()
    const guest = new Guest(market, KEY)
    const owner = async () => (await market.payee.shelf.owner(guest.self.address, TOKEN)).account
    try {
      const session = await deliver(market, guest)
      guest.send({ type: 'ack', session, stream: 1, bytes: 700n, ms: 0n, final: true })
      guest.send({ type: 'fault', session, code: 0 })
      await guest.heard('receipt', session)
      assert.equal((await owner()).debt, 700n)

      const open = Promise.withResolvers<void>()
      gate = open.promise
      held = 0
      const promise = preparePromises(DOMAIN, guest.parties).sign(A(700n), [], signerOf(new Uint8Array(32).fill(KEY)))
      guest.send({ type: 'promise', session, total: A(700n), promise })
      await until(() => held === 1)
      // another session of the owner writes the owner's record before the payment is known to be stored
      const next = guest.hello()
      for (let i = 0; i < 20; i++) await turn()
      open.resolve()
      gate = undefined
      await guest.heard('terms', next)
      assert.equal((await owner()).debt, 0n)

      const after = openMemoryStore({ from: payeeStore.crash() })
      market.payee = market.newPayee(after)
      await market.payee.start()
      assert.deepEqual([(await owner()).debt, (await owner()).paid], [0n, 700n])
    } finally {
      await guest.cut()
      await market.stop()
    }
  })
})
