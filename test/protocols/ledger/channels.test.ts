import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { AbiCoder, keccak256, ZeroAddress } from 'ethers'
import {
  type Chain,
  fundBalance,
  fundWallet,
  newParties,
  newWallet,
  openChannel,
  readBalance,
  readChannel,
  startChain,
  YEAR,
} from './fixture.ts'
import { encodeRow, settleCall, signClose, signPromise } from './messages.ts'

const MAX96 = 2n ** 96n - 1n

describe('ledger channels', () => {
  let chain: Chain
  before(async () => {
    chain = await startChain()
  })
  after(() => chain.stop())

  test('a channel is named by the hash of owner, signer, target and token', async () => {
    const { owner, signer, target, token, id } = await newParties(chain)
    const four = [owner.address, signer.address, target.address, token]
    assert.equal(id, keccak256(AbiCoder.defaultAbiCoder().encode(['address', 'address', 'address', 'address'], four)))
  })

  test('open reserves from the balance of the caller', async () => {
    const { owner, signer, target, token, id } = await newParties(chain)
    await fundBalance(chain, owner.address, 100n)
    const expiry = (await chain.now()) + 1000n
    const args = [signer.address, target.address, token]
    assert.equal((await chain.ledger.fails(owner.address, 'open', ...args, 101n, expiry)).name, 'InsufficientBalance')
    const { events } = await chain.ledger.send(owner.address, 'open', ...args, 60n, expiry)
    const opened = ['Opened', id, owner.address, target.address, signer.address, token, 60n, expiry]
    assert.deepEqual(
      events.map((e) => [e.name, ...e.args]),
      [opened],
    )
    assert.deepEqual(await readChannel(chain, id), { deposit: 60n, settled: 0n, expiry, epoch: 0n })
    assert.equal(await readBalance(chain, owner.address), 40n)
  })

  test('depositAndOpen reserves tokens of the caller in one transaction and leaves the balance alone', async () => {
    const { owner, signer, target, token, id } = await newParties(chain)
    await fundBalance(chain, owner.address, 5n)
    await fundWallet(chain, owner.address, 100n)
    const expiry = (await chain.now()) + 1000n
    const { events } = await chain.ledger.send(
      owner.address,
      'depositAndOpen',
      signer.address,
      target.address,
      token,
      100n,
      expiry,
    )
    assert.deepEqual(
      events.map((e) => e.name),
      ['Deposited', 'Opened'],
    )
    assert.equal((await readChannel(chain, id)).deposit, 100n)
    assert.equal(await readBalance(chain, owner.address), 5n)
  })

  test('opening a live channel is a top-up plus an extension, and never shortens', async () => {
    const { owner, signer, target, token, id } = await openChannel(chain, 100n)
    const { expiry } = await readChannel(chain, id)
    await fundBalance(chain, owner.address, 50n)
    const args = [signer.address, target.address, token]
    const { name, args: bounds } = await chain.ledger.fails(owner.address, 'open', ...args, 50n, expiry - 1n)
    assert.deepEqual([name, bounds[0], bounds[1]], ['ExpiryOutOfRange', expiry - 1n, expiry])
    await chain.ledger.send(owner.address, 'open', ...args, 20n, expiry)
    await chain.ledger.send(owner.address, 'open', ...args, 30n, expiry + 7n)
    await chain.ledger.send(owner.address, 'open', ...args, 0n, expiry + 8n)
    assert.deepEqual(await readChannel(chain, id), { deposit: 150n, settled: 0n, expiry: expiry + 8n, epoch: 0n })
  })

  test('the expiry lies in the future and at most two years ahead', async () => {
    const { owner, signer, target, token } = await newParties(chain)
    const args = [signer.address, target.address, token, 0n]
    let time = (await chain.now()) + 100n
    const nextBlock = async (): Promise<bigint> => {
      time += 100n
      await chain.nextBlockAt(time)
      return time
    }
    for (const wrong of [-time, -1n, 0n, 2n * YEAR + 1n, 2n ** 39n]) {
      const expiry = (await nextBlock()) + wrong
      const { name } = await chain.ledger.fails(owner.address, 'open', ...args, expiry < 0n ? 0n : expiry)
      assert.equal(name, 'ExpiryOutOfRange', `${wrong} seconds ahead`)
    }
    await chain.ledger.send(owner.address, 'open', ...args, (await nextBlock()) + 1n)
    await chain.ledger.send(owner.address, 'open', ...args, (await nextBlock()) + 2n * YEAR)
  })

  test('signer 0 and target 0 are refused', async () => {
    const { owner, signer, target, token } = await newParties(chain)
    const expiry = (await chain.now()) + 1000n
    assert.equal(
      (await chain.ledger.fails(owner.address, 'open', ZeroAddress, target.address, token, 0n, expiry)).name,
      'InvalidAddress',
    )
    assert.equal(
      (await chain.ledger.fails(owner.address, 'open', signer.address, ZeroAddress, token, 0n, expiry)).name,
      'InvalidAddress',
    )
  })

  test('a stranger cannot open, squat, prolong, end or drain a channel of somebody else', async () => {
    const p = await openChannel(chain, 100n)
    const mallory = newWallet()
    await fundBalance(chain, mallory.address, 10n)
    const slot = await readChannel(chain, p.id)
    const args = [p.signer.address, p.target.address, p.token]
    const deadline = (await chain.now()) + 1000n
    // what a stranger opens is a channel of its own, under another id
    await chain.ledger.send(mallory.address, 'open', ...args, 10n, slot.expiry + 100n)
    const close = await signClose(p, 0n, deadline, 0n)
    const stolen = await chain.ledger.fails(mallory.address, 'close', ...args, 0n, deadline, close)
    assert.equal(stolen.name, 'InvalidSignature')
    assert.equal((await chain.ledger.fails(mallory.address, 'reclaim', ...args)).name, 'NotExpired')
    const forged = encodeRow(50n, await signPromise(p, 50n, [], { by: mallory }), { owner: p.owner.address })
    const settle = ['settle', p.target.address, p.token, forged] as const
    assert.equal((await chain.ledger.fails(mallory.address, ...settle)).name, 'UnknownChannel')
    assert.deepEqual(await readChannel(chain, p.id), slot)
  })

  test('anybody may top up a live channel, from its own balance, and the expiry stays', async () => {
    const p = await openChannel(chain, 100n)
    const friend = newWallet().address
    await fundBalance(chain, friend, 30n)
    const { expiry } = await readChannel(chain, p.id)
    const args = [p.owner.address, p.signer.address, p.target.address, p.token]
    assert.equal((await chain.ledger.fails(friend, 'topUp', ...args, 31n)).name, 'InsufficientBalance')
    const { events } = await chain.ledger.send(friend, 'topUp', ...args, 30n)
    assert.deepEqual(
      events.map((e) => [e.name, ...e.args]),
      [['ToppedUp', p.id, 130n]],
    )
    assert.deepEqual(await readChannel(chain, p.id), { deposit: 130n, settled: 0n, expiry, epoch: 0n })
    assert.equal(await readBalance(chain, friend), 0n)
  })

  test('a channel that is not live takes no top-up', async () => {
    const p = await openChannel(chain, 100n)
    const other = await newParties(chain)
    const friend = newWallet().address
    await fundBalance(chain, friend, 30n)
    const never = [other.owner.address, other.signer.address, other.target.address, other.token, 1n]
    assert.equal((await chain.ledger.fails(friend, 'topUp', ...never)).name, 'ChannelNotLive')
    await chain.nextBlockAt((await readChannel(chain, p.id)).expiry)
    const expired = [p.owner.address, p.signer.address, p.target.address, p.token, 1n]
    assert.equal((await chain.ledger.fails(friend, 'topUp', ...expired)).name, 'ChannelNotLive')
  })

  test('the owner gets the rest back at the expiry and not one second before', async () => {
    const p = await openChannel(chain, 100n)
    const { expiry } = await readChannel(chain, p.id)
    await chain.ledger.send(p.target.address, ...(await settleCall(p, 40n)))
    const args = ['reclaim', p.signer.address, p.target.address, p.token] as const
    await chain.nextBlockAt(expiry - 1n)
    assert.deepEqual([...(await chain.ledger.fails(p.owner.address, ...args)).args], [p.id, expiry])
    await chain.nextBlockAt(expiry)
    const { events } = await chain.ledger.send(p.owner.address, ...args)
    assert.deepEqual(
      events.map((e) => [e.name, ...e.args]),
      [['Reclaimed', p.id, 60n, 1n]],
    )
    assert.deepEqual(await readChannel(chain, p.id), { deposit: 40n, settled: 40n, expiry: 0n, epoch: 1n })
    assert.equal(await readBalance(chain, p.owner.address), 60n)
    assert.equal((await chain.ledger.fails(p.owner.address, ...args)).name, 'ChannelNotOpen')
  })

  test('a channel that was never opened cannot be reclaimed', async () => {
    const p = await newParties(chain)
    const { name } = await chain.ledger.fails(p.owner.address, 'reclaim', p.signer.address, p.target.address, p.token)
    assert.equal(name, 'ChannelNotOpen')
  })

  test('a channel lives for ever: re-opened it goes on counting, in the same slot', async () => {
    const p = await openChannel(chain, 100n)
    const { expiry } = await readChannel(chain, p.id)
    const settle = async (amount: bigint): Promise<void> => {
      await chain.ledger.send(p.target.address, ...(await settleCall(p, amount)))
    }
    await settle(40n)
    await chain.nextBlockAt(expiry)
    await chain.ledger.send(p.owner.address, 'reclaim', p.signer.address, p.target.address, p.token)
    const again = expiry + YEAR
    await chain.ledger.send(p.owner.address, 'open', p.signer.address, p.target.address, p.token, 60n, again)
    assert.deepEqual(await readChannel(chain, p.id), { deposit: 100n, settled: 40n, expiry: again, epoch: 1n })
    await settle(70n)
    assert.equal(await readBalance(chain, p.target.address), 70n)
  })

  test('a reservation and a balance each end at 96 bits', async () => {
    const big = await chain.deploy('test/NoReturnToken')
    const owner = newWallet().address
    await big.send(owner, 'mint', owner, 2n ** 99n)
    await big.send(owner, 'approve', chain.ledger.address, 2n ** 256n - 1n)
    const deposit = ['deposit', big.address, owner] as const
    await chain.ledger.send(owner, ...deposit, MAX96)
    const { name, args: values } = await chain.ledger.fails(owner, ...deposit, 1n)
    assert.deepEqual([name, ...values], ['BalanceTooLarge', MAX96, 1n])
    assert.equal((await chain.ledger.fails(owner, ...deposit, 2n ** 98n)).name, 'BalanceTooLarge')
    const expiry = (await chain.now()) + 1000n
    const args = [newWallet().address, newWallet().address, big.address]
    await chain.ledger.send(owner, 'open', ...args, MAX96, expiry)
    await chain.ledger.send(owner, ...deposit, 1n)
    assert.equal((await chain.ledger.fails(owner, 'open', ...args, 1n, expiry)).name, 'DepositTooLarge')
  })

  test('the epochs of a channel never wrap: when they are used up it opens no more, and its last reservation is still paid back', async () => {
    const p = await openChannel(chain, 100n)
    const { expiry } = await readChannel(chain, p.id)
    // where SPEC.md says that the ledger stores a channel
    const slot = keccak256(AbiCoder.defaultAbiCoder().encode(['bytes32', 'uint256'], [p.id, 5]))
    const word = (await chain.rpc('eth_getStorageAt', chain.ledger.address, slot, 'latest')) as string
    // the epoch is the highest 24 bits of the slot
    await chain.rpc('anvil_setStorageAt', chain.ledger.address, slot, `0xfffffe${word.slice(8)}`)
    assert.equal((await readChannel(chain, p.id)).epoch, 2n ** 24n - 2n)
    await chain.nextBlockAt(expiry)
    await chain.ledger.send(p.owner.address, 'reclaim', p.signer.address, p.target.address, p.token)
    assert.equal(await readBalance(chain, p.owner.address), 100n)
    const args = ['open', p.signer.address, p.target.address, p.token, 1n, expiry + YEAR] as const
    assert.equal((await chain.ledger.fails(p.owner.address, ...args)).name, 'EpochsUsedUp')
  })
})
