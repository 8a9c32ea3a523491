// One message of every kind, with every optional part there and absent: for vectors, round trips and the wire.
import type { Amount } from '../../../src/core/amount.ts'
import type { Address, ChannelId, Hash32, Seconds, SessionId } from '../../../src/core/ids.ts'
import type { Lock } from '../../../src/core/lock.ts'
import { MAX_COUNT, type Meter, meterOf, ZERO_METER } from '../../../src/core/meter.ts'
import { FREE, priceOf } from '../../../src/core/price.ts'
import type { SignedPromise } from '../../../src/core/promise.ts'
import type { FromPayee, FromPayer } from '../../../src/core/session/messages.ts'
import type { Terms } from '../../../src/core/terms.ts'

const hex = (byte: string, length: number): `0x${string}` => `0x${byte.repeat(length)}`
export const address = (byte: string): Address => hex(byte, 20) as Address
export const bytes = (length: number, first = 1): Uint8Array => Uint8Array.from({ length }, (_, i) => (first + i) % 256)

export const SESSION = '0x000102030405060708090a0b0c0d0e0f' as SessionId
export const OTHER_SESSION = hex('ff', 16) as SessionId
const MAX_AMOUNT = ((1n << 96n) - 1n) as Amount
const METER: Meter = meterOf({ down: 1_048_576n, up: 512n, ms: 60_000n, calls: 3n, units: 7n })
const MAX_METER: Meter = { down: MAX_COUNT, up: MAX_COUNT, ms: MAX_COUNT, calls: MAX_COUNT, units: MAX_COUNT }

const lock = (index: number): Lock => ({
  anchor: `0x${index.toString(16).padStart(64, '0')}` as Hash32,
  unit: 1_000n as Amount,
  steps: 1024,
  expiry: 1_900_000_000 as Seconds,
})
export const PLAIN_PROMISE: SignedPromise = { amount: 123_456_789n as Amount, locks: [], signature: bytes(65) }
export const LOCKED_PROMISE: SignedPromise = { amount: 5n as Amount, locks: [lock(1), lock(2)], signature: bytes(65, 9) }
export const LARGEST_PROMISE: SignedPromise = {
  amount: MAX_AMOUNT,
  locks: Array.from({ length: 64 }, (_, i) => lock(i + 1)),
  signature: bytes(65, 190),
}

const FREE_TERMS: Terms = {
  session: SESSION,
  owner: address('a1'),
  signer: address('a2'),
  provider: address('b1'),
  token: address('c1'),
  service: 'clock',
  offerSequence: 1n,
  price: FREE,
  chunk: { kind: 'calls', size: 1n },
  arrears: 0n as Amount,
  patienceMs: 0,
  opened: 1_700_000_000 as Seconds,
  expiry: 1_700_003_600 as Seconds,
  content: new Uint8Array(0),
}

export const TERMS: Terms = {
  ...FREE_TERMS,
  service: 'files',
  offerSequence: 42n,
  price: priceOf([{ kind: 'down', amount: 10_000n as Amount, per: 1_048_576n }]),
  chunk: { kind: 'down', size: 1_048_576n },
  arrears: 77n as Amount,
  patienceMs: 30_000,
  content: bytes(40),
}

export const LARGEST_TERMS: Terms = {
  ...TERMS,
  service: 'z'.repeat(64),
  offerSequence: MAX_COUNT,
  price: priceOf(
    (['down', 'up', 'ms', 'calls', 'units'] as const).map((kind) => ({ kind, amount: MAX_AMOUNT, per: MAX_COUNT })),
    'u'.repeat(32),
  ),
  chunk: { kind: 'units', size: MAX_COUNT },
  arrears: MAX_AMOUNT,
  patienceMs: 0xffff_ffff,
  opened: (2 ** 40 - 1) as Seconds,
  expiry: (2 ** 40 - 1) as Seconds,
  content: bytes(1024),
}

export interface Sample<M> {
  readonly comment: string
  readonly message: M
}

const session = SESSION

export const PAYER_SAMPLES: readonly Sample<FromPayer>[] = [
  {
    comment: 'hello, a new session',
    message: {
      type: 'hello',
      session,
      resume: false,
      owner: address('a1'),
      token: address('c1'),
      service: 'files',
      inputs: bytes(12),
      signed: 99n as Amount,
      acked: ZERO_METER,
    },
  },
  {
    comment: 'hello, resumed, with the largest service name and inputs',
    message: {
      type: 'hello',
      session,
      resume: true,
      owner: address('a1'),
      token: address('c1'),
      service: 's'.repeat(64),
      inputs: bytes(1024),
      signed: MAX_AMOUNT,
      acked: MAX_METER,
    },
  },
  { comment: 'restate', message: { type: 'restate', session, promise: PLAIN_PROMISE } },
  {
    comment: 'restate, with as many locks as a promise can hold',
    message: { type: 'restate', session, promise: LARGEST_PROMISE },
  },
  { comment: 'accept', message: { type: 'accept', session, signature: bytes(65) } },
  {
    comment: 'promise, as it is sent for each chunk',
    message: { type: 'promise', session, total: 10_000n as Amount, promise: PLAIN_PROMISE },
  },
  {
    comment: 'promise with two locks',
    message: { type: 'promise', session, total: 1n as Amount, promise: LOCKED_PROMISE, salt: bytes(32, 4) },
  },
  { comment: 'tick', message: { type: 'tick', session, k: 1, word: bytes(32, 6) } },
  {
    comment: 'tick, the last of the longest chain',
    message: { type: 'tick', session: OTHER_SESSION, k: 1024, word: bytes(32, 7) },
  },
  {
    comment: 'promise, the largest',
    message: { type: 'promise', session, total: MAX_AMOUNT, promise: LARGEST_PROMISE, salt: bytes(32, 5) },
  },
  { comment: 'ack', message: { type: 'ack', session, stream: 1, bytes: 65_536n, ms: 1_500n, final: false } },
  {
    comment: 'ack, the last of its stream',
    message: { type: 'ack', session, stream: 0xffff_ffff, bytes: MAX_COUNT, ms: MAX_COUNT, final: true },
  },
  {
    comment: 'agree, to one call',
    message: { type: 'agree', session, stream: 1, up: 0n, calls: 1n, units: 0n },
  },
  {
    comment: 'agree, the most of everything',
    message: { type: 'agree', session: OTHER_SESSION, stream: 0xffff_ffff, up: MAX_COUNT, calls: MAX_COUNT, units: MAX_COUNT },
  },
  { comment: 'close, completed', message: { type: 'close', session, total: 10_000n as Amount, acked: METER, reason: 0 } },
  {
    comment: 'close, with a reason',
    message: { type: 'close', session: OTHER_SESSION, total: 1n as Amount, acked: MAX_METER, reason: 204 },
  },
  { comment: 'countersign', message: { type: 'countersign', session, signature: bytes(65, 3) } },
  { comment: 'fault of one session', message: { type: 'fault', session, code: 201 } },
  { comment: 'fault of the whole stream', message: { type: 'fault', session: undefined, code: 3 } },
  {
    comment: 'release',
    message: { type: 'release', owner: address('a1'), token: address('c1'), amount: 10_000n as Amount, epoch: 0xff_ffff },
  },
]

export const PAYEE_SAMPLES: readonly Sample<FromPayee>[] = [
  {
    comment: 'terms of a free service, no head',
    message: {
      type: 'terms',
      terms: FREE_TERMS,
      signature: bytes(65),
      head: undefined,
      total: 0n as Amount,
      acked: ZERO_METER,
      credit: 0n as Amount,
    },
  },
  {
    comment: 'terms with a head, resumed',
    message: {
      type: 'terms',
      terms: TERMS,
      signature: bytes(65),
      head: { promise: PLAIN_PROMISE },
      total: 9n as Amount,
      acked: METER,
      credit: 10_000n as Amount,
    },
  },
  {
    comment: 'terms, the largest',
    message: {
      type: 'terms',
      terms: LARGEST_TERMS,
      signature: bytes(65),
      head: { promise: LARGEST_PROMISE, chain: { salt: bytes(32), k: 1024, word: bytes(32, 2) } },
      total: MAX_AMOUNT,
      acked: MAX_METER,
      credit: MAX_AMOUNT,
    },
  },
  { comment: 'ready', message: { type: 'ready', session, credit: 10_000n as Amount } },
  {
    comment: 'meter',
    message: { type: 'meter', session, written: METER, paid: 5n as Amount, credit: 6n as Amount, paused: false },
  },
  {
    comment: 'meter, paused',
    message: { type: 'meter', session, written: MAX_METER, paid: MAX_AMOUNT, credit: MAX_AMOUNT, paused: true },
  },
  {
    comment: 'charge, one call and 700 units',
    message: { type: 'charge', session, stream: 1, up: 0n, calls: 1n, units: 700n, final: false },
  },
  {
    comment: 'charge, the last of its stream, the most of everything',
    message: {
      type: 'charge',
      session: OTHER_SESSION,
      stream: 0xffff_ffff,
      up: MAX_COUNT,
      calls: MAX_COUNT,
      units: MAX_COUNT,
      final: true,
    },
  },
  { comment: 'closing', message: { type: 'closing', session, reason: 210 } },
  {
    comment: 'receipt',
    message: {
      type: 'receipt',
      session,
      receipt: {
        receipt: {
          session,
          terms: hex('d1', 32) as Hash32,
          channel: hex('e1', 32) as ChannelId,
          total: 10_000n as Amount,
          amount: 123_456_789n as Amount,
          meter: METER,
          closed: 1_700_000_100 as Seconds,
          reason: 0,
        },
        signature: bytes(65, 5),
      },
    },
  },
  { comment: 'fault of one session', message: { type: 'fault', session, code: 100 } },
  { comment: 'fault of the whole stream', message: { type: 'fault', session: undefined, code: 5 } },
  {
    comment: 'released',
    message: {
      type: 'released',
      channel: hex('e1', 32) as ChannelId,
      amount: 10_000n as Amount,
      deadline: 1_700_010_000 as Seconds,
      epoch: 3,
      signature: bytes(65, 7),
    },
  },
]
