import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Wallet } from 'ethers'
import {
  type Chain,
  type Contract,
  fundBalance,
  fundWallet,
  LEDGER,
  newParties,
  newWallet,
  type Parties,
  readBalance,
  readChannel,
  startChain,
  YEAR,
} from './fixture.ts'
import { settleCall, signClose, signedRow } from './messages.ts'

describe('ledger and the tokens there are', () => {
  let chain: Chain
  before(async () => {
    chain = await startChain()
  })
  after(() => chain.stop())

  const tokensOf = async (token: Contract, account: string): Promise<bigint> => (await token.read('balanceOf', account))[0]

  test('of a token that takes a fee, the balance gets what arrived', async () => {
    const token = await chain.deploy('test/FeeToken')
    const alice = newWallet().address
    await fundBalance(chain, alice, 1000n, token)
    assert.equal(await readBalance(chain, alice, token.address), 990n)
    assert.equal(await tokensOf(token, LEDGER), 990n)
    await chain.ledger.send(alice, 'withdraw', token.address, alice, 990n)
    assert.equal(await tokensOf(token, LEDGER), 0n)
  })

  test('of a token that takes a fee, depositAndOpen reserves what arrived', async () => {
    const token = await chain.deploy('test/FeeToken')
    const { owner, signer, target, id } = await newParties(chain, { token: token.address })
    await fundWallet(chain, owner.address, 1000n, token)
    const expiry = (await chain.now()) + YEAR
    await chain.ledger.send(owner.address, 'depositAndOpen', signer.address, target.address, token.address, 1000n, expiry)
    assert.equal((await readChannel(chain, id)).deposit, 990n)
  })

  test('a token that returns nothing works like any other', async () => {
    const token = await chain.deploy('test/NoReturnToken')
    const alice = newWallet().address
    await fundBalance(chain, alice, 100n, token)
    await chain.ledger.send(alice, 'withdraw', token.address, alice, 60n)
    assert.deepEqual([await readBalance(chain, alice, token.address), await tokensOf(token, alice)], [40n, 60n])
  })

  test('a token that answers false moves no balance', async () => {
    const token = await chain.deploy('test/FalseToken')
    const alice = newWallet().address
    await fundBalance(chain, alice, 100n, token)
    await token.send(alice, 'mint', alice, 100n)
    await token.send(alice, 'setRefusing', true)
    await chain.ledger.fails(alice, 'deposit', token.address, alice, 50n)
    await chain.ledger.fails(alice, 'withdraw', token.address, alice, 50n)
    assert.equal(await readBalance(chain, alice, token.address), 100n)
  })

  test('an address without code is no token', async () => {
    const alice = newWallet().address
    await chain.ledger.fails(alice, 'deposit', newWallet().address, alice, 50n)
  })

  test('a payee that the token has blocked is still paid inside the ledger, sinks no batch, and withdraws elsewhere', async () => {
    const token = await chain.deploy('test/BlocklistToken')
    const p = await newParties(chain, { token: token.address })
    await fundBalance(chain, p.owner.address, 100n, token)
    const expiry = (await chain.now()) + YEAR
    await chain.ledger.send(p.owner.address, 'open', p.signer.address, p.target.address, p.token, 100n, expiry)
    await token.send(p.owner.address, 'setBlocked', p.target.address, true)
    await chain.ledger.send(p.owner.address, 'settleBatch', p.target.address, p.token, await signedRow(p, 40n))
    assert.equal(await readBalance(chain, p.target.address, p.token), 40n)
    await chain.ledger.fails(p.target.address, 'withdraw', p.token, p.target.address, 40n)
    const [, , , row] = await settleCall(p, 50n)
    await chain.ledger.fails(p.target.address, 'settleDirect', p.token, row)
    const elsewhere = newWallet().address
    await chain.ledger.send(p.target.address, 'withdraw', p.token, elsewhere, 40n)
    assert.equal(await tokensOf(token, elsewhere), 40n)
  })

  describe('with a token that calls out while it moves', () => {
    let token: Contract
    let attacker: Contract
    /** A victim's tokens lie in the ledger too: that is what an attacker would be paid from. */
    before(async () => {
      token = await chain.deploy('test/HookToken')
    })

    async function newAttacker(amount: bigint): Promise<void> {
      await fundBalance(chain, newWallet().address, 10_000n, token)
      attacker = await chain.deploy('test/Reenterer', LEDGER, token.address)
      await token.send(attacker.address, 'mint', attacker.address, amount)
    }

    const attack = async (outer: string, inner: string): Promise<{ innerWorked: boolean }> => {
      await attacker.send(newWallet().address, 'attack', outer, inner)
      assert.deepEqual([...(await attacker.read('entered'))], [true], 'the hook has to be reached, or the test proves nothing')
      return { innerWorked: (await attacker.read('innerSucceeded'))[0] }
    }
    /** All that the attacker could take out now. */
    const wealth = async (): Promise<bigint> =>
      (await tokensOf(token, attacker.address)) + (await readBalance(chain, attacker.address, token.address))

    test('a deposit inside a deposit is refused: what arrived once is credited once', async () => {
      await newAttacker(2000n)
      const deposit = chain.ledger.data('deposit', token.address, attacker.address, 1000n)
      assert.equal((await attack(deposit, deposit)).innerWorked, false)
      assert.equal(await readBalance(chain, attacker.address, token.address), 990n)
      const expiry = (await chain.now()) + YEAR
      const open = chain.ledger.data('depositAndOpen', newWallet().address, newWallet().address, token.address, 500n, expiry)
      const small = chain.ledger.data('deposit', token.address, attacker.address, 500n)
      assert.equal((await attack(chain.ledger.data('multicall', [small]), open)).innerWorked, false)
    })

    test('a withdrawal inside a withdrawal finds the balance already gone', async () => {
      await newAttacker(1000n)
      await attacker.send(
        newWallet().address,
        'attack',
        chain.ledger.data('deposit', token.address, attacker.address, 1000n),
        '0x',
      )
      const withdraw = chain.ledger.data('withdraw', token.address, attacker.address, 990n)
      assert.equal((await attack(withdraw, withdraw)).innerWorked, false)
      assert.equal(await wealth(), 981n)
    })

    test('a withdrawal inside a deposit only makes less arrive', async () => {
      await newAttacker(2000n)
      await attacker.send(
        newWallet().address,
        'attack',
        chain.ledger.data('deposit', token.address, attacker.address, 1000n),
        '0x',
      )
      const before = await wealth()
      const withdraw = chain.ledger.data('withdraw', token.address, attacker.address, 500n)
      await attack(chain.ledger.data('deposit', token.address, attacker.address, 1000n), withdraw)
      assert.ok((await wealth()) < before)
    })

    test('a settle or a close from inside a withdrawal of the payee pays nothing twice', async () => {
      await newAttacker(0n)
      const p: Parties = await newParties(chain, { token: token.address })
      // the attacker is the payout of the target: it is called while its money moves
      await chain.ledger.send(p.target.address, 'proposePayout', p.target.address, p.token, attacker.address)
      await attacker.send(newWallet().address, 'attack', chain.ledger.data('acceptPayout', p.target.address, p.token), '0x')
      await fundBalance(chain, p.owner.address, 100n, token)
      const expiry = (await chain.now()) + YEAR
      await chain.ledger.send(p.owner.address, 'open', p.signer.address, p.target.address, p.token, 99n, expiry)
      const settle = chain.ledger.data(...(await settleCall(p, 50n)))
      const withdraw = chain.ledger.data('withdraw', p.token, attacker.address, 50n)
      const { innerWorked } = await attack(chain.ledger.data('multicall', [settle, withdraw]), settle)
      assert.equal(innerWorked, false)
      const deadline = (await chain.now()) + 3600n
      const close = await signClose(p, 60n, deadline, 0n)
      await chain.ledger.send(p.owner.address, 'close', p.signer.address, p.target.address, p.token, 60n, deadline, close)
      assert.equal(await readBalance(chain, attacker.address, p.token), 10n)
      assert.equal(await readBalance(chain, p.owner.address, p.token), 39n)
    })

    test('a batch sent again from inside the hook of its own pay-out pays nothing more', async () => {
      await newAttacker(0n)
      const target = attacker.address
      const owner = newWallet()
      const fake = { owner, signer: newWallet(), target: { address: target } as Wallet, token: token.address, id: '' }
      await fundBalance(chain, owner.address, 100n, token)
      await chain.ledger.send(owner.address, 'open', fake.signer.address, target, token.address, 20n, (await chain.now()) + YEAR)
      const batch = chain.ledger.data('settleBatch', target, token.address, await signedRow(fake, 10n))
      const withdraw = chain.ledger.data('withdraw', token.address, target, 10n)
      await attack(chain.ledger.data('multicall', [batch, withdraw]), batch)
      assert.equal(await wealth(), 10n)
    })

    test('a promise sent again from inside the hook of its own direct settlement pays nothing more', async () => {
      await newAttacker(0n)
      const target = attacker.address
      const owner = newWallet()
      const fake = { owner, signer: newWallet(), target: { address: target } as Wallet, token: token.address, id: '' }
      await fundBalance(chain, owner.address, 1000n, token)
      await chain.ledger.send(owner.address, 'open', fake.signer.address, target, token.address, 900n, (await chain.now()) + YEAR)
      const direct = chain.ledger.data('settleDirect', token.address, await signedRow(fake, 500n))
      assert.equal((await attack(direct, direct)).innerWorked, false)
      assert.equal(await wealth(), 495n)
      const next = chain.ledger.data('settleDirect', token.address, await signedRow(fake, 600n))
      const again = chain.ledger.data('settle', target, token.address, await signedRow(fake, 600n))
      assert.equal((await attack(next, again)).innerWorked, false)
      assert.equal(await wealth(), 495n + 99n)
    })

    test('a reclaim inside a withdrawal by the owner frees its reservation once', async () => {
      await newAttacker(1000n)
      const args = [newWallet().address, newWallet().address, token.address] as const
      const expiry = (await chain.now()) + 1000n
      await attacker.send(newWallet().address, 'attack', chain.ledger.data('depositAndOpen', ...args, 1000n, expiry), '0x')
      await chain.nextBlockAt(expiry)
      const reclaim = chain.ledger.data('reclaim', ...args)
      const withdraw = chain.ledger.data('withdraw', token.address, attacker.address, 990n)
      assert.equal((await attack(chain.ledger.data('multicall', [reclaim, withdraw]), reclaim)).innerWorked, false)
      assert.equal(await wealth(), 981n)
    })
  })
})
