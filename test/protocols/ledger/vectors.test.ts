import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { AbiCoder, concat, dataSlice, HDNodeWallet, keccak256, toBeHex, Wallet, ZeroAddress } from 'ethers'
import { authorize, openNonce } from './authorization.ts'
import { type Chain, fundBalance, newWallet, type Parties, readBalance, startChain, YEAR } from './fixture.ts'
import { encodeRow, type Lock, type ShownLock, showLocks, signedRow } from './messages.ts'

interface Four {
  readonly owner: string
  readonly signer: string
  readonly target: string
  readonly token: string
}
interface LockJson {
  readonly anchor: string
  readonly unit: string
  readonly steps: number
  readonly expiry: number
}
interface ShownJson extends LockJson {
  readonly word: string
  readonly k: number
}
interface Case<I> {
  readonly comment: string
  readonly input: I
  readonly encoded?: string
  readonly signature?: string
  readonly error?: string
}
type LocksCase = Case<{ shown: ShownJson[] }> & { readonly shown?: string; readonly value?: string }

function readCases<C>(name: string): C[] {
  const file = new URL(`../../../protocols/ledger/vectors/${name}.json`, import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')).cases
}

const toLock = ({ anchor, unit, steps, expiry }: LockJson): Lock => ({
  anchor,
  unit: BigInt(unit),
  steps,
  expiry: BigInt(expiry),
})
const toShown = (lock: ShownJson): ShownLock => ({ ...toLock(lock), word: lock.word, k: lock.k })
/** Shows nothing of a lock: its anchor, no step. */
const unopened = (lock: LockJson): ShownLock => ({ ...toLock(lock), word: lock.anchor, k: 0 })
const namedOwner = ({ owner, signer }: Four): string => (owner === signer ? ZeroAddress : owner)
/** What the ledger itself bounds. That an anchor stands once, in a lock of at least one step, is for payees to check. */
const beyondBounds = (locks: readonly LockJson[]): boolean => locks.length > 64 || locks.some(({ steps }) => steps > 1024)
const min = (a: bigint, b: bigint): bigint => (a < b ? a : b)

const DEPOSIT = 10n ** 10n

describe('ledger vectors on the chain', () => {
  let chain: Chain
  let snapshot: unknown
  const channels = readCases<Case<Four> & { id: string }>('channels')
  const anyone = HDNodeWallet.createRandom().address

  before(async () => {
    chain = await startChain()
    for (const { input } of channels) {
      await fundBalance(chain, input.owner, DEPOSIT)
      await chain.ledger.send(input.owner, 'open', input.signer, input.target, input.token, DEPOSIT, (await chain.now()) + YEAR)
    }
  })
  after(() => chain.stop())
  beforeEach(async () => {
    snapshot = await chain.rpc('evm_snapshot')
  })
  afterEach(async () => void (await chain.rpc('evm_revert', snapshot)))

  test('the ledger and the token of a fresh chain are those that the vectors are signed for', () => {
    const { domain } = JSON.parse(
      readFileSync(new URL('../../../protocols/ledger/vectors/promises.json', import.meta.url), 'utf8'),
    )
    assert.deepEqual([domain.chainId, domain.verifyingContract], [31337, chain.ledger.address])
    for (const { input } of channels) assert.equal(input.token, chain.token.address.toLowerCase())
  })

  for (const { comment, input, id } of channels) {
    test(`channel id: ${comment}`, async () => {
      assert.deepEqual([...(await chain.ledger.read('channelId', input.owner, input.signer, input.target, input.token))], [id])
    })
  }

  /** Settles in the state that all vectors start from; answers what was paid, or the name of the error. */
  async function settle(target: string, token: string, row: string) {
    const data = chain.ledger.data('settle', target, token, row)
    const paid = chain.rpc('eth_call', { from: anyone, to: chain.ledger.address, data }, 'latest')
    return await paid.then(
      (value) => BigInt(value as string),
      async () => (await chain.ledger.fails(anyone, 'settle', target, token, row)).name,
    )
  }

  /** What the compact form cannot hold never becomes a row; the ledger takes no other form of a promise. */
  function isCompactable(signature: string): boolean {
    const [s, v] = [BigInt(dataSlice(signature, 32, 64)), dataSlice(signature, 64)]
    return s >> 255n === 0n && (v === '0x1b' || v === '0x1c')
  }

  function rowOf(four: Four, amount: bigint, signature: string, locks: readonly ShownLock[]): string {
    const owner = namedOwner(four)
    const r = dataSlice(signature, 0, 32)
    const vs = toBeHex(BigInt(dataSlice(signature, 32, 64)) | (signature.endsWith('1c') ? 1n << 255n : 0n), 32)
    return encodeRow(amount, concat([r, vs]), owner === ZeroAddress ? { locks } : { owner, locks })
  }

  type PromiseCase = Case<{ parties: Four; amount: string; locks: LockJson[] }>
  for (const { comment, input, signature, error } of readCases<PromiseCase>('promises')) {
    // a case that breaks off on the wire never becomes a call
    if (error === 'MALFORMED' || signature === undefined) continue
    test(`promise: ${comment}`, async () => {
      const { parties, locks } = input
      const amount = BigInt(input.amount)
      if (!isCompactable(signature)) {
        assert.equal(error, 'SIGNER_WRONG')
        return
      }
      const result = await settle(parties.target, parties.token, rowOf(parties, amount, signature, locks.map(unopened)))
      if (error === 'SIGNER_WRONG') assert.equal(result, 'UnknownChannel')
      else if (beyondBounds(locks)) assert.equal(result, 'InvalidLocks')
      // amount 0 is worth nothing, but the channel was found: the signature is right
      else assert.equal(result, amount === 0n ? 'NothingToSettle' : min(amount, DEPOSIT))
    })
  }

  for (const { comment, input, shown, value, error } of readCases<LocksCase>('locks')) {
    test(`locks: ${comment}`, async () => {
      const locks = input.shown.map(toShown)
      const keys = [Wallet.createRandom(), Wallet.createRandom()].map(({ privateKey }) => new Wallet(privateKey)) as [
        Wallet,
        Wallet,
      ]
      const [owner, target] = keys
      const p: Parties = { owner, signer: owner, target, token: chain.token.address, id: '' }
      await fundBalance(chain, owner.address, DEPOSIT)
      await chain.ledger.send(owner.address, 'open', owner.address, target.address, p.token, DEPOSIT, (await chain.now()) + YEAR)
      if (shown !== undefined) assert.equal(showLocks(locks), shown)
      const result = await settle(target.address, p.token, await signedRow(p, 1n, locks))
      if (error === undefined) assert.equal(result, 1n + BigInt(value ?? 0))
      else if (beyondBounds(input.shown) || locks.some(({ k, steps }) => k > steps)) assert.equal(result, 'InvalidLocks')
      else if (locks.every(({ k }) => k === 0)) assert.equal(result, 1n)
      else assert.equal(result, 'UnknownChannel')
    })
  }

  type RowCase = Case<{ parties: Four; amount: string; shown: ShownJson[] }>
  for (const { comment, input, encoded, error } of readCases<RowCase>('rows')) {
    test(`row: ${comment}`, async () => {
      const { target, token } = input.parties
      const alone = await settle(target, token, encoded ?? '0x')
      const { events } = await chain.ledger.send(anyone, 'settleBatch', target, token, encoded)
      if (error !== undefined) {
        assert.equal(alone, 'UnknownChannel')
        assert.deepEqual(
          events.filter((e) => e.name !== 'WordShown').map((e) => [e.name, e.args.reason]),
          [['RowSkipped', 1n]],
        )
      } else {
        const now = await chain.now()
        const open = input.shown.filter(({ expiry }) => expiry === 0 || BigInt(expiry) > now)
        const value = open.reduce((sum, { k, unit }) => sum + BigInt(k) * BigInt(unit), BigInt(input.amount))
        assert.equal(await readBalance(chain, target), value)
        assert.equal(alone, value)
      }
    })
  }

  type CloseCase = Case<{ channel: string; amount: string; deadline: number; epoch: number }>
  for (const { comment, input, signature, error } of readCases<CloseCase>('closings')) {
    test(`close: ${comment}`, async () => {
      const { channel, deadline, epoch } = input
      const amount = BigInt(input.amount)
      const four = channels.find(({ id }) => id === channel)?.input
      assert.ok(four !== undefined, 'every closing is of a channel in channels.json')
      // brings the channel into the epoch of the vector, with all that a close may pay
      const slot = keccak256(AbiCoder.defaultAbiCoder().encode(['bytes32', 'uint256'], [channel, 5]))
      const word = (BigInt(epoch) << 232n) | (((await chain.now()) + YEAR) << 192n) | (2n ** 96n - 1n)
      await chain.rpc('anvil_setStorageAt', chain.ledger.address, slot, toBeHex(word, 32))
      const call = ['close', four.signer, four.target, four.token, amount, deadline, signature] as const
      if (error !== undefined) assert.equal((await chain.ledger.fails(four.owner, ...call)).name, 'InvalidSignature')
      // no channel is ever open in the last epoch: its signature is right, but there is no epoch to come after it
      else if (epoch === 2 ** 24 - 1) assert.equal((await chain.ledger.fails(four.owner, ...call)).name, 'Panic')
      else {
        await chain.ledger.send(four.owner, ...call)
        assert.equal(await readBalance(chain, four.target), amount)
      }
    })
  }

  type PayoutCase = Case<{ target: string; token: string; payout: string; deadline: number }>
  for (const { comment, input, signature, error } of readCases<PayoutCase>('payouts')) {
    test(`payout: ${comment}`, async () => {
      const { target, token, payout, deadline } = input
      await chain.ledger.send(target, 'proposePayout', target, token, payout)
      const call = ['acceptPayoutWithSignature', target, token, payout, deadline, signature] as const
      if (error !== undefined) assert.equal((await chain.ledger.fails(anyone, ...call)).name, 'InvalidSignature')
      else {
        await chain.ledger.send(anyone, ...call)
        assert.equal((await chain.ledger.read('payoutOf', target, token))[0].toLowerCase(), payout)
      }
    })
  }

  type DepositInput = { account: string; salt: string } | { signer: string; target: string; expiry: number; salt: string }
  type DepositCase = Case<DepositInput> & { nonce: string; depositAddress?: string }
  for (const { comment, input, nonce, depositAddress } of readCases<DepositCase>('deposits')) {
    test(`deposit: ${comment}`, async () => {
      const token = await chain.deploy('test/AuthorizationToken')
      const holder = newWallet()
      await token.send(anyone, 'mint', holder.address, 5n)
      const { salt } = input
      if ('account' in input) {
        const signed = await authorize(holder, token.address, 5n, nonce, { salt })
        await chain.ledger.send(anyone, 'depositWithAuthorization', token.address, input.account, signed)
        assert.equal(await readBalance(chain, input.account, token.address), 5n)
        assert.equal((await chain.ledger.read('depositAddress', input.account))[0].toLowerCase(), depositAddress)
        return
      }
      // the vector's token is the test token, which knows no such authorization: the nonce is compared, and one for this token works
      const { signer, target, expiry } = input
      assert.equal(openNonce(signer, target, chain.token.address, BigInt(expiry), salt), nonce)
      const latest = (await chain.now()) + YEAR
      const signed = await authorize(holder, token.address, 5n, openNonce(signer, target, token.address, latest, salt), { salt })
      await chain.ledger.send(anyone, 'depositAndOpenWithAuthorization', signer, target, token.address, latest, signed)
    })
  }
})
