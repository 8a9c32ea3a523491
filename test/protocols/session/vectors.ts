// The vectors of the control stream, made from the samples. `npm run vectors` writes them; a test proves that they are up to date.
import { encodeMessage } from '../../../protocols/session/codec.ts'
import { MESSAGES } from '../../../protocols/session/protocol.ts'
import { toHex } from '../../../src/core/bytes.ts'
import type { ErrorCode } from '../../../src/core/errors.ts'
import type { Message } from '../../../src/core/session/messages.ts'
import { LOCKED_PROMISE, PAYEE_SAMPLES, PAYER_SAMPLES, SESSION } from './samples.ts'

export interface ValidCase {
  readonly comment: string
  readonly by: 'payer' | 'payee'
  readonly message: unknown
  readonly encoded: string
}

export interface BrokenCase {
  readonly comment: string
  readonly by: 'payer' | 'payee'
  readonly encoded: string
  /** the code that a receiver answers; 'ignored' for a message that is skipped */
  readonly error: ErrorCode | 'ignored'
}

export interface Vectors<Case> {
  readonly comment: string
  readonly cases: readonly Case[]
}

/** A value as JSON can hold it: counts and amounts as decimal text, bytes as hex, what is absent as null. */
export function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value === undefined) return null
  if (value instanceof Uint8Array) return toHex(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]))
  return value
}

function sample(type: Message['type'], comment: string): Uint8Array {
  const found = [...PAYER_SAMPLES, ...PAYEE_SAMPLES].find((one) => one.message.type === type && one.comment === comment)
  if (found === undefined) throw new Error(`no sample: ${comment}`)
  return encodeMessage(found.message)
}

/** The bytes with those at `at` replaced; negative counts from the end. */
function patched(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy.set(values, at < 0 ? copy.length + at : at)
  return copy
}

const sized = (type: Message['type'], length: number): Uint8Array =>
  patched(new Uint8Array(length).fill(1), 0, MESSAGES[type].type)

function brokenCases(): BrokenCase[] {
  const hello = sample('hello', 'hello, a new session')
  const ack = sample('ack', 'ack')
  const charge = sample('charge', 'charge, one call and 700 units')
  const agree = sample('agree', 'agree, to one call')
  const locked = encodeMessage({ type: 'restate', session: SESSION, promise: LOCKED_PROMISE })
  const terms = sample('terms', 'terms of a free service, no head')
  const receipt = sample('receipt', 'receipt')
  const cases: [comment: string, by: 'payer' | 'payee', encoded: Uint8Array, error: BrokenCase['error']][] = [
    ['an unknown even type', 'payer', Uint8Array.of(40, 1, 2, 3), 'UNSUPPORTED'],
    ['an even type that is not known', 'payer', Uint8Array.of(200), 'UNSUPPORTED'],
    ['a tick without all of its word', 'payer', sample('tick', 'tick').subarray(0, 50), 'MALFORMED'],
    ['a tick that is too long', 'payer', sized('tick', 52), 'FRAME_TOO_LARGE'],
    ['a tick of a payee', 'payee', sample('tick', 'tick'), 'WRONG_STATE'],
    ['a charge with a reserved flag', 'payee', patched(charge, -1, 2), 'MALFORMED'],
    ['a charge without its flags', 'payee', charge.subarray(0, 45), 'MALFORMED'],
    ['a charge of the session of all zeros', 'payee', patched(charge, 1, ...new Array(16).fill(0)), 'MALFORMED'],
    ['a charge that is too long', 'payee', sized('charge', 47), 'FRAME_TOO_LARGE'],
    ['a charge of a payer', 'payer', charge, 'WRONG_STATE'],
    ['an agree without all of its units', 'payer', agree.subarray(0, 44), 'MALFORMED'],
    ['an agree of the session of all zeros', 'payer', patched(agree, 1, ...new Array(16).fill(0)), 'MALFORMED'],
    ['an agree that is too long', 'payer', sized('agree', 46), 'FRAME_TOO_LARGE'],
    ['an agree of a payee', 'payee', agree, 'WRONG_STATE'],
    ['a promise with a lock and no salt', 'payer', sample('promise', 'promise with two locks').subarray(0, -32), 'MALFORMED'],
    [
      'a promise without a lock and with a salt',
      'payer',
      Buffer.concat([sample('promise', 'promise, as it is sent for each chunk'), new Uint8Array(32)]),
      'MALFORMED',
    ],
    ['an unknown odd type', 'payer', Uint8Array.of(41, 1, 2, 3), 'ignored'],
    ['terms sent by a payer', 'payer', terms, 'WRONG_STATE'],
    ['hello sent by a payee', 'payee', hello, 'WRONG_STATE'],
    ['a type and nothing else', 'payer', Uint8Array.of(14), 'MALFORMED'],
    ['a byte too few', 'payer', ack.subarray(0, -1), 'MALFORMED'],
    ['a byte too many', 'payer', Uint8Array.of(...hello, 0), 'MALFORMED'],
    ['ack above the size of its type', 'payer', sized('ack', MESSAGES.ack.maxBytes + 1), 'FRAME_TOO_LARGE'],
    ['promise above the size of its type', 'payer', sized('promise', MESSAGES.promise.maxBytes + 1), 'FRAME_TOO_LARGE'],
    ['hello with a reserved flag', 'payer', patched(hello, 17, 2), 'MALFORMED'],
    ['hello whose service is no name', 'payer', patched(hello, 59, 0x20), 'MALFORMED'],
    ['hello whose service is not UTF-8', 'payer', patched(hello, 59, 0xff), 'MALFORMED'],
    ['hello whose service is longer than the message', 'payer', patched(hello, 58, 0x40), 'MALFORMED'],
    ['hello whose service is longer than 64', 'payer', patched(hello, 58, 0x41), 'MALFORMED'],
    ['hello whose inputs are longer than 1,024', 'payer', patched(hello, 64, 0x04, 0x01), 'MALFORMED'],
    ['a session of all zeros', 'payer', patched(ack, 1, ...new Uint8Array(16)), 'MALFORMED'],
    ['ack with a reserved flag', 'payer', patched(ack, -1, 0x80), 'MALFORMED'],
    ['a lock count beyond the locks', 'payer', patched(locked, 94, 3), 'MALFORMED'],
    ['an anchor that stands twice', 'payer', patched(locked, 95 + 51, ...locked.subarray(95, 95 + 32)), 'LOCKS_REFUSED'],
    ['a lock without steps', 'payer', patched(locked, 95 + 44, 0, 0), 'LOCKS_REFUSED'],
    ['a lock with 1,025 steps', 'payer', patched(locked, 95 + 44, 0x04, 0x01), 'LOCKS_REFUSED'],
    ['65 locks', 'payer', patched(locked, 94, 65), 'LOCKS_REFUSED'],
    ['terms with a flag that promises a head', 'payee', patched(terms, 3 + inner(terms) + 65, 1), 'MALFORMED'],
    ['terms with a reserved flag', 'payee', patched(terms, 3 + inner(terms) + 65, 4), 'MALFORMED'],
    ['terms with a length that is one short', 'payee', patched(terms, 1, ...u16(inner(terms) - 1)), 'MALFORMED'],
    ['meter with a reserved flag', 'payee', patched(sample('meter', 'meter'), -1, 2), 'MALFORMED'],
    ['a receipt of another session than its message', 'payee', patched(receipt, 1, 0xee), 'MALFORMED'],
    ['a receipt of another length', 'payee', patched(receipt, 17, ...u16(150)), 'MALFORMED'],
  ]
  return cases.map(([comment, by, encoded, error]) => ({ comment, by, encoded: toHex(encoded), error }))
}

const u16 = (value: number): [number, number] => [value >>> 8, value & 0xff]

/** The length of the terms inside a terms message. */
const inner = (frame: Uint8Array): number => ((frame[1] ?? 0) << 8) | (frame[2] ?? 0)

/** What `protocols/session/vectors/messages.json` holds. */
export function sessionVectors(): Vectors<ValidCase | BrokenCase> {
  const valid = (by: 'payer' | 'payee', samples: readonly { comment: string; message: Message }[]): ValidCase[] =>
    samples.map(({ comment, message }) => ({ comment, by, message: plain(message), encoded: toHex(encodeMessage(message)) }))
  return {
    comment: 'Messages of the control stream: type byte and fields, without the length prefix of the frame.',
    cases: [...valid('payer', PAYER_SAMPLES), ...valid('payee', PAYEE_SAMPLES), ...brokenCases()],
  }
}
