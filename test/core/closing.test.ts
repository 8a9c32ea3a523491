import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Amount, amount } from '../../src/core/amount.ts'
import { fromHex, toHex } from '../../src/core/bytes.ts'
import { type Closing, closingDigest, signClosing, verifyClosing } from '../../src/core/closing.ts'
import { signerOf } from '../../src/core/crypto/secp256k1.ts'
import { parseAddress, parseChannelId, type Seconds, seconds } from '../../src/core/ids.ts'
import { anyAmount, anyEpoch, anyTime, anyWord } from '../vector-cases/arbitrary.ts'
import { bytesOf, type Case, readVectors } from '../vector-cases/read.ts'
import { account, hashTyped } from '../vector-cases/reference.ts'

interface ClosingInput {
  readonly channel: string
  readonly amount: string
  readonly deadline: number
  readonly epoch: number
}

const { domain, valid, mustFail } = readVectors<Case<ClosingInput>>('ledger/vectors/closings')
const target = account(3)
const targetAddress = parseAddress(target.address)

function closingOf({ channel, amount: value, deadline, epoch }: ClosingInput): Closing {
  return { channel: parseChannelId(channel), amount: amount(BigInt(value)), deadline: seconds(deadline), epoch }
}

test('the digest of a closing is the one that ethers computes', () => {
  const anyClosing = fc.record({ channel: anyWord, amount: anyAmount, deadline: anyTime, epoch: anyEpoch })
  fc.assert(
    fc.property(anyClosing, (input) => toHex(closingDigest(domain, closingOf(input))) === hashTyped('Close', { ...input })),
  )
})

test('a closing with a field out of its range is refused', () => {
  const good = closingOf({ channel: `0x${'01'.repeat(32)}`, amount: '1', deadline: 1, epoch: 1 })
  const bad: Partial<Closing>[] = [
    { amount: (2n ** 96n) as Amount },
    { deadline: (2 ** 40) as Seconds },
    { epoch: 2 ** 24 },
    { epoch: -1 },
    { epoch: 0.5 },
  ]
  for (const change of bad) assert.throws(() => closingDigest(domain, { ...good, ...change }), { code: 'MALFORMED' })
})

describe('vectors of closings', () => {
  for (const { comment, input, digest, signature, signer } of valid) {
    test(comment, () => {
      const closing = closingOf(input)
      assert.equal(toHex(closingDigest(domain, closing)), digest)
      assert.deepEqual(signClosing(domain, closing, signerOf(fromHex(target.privateKey))), bytesOf(signature))
      assert.equal(signer, targetAddress)
      assert.equal(verifyClosing(domain, closing, bytesOf(signature), targetAddress), true)
    })
  }

  for (const { comment, input, signature } of mustFail) {
    test(`must fail: ${comment}`, () =>
      assert.equal(verifyClosing(domain, closingOf(input), bytesOf(signature), targetAddress), false))
  }
})
