import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { concat, dataSlice, Signature, toBeHex } from 'ethers'
import {
  type Chain,
  type Done,
  newWallet,
  openChannel,
  type Parties,
  type Revert,
  readBalance,
  readChannel,
  startChain,
  YEAR,
} from './fixture.ts'
import { compact, logEntry, settleCall, signClose } from './messages.ts'

/** The order of secp256k1. */
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

describe('ledger close', () => {
  let chain: Chain
  before(async () => {
    chain = await startChain()
  })
  after(() => chain.stop())

  const soon = async (): Promise<bigint> => (await chain.now()) + 3600n
  const call = (p: Parties, amount: bigint, deadline: bigint, signature: string) =>
    ['close', p.signer.address, p.target.address, p.token, amount, deadline, signature] as const
  const close = (p: Parties, amount: bigint, deadline: bigint, signature: string): Promise<Done> =>
    chain.ledger.send(p.owner.address, ...call(p, amount, deadline, signature))
  const refuse = (p: Parties, amount: bigint, deadline: bigint, signature: string): Promise<Revert> =>
    chain.ledger.fails(p.owner.address, ...call(p, amount, deadline, signature))

  async function settle(p: Parties, amount: bigint): Promise<void> {
    await chain.ledger.send(p.target.address, ...(await settleCall(p, amount)))
  }

  test('close pays the final amount and frees the rest to the owner at once, before the expiry', async () => {
    const p = await openChannel(chain, 100n)
    await settle(p, 20n)
    const deadline = await soon()
    const { events } = await close(p, 70n, deadline, await signClose(p, 70n, deadline, 0n))
    assert.deepEqual(
      events.map((e) => [e.name, ...e.args]),
      [
        ['Settled', p.target.address, p.token, p.target.address, logEntry(p, 70n)],
        ['Closed', p.id, 70n, 30n, 1n],
      ],
    )
    assert.deepEqual(await readChannel(chain, p.id), { deposit: 70n, settled: 70n, expiry: 0n, epoch: 1n })
    assert.deepEqual([await readBalance(chain, p.target.address), await readBalance(chain, p.owner.address)], [70n, 30n])
  })

  test('close at what is settled already pays nothing and logs no settlement', async () => {
    const p = await openChannel(chain, 100n)
    await settle(p, 20n)
    const deadline = await soon()
    const { events } = await close(p, 20n, deadline, compact(await signClose(p, 20n, deadline, 0n)))
    assert.deepEqual(
      events.map((e) => e.name),
      ['Closed'],
    )
    assert.equal(await readBalance(chain, p.owner.address), 80n)
  })

  test('the final amount lies between what is settled and the deposit', async () => {
    const p = await openChannel(chain, 100n)
    await settle(p, 20n)
    const deadline = await soon()
    for (const amount of [19n, 101n]) {
      const { name, args } = await refuse(p, amount, deadline, await signClose(p, amount, deadline, 0n))
      assert.deepEqual([name, ...args], ['AmountOutOfRange', amount, 20n, 100n])
    }
  })

  test('a close needs the signature of the target on exactly this channel, amount, deadline and epoch', async () => {
    const p = await openChannel(chain, 100n)
    const other = await openChannel(chain, 100n, { target: p.target })
    const deadline = await soon()
    const wrong = [
      await signClose(p, 10n, deadline, 0n, p.owner),
      await signClose(p, 10n, deadline, 0n, p.signer),
      await signClose(other, 10n, deadline, 0n),
      await signClose(p, 11n, deadline, 0n),
      await signClose(p, 10n, deadline + 1n, 0n),
      await signClose(p, 10n, deadline, 1n),
      '0x',
      `0x${'ff'.repeat(64)}`,
      `0x${'00'.repeat(65)}`,
    ]
    for (const signature of wrong) assert.equal((await refuse(p, 10n, deadline, signature)).name, 'InvalidSignature')
  })

  test('only the owner hands in a close', async () => {
    const p = await openChannel(chain, 100n)
    const deadline = await soon()
    const args = call(p, 0n, deadline, await signClose(p, 0n, deadline, 0n))
    for (const caller of [p.target, p.signer, newWallet()]) {
      assert.equal((await chain.ledger.fails(caller.address, ...args)).name, 'InvalidSignature')
    }
  })

  test('a close signature works until its deadline and not after it', async () => {
    const p = await openChannel(chain, 100n)
    const deadline = await soon()
    const signature = await signClose(p, 10n, deadline, 0n)
    await chain.nextBlockAt(deadline + 1n)
    assert.deepEqual([...(await refuse(p, 10n, deadline, signature)).args], [deadline])
    const later = await soon()
    const last = await signClose(p, 10n, later, 0n)
    await chain.nextBlockAt(later)
    await close(p, 10n, later, last)
  })

  test('a close signature works once, and not after a re-opening: the epoch has changed', async () => {
    const p = await openChannel(chain, 100n)
    const deadline = await soon()
    const signature = await signClose(p, 10n, deadline, 0n)
    await close(p, 10n, deadline, signature)
    assert.equal((await refuse(p, 10n, deadline, signature)).name, 'InvalidSignature')
    await openChannel(chain, 50n, p)
    assert.equal((await readChannel(chain, p.id)).epoch, 1n)
    assert.equal((await refuse(p, 10n, deadline, signature)).name, 'InvalidSignature')
    await close(p, 10n, deadline, await signClose(p, 10n, deadline, 1n))
  })

  test('a close that was signed and not used is dead after a reclaim and a re-opening', async () => {
    const p = await openChannel(chain, 100n)
    const { expiry } = await readChannel(chain, p.id)
    const signature = await signClose(p, 0n, expiry + YEAR, 0n)
    await chain.nextBlockAt(expiry)
    await chain.ledger.send(p.owner.address, 'reclaim', p.signer.address, p.target.address, p.token)
    await openChannel(chain, 50n, p)
    assert.equal((await refuse(p, 0n, expiry + YEAR, signature)).name, 'InvalidSignature')
  })

  test('a channel that is not open cannot be closed, also not with a signature on its next epoch', async () => {
    const p = await openChannel(chain, 100n)
    const deadline = await soon()
    await close(p, 10n, deadline, await signClose(p, 10n, deadline, 0n))
    assert.equal((await refuse(p, 10n, deadline, await signClose(p, 10n, deadline, 1n))).name, 'ChannelNotOpen')
  })

  test('a promise above the final amount is worth nothing after the close, and good again after a re-opening', async () => {
    const p = await openChannel(chain, 100n)
    const deadline = await soon()
    await close(p, 10n, deadline, await signClose(p, 10n, deadline, 0n))
    assert.equal((await chain.ledger.fails(p.target.address, ...(await settleCall(p, 60n)))).name, 'NothingToSettle')
    await openChannel(chain, 100n, p)
    await chain.ledger.send(p.target.address, ...(await settleCall(p, 60n)))
    assert.equal(await readBalance(chain, p.target.address), 60n)
  })

  describe('the form of a signature', () => {
    const refuse = async (p: Parties, amount: bigint, deadline: bigint, signature: string): Promise<void> =>
      assert.equal((await chain.ledger.fails(p.owner.address, ...args(p, amount, deadline, signature))).name, 'InvalidSignature')
    const args = (p: Parties, amount: bigint, deadline: bigint, signature: string) =>
      ['close', p.signer.address, p.target.address, p.token, amount, deadline, signature] as const

    test('it has 65 bytes, or the 64 of EIP-2098', async () => {
      const p = await openChannel(chain, 100n)
      const deadline = await soon()
      const whole = await signClose(p, 90n, deadline, 0n)
      const wrong = ['0x', dataSlice(whole, 0, 63), concat([whole, '0x00']), concat([whole, whole])]
      for (const signature of wrong) await refuse(p, 90n, deadline, signature)
      for (const form of [(text: string) => text, compact]) {
        // both parities of v, by trying several amounts
        for (const amount of [10n, 20n, 30n, 40n]) {
          const q = await openChannel(chain, 100n)
          await close(q, amount, deadline, form(await signClose(q, amount, deadline, 0n)))
        }
      }
    })

    test('v is 27 or 28', async () => {
      const p = await openChannel(chain, 100n)
      const deadline = await soon()
      const { r, s } = Signature.from(await signClose(p, 40n, deadline, 0n))
      for (const v of [0, 1, 2, 26, 29, 35, 255]) await refuse(p, 40n, deadline, concat([r, s, toBeHex(v, 1)]))
    })

    test('the high-s twin of a signature is refused', async () => {
      const p = await openChannel(chain, 100n)
      const deadline = await soon()
      const { r, s, v } = Signature.from(await signClose(p, 40n, deadline, 0n))
      const twin = concat([r, toBeHex(ORDER - BigInt(s), 32), toBeHex(v === 27 ? 28 : 27, 1)])
      await refuse(p, 40n, deadline, twin)
    })
  })
})
