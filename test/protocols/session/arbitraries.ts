// Messages of every kind with fields over their whole range, for property tests.
import fc from 'fast-check'
import type { Amount } from '../../../src/core/amount.ts'
import type { Address, ChannelId, Hash32, Seconds, SessionId } from '../../../src/core/ids.ts'
import type { Lock } from '../../../src/core/lock.ts'
import { METER_KINDS, type Meter } from '../../../src/core/meter.ts'
import { type Price, priceOf } from '../../../src/core/price.ts'
import type { SignedPromise } from '../../../src/core/promise.ts'
import type { FromPayee, FromPayer } from '../../../src/core/session/messages.ts'
import type { Terms } from '../../../src/core/terms.ts'

// Decoded messages are plain objects, and deepEqual looks at prototypes.
const record = <T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>

const hexOf = (length: number): fc.Arbitrary<`0x${string}`> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((raw) => `0x${Buffer.from(raw).toString('hex')}` as const)

const address = hexOf(20).map((text) => text as Address)
const hash = hexOf(32).map((text) => text as Hash32)
const channel = hexOf(32).map((text) => text as ChannelId)
const session = hexOf(16)
  .filter((text) => !/^0x0+$/.test(text))
  .map((text) => text as SessionId)
const count = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })
const positive = fc.bigInt({ min: 1n, max: (1n << 64n) - 1n })
const amount = fc.bigInt({ min: 0n, max: (1n << 96n) - 1n }).map((value) => value as Amount)
const cost = fc.bigInt({ min: 1n, max: (1n << 96n) - 1n }).map((value) => value as Amount)
const seconds = fc.integer({ min: 0, max: 2 ** 40 - 1 }).map((value) => value as Seconds)
const u16 = fc.integer({ min: 0, max: 0xffff })
const u24 = fc.integer({ min: 0, max: 0xff_ffff })
const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const signature = fc.uint8Array({ minLength: 65, maxLength: 65 })
const service = fc.stringMatching(/^[a-z0-9._-]{1,64}$/)
const meter: fc.Arbitrary<Meter> = record({ down: count, up: count, ms: count, calls: count, units: count })
const kind = fc.constantFrom(...METER_KINDS)

const lock: fc.Arbitrary<Lock> = record({ anchor: hash, unit: cost, steps: fc.integer({ min: 1, max: 1024 }), expiry: seconds })
const locks = fc
  .uniqueArray(lock, { selector: (one) => one.anchor, maxLength: 64 })
  .map((list) => list.toSorted((a, b) => (a.anchor < b.anchor ? -1 : 1)))
const promise: fc.Arbitrary<SignedPromise> = record({ amount, locks, signature })

const price: fc.Arbitrary<Price> = fc
  .uniqueArray(record({ kind, amount: cost, per: positive }), { selector: (rate) => rate.kind })
  .map((rates) => priceOf(rates, rates.some((rate) => rate.kind === 'units') ? 'page' : undefined))

const terms: fc.Arbitrary<Terms> = record({
  session,
  owner: address,
  signer: address,
  provider: address,
  token: address,
  service,
  offerSequence: count,
  price,
  chunk: record({ kind, size: positive }),
  arrears: amount,
  patienceMs: u32,
  opened: seconds,
  expiry: seconds,
  content: fc.uint8Array({ maxLength: 1024 }),
})

const receipt = record({
  session,
  terms: hash,
  channel,
  total: amount,
  amount,
  meter,
  closed: seconds,
  reason: u16,
})

const fault = record({ type: fc.constant('fault' as const), session: fc.option(session, { nil: undefined }), code: u16 })

const word = fc.uint8Array({ minLength: 32, maxLength: 32 })
const head = record({ promise, chain: record({ salt: word, k: u16, word }) }).map(({ promise: of, chain }) =>
  of.locks.length === 0 ? { promise: of } : { promise: of, chain },
)

export const fromPayer: fc.Arbitrary<FromPayer> = fc.oneof(
  record({
    type: fc.constant('hello' as const),
    session,
    resume: fc.boolean(),
    owner: address,
    token: address,
    service,
    inputs: fc.uint8Array({ maxLength: 1024 }),
    signed: amount,
    acked: meter,
  }),
  record({ type: fc.constant('restate' as const), session, promise }),
  record({ type: fc.constantFrom('accept' as const, 'countersign' as const), session, signature }),
  record({ type: fc.constant('promise' as const), session, total: amount, promise, salt: word }).map(({ salt, ...pay }) =>
    pay.promise.locks.length === 0 ? pay : { ...pay, salt },
  ),
  record({ type: fc.constant('tick' as const), session, k: u16, word }),
  record({ type: fc.constant('agree' as const), session, stream: u32, up: count, calls: count, units: count }),
  record({ type: fc.constant('ack' as const), session, stream: u32, bytes: count, ms: count, final: fc.boolean() }),
  record({ type: fc.constant('close' as const), session, total: amount, acked: meter, reason: u16 }),
  record({ type: fc.constant('release' as const), owner: address, token: address, amount, epoch: u24 }),
  fault,
)

export const fromPayee: fc.Arbitrary<FromPayee> = fc.oneof(
  record({
    type: fc.constant('terms' as const),
    terms,
    signature,
    head: fc.option(head, { nil: undefined }),
    total: amount,
    acked: meter,
    credit: amount,
  }),
  record({ type: fc.constant('ready' as const), session, credit: amount }),
  record({ type: fc.constant('meter' as const), session, written: meter, paid: amount, credit: amount, paused: fc.boolean() }),
  record({
    type: fc.constant('charge' as const),
    session,
    stream: u32,
    up: count,
    calls: count,
    units: count,
    final: fc.boolean(),
  }),
  record({ type: fc.constant('closing' as const), session, reason: u16 }),
  record({ receipt, signature }).map((signed) => ({
    type: 'receipt' as const,
    session: signed.receipt.session,
    receipt: signed,
  })),
  record({ type: fc.constant('released' as const), channel, amount, deadline: seconds, epoch: u24, signature }),
  fault,
)
