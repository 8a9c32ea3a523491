// Messages of a hop as examples: what the vectors are made of.

import { encodeClearing } from '../../../protocols/clearing/codec.ts'
import { CLEARING_MESSAGES } from '../../../protocols/clearing/protocol.ts'
import type { ClearingMessage, OnwardHop } from '../../../src/core/accountant/messages.ts'
import type { Amount } from '../../../src/core/amount.ts'
import type { Address, Hash32, Seconds } from '../../../src/core/ids.ts'
import type { Lock } from '../../../src/core/lock.ts'
import { type BrokenCase, plain, type ValidCase, type Vectors } from '../session/vectors.ts'

const address = (n: number): Address => `0x${n.toString(16).padStart(2, '0').repeat(20)}` as Address
const anchor = (n: number): Hash32 => `0x${n.toString(16).padStart(2, '0').repeat(32)}` as Hash32
const bytes = (n: number, length: number): Uint8Array => new Uint8Array(length).fill(n)
const signature = bytes(0x5e, 65)
const channel = { owner: address(0x0a), token: address(0x70) }
const lock = (n: number): Lock => ({ anchor: anchor(n), unit: 21n as Amount, steps: 600, expiry: 1_800_003_600 as Seconds })
const locked = (...locks: Lock[]) => ({ amount: 12_345n as Amount, locks, signature })
const hop = (n: number, rent: bigint): OnwardHop => ({
  peer: new Uint8Array([2, ...bytes(n, 32)]),
  unit: 20n as Amount,
  rent: rent as Amount,
  expiry: 1_800_000_000 as Seconds,
})

interface Sample {
  readonly comment: string
  readonly by: 'payer' | 'payee'
  readonly message: ClearingMessage
}

export const SAMPLES: readonly Sample[] = [
  { comment: 'open', by: 'payer', message: { type: 'open', ...channel } },
  { comment: 'held, nothing yet', by: 'payee', message: { type: 'held', ...channel, promise: undefined, links: [] } },
  {
    comment: 'held, a rest of 600 steps of a link of 1,000', by: 'payee',
    message: { type: 'held', ...channel, promise: locked(lock(1)), links: [{ anchor: anchor(9), steps: 1000, folded: 400, known: 512, word: bytes(7, 32), freed: false }] },
  },
  { comment: 'ask', by: 'payer', message: { type: 'ask', token: channel.token } },
  {
    comment: 'tariff of 1 a step, half a percent, a rent of 50; an hour, ten minutes', by: 'payee',
    message: { type: 'tariff', token: channel.token, tariff: { forwards: true, perStep: 1n as Amount, share: 5_000, rent: 50n as Amount, longestS: 3_600, marginS: 600 } },
  },
  { comment: 'link to the provider itself', by: 'payer', message: { type: 'link', ...channel, consumer: address(0x0c), promise: locked(lock(1)), hops: [] } },
  {
    comment: 'link over two accountants, beside another one', by: 'payer',
    message: { type: 'link', ...channel, consumer: address(0x0c), promise: locked(lock(1), lock(2)), hops: [hop(5, 50n), hop(6, 0n)] },
  },
  {
    comment: 'link of one step: a classic hash lock', by: 'payer',
    message: { type: 'link', ...channel, consumer: address(0x0c), promise: locked({ ...lock(1), steps: 1 }), hops: [hop(6, 0n)] },
  },
  { comment: 'taken', by: 'payee', message: { type: 'taken', anchor: anchor(1) } },
  { comment: 'grant', by: 'payee', message: { type: 'grant', anchor: anchor(1), owner: address(0x0a), signer: address(0x0b), signature } },
  {
    comment: 'clear of two links, one of them freed', by: 'payee',
    message: { type: 'clear', ...channel, entries: [{ anchor: anchor(1), known: 12, word: bytes(7, 32), free: true }, { anchor: anchor(2), known: 0, word: bytes(2, 32), free: false }] },
  },
  { comment: 'fold', by: 'payer', message: { type: 'fold', ...channel, promise: locked() } },
  { comment: 'stored', by: 'payee', message: { type: 'stored', signature } },
  { comment: 'fault of a link', by: 'payee', message: { type: 'fault', anchor: anchor(1), code: 115 } },
  { comment: 'fault of the whole stream', by: 'payer', message: { type: 'fault', anchor: undefined, code: 3 } },
] // biome-ignore format: one message a line

function encoded(comment: string): Uint8Array {
  const found = SAMPLES.find((one) => one.comment === comment)
  if (found === undefined) throw new Error(`no sample: ${comment}`)
  return encodeClearing(found.message)
}

function patched(from: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = Uint8Array.from(from)
  copy.set(values, at < 0 ? copy.length + at : at)
  return copy
}

const hex = (from: Uint8Array): string => `0x${Buffer.from(from).toString('hex')}`

function brokenCases(): readonly BrokenCase[] {
  const held = encoded('held, a rest of 600 steps of a link of 1,000')
  const clear = encoded('clear of two links, one of them freed')
  const link = encoded('link over two accountants, beside another one')
  const tariff = encoded('tariff of 1 a step, half a percent, a rent of 50; an hour, ten minutes')
  const cases: [comment: string, by: 'payer' | 'payee', encoded: Uint8Array, error: BrokenCase['error']][] = [
    ['an unknown even type', 'payer', Uint8Array.of(40, 1), 'UNSUPPORTED'],
    ['an unknown odd type', 'payee', Uint8Array.of(41, 1), 'ignored'],
    ['a frame that is too long', 'payer', patched(new Uint8Array(8193), 0, 10), 'FRAME_TOO_LARGE'],
    ['an open that is too long', 'payer', patched(new Uint8Array(42), 0, 2), 'FRAME_TOO_LARGE'],
    ['an open of a payee', 'payee', encoded('open'), 'WRONG_STATE'],
    ['a clear of a payer', 'payer', clear, 'WRONG_STATE'],
    ['a fold of a payee', 'payee', encoded('fold'), 'WRONG_STATE'],
    ['an open that ends early', 'payer', encoded('open').subarray(0, 40), 'MALFORMED'],
    ['a stored with a byte too many', 'payee', new Uint8Array([...encoded('stored'), 0]), 'FRAME_TOO_LARGE'],
    ['a fold with a byte too many', 'payer', new Uint8Array([...encoded('fold'), 0]), 'MALFORMED'],
    ['a taken of the anchor of all zeros', 'payee', patched(encoded('taken'), 1, ...bytes(0, 32)), 'MALFORMED'],
    ['a held with a reserved flag', 'payee', patched(held, 41, 2), 'MALFORMED'],
    ['a held with a reserved flag in a link', 'payee', patched(held, -1, 2), 'MALFORMED'],
    ['a held without the link of its lock', 'payee', patched(held.subarray(0, held.length - 71), -1, 0), 'MALFORMED'],
    ['a held of more folded than known', 'payee', patched(held, -37, 2, 1), 'MALFORMED'],
    ['a held of everything folded', 'payee', patched(held, -37, 3, 232), 'MALFORMED'],
    ['a held of more known than there is', 'payee', patched(held, -35, 3, 233), 'MALFORMED'],
    ['a clear of nothing', 'payee', patched(clear.subarray(0, 42), 41, 0), 'MALFORMED'],
    ['a clear of 65 links', 'payee', patched(clear, 41, 65), 'MALFORMED'],
    ['a clear of 1,025 steps', 'payee', patched(clear, 74, 4, 1), 'MALFORMED'],
    ['a clear with a reserved flag', 'payee', patched(clear, -1, 2), 'MALFORMED'],
    ['a link without a lock', 'payer', new Uint8Array([10, ...bytes(1, 60), ...bytes(0, 12), ...signature, 0, 0]), 'MALFORMED'],
    ['a link of four onward hops', 'payer', patched(link, link.length - 125, 4), 'MALFORMED'],
    ['a link to a peer that is no compressed key', 'payer', patched(link, link.length - 62, 4), 'MALFORMED'],
    ['a link with a rent for the provider', 'payer', patched(link, -6, 1), 'MALFORMED'],
    ['a link of two locks with one anchor', 'payer', patched(link, 190, ...bytes(1, 32)), 'LOCKS_REFUSED'],
    ['a link of a lock without steps', 'payer', patched(link, 139 + 44, 0, 0), 'LOCKS_REFUSED'],
    ['a tariff of more than the whole', 'payee', patched(tariff, 34, 0, 15, 66, 65), 'MALFORMED'],
    ['a tariff with a reserved flag', 'payee', patched(tariff, 21, 2), 'MALFORMED'],
    ['a grant without all of its signature', 'payee', encoded('grant').subarray(0, 137), 'MALFORMED'],
  ]
  return cases.map(([comment, by, from, error]) => ({ comment, by, encoded: hex(from), error }))
}

/** `protocols/clearing/vectors/messages.json`. */
export function clearingVectors(): Vectors<ValidCase | BrokenCase> {
  const valid = SAMPLES.map(({ comment, by, message }) => ({
    comment,
    by,
    message: plain(message),
    encoded: hex(encodeClearing(message)),
  }))
  const types = Object.keys(CLEARING_MESSAGES).length
  return {
    comment: `Bodies of the ${types} messages of a hop, by their sender. error: what a receiver answers; ignored: an unknown odd type.`,
    cases: [...valid, ...brokenCases()],
  }
}
