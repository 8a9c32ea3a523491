import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { getBytes, hexlify } from 'ethers'
import fc from 'fast-check'
import {
  type Ask,
  decodeAsk,
  decodeProgress,
  decodeQuote,
  encodeAsk,
  encodeProgress,
  encodeQuote,
  encodeRefusal,
  NO_HASH,
} from '../../../protocols/relay/codec.ts'
import * as protocol from '../../../protocols/relay/protocol.ts'
import vectors from '../../../protocols/relay/vectors/messages.json' with { type: 'json' }
import type { Amount } from '../../../src/core/amount.ts'
import { TallyError } from '../../../src/core/errors.ts'
import type { Address } from '../../../src/core/ids.ts'
import { requestId } from '../../../src/core/relay/request.ts'
import { checkRequest, type RelayRules } from '../../../src/core/relay/rules.ts'

const spec = readFileSync(new URL('../../../protocols/relay/SPEC.md', import.meta.url), 'utf8')
const { relay, ledger, tokens, maxGas, forwarder } = vectors.rules
const policy = { perCoin: 1n as Amount, marginPpm: 0n, minFee: 0n as Amount }
const rules: RelayRules = {
  relay: relay as Address,
  ledger: ledger as Address,
  domain: { ...forwarder, chainId: BigInt(forwarder.chainId), forwarder: forwarder.verifyingContract as Address },
  fees: new Map(tokens.map((token) => [token as Address, policy])),
  maxGas,
  lostGasPerHour: 0n,
}

/** Decodes, and checks the form as a relay does. */
function read(frame: Uint8Array): Ask {
  const ask = decodeAsk(frame)
  if (ask.ask === 'submit') checkRequest(rules, ask.signed)
  return ask
}

describe('the specification of relays', () => {
  test('says the same as the code', () => {
    assert.match(spec, /A request is at most 60,200 bytes, an answer at most 64/)
    assert.match(spec, /data \| u32, then at most 60,000/)
    assert.match(spec, /at most 10 asks\/s per peer, in bursts of at most 20, and at most 4 at once/)
    assert.match(spec, /within 20 s/)
    const { MAX_ASK_BYTES, MAX_ANSWER_BYTES, MAX_DATA_BYTES, ASK_RATE, MAX_AT_ONCE, EXCHANGE_TIMEOUT_MS } = protocol
    assert.deepEqual([MAX_ASK_BYTES, MAX_ANSWER_BYTES, MAX_DATA_BYTES], [60_200, 64, 60_000])
    assert.deepEqual([ASK_RATE, MAX_AT_ONCE, EXCHANGE_TIMEOUT_MS], [{ perSecond: 10, burst: 20 }, 4, 20_000])
    for (const [name, number] of [...Object.entries(protocol.ASKS)]) assert.ok(spec.includes(`| ${number} ${name} |`), name)
    for (const [name, number] of Object.entries(protocol.STATES)) assert.match(spec, new RegExp(`\\b${number} ${name}\\b`))
  })
})

describe('the vectors of relays', () => {
  for (const one of vectors.cases) {
    test(one.comment, () => {
      const frame = getBytes(one.encoded)
      if ('error' in one && one.error !== undefined) return assert.throws(() => read(frame), { code: one.error })
      const ask = read(frame)
      assert.equal(hexlify(encodeAsk(ask)), one.encoded)
      if (ask.ask === 'submit' && 'digest' in one) assert.equal(requestId(rules.domain, ask.signed.request), one.digest)
    })
  }
})

describe('codec of answers', () => {
  const quote = { fee: 12_345n as Amount, validS: 60, id: new Uint8Array(16).fill(9) }

  test('a quote and a state come back as they were', () => {
    assert.deepEqual(decodeQuote(encodeQuote(quote)), quote)
    for (const state of Object.keys(protocol.STATES) as (keyof typeof protocol.STATES)[])
      assert.deepEqual(decodeProgress(encodeProgress({ state, hash: NO_HASH })), { state, hash: NO_HASH })
  })

  test('a refusal is thrown as what it says; a number that nobody knows is a refusal', () => {
    assert.throws(() => decodeQuote(encodeRefusal(new TallyError('RELAY_FEE_LOW'))), { code: 'RELAY_FEE_LOW' })
    assert.throws(() => decodeProgress(Uint8Array.of(0xff, 0xff)), { code: 'PEER_REFUSED' })
    assert.throws(() => decodeProgress(Uint8Array.of(0, 7, 0)), { code: 'MALFORMED' })
    assert.throws(() => decodeProgress(Uint8Array.of(0, 0, 9, ...new Uint8Array(32))), { code: 'MALFORMED' })
    assert.throws(() => decodeQuote(new Uint8Array(65)), { code: 'FRAME_TOO_LARGE' })
  })

  test('hostile bytes give a TallyError that a peer may see, or decode to what has that one encoding', () => {
    const samples = vectors.cases.filter((one) => !('error' in one)).map(({ encoded }) => getBytes(encoded))
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 250 }),
      fc.tuple(fc.constantFrom(...samples), fc.nat(2_000), fc.integer({ min: 1, max: 255 })).map(([sample, place, change]) => {
        const copy = Uint8Array.from(sample)
        copy[place % copy.length] = (copy[place % copy.length] ?? 0) ^ change
        return copy
      }),
    )
    const check = (frame: Uint8Array, again: () => Uint8Array): void => {
      let bytes: Uint8Array
      try {
        bytes = again()
      } catch (thrown) {
        assert.ok(thrown instanceof TallyError && thrown.code !== 'INTERNAL', String(thrown))
        return
      }
      assert.deepEqual(bytes, Uint8Array.from(frame))
    }
    fc.assert(
      fc.property(hostile, (frame) => {
        check(frame, () => encodeAsk(decodeAsk(frame)))
        check(frame, () => encodeQuote(decodeQuote(frame)))
        check(frame, () => encodeProgress(decodeProgress(frame)))
      }),
      { numRuns: 3_000 },
    )
  })
})
