import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { getBytes, hexlify, Interface } from 'ethers'
import fc from 'fast-check'
import ledger from '../../../protocols/ledger/generated/TallyLedger.json' with { type: 'json' }
import type { Amount } from '../../../src/core/amount.ts'
import { TallyError } from '../../../src/core/errors.ts'
import type { Address } from '../../../src/core/ids.ts'
import { decodeMulticall, encodeMulticall, feeCall, MAX_CALLS, RELAYED_CALLS, readCalls } from '../../../src/core/relay/calls.ts'

const abi = new Interface(ledger.abi)
const at = (digit: string) => `0x${digit.repeat(40)}` as Address
const [token, relay, other] = [at('a'), at('b'), at('c')] as const
const call = (name: string, ...args: readonly unknown[]): Uint8Array => getBytes(abi.encodeFunctionData(name, [...args]))
const fee = (amount = 5n, to: Address = relay) => feeCall({ token, to, amount: amount as Amount })

describe('the calls of a request', () => {
  test('every function that a relay hands in is one of the ledger, and its token is where the list says', () => {
    for (const [signature, word] of Object.entries(RELAYED_CALLS)) {
      const fragment = abi.getFunction(signature)
      assert.ok(fragment, signature)
      assert.equal(fragment.inputs[word]?.name, 'token', signature)
    }
  })

  test('are encoded as every other encoder does it', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: MAX_CALLS }), (calls) => {
        const data = encodeMulticall(calls)
        assert.equal(hexlify(data), abi.encodeFunctionData('multicall', [calls]))
        assert.deepEqual(decodeMulticall(data), calls)
      }),
      { numRuns: 200 },
    )
    assert.equal(hexlify(fee()), abi.encodeFunctionData('transfer', [token, relay, 5n]))
  })

  test('name their tokens and the fee at their end', () => {
    const calls = [call('sweep', other, token), call('open', other, relay, token, 7n, 9n), fee()]
    assert.deepEqual(readCalls(encodeMulticall(calls)), { tokens: [token], fee: { token, to: relay, amount: 5n } })
    const two = [call('withdraw', other, relay, 7n), fee()]
    assert.deepEqual(readCalls(encodeMulticall(two)).tokens, [other, token])
  })

  const refused: readonly (readonly [string, Uint8Array])[] = [
    ['nothing', new Uint8Array(0)],
    ['a call that is no multicall', call('sweep', other, token)],
    ['the fee alone', encodeMulticall([fee()])],
    ['no fee at the end', encodeMulticall([fee(), call('sweep', other, token)])],
    ['a multicall inside', encodeMulticall([encodeMulticall([call('sweep', other, token)]), fee()])],
    [
      'an acceptance that asks a contract',
      encodeMulticall([call('acceptPayoutWithSignature', other, token, relay, 9n, '0x'), fee()]),
    ],
    ['more than 8 calls', encodeMulticall([...Array.from({ length: 8 }, () => call('sweep', other, token)), fee()])],
    ['a call of three bytes', encodeMulticall([new Uint8Array(3), fee()])],
    ['a call without its token', encodeMulticall([call('sweep', other, token).slice(0, 40), fee()])],
    ['a fee with a byte more', encodeMulticall([call('sweep', other, token), Uint8Array.of(...fee(), 0)])],
    ['a byte behind the calls', Uint8Array.of(...encodeMulticall([call('sweep', other, token), fee()]), 0)],
  ]
  for (const [what, data] of refused)
    test(`${what} is refused`, () => assert.throws(() => readCalls(data), { code: 'RELAY_CALL_REFUSED' }))

  test('a token with dirt above its address is refused: decoders read it differently', () => {
    const dirty = call('sweep', other, token)
    dirty[4 + 32] = 1
    assert.throws(() => readCalls(encodeMulticall([dirty, fee()])), { code: 'RELAY_CALL_REFUSED' })
  })

  test('hostile bytes are refused, or have this one form', () => {
    const sample = encodeMulticall([call('sweep', other, token), call('open', other, relay, token, 7n, 9n), fee()])
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.tuple(fc.nat(sample.length - 1), fc.integer({ min: 1, max: 255 })).map(([place, change]) => {
        const copy = Uint8Array.from(sample)
        copy[place] = (copy[place] ?? 0) ^ change
        return copy
      }),
    )
    fc.assert(
      fc.property(hostile, (data) => {
        try {
          assert.deepEqual(encodeMulticall(decodeMulticall(data)), data)
          readCalls(data)
        } catch (thrown) {
          assert.ok(thrown instanceof TallyError && thrown.code === 'RELAY_CALL_REFUSED', String(thrown))
        }
      }),
      { numRuns: 3_000 },
    )
  })
})
