import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { concat, dataSlice, TypedDataEncoder, toBeHex, ZeroAddress } from 'ethers'
import {
  type Chain,
  fundBalance,
  newWallet,
  openChannel,
  type Parties,
  readBalance,
  readChannel,
  startChain,
  YEAR,
} from './fixture.ts'
import { DOMAIN, encodeRow, hashPromise, logEntry, settleCall, signedShortRow, signPromise } from './messages.ts'

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

describe('ledger settle', () => {
  let chain: Chain
  before(async () => {
    chain = await startChain()
  })
  after(() => chain.stop())

  const anyone = newWallet().address
  const call = (p: Parties, amount: bigint, signature: string) =>
    ['settle', p.target.address, p.token, encodeRow(amount, signature, { owner: p.owner.address })] as const
  const settle = async (p: Parties, amount: bigint) => chain.ledger.send(anyone, ...(await settleCall(p, amount)))
  const refuse = async (p: Parties, amount: bigint, signature: string): Promise<string> =>
    (await chain.ledger.fails(anyone, ...call(p, amount, signature))).name

  test('anyone may settle a promise signed by ethers, and only the target is credited', async () => {
    const p = await openChannel(chain, 100n)
    const { events } = await settle(p, 40n)
    assert.deepEqual(
      events.map((e) => [e.name, ...e.args]),
      [['Settled', p.target.address, p.token, p.target.address, logEntry(p, 40n)]],
    )
    assert.equal(await readBalance(chain, p.target.address), 40n)
    assert.equal(await readBalance(chain, anyone), 0n)
    assert.equal((await readChannel(chain, p.id)).settled, 40n)
  })

  test('promises are cumulative: a newer one pays the difference, an older one nothing', async () => {
    const p = await openChannel(chain, 100n)
    await settle(p, 40n)
    await settle(p, 65n)
    assert.equal(await readBalance(chain, p.target.address), 65n)
    const { name, args } = await chain.ledger.fails(anyone, ...call(p, 40n, await signPromise(p, 40n)))
    assert.deepEqual([name, ...args], ['NothingToSettle', p.id, 65n])
  })

  test('the same promise twice pays once', async () => {
    const p = await openChannel(chain, 100n)
    await settle(p, 40n)
    assert.equal(await refuse(p, 40n, await signPromise(p, 40n)), 'NothingToSettle')
    assert.equal(await readBalance(chain, p.target.address), 40n)
  })

  test('a promise larger than the deposit pays what is there and stays good for the rest', async () => {
    const p = await openChannel(chain, 100n)
    await settle(p, 250n)
    assert.equal(await readBalance(chain, p.target.address), 100n)
    assert.equal(await refuse(p, 250n, await signPromise(p, 250n)), 'NothingToSettle')
    await openChannel(chain, 80n, p)
    await settle(p, 250n)
    assert.equal(await readBalance(chain, p.target.address), 180n)
    await openChannel(chain, 80n, p)
    await settle(p, 250n)
    assert.equal(await readBalance(chain, p.target.address), 250n)
  })

  test('a promise of the largest amount is capped by the deposit', async () => {
    const p = await openChannel(chain, 100n)
    await settle(p, 2n ** 96n - 1n)
    assert.equal(await readBalance(chain, p.target.address), 100n)
  })

  test('a promise is good after the expiry until the owner reclaims, and again after re-opening', async () => {
    const p = await openChannel(chain, 100n)
    await chain.nextBlockAt((await readChannel(chain, p.id)).expiry + 5n)
    await settle(p, 40n)
    await chain.ledger.send(p.owner.address, 'reclaim', p.signer.address, p.target.address, p.token)
    const earned = await signPromise(p, 70n)
    assert.equal(await refuse(p, 70n, earned), 'NothingToSettle')
    await chain.ledger.send(p.owner.address, 'open', p.signer.address, p.target.address, p.token, 60n, (await chain.now()) + YEAR)
    await chain.ledger.send(anyone, ...call(p, 70n, earned))
    assert.equal(await readBalance(chain, p.target.address), 70n)
  })

  test('a signer that is not the owner binds the channel, and the owner itself does not', async () => {
    const p = await openChannel(chain, 100n)
    assert.equal(await refuse(p, 40n, await signPromise(p, 40n, [], { by: p.owner })), 'UnknownChannel')
    assert.equal(await refuse(p, 40n, await signPromise(p, 40n, [], { by: p.target })), 'UnknownChannel')
  })

  test('a promise that names no owner is about the channel of its signer', async () => {
    const owner = newWallet()
    const p = await openChannel(chain, 100n, { owner, signer: owner })
    const signature = await signPromise(p, 40n, [], { owner: ZeroAddress })
    assert.equal(await refuse(p, 40n, signature), 'UnknownChannel')
    await chain.ledger.send(anyone, 'settle', p.target.address, p.token, await signedShortRow(p, 40n))
    await settle(p, 50n)
    assert.equal(await readBalance(chain, p.target.address), 50n)
    // and never about a channel that somebody else owns
    const q = await openChannel(chain, 100n)
    const nameless = await signedShortRow(q, 40n)
    const { name } = await chain.ledger.fails(anyone, 'settle', q.target.address, q.token, nameless)
    assert.equal(name, 'UnknownChannel')
  })

  test('a promise for another amount, target, token, owner, chain, contract, name or version is worth nothing', async () => {
    const p = await openChannel(chain, 100n)
    const q = await openChannel(chain, 100n, { owner: p.owner, signer: p.signer })
    const token = (await chain.deploy('test/FeeToken')).address
    assert.equal(await refuse(p, 41n, await signPromise(p, 40n)), 'UnknownChannel')
    assert.equal(await refuse(q, 40n, await signPromise(p, 40n)), 'UnknownChannel')
    assert.equal(await refuse({ ...p, token }, 40n, await signPromise(p, 40n)), 'UnknownChannel')
    assert.equal(await refuse({ ...p, owner: newWallet() }, 40n, await signPromise(p, 40n)), 'UnknownChannel')
    for (const other of [{ chainId: 1 }, { verifyingContract: anyone }, { name: 'Tallystock' }, { version: '2' }]) {
      assert.equal(await refuse(p, 40n, await signPromise(p, 40n, [], { domain: { ...DOMAIN, ...other } })), 'UnknownChannel')
    }
  })

  test('on a chain that has changed its id, the domain is that of the new id', async () => {
    const domainOf = async (): Promise<string> => (await chain.ledger.read('domainSeparator'))[0]
    assert.equal(await domainOf(), TypedDataEncoder.hashDomain(DOMAIN))
    await chain.rpc('anvil_setChainId', 4242)
    try {
      assert.equal(await domainOf(), TypedDataEncoder.hashDomain({ ...DOMAIN, chainId: 4242 }))
    } finally {
      await chain.rpc('anvil_setChainId', 31337)
    }
  })

  test('exactly one row is settled: not less, not more', async () => {
    const p = await openChannel(chain, 100n)
    const [fn, target, token, row] = await settleCall(p, 40n)
    for (const wrong of ['0x', dataSlice(row, 0, 96), concat([row, '0x00']), concat([row, row])]) {
      assert.equal((await chain.ledger.fails(anyone, fn, target, token, wrong)).name, 'MalformedRows')
    }
    await chain.ledger.send(anyone, fn, target, token, row)
  })

  describe('straight into the wallet', () => {
    const direct = async (p: Parties, amount: bigint) => ['settleDirect', p.token, (await settleCall(p, amount))[3]] as const
    const walletOf = async (account: string): Promise<bigint> => (await chain.token.read('balanceOf', account))[0]

    test('the target settles a promise and has the tokens in its wallet, not in its balance', async () => {
      const p = await openChannel(chain, 100n)
      const { events } = await chain.ledger.send(p.target.address, ...(await direct(p, 40n)))
      assert.deepEqual(
        events.map((e) => [e.name, ...e.args]),
        [['SettledDirect', logEntry(p, 40n)]],
      )
      assert.deepEqual([await walletOf(p.target.address), await readBalance(chain, p.target.address)], [40n, 0n])
      assert.equal((await readChannel(chain, p.id)).settled, 40n)
      assert.equal((await chain.ledger.fails(p.target.address, ...(await direct(p, 40n)))).name, 'NothingToSettle')
    })

    test('nobody else can send it there: a promise to another target names no channel of the caller', async () => {
      const p = await openChannel(chain, 100n)
      for (const caller of [anyone, p.owner.address, p.signer.address]) {
        assert.equal((await chain.ledger.fails(caller, ...(await direct(p, 40n)))).name, 'UnknownChannel')
      }
    })

    test('a target that is paid elsewhere cannot take it into its own wallet', async () => {
      const p = await openChannel(chain, 100n)
      const payout = newWallet().address
      await chain.ledger.send(p.target.address, 'proposePayout', p.target.address, p.token, payout)
      await chain.ledger.send(payout, 'acceptPayout', p.target.address, p.token)
      assert.equal((await chain.ledger.fails(p.target.address, ...(await direct(p, 40n)))).name, 'NotThePayout')
      const settle = chain.ledger.data(...(await settleCall(p, 40n)))
      const withdraw = chain.ledger.data('withdraw', p.token, payout, 40n)
      await chain.ledger.send(payout, 'multicall', [settle, withdraw])
      assert.equal(await walletOf(payout), 40n)
    })
  })

  test('garbage signatures name no channel: zero, all ones, an s just above half the order', async () => {
    const p = await openChannel(chain, 100n)
    const half = toBeHex(ORDER / 2n + 1n, 32)
    for (const wrong of [`0x${'00'.repeat(64)}`, `0x${'ff'.repeat(64)}`, concat([toBeHex(1, 32), half])]) {
      assert.equal(await refuse(p, 40n, wrong), 'UnknownChannel')
    }
  })

  test('an s above half the order is refused also where the compact form can hold it', async () => {
    const [owner, target] = [newWallet(), newWallet()]
    const token = chain.token.address
    const digest = hashPromise({ owner, target, token }, 40n)
    await fundBalance(chain, owner.address, 200n)
    for (const [s, good] of [
      [ORDER / 2n, true],
      [ORDER / 2n + 1n, false],
    ] as const) {
      // any r and s are the signature of some key: the precompile says whose, and that key is made the signer of a channel
      const data = concat([digest, toBeHex(27, 32), toBeHex(1, 32), toBeHex(s, 32)])
      const signer = dataSlice((await chain.rpc('eth_call', { to: toBeHex(1, 20), data }, 'latest')) as string, 12)
      await chain.ledger.send(owner.address, 'open', signer, target.address, token, 100n, (await chain.now()) + YEAR)
      const args = [target.address, token, encodeRow(40n, concat([toBeHex(1, 32), toBeHex(s, 32)]), { owner: owner.address })]
      if (good) await chain.ledger.send(anyone, 'settle', ...args)
      else assert.equal((await chain.ledger.fails(anyone, 'settle', ...args)).name, 'UnknownChannel')
    }
    assert.equal(await readBalance(chain, target.address), 40n)
  })

  test('a channel of signer zero, which a failing recovery would name, cannot exist', async () => {
    const p = await openChannel(chain, 100n)
    const expiry = (await chain.now()) + 1000n
    const { name } = await chain.ledger.fails(p.owner.address, 'open', ZeroAddress, p.target.address, p.token, 0n, expiry)
    assert.equal(name, 'InvalidAddress')
  })
})
