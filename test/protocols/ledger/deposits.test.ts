import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { getCreate2Address, id as hashOf, keccak256, zeroPadValue } from 'ethers'
import { authorize, depositNonce, openNonce } from './authorization.ts'
import {
  type Chain,
  type Contract,
  fundBalance,
  LEDGER,
  newParties,
  newWallet,
  readArtefact,
  readBalance,
  readChannel,
  startChain,
  YEAR,
} from './fixture.ts'

const SALT = hashOf('salt')

describe('ledger deposits without a transaction of one’s own', () => {
  let chain: Chain
  let token: Contract
  const anyone = newWallet().address
  before(async () => {
    chain = await startChain()
    token = await chain.deploy('test/AuthorizationToken')
  })
  after(() => chain.stop())

  const tokensOf = async (account: string, of = token): Promise<bigint> => (await of.read('balanceOf', account))[0]

  async function newHolder(amount: bigint) {
    const holder = newWallet()
    await token.send(anyone, 'mint', holder.address, amount)
    return holder
  }

  describe('by an authorization (EIP-3009)', () => {
    test('anyone hands it in, and the account that it names is credited', async () => {
      const holder = await newHolder(100n)
      const account = newWallet().address
      const signed = await authorize(holder, token.address, 60n, depositNonce(account, SALT), { salt: SALT })
      const { events } = await chain.ledger.send(anyone, 'depositWithAuthorization', token.address, account, signed)
      assert.deepEqual(
        events.map((e) => [e.name, ...e.args]),
        [['Deposited', token.address, account, 60n]],
      )
      assert.deepEqual([await readBalance(chain, account, token.address), await tokensOf(holder.address)], [60n, 40n])
    })

    test('a front-runner can do nothing else with it: another account, salt, amount, holder or an opening is refused', async () => {
      const holder = await newHolder(100n)
      const good = await authorize(holder, token.address, 60n, depositNonce(holder.address))
      const [from, amount, since, until, , ...signature] = good
      const mallory = newWallet().address
      const fails = async (account: string, signed: unknown[]): Promise<void> =>
        void (await chain.ledger.fails(mallory, 'depositWithAuthorization', token.address, account, signed))
      await fails(mallory, good)
      await fails(holder.address, [from, amount, since, until, SALT, ...signature])
      await fails(holder.address, [from, 61n, since, until, good[4], ...signature])
      await fails(holder.address, [mallory, amount, since, until, good[4], ...signature])
      const expiry = (await chain.now()) + YEAR
      const open = ['depositAndOpenWithAuthorization', mallory, mallory, token.address, expiry, good] as const
      await chain.ledger.fails(mallory, ...open)
      await token.fails(
        mallory,
        'receiveWithAuthorization',
        from,
        LEDGER,
        amount,
        since,
        until,
        depositNonce(holder.address),
        ...signature,
      )
      assert.equal(await tokensOf(holder.address), 100n)
      await chain.ledger.send(mallory, 'depositWithAuthorization', token.address, holder.address, good)
      await fails(holder.address, good)
      assert.equal(await readBalance(chain, holder.address, token.address), 60n)
    })

    test('it opens the channel that it names, for its signer as the owner, whoever hands it in', async () => {
      const owner = await newHolder(100n)
      const { signer, target, id } = await newParties(chain, { owner, token: token.address })
      const expiry = (await chain.now()) + YEAR
      const nonce = openNonce(signer.address, target.address, token.address, expiry, SALT)
      const signed = await authorize(owner, token.address, 100n, nonce, { salt: SALT })
      const call = ['depositAndOpenWithAuthorization', signer.address, target.address, token.address, expiry, signed] as const
      await chain.ledger.send(anyone, ...call)
      assert.deepEqual(await readChannel(chain, id), { deposit: 100n, settled: 0n, expiry, epoch: 0n })
      await chain.ledger.fails(anyone, ...call)
    })

    test('it opens no other channel: signer, target, expiry and salt are in its nonce', async () => {
      const owner = await newHolder(100n)
      const { signer, target } = await newParties(chain, { owner, token: token.address })
      const expiry = (await chain.now()) + YEAR
      const good = await authorize(owner, token.address, 100n, openNonce(signer.address, target.address, token.address, expiry))
      const mallory = newWallet().address
      for (const [s, t, e] of [
        [mallory, target.address, expiry],
        [signer.address, mallory, expiry],
        [signer.address, target.address, expiry + 1n],
      ] as const) {
        await chain.ledger.fails(mallory, 'depositAndOpenWithAuthorization', s, t, token.address, e, good)
      }
      const deposit = ['depositWithAuthorization', token.address, owner.address, good] as const
      await chain.ledger.fails(mallory, ...deposit)
      assert.equal(await tokensOf(owner.address), 100n)
    })

    test('a token that answers without knowing the function opens, prolongs and credits nothing', async () => {
      const silent = await chain.deploy('test/SilentToken')
      const { owner, signer, target, id } = await newParties(chain, { token: silent.address })
      const now = await chain.now()
      await fundBalance(chain, owner.address, 10n, silent)
      await chain.ledger.send(owner.address, 'open', signer.address, target.address, silent.address, 10n, now + 1000n)
      // the target would like the owner's money to stay for two years
      const forged = [owner.address, 10n, 0n, 2n ** 48n, SALT, 27, SALT, SALT]
      const prolong = [
        'depositAndOpenWithAuthorization',
        signer.address,
        target.address,
        silent.address,
        now + YEAR,
        forged,
      ] as const
      assert.equal((await chain.ledger.fails(target.address, ...prolong)).name, 'NothingReceived')
      const deposit = ['depositWithAuthorization', silent.address, target.address, forged] as const
      assert.equal((await chain.ledger.fails(target.address, ...deposit)).name, 'NothingReceived')
      assert.equal((await readChannel(chain, id)).expiry, now + 1000n)
    })

    test('nobody is credited at the zero address', async () => {
      const holder = await newHolder(10n)
      const zero = `0x${'00'.repeat(20)}`
      const signed = await authorize(holder, token.address, 10n, depositNonce(zero))
      const call = ['depositWithAuthorization', token.address, zero, signed] as const
      assert.equal((await chain.ledger.fails(anyone, ...call)).name, 'InvalidAddress')
    })
  })

  describe('by a deposit address', () => {
    const addressOf = async (account: string): Promise<string> => (await chain.ledger.read('depositAddress', account))[0]
    const sweep = (account: string, of = token) => chain.ledger.send(anyone, 'sweep', account, of.address)

    test('it is the CREATE2 address of the box under the account, as anybody can compute it', async () => {
      const account = newWallet().address
      const code = readArtefact('DepositBox').bytecode
      assert.equal(await addressOf(account), getCreate2Address(LEDGER, zeroPadValue(account, 32), keccak256(code)))
    })

    test('a plain transfer made before the account ever did anything is swept by anyone, into its balance only', async () => {
      const account = newWallet().address
      const box = await addressOf(account)
      await token.send(anyone, 'mint', box, 70n)
      assert.equal(await chain.rpc('eth_getCode', box, 'latest'), '0x')
      const { events } = await sweep(account)
      assert.deepEqual(
        events.map((e) => [e.name, ...e.args]),
        [['Deposited', token.address, account, 70n]],
      )
      assert.deepEqual([await readBalance(chain, account, token.address), await tokensOf(box)], [70n, 0n])
      assert.equal(await readBalance(chain, anyone, token.address), 0n)
    })

    test('it works again and again, for any token, and a sweep of nothing changes nothing', async () => {
      const account = newWallet().address
      const box = await addressOf(account)
      const other = await chain.deploy('test/NoReturnToken')
      for (const total of [30n, 60n]) {
        await token.send(anyone, 'mint', box, 30n)
        await sweep(account)
        assert.equal(await readBalance(chain, account, token.address), total)
      }
      await other.send(anyone, 'mint', box, 5n)
      await sweep(account, other)
      await sweep(account)
      assert.deepEqual(
        [await readBalance(chain, account, token.address), await readBalance(chain, account, other.address)],
        [60n, 5n],
      )
    })

    test('of a token that takes a fee, the balance gets what arrived', async () => {
      const fee = await chain.deploy('test/FeeToken')
      const account = newWallet().address
      await fee.send(anyone, 'mint', await addressOf(account), 1000n)
      await sweep(account, fee)
      assert.equal(await readBalance(chain, account, fee.address), 990n)
    })

    test('nobody but the ledger empties the box', async () => {
      const account = newWallet()
      const box = await addressOf(account.address)
      await token.send(anyone, 'mint', box, 5n)
      await sweep(account.address)
      await token.send(anyone, 'mint', box, 5n)
      const data = `${hashOf('empty(address)').slice(0, 10)}${zeroPadValue(token.address, 32).slice(2)}`
      for (const from of [anyone, account.address]) {
        await assert.rejects(chain.rpc('eth_call', { from, to: box, data }, 'latest'), /revert/)
      }
      await chain.rpc('eth_call', { from: LEDGER, to: box, data }, 'latest')
    })

    test('a token that calls out while it moves gets nothing counted twice', async () => {
      const hook = await chain.deploy('test/HookToken')
      await fundBalance(chain, newWallet().address, 10_000n, hook)
      const attacker = await chain.deploy('test/Reenterer', LEDGER, hook.address)
      await hook.send(attacker.address, 'mint', attacker.address, 1000n)
      await hook.send(anyone, 'mint', await addressOf(attacker.address), 1000n)
      // a deposit of the attacker, and from inside it a sweep of what lies in its box
      const deposit = chain.ledger.data('deposit', hook.address, attacker.address, 1000n)
      const inner = chain.ledger.data('sweep', attacker.address, hook.address)
      await attacker.send(anyone, 'attack', deposit, inner)
      assert.deepEqual([...(await attacker.read('entered')), ...(await attacker.read('innerSucceeded'))], [true, false])
      assert.equal(await readBalance(chain, attacker.address, hook.address), 990n)
    })

    test('there is none for the zero address', async () => {
      const zero = `0x${'00'.repeat(20)}`
      assert.equal((await chain.ledger.fails(anyone, 'sweep', zero, token.address)).name, 'InvalidAddress')
    })
  })
})
