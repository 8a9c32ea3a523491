import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { concat, type Wallet } from 'ethers'
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
import { signedRow } from './messages.ts'

describe('ledger through multicall and the forwarder', () => {
  let chain: Chain
  before(async () => {
    chain = await startChain()
  })
  after(() => chain.stop())

  const anyone = newWallet().address

  /** What a relay hands to the forwarder: the signer's own call, signed. */
  async function forwardRequest(from: Wallet, data: string): Promise<unknown[]> {
    const fields = [
      'from address',
      'to address',
      'value uint256',
      'gas uint256',
      'nonce uint256',
      'deadline uint48',
      'data bytes',
    ]
    const types = {
      ForwardRequest: fields.map((field) => ({ name: field.split(' ')[0] ?? '', type: field.split(' ')[1] ?? '' })),
    }
    const [nonce] = await chain.forwarder.read('nonces', from.address)
    const deadline = (await chain.now()) + 3600n
    const request = { from: from.address, to: chain.ledger.address, value: 0n, gas: 1_000_000n, nonce, deadline, data }
    const domain = { name: 'TallystickForwarder', version: '1', chainId: 31337, verifyingContract: chain.forwarder.address }
    const signature = await from.signTypedData(domain, types, request)
    return [request.from, request.to, request.value, request.gas, request.deadline, request.data, signature]
  }

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
    await chain.forwarder.send(anyone, 'execute', await forwardRequest(owner, data))
    assert.equal((await readChannel(chain, id)).deposit, 70n)
    assert.equal(await readBalance(chain, owner.address), 30n)
  })

  test('a forwarded multicall keeps the signer, who opens a channel and pays the relay in one transaction', async () => {
    const { owner, signer, target, token, id } = await newParties(chain)
    const relay = newWallet().address
    await fundBalance(chain, owner.address, 100n)
    const open = chain.ledger.data('open', signer.address, target.address, token, 70n, (await chain.now()) + YEAR)
    const fee = chain.ledger.data('transfer', token, relay, 2n)
    await chain.forwarder.send(relay, 'execute', await forwardRequest(owner, chain.ledger.data('multicall', [open, fee])))
    assert.equal((await readChannel(chain, id)).deposit, 70n)
    assert.deepEqual([await readBalance(chain, owner.address), await readBalance(chain, relay)], [28n, 2n])
  })

  test('a target without gas settles a batch through a relay, and pays it from what came in', async () => {
    const p = await openChannel(chain, 100n)
    const relay = newWallet().address
    const batch = chain.ledger.data('settleBatch', p.target.address, p.token, await signedRow(p, 40n))
    const fee = chain.ledger.data('transfer', p.token, relay, 2n)
    await chain.forwarder.send(relay, 'execute', await forwardRequest(p.target, chain.ledger.data('multicall', [batch, fee])))
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
    const request = await forwardRequest(mallory, chain.ledger.data('multicall', [spoofed]))
    await chain.forwarder.fails(anyone, 'execute', request)
    assert.equal(await readBalance(chain, alice.address), 100n)
  })
})
