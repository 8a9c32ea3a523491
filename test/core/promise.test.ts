import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Amount, amount } from '../../src/core/amount.ts'
import { ByteReader, ByteWriter, fromHex, toHex } from '../../src/core/bytes.ts'
import { addressOfKey, isPrivateKey, recoverAddress, signerOf } from '../../src/core/crypto/secp256k1.ts'
import { type ErrorCode, TallyError } from '../../src/core/errors.ts'
import { addressFromBytes, parseHash32 } from '../../src/core/ids.ts'
import {
  type ChannelParties,
  encodeRows,
  MAX_PROMISE_BYTES,
  namedOwner,
  preparePromises,
  readPromise,
  type SignedPromise,
  settleRow,
  writePromise,
} from '../../src/core/promise.ts'
import { anyAmount, anyLocks, anyParties } from '../vector-cases/arbitrary.ts'
import { bytesOf, type Case, given, lockOf, partiesOf, readVectors } from '../vector-cases/read.ts'
import {
  account,
  hashTyped,
  type LockInput,
  type Parties,
  promiseValue,
  type ShownInput,
  TYPES,
} from '../vector-cases/reference.ts'

interface PromiseInput {
  readonly parties: Parties
  readonly amount: string
  readonly locks: readonly LockInput[]
}

const { domain, valid, mustFail } = readVectors<Case<PromiseInput>>('ledger/vectors/promises')

const encode = (promise: SignedPromise): Uint8Array => writePromise(new ByteWriter(), promise).finish()

function decode(bytes: Uint8Array): SignedPromise {
  const reader = new ByteReader(bytes)
  const promise = readPromise(reader)
  reader.end()
  return promise
}

/** What a receiver makes of the bytes: the first code, or none. */
function judge(parties: ChannelParties, bytes: Uint8Array): ErrorCode | undefined {
  try {
    return preparePromises(domain, parties).verify(decode(bytes)) ? undefined : 'SIGNER_WRONG'
  } catch (thrown) {
    if (thrown instanceof TallyError) return thrown.code
    throw thrown
  }
}

describe('the digest of a promise', () => {
  test('is the one that ethers computes, whatever was hashed before on the same channel', () => {
    const changes = fc.array(fc.record({ amount: anyAmount, locks: anyLocks }), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(anyParties, changes, (parties, promises) => {
        const prepared = preparePromises(domain, partiesOf(parties))
        for (const { amount: value, locks } of promises) {
          const digest = prepared.digest(amount(BigInt(value)), locks.map(lockOf))
          assert.equal(toHex(digest), hashTyped('Promise', promiseValue(parties, value, locks)))
        }
      }),
    )
  })

  test('of two channels does not mix', () => {
    fc.assert(
      fc.property(anyParties, anyParties, anyAmount, (one, two, value) => {
        const [first, second] = [preparePromises(domain, partiesOf(one)), preparePromises(domain, partiesOf(two))]
        const before = toHex(first.digest(amount(BigInt(value)), []))
        second.digest(amount(1n), [])
        assert.equal(toHex(first.digest(amount(BigInt(value)), [])), before)
      }),
    )
  })

  test('is never made of an amount out of range, which would wrap round', () => {
    const prepared = preparePromises(domain, partiesOf(given(valid[0]).input.parties))
    for (const bad of [2n ** 96n, -1n]) assert.throws(() => prepared.digest(bad as Amount, []), { code: 'AMOUNT_INVALID' })
  })
})

test("a promise signed by ethers' Wallet.signTypedData is accepted, and ours has the same bytes", async () => {
  const wallet = account(2)
  const { input } = given(valid.find((one) => one.input.locks.length === 2))
  const typed = { ...domain, name: 'Tallystick', version: '1', verifyingContract: domain.ledger }
  const { name, version, chainId, verifyingContract } = typed
  const value = promiseValue(input.parties, input.amount, input.locks)
  const signature = fromHex(
    await wallet.signTypedData({ name, version, chainId, verifyingContract }, { Promise: [...TYPES.Promise] }, value),
  )
  const prepared = preparePromises(domain, partiesOf(input.parties))
  const ours = prepared.sign(amount(BigInt(input.amount)), input.locks.map(lockOf), signerOf(fromHex(wallet.privateKey)))
  assert.deepEqual(ours.signature, signature)
  assert.ok(prepared.verify(ours))
})

test('names no owner when the owner signs for itself', () => {
  const party = addressFromBytes(new Uint8Array(20).fill(1))
  const other = addressFromBytes(new Uint8Array(20).fill(2))
  assert.equal(namedOwner({ owner: party, signer: party, target: other, token: other }), `0x${'0'.repeat(40)}`)
  assert.equal(namedOwner({ owner: other, signer: party, target: other, token: other }), other)
})

describe('checking', () => {
  const anyKey = fc.uint8Array({ minLength: 32, maxLength: 32 }).filter(isPrivateKey)

  test('accepts the signer and nobody else, also after it has learnt the key of the signer', () => {
    fc.assert(
      fc.property(anyKey, anyKey, anyParties, anyAmount, anyLocks, (key, stranger, parties, value, locks) => {
        fc.pre(toHex(key) !== toHex(stranger))
        const prepared = preparePromises(domain, { ...partiesOf(parties), signer: addressOfKey(key) })
        const [base, list] = [amount(BigInt(value)), locks.map(lockOf)]
        const good = prepared.sign(base, list, signerOf(key))
        const bad = prepared.sign(base, list, signerOf(stranger))
        assert.deepEqual([bad, good, bad, good].map(prepared.verify), [false, true, false, true])
      }),
      { numRuns: 30 },
    )
  })

  test('refuses a good signature on any other amount', () => {
    const key = new Uint8Array(32).fill(1)
    const prepared = preparePromises(domain, { ...partiesOf(given(valid[0]).input.parties), signer: addressOfKey(key) })
    const { signature } = prepared.sign(amount(5n), [], signerOf(key))
    assert.equal(prepared.verify({ amount: amount(5n), locks: [], signature }), true)
    assert.equal(prepared.verify({ amount: amount(6n), locks: [], signature }), false)
  })
})

describe('bytes', () => {
  test('come back as the same promise', () => {
    const anySignature = fc.uint8Array({ minLength: 65, maxLength: 65 })
    fc.assert(
      fc.property(anyAmount, anyLocks, anySignature, (value, locks, signature) => {
        const promise = { amount: amount(BigInt(value)), locks: locks.map(lockOf), signature }
        const bytes = encode(promise)
        assert.ok(bytes.length <= MAX_PROMISE_BYTES)
        assert.deepEqual(decode(bytes), promise)
      }),
    )
  })

  test('from a stranger decode to the same bytes or are refused with a known code', () => {
    const random = fc.uint8Array({ maxLength: 4000 })
    const near = fc.tuple(fc.constantFrom(...valid), fc.nat(), fc.nat(255)).map(([one, at, value]) => {
      const bytes = bytesOf(one.encoded)
      bytes[at % bytes.length] = value
      return bytes
    })
    fc.assert(
      fc.property(fc.oneof(random, near), (bytes) => {
        try {
          assert.deepEqual(encode(decode(bytes)), bytes)
        } catch (thrown) {
          assert.ok(thrown instanceof TallyError && ['MALFORMED', 'LOCKS_REFUSED'].includes(thrown.code))
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('vectors of promises', () => {
  for (const { comment, input, encoded, digest, signature, signer } of valid) {
    test(comment, () => {
      const parties = partiesOf(input.parties)
      const prepared = preparePromises(domain, parties)
      const promise = { amount: amount(BigInt(input.amount)), locks: input.locks.map(lockOf), signature: bytesOf(signature) }
      assert.equal(toHex(prepared.digest(promise.amount, promise.locks)), digest)
      assert.equal(recoverAddress(bytesOf(digest), promise.signature), signer)
      assert.deepEqual(prepared.sign(promise.amount, promise.locks, signerOf(fromHex(account(2).privateKey))), promise)
      assert.equal(toHex(encode(promise)), encoded)
      assert.equal(judge(parties, bytesOf(encoded)), undefined)
    })
  }

  for (const { comment, input, encoded, error } of mustFail) {
    test(`must fail: ${comment}`, () => assert.equal(judge(partiesOf(input.parties), bytesOf(encoded)), error))
  }
})

describe('rows of a batch', () => {
  interface RowInput extends PromiseInput {
    readonly shown: readonly ShownInput[]
  }
  const rows = readVectors<Case<RowInput, { compact?: string }>>('ledger/vectors/rows')

  const rowOf = ({ input, signature }: (typeof rows.valid)[number], locks: readonly LockInput[]) => {
    const promise = { amount: amount(BigInt(input.amount)), locks: locks.map(lockOf), signature: bytesOf(signature) }
    const reveals = new Map(input.shown.map(({ anchor, word, k }) => [parseHash32(anchor), { word: fromHex(word), k }]))
    return settleRow(partiesOf(input.parties), promise, reveals)
  }

  for (const one of rows.valid) {
    test(`vector: ${one.comment}`, () => {
      const row = rowOf(one, one.input.shown)
      assert.equal(toHex(row.signature), one.compact)
      assert.equal(toHex(encodeRows([row])), one.encoded)
      assert.equal(row.owner, one.input.parties.owner === one.input.parties.signer ? undefined : one.input.parties.owner)
    })
  }

  for (const one of rows.mustFail) {
    test(`never writes a row that the ledger would not pay: ${one.comment}`, () => {
      let made: string | undefined
      try {
        made = toHex(encodeRows([rowOf(one, one.input.locks)]))
      } catch (thrown) {
        assert.ok(thrown instanceof TallyError && thrown.code === one.error)
      }
      assert.notEqual(made, one.encoded)
    })
  }

  test('stand one after the other', () => {
    const all = rows.valid.map((one) => rowOf(one, one.input.shown))
    assert.equal(toHex(encodeRows(all)), `0x${rows.valid.map((one) => given(one.encoded).slice(2)).join('')}`)
    assert.equal(encodeRows([]).length, 0)
  })

  test('are not made of a signature that is not canonical, or of part of a lock', () => {
    const [one] = rows.valid
    const row = rowOf(given(one), [])
    assert.throws(() => encodeRows([{ ...row, signature: bytesOf(given(one).signature) }]), { code: 'MALFORMED' })
    assert.throws(() => encodeRows([{ ...row, locks: new Uint8Array(52) }]), { code: 'MALFORMED' })
    assert.throws(() => encodeRows([{ ...row, locks: new Uint8Array(65 * 53) }]), { code: 'MALFORMED' })
    const bad = { amount: row.amount, locks: [], signature: new Uint8Array(65) }
    assert.throws(() => settleRow(partiesOf(given(one).input.parties), bad), { code: 'MALFORMED' })
  })
})
