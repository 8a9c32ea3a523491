import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { AbiCoder, keccak256, Signature, type Wallet, ZeroAddress, ZeroHash } from 'ethers'
import { type Chain, fundBalance, fundWallet, LEDGER, newWallet, readBalance, startChain, YEAR } from './fixture.ts'

describe('ledger balances', () => {
  let chain: Chain
  before(async () => {
    chain = await startChain()
  })
  after(() => chain.stop())

  const tokensOf = async (account: string): Promise<bigint> => (await chain.token.read('balanceOf', account))[0]

  async function signPermit(owner: Wallet, value: bigint, deadline: bigint): Promise<Signature> {
    const domain = { name: 'Test USD Coin', version: '1', chainId: 31337, verifyingContract: chain.token.address }
    const names = ['owner', 'spender', 'value', 'nonce', 'deadline']
    const types = { Permit: names.map((name, i) => ({ name, type: i < 2 ? 'address' : 'uint256' })) }
    const [nonce] = await chain.token.read('nonces', owner.address)
    return Signature.from(
      await owner.signTypedData(domain, types, { owner: owner.address, spender: LEDGER, value, nonce, deadline }),
    )
  }

  test('deposit credits the caller or another account, from the tokens of the caller', async () => {
    const [alice, bob] = [newWallet().address, newWallet().address]
    await fundWallet(chain, alice, 100n)
    const { events } = await chain.ledger.send(alice, 'deposit', chain.token.address, alice, 60n)
    assert.deepEqual(
      events.map((e) => [e.name, ...e.args]),
      [['Deposited', chain.token.address, alice, 60n]],
    )
    await chain.ledger.send(alice, 'deposit', chain.token.address, bob, 40n)
    assert.deepEqual([await readBalance(chain, alice), await readBalance(chain, bob), await tokensOf(alice)], [60n, 40n, 0n])
  })

  test('deposit refuses the zero account and what the caller does not hold', async () => {
    const alice = newWallet().address
    await fundWallet(chain, alice, 10n)
    assert.equal((await chain.ledger.fails(alice, 'deposit', chain.token.address, ZeroAddress, 10n)).name, 'InvalidAddress')
    assert.equal((await chain.ledger.fails(alice, 'deposit', chain.token.address, alice, 11n)).name, 'ERC20InsufficientBalance')
  })

  test('nobody can deposit the tokens of somebody else who has given the ledger an allowance', async () => {
    const [alice, mallory] = [newWallet().address, newWallet().address]
    await fundWallet(chain, alice, 100n)
    const { name, args } = await chain.ledger.fails(mallory, 'deposit', chain.token.address, mallory, 100n)
    assert.deepEqual([name, args[0]], ['ERC20InsufficientAllowance', LEDGER])
    assert.equal(await tokensOf(alice), 100n)
  })

  test('withdraw sends a balance to any address, and no more than it', async () => {
    const [alice, bob] = [newWallet().address, newWallet().address]
    await fundBalance(chain, alice, 100n)
    const { name, args } = await chain.ledger.fails(alice, 'withdraw', chain.token.address, bob, 101n)
    assert.deepEqual([name, ...args], ['InsufficientBalance', alice, chain.token.address, 100n, 101n])
    const { events } = await chain.ledger.send(alice, 'withdraw', chain.token.address, bob, 70n)
    assert.deepEqual(
      events.map((e) => [e.name, ...e.args]),
      [['Withdrawn', chain.token.address, alice, bob, 70n]],
    )
    assert.deepEqual([await readBalance(chain, alice), await tokensOf(bob)], [30n, 70n])
  })

  test('withdraw refuses the zero address and the ledger itself, where tokens would be lost', async () => {
    const alice = newWallet().address
    await fundBalance(chain, alice, 1n)
    for (const to of [ZeroAddress, LEDGER]) {
      assert.equal((await chain.ledger.fails(alice, 'withdraw', chain.token.address, to, 1n)).name, 'InvalidAddress')
    }
  })

  test('transfer moves a balance inside the ledger, and no more than it', async () => {
    const [alice, bob] = [newWallet().address, newWallet().address]
    await fundBalance(chain, alice, 100n)
    const { events } = await chain.ledger.send(alice, 'transfer', chain.token.address, bob, 70n)
    assert.deepEqual(
      events.map((e) => [e.name, ...e.args]),
      [['Transferred', chain.token.address, alice, bob, 70n]],
    )
    await chain.ledger.send(alice, 'transfer', chain.token.address, alice, 30n)
    assert.deepEqual([await readBalance(chain, alice), await readBalance(chain, bob)], [30n, 70n])
    assert.equal((await chain.ledger.fails(alice, 'transfer', chain.token.address, bob, 31n)).name, 'InsufficientBalance')
    assert.equal((await chain.ledger.fails(alice, 'transfer', chain.token.address, ZeroAddress, 1n)).name, 'InvalidAddress')
  })

  test('a permit makes deposit one transaction', async () => {
    const alice = newWallet()
    await chain.token.send(alice.address, 'mint', alice.address, 100n)
    const deadline = (await chain.now()) + 3600n
    const { v, r, s } = await signPermit(alice, 100n, deadline)
    await chain.ledger.send(alice.address, 'depositWithPermit', chain.token.address, alice.address, 100n, deadline, v, r, s)
    assert.equal(await readBalance(chain, alice.address), 100n)
  })

  test('a permit that a front-runner handed in first does not stop the deposit, and gives the front-runner nothing', async () => {
    const [alice, mallory] = [newWallet(), newWallet().address]
    await chain.token.send(alice.address, 'mint', alice.address, 100n)
    const deadline = (await chain.now()) + 3600n
    const { v, r, s } = await signPermit(alice, 100n, deadline)
    const { name } = await chain.ledger.fails(mallory, 'depositWithPermit', chain.token.address, mallory, 100n, deadline, v, r, s)
    assert.equal(name, 'ERC20InsufficientAllowance')
    await chain.token.send(mallory, 'permit', alice.address, LEDGER, 100n, deadline, v, r, s)
    const args = [newWallet().address, newWallet().address, chain.token.address, 100n, deadline + YEAR, deadline, v, r, s]
    await chain.ledger.send(alice.address, 'depositAndOpenWithPermit', ...args)
    assert.equal(await tokensOf(alice.address), 0n)
  })

  test('a garbage permit is ignored when the allowance is there, and the deposit fails when it is not', async () => {
    const [alice, bob] = [newWallet().address, newWallet().address]
    await fundWallet(chain, alice, 100n)
    await chain.token.send(bob, 'mint', bob, 100n)
    await chain.ledger.send(alice, 'depositWithPermit', chain.token.address, alice, 100n, 0n, 0, ZeroHash, ZeroHash)
    assert.equal(await readBalance(chain, alice), 100n)
    const { name } = await chain.ledger.fails(bob, 'depositWithPermit', chain.token.address, bob, 100n, 0n, 0, ZeroHash, ZeroHash)
    assert.equal(name, 'ERC20InsufficientAllowance')
  })

  test('balance and payout of an account lie where SPEC.md says', async () => {
    const [alice, payout] = [newWallet().address, newWallet().address]
    await fundBalance(chain, alice, 77n)
    await chain.ledger.send(alice, 'proposePayout', alice, chain.token.address, payout)
    await chain.ledger.send(payout, 'acceptPayout', alice, chain.token.address)
    const coder = AbiCoder.defaultAbiCoder()
    const outer = keccak256(coder.encode(['address', 'uint256'], [alice, 0]))
    const slot = keccak256(coder.encode(['address', 'bytes32'], [chain.token.address, outer]))
    const word = BigInt((await chain.rpc('eth_getStorageAt', chain.ledger.address, slot, 'latest')) as string)
    assert.equal(word, (BigInt(payout) << 96n) | 77n)
  })

  test('the test token bounds what one call may mint', async () => {
    const alice = newWallet().address
    await chain.token.send(alice, 'mint', alice, 1_000_000_000_000n)
    await chain.token.fails(alice, 'mint', alice, 1_000_000_000_001n)
  })
})
