import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { publicKeyOf, signerOf } from '../../src/core/crypto/secp256k1.ts'
import { CheckPool, type SignatureCheck } from '../../src/session/check-pool.ts'

/** Checks of which every third has a signature that is not its key's, with what each must answer. */
function checksOf(count: number): { checks: SignatureCheck[]; expected: boolean[] } {
  const key = randomBytes(32)
  const [sign, publicKey] = [signerOf(key), publicKeyOf(key)]
  const expected = Array.from({ length: count }, (_, i) => i % 3 !== 1)
  const checks = expected.map((good) => {
    const digest = randomBytes(32)
    return { digest, signature: sign(good ? digest : randomBytes(32)), publicKey, isGood: undefined }
  })
  return { checks, expected }
}

const answers = (checks: readonly SignatureCheck[]): (boolean | undefined)[] => checks.map(({ isGood }) => isGood)
const noLoss = (error: unknown): void => assert.fail(String(error))

describe('signature checks beside the main thread', () => {
  for (const threads of [0, 1, 3])
    test(`each check has its own answer, with ${threads} threads`, async () => {
      const pool = new CheckPool({ threads, onLost: noLoss })
      const parts = [1, 30, 300].map(checksOf)
      await Promise.all(parts.map(({ checks }) => pool.check(checks)))
      for (const { checks, expected } of parts) assert.deepEqual(answers(checks), expected)
      await pool.stop()
    })

  test('work that ended threads held is done, and so is what comes after them', async () => {
    const pool = new CheckPool({ threads: 2, onLost: noLoss })
    const { checks, expected } = checksOf(300)
    const done = pool.check(checks)
    await new Promise((resolve) => setImmediate(resolve))
    await pool.stop()
    await done
    assert.deepEqual(answers(checks), expected)
    const later = checksOf(100)
    await pool.check(later.checks)
    assert.deepEqual(answers(later.checks), later.expected)
  })

  test('nothing to check is done at once', async () => {
    await new CheckPool({ threads: 1, onLost: noLoss }).check([])
  })
})
