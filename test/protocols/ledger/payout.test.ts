import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Wallet, ZeroAddress } from 'ethers'
import { type Chain, newWallet, openChannel, type Parties, readBalance, startChain } from './fixture.ts'
import { settleCall, signClose, signedRow, signPayout } from './messages.ts'

describe('ledger payout', () => {
  let chain: Chain
  before(async () => {
    chain = await startChain()
  })
  after(() => chain.stop())

  const token = (): string => chain.token.address
  const payoutOf = async (target: Wallet): Promise<string> => (await chain.ledger.read('payoutOf', target.address, token()))[0]

  async function setPayout(target: Wallet, payout: Wallet): Promise<void> {
    await chain.ledger.send(target.address, 'proposePayout', target.address, token(), payout.address)
    await chain.ledger.send(payout.address, 'acceptPayout', target.address, token())
  }

  async function settle(p: Parties, amount: bigint): Promise<void> {
    await chain.ledger.send(newWallet().address, ...(await settleCall(p, amount)))
  }

  test('a target is its own payout until another one has accepted', async () => {
    const [target, payout] = [newWallet(), newWallet()]
    assert.equal(await payoutOf(target), target.address)
    const proposed = await chain.ledger.send(target.address, 'proposePayout', target.address, token(), payout.address)
    assert.deepEqual(
      proposed.events.map((e) => [e.name, ...e.args]),
      [['PayoutProposed', target.address, token(), payout.address]],
    )
    assert.equal(await payoutOf(target), target.address)
    assert.equal((await chain.ledger.read('proposedPayoutOf', target.address, token()))[0], payout.address)
    const accepted = await chain.ledger.send(payout.address, 'acceptPayout', target.address, token())
    assert.deepEqual(
      accepted.events.map((e) => [e.name, ...e.args]),
      [['PayoutAccepted', target.address, token(), payout.address]],
    )
    assert.equal(await payoutOf(target), payout.address)
  })

  test('settle, batch and close all credit the payout', async () => {
    const p = await openChannel(chain, 100n)
    const payout = newWallet()
    await setPayout(p.target, payout)
    await settle(p, 10n)
    await chain.ledger.send(payout.address, 'settleBatch', p.target.address, p.token, await signedRow(p, 30n))
    const deadline = (await chain.now()) + 3600n
    const signature = await signClose(p, 60n, deadline, 0n)
    await chain.ledger.send(p.owner.address, 'close', p.signer.address, p.target.address, p.token, 60n, deadline, signature)
    assert.deepEqual([await readBalance(chain, payout.address), await readBalance(chain, p.target.address)], [60n, 0n])
  })

  test('once a payout is in force only it can change it: the target and strangers cannot', async () => {
    const [target, payout, next] = [newWallet(), newWallet(), newWallet()]
    await setPayout(target, payout)
    assert.equal(
      (await chain.ledger.fails(target.address, 'proposePayout', target.address, token(), next.address)).name,
      'NotThePayout',
    )
    assert.equal(
      (await chain.ledger.fails(next.address, 'proposePayout', target.address, token(), next.address)).name,
      'NotThePayout',
    )
    await chain.ledger.send(payout.address, 'proposePayout', target.address, token(), next.address)
    await chain.ledger.send(next.address, 'acceptPayout', target.address, token())
    assert.equal(await payoutOf(target), next.address)
    assert.equal(
      (await chain.ledger.fails(payout.address, 'proposePayout', target.address, token(), payout.address)).name,
      'NotThePayout',
    )
  })

  test('a payout is in force for its token only: in another one the target is paid as before', async () => {
    const [target, payout] = [newWallet(), newWallet()]
    await setPayout(target, payout)
    const other = (await chain.deploy('test/NoReturnToken')).address
    assert.deepEqual([...(await chain.ledger.read('payoutOf', target.address, other))], [target.address])
    const { name } = await chain.ledger.fails(payout.address, 'proposePayout', target.address, other, payout.address)
    assert.equal(name, 'NotThePayout')
  })

  test('a balance that a target had before stays its own when another payout accepts', async () => {
    const p = await openChannel(chain, 100n)
    await settle(p, 40n)
    const payout = newWallet()
    await setPayout(p.target, payout)
    await settle(p, 60n)
    assert.deepEqual([await readBalance(chain, p.target.address), await readBalance(chain, payout.address)], [40n, 20n])
    await chain.ledger.send(p.target.address, 'withdraw', p.token, p.target.address, 40n)
    assert.equal(await payoutOf(p.target), payout.address)
  })

  test('a payout may hand the target its own earnings back', async () => {
    const [target, payout] = [newWallet(), newWallet()]
    await setPayout(target, payout)
    await chain.ledger.send(payout.address, 'proposePayout', target.address, token(), target.address)
    await chain.ledger.send(target.address, 'acceptPayout', target.address, token())
    assert.equal(await payoutOf(target), target.address)
  })

  test('only the proposed address can accept, and only the last proposal counts', async () => {
    const [target, first, second] = [newWallet(), newWallet(), newWallet()]
    assert.equal((await chain.ledger.fails(first.address, 'acceptPayout', target.address, token())).name, 'NotProposed')
    await chain.ledger.send(target.address, 'proposePayout', target.address, token(), first.address)
    await chain.ledger.send(target.address, 'proposePayout', target.address, token(), second.address)
    assert.equal((await chain.ledger.fails(first.address, 'acceptPayout', target.address, token())).name, 'NotProposed')
    await chain.ledger.send(target.address, 'proposePayout', target.address, token(), ZeroAddress)
    assert.equal((await chain.ledger.fails(second.address, 'acceptPayout', target.address, token())).name, 'NotProposed')
  })

  test('a proposal is used up by its acceptance', async () => {
    const [target, payout, next] = [newWallet(), newWallet(), newWallet()]
    await setPayout(target, payout)
    await chain.ledger.send(payout.address, 'proposePayout', target.address, token(), next.address)
    await chain.ledger.send(next.address, 'acceptPayout', target.address, token())
    assert.equal((await chain.ledger.fails(next.address, 'acceptPayout', target.address, token())).name, 'NotProposed')
    assert.equal((await chain.ledger.fails(payout.address, 'acceptPayout', target.address, token())).name, 'NotProposed')
  })

  test('a payout without gas accepts by its signature, handed in by anyone', async () => {
    const [target, payout] = [newWallet(), newWallet()]
    const deadline = (await chain.now()) + 3600n
    const signature = await signPayout(payout, { target: target.address, token: token(), payout: payout.address }, deadline)
    const args = ['acceptPayoutWithSignature', target.address, token(), payout.address, deadline, signature] as const
    assert.equal((await chain.ledger.fails(newWallet().address, ...args)).name, 'NotProposed')
    await chain.ledger.send(target.address, 'proposePayout', target.address, token(), payout.address)
    await chain.ledger.send(newWallet().address, ...args)
    assert.equal(await payoutOf(target), payout.address)
    assert.equal((await chain.ledger.read('payoutNonce', target.address, token()))[0], 1n)
  })

  test('an acceptance is signed by the payout itself, for this target, nonce and deadline', async () => {
    const [target, payout] = [newWallet(), newWallet()]
    await chain.ledger.send(target.address, 'proposePayout', target.address, token(), payout.address)
    const deadline = (await chain.now()) + 3600n
    const wrong = [
      await signPayout(newWallet(), { target: target.address, token: token(), payout: payout.address }, deadline),
      await signPayout(payout, { target: newWallet().address, token: token() }, deadline),
      await signPayout(payout, { target: target.address, token: newWallet().address }, deadline),
      await signPayout(payout, { target: target.address, token: token(), nonce: 1n }, deadline),
      await signPayout(payout, { target: target.address, token: token(), payout: payout.address }, deadline + 1n),
      '0x',
    ]
    for (const signature of wrong) {
      const args = ['acceptPayoutWithSignature', target.address, token(), payout.address, deadline, signature] as const
      assert.equal((await chain.ledger.fails(target.address, ...args)).name, 'InvalidSignature')
    }
    const signature = await signPayout(payout, { target: target.address, token: token(), payout: payout.address }, deadline)
    await chain.nextBlockAt(deadline + 1n)
    const late = ['acceptPayoutWithSignature', target.address, token(), payout.address, deadline, signature] as const
    assert.equal((await chain.ledger.fails(target.address, ...late)).name, 'DeadlinePassed')
  })

  test('an acceptance by signature works once', async () => {
    const [target, payout, next] = [newWallet(), newWallet(), newWallet()]
    const deadline = (await chain.now()) + 3600n
    const args = ['acceptPayoutWithSignature', target.address, token(), payout.address, deadline] as const
    const signature = await signPayout(payout, { target: target.address, token: token(), payout: payout.address }, deadline)
    await chain.ledger.send(target.address, 'proposePayout', target.address, token(), payout.address)
    await chain.ledger.send(target.address, ...args, signature)
    await chain.ledger.send(payout.address, 'proposePayout', target.address, token(), next.address)
    await chain.ledger.send(next.address, 'acceptPayout', target.address, token())
    await chain.ledger.send(next.address, 'proposePayout', target.address, token(), payout.address)
    assert.equal((await chain.ledger.fails(target.address, ...args, signature)).name, 'InvalidSignature')
  })

  test('nobody makes the zero address a payout', async () => {
    const target = newWallet()
    const deadline = (await chain.now()) + 3600n
    await chain.ledger.send(target.address, 'proposePayout', target.address, token(), ZeroAddress)
    const args = ['acceptPayoutWithSignature', target.address, token(), ZeroAddress, deadline, `0x${'ff'.repeat(64)}`] as const
    assert.equal((await chain.ledger.fails(target.address, ...args)).name, 'InvalidSignature')
  })

  test('the target keeps up to the relay fee of each settle, and the payout gets the rest', async () => {
    const p = await openChannel(chain, 100n)
    const payout = newWallet()
    await setPayout(p.target, payout)
    const { events } = await chain.ledger.send(payout.address, 'setMaxRelayFee', p.target.address, p.token, 3n)
    assert.deepEqual(
      events.map((e) => [e.name, ...e.args]),
      [['MaxRelayFeeSet', p.target.address, p.token, payout.address, 3n]],
    )
    await settle(p, 10n)
    await settle(p, 12n)
    assert.deepEqual([await readBalance(chain, payout.address), await readBalance(chain, p.target.address)], [7n, 5n])
    const deadline = (await chain.now()) + 3600n
    const signature = await signClose(p, 20n, deadline, 0n)
    await chain.ledger.send(p.owner.address, 'close', p.signer.address, p.target.address, p.token, 20n, deadline, signature)
    assert.deepEqual([await readBalance(chain, payout.address), await readBalance(chain, p.target.address)], [12n, 8n])
  })

  test('only the payout in force sets the relay fee, and a successor starts at zero', async () => {
    const [target, payout, next] = [newWallet(), newWallet(), newWallet()]
    const fee = async (): Promise<bigint> => (await chain.ledger.read('maxRelayFee', target.address, chain.token.address))[0]
    await setPayout(target, payout)
    const args = ['setMaxRelayFee', target.address, chain.token.address, 9n] as const
    assert.equal((await chain.ledger.fails(target.address, ...args)).name, 'NotThePayout')
    await chain.ledger.send(payout.address, ...args)
    assert.equal(await fee(), 9n)
    await chain.ledger.send(payout.address, 'proposePayout', target.address, token(), next.address)
    await chain.ledger.send(next.address, 'acceptPayout', target.address, token())
    assert.equal(await fee(), 0n)
  })
})
