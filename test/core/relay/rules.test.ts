import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { getBytes, Interface, TypedDataEncoder } from 'ethers'
import fc from 'fast-check'
import ledgerArtefact from '../../../protocols/ledger/generated/TallyLedger.json' with { type: 'json' }
import type { Amount } from '../../../src/core/amount.ts'
import { addressOfKey, sign } from '../../../src/core/crypto/secp256k1.ts'
import type { ErrorCode } from '../../../src/core/errors.ts'
import type { Address, Seconds } from '../../../src/core/ids.ts'
import { encodeMulticall, feeCall } from '../../../src/core/relay/calls.ts'
import { costOf, type FeePolicy, feeOf, gasAtMost } from '../../../src/core/relay/fees.ts'
import { type ForwardRequest, forwardDigest, type SignedForward } from '../../../src/core/relay/request.ts'
import {
  afterEnd,
  barredUntil,
  checkFacts,
  checkRequest,
  FIRST_BAR_S,
  NEW_SIGNER,
  type RelayFacts,
  type RelayRules,
} from '../../../src/core/relay/rules.ts'

const abi = new Interface(ledgerArtefact.abi)
const key = new Uint8Array(32).fill(7)
const from = addressOfKey(key)
const at = (digit: string) => `0x${digit.repeat(40)}` as Address
const [token, relay, ledger, forwarder] = [at('a'), at('b'), at('c'), at('d')] as const
const GWEI = 10n ** 9n
const policy: FeePolicy = { perCoin: 3_000_000_000n as Amount, marginPpm: 300_000n, minFee: 10_000n as Amount }
const domain = { name: 'Tallystick Forwarder', version: '1', chainId: 31337n, forwarder }
const rules: RelayRules = {
  relay, ledger, domain, fees: new Map([[token, policy]]), maxGas: 1_000_000, lostGasPerHour: 500_000n,
} // biome-ignore format: a record
const NOW = 1_800_000_000 as Seconds

interface Given {
  readonly request?: Partial<ForwardRequest>
  readonly fee?: { readonly amount?: bigint; readonly to?: Address; readonly token?: Address }
  readonly moved?: Address
  readonly facts?: Partial<RelayFacts>
  readonly by?: Uint8Array
}

function signedOf({ request, fee = {}, moved = token, by = key }: Given): SignedForward {
  const paid = { token, to: relay, amount: 1_000_000n as Amount, ...fee } as Parameters<typeof feeCall>[0]
  const data = encodeMulticall([getBytes(abi.encodeFunctionData('sweep', [from, moved])), feeCall(paid)])
  const full = { from, to: ledger, gas: 200_000, nonce: 3n, deadline: (NOW + 300) as Seconds, data, ...request }
  return { request: full, signature: sign(forwardDigest(domain, full), by) }
}

function judge(given: Given): void {
  const signed = signedOf(given)
  const calls = checkRequest(rules, signed)
  const facts = { nowS: NOW, nonce: 3n, gasPriceWei: GWEI, signer: NEW_SIGNER, lostGas: 0n, ...given.facts }
  checkFacts(rules, signed, calls, facts)
}

const fails = (given: Given, code: ErrorCode) => assert.throws(() => judge(given), { code })

describe('a relay', () => {
  test('hands in what is for its ledger, in its token, pays it, and is signed', () => judge({}))

  test('signs and reads what EIP-712 says', () => {
    const { request } = signedOf({})
    const types = {
      ForwardRequest: [
        ['address', 'from'], ['address', 'to'], ['uint256', 'value'], ['uint256', 'gas'], ['uint256', 'nonce'], ['uint48', 'deadline'], ['bytes', 'data'],
      ].map(([type = '', name = '']) => ({ type, name })),
    } // biome-ignore format: a table
    const { name, version, chainId } = domain
    const expected = TypedDataEncoder.hash({ name, version, chainId, verifyingContract: forwarder }, types, {
      ...request,
      value: 0n,
    })
    assert.deepEqual(forwardDigest(domain, request), getBytes(expected))
  })

  test('refuses another contract, too much gas, a fee for somebody else, a token that it does not know', () => {
    fails({ request: { to: token } }, 'RELAY_CALL_REFUSED')
    fails({ request: { to: forwarder } }, 'RELAY_CALL_REFUSED')
    fails({ request: { gas: 1_000_001 } }, 'RELAY_CALL_REFUSED')
    fails({ request: { gas: 0 } }, 'RELAY_CALL_REFUSED')
    fails({ fee: { to: from } }, 'RELAY_CALL_REFUSED')
    fails({ fee: { token: ledger } }, 'RELAY_CALL_REFUSED')
    fails({ moved: ledger }, 'RELAY_CALL_REFUSED')
  })

  test('refuses what somebody else has signed, or what was changed after it was signed', () => {
    fails({ by: new Uint8Array(32).fill(8) }, 'RELAY_SIGNATURE')
    const { request, signature } = signedOf({})
    for (const change of [{ gas: 200_001 }, { nonce: 4n }, { deadline: (NOW + 301) as Seconds }, { from: ledger }, { data: signedOf({ fee: { amount: 2n } }).request.data }])
      assert.throws(() => checkRequest(rules, { request: { ...request, ...change }, signature }), { code: 'RELAY_SIGNATURE' }) // biome-ignore format: a list
    assert.throws(() => checkRequest({ ...rules, domain: { ...domain, chainId: 1n } }, { request, signature }), {
      code: 'RELAY_SIGNATURE',
    })
  })

  test('takes a deadline from 60 s to an hour ahead by the clock of the chain', () => {
    const until = (s: number) => ({ request: { deadline: (NOW + s) as Seconds } })
    judge(until(60))
    judge(until(3_600))
    fails(until(59), 'RELAY_DEADLINE')
    fails(until(3_601), 'RELAY_DEADLINE')
    fails(until(-1), 'RELAY_DEADLINE')
  })

  test('takes only the next number of the signer', () => {
    fails({ facts: { nonce: 2n } }, 'RELAY_NONCE')
    fails({ facts: { nonce: 4n } }, 'RELAY_NONCE')
  })

  test('refuses a signer whose request failed for an hour, four times as long after each further one, at most 30 days', () => {
    const once = afterEnd(NEW_SIGNER, false, NOW)
    assert.equal(barredUntil(NEW_SIGNER), 0)
    assert.equal(barredUntil(once), NOW + FIRST_BAR_S)
    assert.equal(barredUntil(afterEnd(once, false, NOW)), NOW + 4 * FIRST_BAR_S)
    assert.equal(barredUntil({ done: 0, failed: 50, failedAt: NOW }), NOW + 30 * 86_400)
    fails({ facts: { signer: once } }, 'RELAY_SIGNER_BARRED')
    judge({ facts: { signer: { ...once, failedAt: (NOW - FIRST_BAR_S) as Seconds } } })
  })

  test('lets unknown signers lose no more than so much gas in an hour, all together; who is known goes on', () => {
    fails({ facts: { lostGas: 500_000n } }, 'BUSY')
    judge({ facts: { lostGas: 500_000n, signer: afterEnd(NEW_SIGNER, true, NOW) } })
  })

  test('keeps its quote while that covers the gas, and asks what gas costs now otherwise', () => {
    const { request } = signedOf({})
    const gas = gasAtMost(request.gas, request.data.length)
    const cost = costOf(policy, gas, GWEI)
    const quoted = { token, gas: 200_000, bytes: request.data.length, fee: feeOf(policy, gas, GWEI) }
    judge({ fee: { amount: quoted.fee }, facts: { quoted } })
    fails({ fee: { amount: quoted.fee - 1n }, facts: { quoted } }, 'RELAY_FEE_LOW')
    // the price jumps: within the margin the word is kept, beyond it the relay would lose
    judge({ fee: { amount: quoted.fee }, facts: { quoted, gasPriceWei: (GWEI * 129n) / 100n } })
    fails({ fee: { amount: quoted.fee }, facts: { quoted, gasPriceWei: (GWEI * 131n) / 100n } }, 'RELAY_FEE_LOW')
    // no quote, or one for less: the cost, at least
    judge({ fee: { amount: cost } })
    fails({ fee: { amount: cost - 1n } }, 'RELAY_FEE_LOW')
    judge({ fee: { amount: cost }, facts: { quoted: { ...quoted, gas: 199_999 } } })
    fails({ fee: { amount: policy.minFee - 1n }, facts: { gasPriceWei: 1n } }, 'RELAY_FEE_LOW')
  })
})

describe('fees', () => {
  test('cover the cost and the margin, rounded up, for whatever gas costs', () => {
    fc.assert(
      fc.property(fc.bigInt(1n, 10n ** 8n), fc.bigInt(0n, 10n ** 13n), fc.bigInt(0n, 10_000_000n), (gas, price, marginPpm) => {
        const one = { ...policy, marginPpm }
        const [cost, fee] = [costOf(one, gas, price), feeOf(one, gas, price)]
        assert.ok(cost * 10n ** 18n >= gas * price * one.perCoin)
        assert.ok(fee >= cost && fee >= one.minFee)
        assert.ok(fee === one.minFee || (fee - cost) * 1_000_000n >= cost * marginPpm)
      }),
    )
  })

  test('end where amounts end', () => assert.equal(feeOf(policy, 2n ** 90n, 2n ** 90n), 2n ** 96n - 1n))
})
