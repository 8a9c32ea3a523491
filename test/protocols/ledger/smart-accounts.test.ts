import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Wallet } from 'ethers'
import {
  type Chain,
  type Contract,
  fundBalance,
  newWallet,
  type Parties,
  readBalance,
  readChannel,
  startChain,
  YEAR,
} from './fixture.ts'
import { settleCall, signClose, signPayout } from './messages.ts'

describe('ledger and smart accounts', () => {
  let chain: Chain
  let account: Contract
  const master = newWallet()
  const anyone = newWallet().address
  before(async () => {
    chain = await startChain()
    account = await chain.deploy('test/SmartAccount', master.address)
  })
  after(() => chain.stop())

  /** The account calls the ledger, as its master tells it. */
  const act = async (fn: string, ...args: unknown[]): Promise<void> =>
    void (await account.send(master.address, 'execute', chain.ledger.address, chain.ledger.data(fn, ...args)))

  /** A channel that the account owns, whose promises a hot key signs. */
  async function openOwned(amount: bigint): Promise<Parties> {
    const [signer, target, token] = [newWallet(), newWallet(), chain.token.address]
    const [id] = await chain.ledger.read('channelId', account.address, signer.address, target.address, token)
    await fundBalance(chain, account.address, amount)
    await act('open', signer.address, target.address, token, amount, (await chain.now()) + YEAR)
    // only the address of the owner is ever used
    return { owner: { address: account.address } as Wallet, signer, target, token, id }
  }

  test('a contract owns a channel whose promises a plain key signs: it opens, tops up, and the promises pay', async () => {
    const p = await openOwned(100n)
    await chain.ledger.send(anyone, ...(await settleCall(p, 40n)))
    await fundBalance(chain, account.address, 50n)
    await act('topUp', account.address, p.signer.address, p.target.address, p.token, 50n)
    await chain.ledger.send(anyone, ...(await settleCall(p, 150n)))
    assert.equal(await readBalance(chain, p.target.address), 150n)
    assert.equal((await readChannel(chain, p.id)).deposit, 150n)
  })

  test('a contract closes its channel with the signature of the target, and withdraws what is freed', async () => {
    const p = await openOwned(100n)
    const before = await readBalance(chain, account.address)
    const deadline = (await chain.now()) + 3600n
    const close = [p.signer.address, p.target.address, p.token, 30n, deadline, await signClose(p, 30n, deadline, 0n)] as const
    assert.equal((await chain.ledger.fails(master.address, 'close', ...close)).name, 'AmountOutOfRange')
    await act('close', ...close)
    assert.equal((await readBalance(chain, account.address)) - before, 70n)
    const wallet = newWallet().address
    await act('withdraw', p.token, wallet, 70n)
    assert.equal((await chain.token.read('balanceOf', wallet))[0], 70n)
  })

  test('a contract reclaims at the expiry', async () => {
    const p = await openOwned(100n)
    const before = await readBalance(chain, account.address)
    await chain.nextBlockAt((await readChannel(chain, p.id)).expiry)
    await act('reclaim', p.signer.address, p.target.address, p.token)
    assert.equal((await readBalance(chain, account.address)) - before, 100n)
  })

  describe('as a payout', () => {
    async function proposed(): Promise<{ target: Wallet; deadline: bigint }> {
      const target = newWallet()
      await chain.ledger.send(target.address, 'proposePayout', target.address, chain.token.address, account.address)
      return { target, deadline: (await chain.now()) + 3600n }
    }
    const accept = (target: string, deadline: bigint, signature: string) =>
      ['acceptPayoutWithSignature', target, chain.token.address, account.address, deadline, signature] as const

    test('a contract accepts by the signature that it vouches for (EIP-1271)', async () => {
      const { target, deadline } = await proposed()
      const what = { target: target.address, token: chain.token.address, payout: account.address }
      await chain.ledger.send(anyone, ...accept(target.address, deadline, await signPayout(master, what, deadline)))
      assert.deepEqual([...(await chain.ledger.read('payoutOf', target.address, chain.token.address))], [account.address])
    })

    test('a contract that does not vouch for it, or knows no EIP-1271, accepts nothing', async () => {
      const { target, deadline } = await proposed()
      const what = { target: target.address, token: chain.token.address, payout: account.address }
      const wrong = [
        await signPayout(newWallet(), what, deadline),
        await signPayout(master, { ...what, nonce: 1n }, deadline),
        await signPayout(master, { ...what, payout: master.address }, deadline),
        '0x',
      ]
      for (const signature of wrong) {
        const { name } = await chain.ledger.fails(anyone, ...accept(target.address, deadline, signature))
        assert.equal(name, 'InvalidSignature')
      }
      const mute = chain.token.address
      await chain.ledger.send(target.address, 'proposePayout', target.address, chain.token.address, mute)
      const signature = await signPayout(master, { ...what, payout: mute }, deadline)
      const call = ['acceptPayoutWithSignature', target.address, chain.token.address, mute, deadline, signature] as const
      assert.equal((await chain.ledger.fails(anyone, ...call)).name, 'InvalidSignature')
    })

    test('a contract accepts by its own call, and is credited', async () => {
      const p = await openOwned(100n)
      await chain.ledger.send(p.target.address, 'proposePayout', p.target.address, p.token, account.address)
      await act('acceptPayout', p.target.address, p.token)
      const before = await readBalance(chain, account.address)
      await chain.ledger.send(anyone, ...(await settleCall(p, 40n)))
      assert.equal((await readBalance(chain, account.address)) - before, 40n)
    })
  })
})
