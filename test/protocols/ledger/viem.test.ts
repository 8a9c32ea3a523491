import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Wallet } from 'ethers'
import { concat, type Hex, hashTypedData, keccak256, pad, parseSignature, toHex, zeroHash } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { type Chain, LEDGER, openChannel, type Parties, readBalance, readChannel, startChain } from './fixture.ts'

/** Promises and closings as viem hashes and signs them, after SPEC.md and with nothing of ours. */
const domain = { name: 'Tallystick', version: '1', chainId: 31337, verifyingContract: LEDGER as Hex } as const
const types = {
  Promise: [
    { name: 'owner', type: 'address' },
    { name: 'target', type: 'address' },
    { name: 'token', type: 'address' },
    { name: 'amount', type: 'uint96' },
    { name: 'locks', type: 'bytes32' },
  ],
  Close: [
    { name: 'channel', type: 'bytes32' },
    { name: 'amount', type: 'uint96' },
    { name: 'deadline', type: 'uint40' },
    { name: 'epoch', type: 'uint24' },
  ],
} as const

describe('ledger promises signed by viem', () => {
  let chain: Chain
  before(async () => {
    chain = await startChain()
  })
  after(() => chain.stop())

  const key = generatePrivateKey()
  const signer = privateKeyToAccount(key)

  const typedPromise = (p: Parties, owner: Hex, amount: bigint, locks: Hex) =>
    ({
      domain,
      types,
      primaryType: 'Promise',
      message: { owner, target: p.target.address as Hex, token: p.token as Hex, amount, locks },
    }) as const

  function compact(signature: Hex): Hex {
    const { r, s, yParity } = parseSignature(signature)
    return concat([r, toHex(BigInt(s) | (BigInt(yParity) << 255n), { size: 32 })])
  }

  const settle = (p: Parties, row: Hex) => chain.ledger.send(p.target.address, 'settle', p.target.address, p.token, row)

  test('a promise without locks, which names no owner, settles', async () => {
    const own = new Wallet(key)
    const p = await openChannel(chain, 100n, { owner: own, signer: own })
    const signature = await signer.signTypedData(typedPromise(p, pad('0x', { size: 20 }), 40n, zeroHash))
    await settle(p, concat(['0x00', toHex(40n, { size: 12 }), compact(signature)]))
    assert.equal(await readBalance(chain, p.target.address), 40n)
  })

  test('a promise with locks, of a signer that is not the owner, settles', async () => {
    const p = await openChannel(chain, 100n, { signer: new Wallet(key) })
    const word = keccak256('0x01')
    const terms = (unit: bigint): Hex => concat([toHex(unit, { size: 12 }), toHex(4, { size: 2 }), toHex(0, { size: 5 })])
    // the first lock is shown two steps deep, the second not at all
    const signed = concat([keccak256(keccak256(word)), terms(7n), word, terms(9n)])
    const shown = concat([word, toHex(2, { size: 2 }), terms(7n), word, toHex(0, { size: 2 }), terms(9n)])
    const typed = typedPromise(p, p.owner.address as Hex, 40n, keccak256(signed))
    const row = concat([
      '0x03',
      toHex(40n, { size: 12 }),
      compact(await signer.sign({ hash: hashTypedData(typed) })),
      p.owner.address as Hex,
      '0x02',
      shown,
    ])
    await settle(p, row)
    assert.equal(await readBalance(chain, p.target.address), 54n)
  })

  test('a Close ends the epoch', async () => {
    const p = await openChannel(chain, 100n, { target: new Wallet(key) })
    const deadline = (await chain.now()) + 3600n
    const message = { channel: p.id as Hex, amount: 30n, deadline: Number(deadline), epoch: 0 }
    const signature = await signer.signTypedData({ domain, types, primaryType: 'Close', message })
    await chain.ledger.send(p.owner.address, 'close', p.signer.address, p.target.address, p.token, 30n, deadline, signature)
    assert.equal((await readChannel(chain, p.id)).epoch, 1n)
    assert.equal(await readBalance(chain, p.target.address), 30n)
  })
})
