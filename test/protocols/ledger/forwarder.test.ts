import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { concat } from 'ethers'
import {
  type Chain,
  fundBalance,
  newParties,
  newWallet,
  openChannel,
  readBalance,
  readChannel,
  startChain,
  YEAR,
} from './fixture.ts'
import { forwardRequest } from './forward.ts'
import { signedRow } from './messages.ts'

describe('ledger through multicall and the forwarder', () => {
  let chain: Chain
  before(async () => {
    chain = await startChain()
  })
  after(() => chain.stop())

  const anyone = newWallet().address

  test('multicall keeps the sender of every call in it', async () => {
    const [alice, bob] = [newWallet().address, newWallet().address]
    await fundBalance(chain, alice, 100n)
    const transfer = chain.ledger.data('transfer', chain.token.address, bob, 30n)
    await chain.ledger.send(alice, 'multicall', [transfer, transfer])
    assert.deepEqual([await readBalance(chain, alice), await readBalance(chain, bob)], [40n, 60n])
  })

  test('multicall is atomic: one call that fails takes all back, with its own error', async () => {
    const [alice, bob] = [newWallet().address, newWallet().address]
    await fundBalance(chain, alice, 100n)
    const transfer = chain.ledger.data('transfer', chain.token.address, bob, 60n)
    assert.equal((await chain.ledger.fails(alice, 'multicall', [transfer, transfer])).name, 'InsufficientBalance')
    assert.equal(await readBalance(chain, bob), 0n)
  })

  test('several deposits join in one multicall', async () => {
    const alice = newWallet().address
    await fundBalance(chain, alice, 1n)
    await chain.token.send(alice, 'mint', alice, 100n)
    const deposit = chain.ledger.data('deposit', chain.token.address, alice, 50n)
    await chain.ledger.send(alice, 'multicall', [deposit, deposit])
    assert.equal(await readBalance(chain, alice), 101n)
  })

  test('the forwarder speaks for who signed: the signer pays no gas and is the owner', async () => {
    const { owner, signer, target, token, id } = await newParties(chain)
    await fundBalance(chain, owner.address, 100n)
    const expiry = (await chain.now()) + YEAR
    const data = chain.ledger.data('open', signer.address, target.address, token, 70n, expiry)
    await chain.forwarder.send(anyone, 'execute', await forwardRequest(chain, owner, data))
    assert.equal((await readChannel(chain, id)).deposit, 70n)
    assert.equal(await readBalance(chain, owner.address), 30n)
  })

  test('a forwarded multicall keeps the signer, who opens a channel and pays the relay in one transaction', async () => {
    const { owner, signer, target, token, id } = await newParties(chain)
    const relay = newWallet().address
    await fundBalance(chain, owner.address, 100n)
    const open = chain.ledger.data('open', signer.address, target.address, token, 70n, (await chain.now()) + YEAR)
    const fee = chain.ledger.data('transfer', token, relay, 2n)
    await chain.forwarder.send(relay, 'execute', await forwardRequest(chain, owner, chain.ledger.data('multicall', [open, fee])))
    assert.equal((await readChannel(chain, id)).deposit, 70n)
    assert.deepEqual([await readBalance(chain, owner.address), await readBalance(chain, relay)], [28n, 2n])
  })

  test('a target without gas settles a batch through a relay, and pays it from what came in', async () => {
    const p = await openChannel(chain, 100n)
    const relay = newWallet().address
    const batch = chain.ledger.data('settleBatch', p.target.address, p.token, await signedRow(p, 40n))
    const fee = chain.ledger.data('transfer', p.token, relay, 2n)
    await chain.forwarder.send(
      relay,
      'execute',
      await forwardRequest(chain, p.target, chain.ledger.data('multicall', [batch, fee])),
    )
    assert.deepEqual([await readBalance(chain, p.target.address), await readBalance(chain, relay)], [38n, 2n])
  })

  test('nobody but the forwarder can append a sender', async () => {
    const [alice, mallory] = [newWallet().address, newWallet().address]
    await fundBalance(chain, alice, 100n)
    const transfer = chain.ledger.data('transfer', chain.token.address, mallory, 50n)
    const appended = concat([transfer, alice])
    const spoofed = chain.rpc('eth_call', { from: mallory, to: chain.ledger.address, data: appended }, 'latest')
    await assert.rejects(spoofed, /revert/)
    assert.equal((await chain.ledger.fails(mallory, 'multicall', [appended])).name, 'InsufficientBalance')
  })

  test('a signer cannot pretend to be another one inside a forwarded multicall', async () => {
    const [alice, mallory] = [newWallet(), newWallet()]
    await fundBalance(chain, alice.address, 100n)
    const spoofed = concat([chain.ledger.data('transfer', chain.token.address, mallory.address, 50n), alice.address])
    const request = await forwardRequest(chain, mallory, chain.ledger.data('multicall', [spoofed]))
    await chain.forwarder.fails(anyone, 'execute', request)
    assert.equal(await readBalance(chain, alice.address), 100n)
  })

  describe("a relay's fee", () => {
    async function payingRequest(amount: bigint, fee: bigint) {
      const { owner, signer, target, token, id } = await newParties(chain)
      const relay = newWallet().address
      await fundBalance(chain, owner.address, 100n)
      const open = chain.ledger.data('open', signer.address, target.address, token, amount, (await chain.now()) + YEAR)
      const calls = [open, chain.ledger.data('transfer', token, relay, fee)]
      const request = await forwardRequest(chain, owner, chain.ledger.data('multicall', calls))
      return { owner, relay, request, id }
    }

    test('goes to the relay that the signer named, whoever hands the request in', async () => {
      const { relay, request, id } = await payingRequest(70n, 2n)
      const sniper = newWallet().address
      await chain.forwarder.send(sniper, 'execute', request)
      assert.deepEqual([await readBalance(chain, relay), await readBalance(chain, sniper)], [2n, 0n])
      assert.equal((await readChannel(chain, id)).deposit, 70n)
    })

    test('cannot be turned to another relay: the request is signed as a whole', async () => {
      const { relay, request, owner } = await payingRequest(70n, 2n)
      const sniper = newWallet().address
      const turned = request.map((field) =>
        typeof field === 'string' ? field.replaceAll(relay.slice(2).toLowerCase(), sniper.slice(2).toLowerCase()) : field,
      )
      assert.notDeepEqual(turned, request)
      await chain.forwarder.fails(sniper, 'execute', turned)
      assert.equal(await readBalance(chain, owner.address), 100n)
    })

    test('is all or nothing: a fee that is not there undoes the call, and a call that fails pays no fee', async () => {
      for (const [amount, fee] of [
        [99n, 2n],
        [101n, 2n],
      ] as const) {
        const { owner, relay, request, id } = await payingRequest(amount, fee)
        await chain.forwarder.fails(relay, 'execute', request)
        assert.deepEqual([await readBalance(chain, owner.address), await readBalance(chain, relay)], [100n, 0n])
        assert.equal((await readChannel(chain, id)).deposit, 0n)
      }
    })
  })
})
