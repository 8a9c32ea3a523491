import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { decodeFromHopPayee, decodeFromHopPayer, encodeClearing } from '../../../protocols/clearing/codec.ts'
import {
  CLEARING_MESSAGES,
  CLEARING_PROTOCOL,
  CLEARING_RATES,
  MAX_CLEARING_FRAME_BYTES,
  MAX_ONWARD_HOPS,
} from '../../../protocols/clearing/protocol.ts'
import { TallyError } from '../../../src/core/errors.ts'
import { clearingVectors, SAMPLES } from './samples.ts'

const spec = readFileSync(new URL('../../../protocols/clearing/SPEC.md', import.meta.url), 'utf8')
const decoders = { payer: decodeFromHopPayer, payee: decodeFromHopPayee } as const

describe('the specification of clearing', () => {
  test('says the same as the code: numbers, senders, sizes, rates', () => {
    assert.ok(spec.startsWith(`# \`${CLEARING_PROTOCOL}\`\n`))
    const rows = [...spec.matchAll(/^\| (\d+) \| (\w+) \| (P|Y|both) \|.*\| ([\d,]+) \| [^|]*\|$/gm)]
    const by = { P: 'payer', Y: 'payee', both: 'both' } as const
    assert.deepEqual(
      rows.map(([, type, name, who, size]) => ({
        name, type: Number(type), by: by[who as 'P'], maxBytes: Number(size?.replace(',', '')),
      })), // biome-ignore format: a record
      Object.entries(CLEARING_MESSAGES).map(([name, kind]) => ({ name, ...kind })),
    )
    const { link, clear, others } = CLEARING_RATES
    assert.ok(spec.includes(`link ${link.perSecond}/s, clear ${clear.perSecond}/s`))
    assert.match(spec, new RegExp(`others together ${others.perSecond}/s`))
    assert.ok(spec.includes(`At most ${MAX_ONWARD_HOPS} onward hops`))
    assert.equal(MAX_CLEARING_FRAME_BYTES, Math.max(...Object.values(CLEARING_MESSAGES).map(({ maxBytes }) => maxBytes)))
  })
})

describe('every message of a hop', () => {
  for (const { comment, by, message } of SAMPLES) {
    test(`comes back as it was, within its largest size: ${comment}`, () => {
      const frame = encodeClearing(message)
      assert.ok(frame.length <= CLEARING_MESSAGES[message.type].maxBytes)
      assert.deepEqual(decoders[by](frame), message)
    })
  }
  for (const one of clearingVectors().cases) {
    if (!('error' in one)) continue
    test(`is refused when broken: ${one.comment}`, () => {
      const decode = () => decoders[one.by](new Uint8Array(Buffer.from(one.encoded.slice(2), 'hex')))
      if (one.error === 'ignored') assert.equal(decode(), undefined)
      else assert.throws(decode, { code: one.error })
    })
  }
  test('no bytes do more than be refused, and what is accepted has one form', () => {
    const seeds = SAMPLES.map(({ message }) => encodeClearing(message))
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.record({ seed: fc.constantFrom(...seeds), at: fc.nat(300), value: fc.integer({ min: 0, max: 255 }) }).map(({ seed, at, value }) => {
        const copy = Uint8Array.from(seed)
        copy[at % copy.length] = value
        return copy
      }),
    ) // biome-ignore format: one expression
    fc.assert(
      fc.property(hostile, fc.constantFrom<'payer' | 'payee'>('payer', 'payee'), (frame, by) => {
        try {
          const message = decoders[by](frame)
          if (message !== undefined) assert.deepEqual(encodeClearing(message), frame)
        } catch (thrown) {
          assert.ok(thrown instanceof TallyError && thrown.wire > 1, String(thrown))
        }
      }),
      { numRuns: 3_000 },
    )
  })
})
