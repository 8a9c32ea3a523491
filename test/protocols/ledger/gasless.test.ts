import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Wallet } from 'ethers'
import { authorize, depositNonce, openNonce } from './authorization.ts'
import { type Chain, type Contract, newParties, newWallet, readBalance, readChannel, startChain, YEAR } from './fixture.ts'
import { forwardRequest } from './forward.ts'
import { settleCall, signClose, signedRow, signPayout } from './messages.ts'

const FEE = 3n

describe('ledger without the chain’s own coin', () => {
  let chain: Chain
  let token: Contract
  const relay = newWallet().address
  before(async () => {
    chain = await startChain()
    token = await chain.deploy('test/AuthorizationToken')
  })
  after(() => chain.stop())

  const balanceOf = (account: string): Promise<bigint> => readBalance(chain, account, token.address)
  const walletOf = async (account: string): Promise<bigint> => (await token.read('balanceOf', account))[0]

  /** Hands in calls that `from` has signed, with the relay's fee as the last one, and proves that the relay earned it. */
  async function relayed(from: Wallet, ...calls: string[]): Promise<void> {
    const before = await balanceOf(relay)
    const all = [...calls, chain.ledger.data('transfer', token.address, relay, FEE)]
    await chain.forwarder.send(relay, 'execute', await forwardRequest(chain, from, chain.ledger.data('multicall', all)))
    assert.equal(await balanceOf(relay), before + FEE)
    for (const what of ['eth_getBalance', 'eth_getTransactionCount']) {
      assert.equal(await chain.rpc(what, from.address, 'latest'), '0x0', 'the signer has no coin and has sent nothing')
    }
  }

  test('a holder of tokens only opens, is sold to, tops up and closes; the seller settles and withdraws: all by a relay that earns its fee', async () => {
    const p = await newParties(chain, { token: token.address })
    const { owner, signer, target } = p
    await token.send(relay, 'mint', owner.address, 1000n)
    const expiry = (await chain.now()) + YEAR
    const { data } = chain.ledger

    // onboarding: the reservation by one authorization, the fee by another; the owner sends no transaction
    const opening = await authorize(owner, token.address, 500n, openNonce(signer.address, target.address, token.address, expiry))
    const change = await authorize(owner, token.address, 100n, depositNonce(owner.address))
    await relayed(
      owner,
      data('depositAndOpenWithAuthorization', signer.address, target.address, token.address, expiry, opening),
      data('depositWithAuthorization', token.address, owner.address, change),
    )
    assert.equal((await readChannel(chain, p.id)).deposit, 500n)
    assert.equal(await balanceOf(owner.address), 100n - FEE)

    // the target settles one promise alone, then a batch that it withdraws at once
    await relayed(target, data(...(await settleCall(p, 200n))))
    assert.equal(await balanceOf(target.address), 200n - FEE)
    const batch = data('settleBatch', target.address, token.address, await signedRow(p, 300n))
    await relayed(target, batch, data('withdraw', token.address, target.address, 290n))
    assert.deepEqual([await balanceOf(target.address), await walletOf(target.address)], [300n - 290n - 2n * FEE, 290n])

    await relayed(target, data('settleDirect', token.address, await signedRow(p, 350n)))
    assert.equal(await walletOf(target.address), 290n + 50n)

    await relayed(owner, data('topUp', owner.address, signer.address, target.address, token.address, 50n))
    const deadline = (await chain.now()) + 3600n
    const close = [signer.address, target.address, token.address, 400n, deadline, await signClose(p, 400n, deadline, 0n)]
    await relayed(owner, data('close', ...close))
    const left = 100n - FEE - 50n - FEE + (550n - 400n) - FEE
    await relayed(owner, data('withdraw', token.address, owner.address, left - FEE))
    assert.deepEqual([await balanceOf(owner.address), await walletOf(owner.address)], [0n, 1000n - 600n + left - FEE])
  })

  test('who takes the authorization out of a relayed request and hands it in first, does for nothing what the signer wanted', async () => {
    const p = await newParties(chain, { token: token.address })
    const { owner, signer, target } = p
    await token.send(relay, 'mint', owner.address, 500n)
    const expiry = (await chain.now()) + YEAR
    const opening = await authorize(owner, token.address, 500n, openNonce(signer.address, target.address, token.address, expiry))
    const call = ['depositAndOpenWithAuthorization', signer.address, target.address, token.address, expiry, opening] as const
    const calls = [chain.ledger.data(...call), chain.ledger.data('transfer', token.address, relay, FEE)]
    const request = await forwardRequest(chain, owner, chain.ledger.data('multicall', calls))
    const sniper = newWallet().address
    await chain.ledger.send(sniper, ...call)
    await chain.forwarder.fails(relay, 'execute', request)
    assert.deepEqual([(await readChannel(chain, p.id)).deposit, await balanceOf(sniper)], [500n, 0n])
  })

  test('a channel is opened again from the balance, and reclaimed, by a relay', async () => {
    const p = await newParties(chain, { token: token.address })
    const { owner, signer, target } = p
    const [box] = await chain.ledger.read('depositAddress', owner.address)
    await token.send(relay, 'mint', box, 100n)
    await chain.ledger.send(relay, 'sweep', owner.address, token.address)
    const { data } = chain.ledger
    const expiry = (await chain.now()) + 1000n
    await relayed(owner, data('open', signer.address, target.address, token.address, 80n, expiry))
    await chain.nextBlockAt(expiry)
    await relayed(owner, data('reclaim', signer.address, target.address, token.address))
    assert.equal(await balanceOf(owner.address), 100n - 2n * FEE)
    assert.equal((await readChannel(chain, p.id)).epoch, 1n)
  })

  test('a target that is paid elsewhere pays its relay from the fee that its payout lets it keep', async () => {
    const p = await newParties(chain, { token: token.address })
    const { owner, signer, target } = p
    const payout = newWallet()
    await token.send(relay, 'mint', owner.address, 500n)
    const expiry = (await chain.now()) + YEAR
    const opening = await authorize(owner, token.address, 500n, openNonce(signer.address, target.address, token.address, expiry))
    const { data } = chain.ledger
    await chain.ledger.send(
      relay,
      'depositAndOpenWithAuthorization',
      signer.address,
      target.address,
      token.address,
      expiry,
      opening,
    )

    const propose = data('proposePayout', target.address, token.address, payout.address)
    const deadline = (await chain.now()) + 3600n
    const consent = await signPayout(payout, { target: target.address, token: token.address }, deadline)
    const accept = data('acceptPayoutWithSignature', target.address, token.address, payout.address, deadline, consent)
    await relayed(target, data(...(await settleCall(p, 100n))), propose, accept)

    await chain.ledger.send(payout.address, 'setMaxRelayFee', target.address, token.address, FEE)
    await relayed(target, data(...(await settleCall(p, 200n))))
    assert.deepEqual([await balanceOf(payout.address), await balanceOf(target.address)], [100n - FEE, 100n - FEE])
  })
})
