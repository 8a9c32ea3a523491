import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { decodeFromPayee, decodeFromPayer, encodeMessage } from '../../../protocols/session/codec.ts'
import { MAX_SESSION_FRAME_BYTES, MAX_WAITING_BYTES, MESSAGES, RATES } from '../../../protocols/session/protocol.ts'
import type { Amount } from '../../../src/core/amount.ts'
import { TallyError } from '../../../src/core/errors.ts'
import type { SessionId } from '../../../src/core/ids.ts'
import { ZERO_METER } from '../../../src/core/meter.ts'
import type { Message } from '../../../src/core/session/messages.ts'
import { fromPayee, fromPayer } from './arbitraries.ts'
import { address, bytes, LARGEST_PROMISE, LOCKED_PROMISE, PAYEE_SAMPLES, PAYER_SAMPLES, SESSION } from './samples.ts'

const spec = readFileSync(new URL('../../../protocols/session/SPEC.md', import.meta.url), 'utf8')
const decoders = { payer: decodeFromPayer, payee: decodeFromPayee } as const

/** What a decoder makes of hostile bytes: a message, undefined, or a TallyError whose code a peer may see. Anything else is a bug. */
function judge(decode: (frame: Uint8Array) => Message | undefined, frame: Uint8Array): Message | undefined {
  try {
    return decode(frame)
  } catch (thrown) {
    assert.ok(thrown instanceof TallyError, `not a TallyError: ${String(thrown)}`)
    assert.ok(thrown.wire > 1, `${thrown.code} must not reach a peer`)
    return undefined
  }
}

describe('the table of messages', () => {
  const rows = [...spec.matchAll(/^\| (\d+) \| (\w+) \| (P|Y|both) \|.*\| ([\d,]+) \| [^|]*\|$/gm)]
  const fromSpec = rows.map(([, type, name, by, maxBytes]) => ({
    name,
    type: Number(type),
    by: by === 'P' ? 'payer' : by === 'Y' ? 'payee' : 'both',
    maxBytes: Number(maxBytes?.replace(',', '')),
  }))

  test('says the same as the code: numbers, senders, sizes', () => {
    const fromCode = Object.entries(MESSAGES).map(([name, kind]) => ({ name, ...kind }))
    assert.deepEqual(fromSpec, fromCode)
  })

  test('says the same as the code: frame, queue and rates', () => {
    assert.match(spec, /A frame is at most 8,192 bytes/)
    assert.equal(MAX_SESSION_FRAME_BYTES, 8192)
    assert.match(spec, /Rates per stream: hello 20\/s, release 2\/s, all others together 50,000\/s/)
    assert.deepEqual([RATES.hello.perSecond, RATES.release.perSecond, RATES.others.perSecond], [20, 2, 50_000])
    assert.match(spec, /cut when 1 MiB waits/)
    assert.equal(MAX_WAITING_BYTES, 1 << 20)
  })

  test('has only even numbers, each once, within a byte', () => {
    const types = Object.values(MESSAGES).map((kind) => kind.type)
    assert.ok(types.every((type) => type % 2 === 0 && type > 0 && type < 256))
    assert.equal(new Set(types).size, types.length)
  })
})

describe('every message', () => {
  test('of a payer comes back as it was, within its largest size', () => {
    fc.assert(
      fc.property(fromPayer, (message) => {
        const frame = encodeMessage(message)
        assert.ok(frame.length <= MESSAGES[message.type].maxBytes)
        assert.deepEqual(decodeFromPayer(frame), message)
      }),
      { numRuns: 300 },
    )
  })

  test('of a payee comes back as it was, within its largest size', () => {
    fc.assert(
      fc.property(fromPayee, (message) => {
        const frame = encodeMessage(message)
        assert.ok(frame.length <= MESSAGES[message.type].maxBytes)
        assert.deepEqual(decodeFromPayee(frame), message)
      }),
      { numRuns: 300 },
    )
  })

  test('has a sample', () => {
    const sampled = new Set([...PAYER_SAMPLES, ...PAYEE_SAMPLES].map(({ message }) => message.type))
    assert.deepEqual([...sampled].sort(), Object.keys(MESSAGES).sort())
  })

  test('is refused when it is cut short anywhere, and when a byte follows', () => {
    for (const [by, samples] of [
      ['payer', PAYER_SAMPLES],
      ['payee', PAYEE_SAMPLES],
    ] as const) {
      for (const { message, comment } of samples) {
        const frame = encodeMessage(message)
        for (let length = 0; length < frame.length; length += length < 100 ? 1 : 97) {
          assert.throws(() => decoders[by](frame.subarray(0, length)), { code: 'MALFORMED' }, `${comment} at ${length}`)
        }
        const longer = Uint8Array.of(...frame, 0)
        const code = longer.length > MESSAGES[message.type].maxBytes ? 'FRAME_TOO_LARGE' : 'MALFORMED'
        assert.throws(() => decoders[by](longer), { code }, comment)
      }
    }
  })

  test('from the wrong side is refused with WRONG_STATE', () => {
    for (const { message } of PAYER_SAMPLES) {
      if (message.type !== 'fault') assert.throws(() => decodeFromPayee(encodeMessage(message)), { code: 'WRONG_STATE' })
    }
    for (const { message } of PAYEE_SAMPLES) {
      if (message.type !== 'fault') assert.throws(() => decodeFromPayer(encodeMessage(message)), { code: 'WRONG_STATE' })
    }
  })

  test('for a session of all zeros is refused, except a fault: there it means the whole stream', () => {
    const zeros = `0x${'0'.repeat(32)}` as SessionId
    assert.throws(() => encodeMessage({ type: 'closing', session: zeros, reason: 0 }), { code: 'MALFORMED' })
    assert.throws(() => decodeFromPayee(Uint8Array.of(20, ...new Uint8Array(18))), { code: 'MALFORMED' })
    assert.deepEqual(decodeFromPayee(Uint8Array.of(26, ...new Uint8Array(16), 0, 5)), {
      type: 'fault',
      session: undefined,
      code: 5,
    })
  })
})

describe('types and sizes', () => {
  test('an unknown even type is UNSUPPORTED', () => {
    for (const type of [0, 38, 40, 254]) {
      assert.throws(() => decodeFromPayer(Uint8Array.of(type, 1, 2, 3)), { code: 'UNSUPPORTED' })
      assert.throws(() => decodeFromPayee(Uint8Array.of(type)), { code: 'UNSUPPORTED' })
    }
  })

  test('an unknown odd type is ignored, whatever follows', () => {
    for (const type of [1, 33, 255]) assert.equal(decodeFromPayer(Uint8Array.of(type, 9, 9)), undefined)
  })

  test('a message above the size of its type, or a frame above the largest, is FRAME_TOO_LARGE', () => {
    for (const [name, { type, by, maxBytes }] of Object.entries(MESSAGES)) {
      const decode = by === 'payee' ? decodeFromPayee : decodeFromPayer
      const frame = new Uint8Array(maxBytes + 1)
      frame[0] = type
      assert.throws(() => decode(frame), { code: 'FRAME_TOO_LARGE' }, name)
    }
    assert.throws(() => decodeFromPayer(new Uint8Array(MAX_SESSION_FRAME_BYTES + 1).fill(33)), { code: 'FRAME_TOO_LARGE' })
  })

  test('a promise is at most 200 bytes on the wire, with a chain too; a tick at most 64', () => {
    const prefix = 4
    const chained = { ...LOCKED_PROMISE, locks: LOCKED_PROMISE.locks.slice(0, 1) }
    const pay = { type: 'promise', session: SESSION, total: 1n as Amount } as const
    assert.ok(prefix + encodeMessage({ ...pay, promise: chained, salt: bytes(32) }).length <= 200)
    assert.ok(prefix + encodeMessage({ type: 'tick', session: SESSION, k: 1024, word: bytes(32) }).length <= 64)
  })

  test('refuses to encode what no field can hold', () => {
    const hello = {
      type: 'hello',
      session: SESSION,
      resume: false,
      owner: address('a1'),
      token: address('c1'),
      service: 'x',
      inputs: new Uint8Array(0),
      signed: 0n as Amount,
      acked: ZERO_METER,
    } as const
    const broken: Message[] = [
      { ...hello, inputs: new Uint8Array(1025) },
      { ...hello, service: 'x'.repeat(65) },
      { ...hello, signed: (1n << 96n) as Amount },
      { type: 'ack', session: SESSION, stream: -1, bytes: 0n, ms: 0n, final: false },
      { type: 'accept', session: SESSION, signature: new Uint8Array(64) },
      { type: 'release', owner: address('a1'), token: address('c1'), amount: 0n as Amount, epoch: 1 << 24 },
    ]
    for (const message of broken) assert.throws(() => encodeMessage(message), { code: 'MALFORMED' })
  })

  test('keeps no view on the frame it came in: a change of the bytes afterwards changes nothing', () => {
    const frame = encodeMessage({
      type: 'promise',
      session: SESSION,
      total: 1n as Amount,
      promise: LARGEST_PROMISE,
      salt: bytes(32),
    })
    const message = decodeFromPayer(frame)
    frame.fill(0)
    assert.deepEqual(message, { type: 'promise', session: SESSION, total: 1n, promise: LARGEST_PROMISE, salt: bytes(32) })
  })
})

describe('hostile bytes', () => {
  const types = [...Object.values(MESSAGES).map((kind) => kind.type), 1, 32]

  test('give a message or a TallyError with a number, never anything else', () => {
    const frame = fc
      .tuple(fc.constantFrom(...types), fc.uint8Array({ maxLength: 400 }))
      .map(([type, rest]) => Uint8Array.of(type, ...rest))
    fc.assert(
      fc.property(fc.oneof(frame, fc.uint8Array({ maxLength: 400 })), (hostile) => {
        judge(decodeFromPayer, hostile)
        judge(decodeFromPayee, hostile)
      }),
      { numRuns: 3000 },
    )
  })

  test('a message with one byte changed is refused, or is the only encoding of what it decodes to', () => {
    const samples = [...PAYER_SAMPLES, ...PAYEE_SAMPLES].map(({ message }) => encodeMessage(message))
    fc.assert(
      fc.property(fc.constantFrom(...samples), fc.nat(), fc.integer({ min: 1, max: 255 }), (sample, at, change) => {
        const frame = Uint8Array.from(sample)
        const index = at % frame.length
        frame[index] = (frame[index] ?? 0) ^ change
        for (const decode of [decodeFromPayer, decodeFromPayee]) {
          const message = judge(decode, frame)
          if (message !== undefined) assert.deepEqual(encodeMessage(message), frame)
        }
      }),
      { numRuns: 5000 },
    )
  })
})
