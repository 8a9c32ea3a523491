/** The checked-in vectors as our own types. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { amount } from '../../src/core/amount.ts'
import { fromHex } from '../../src/core/bytes.ts'
import type { Domain } from '../../src/core/eip712.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import { parseAddress, parseChannelId, parseHash32, parseSessionId, seconds } from '../../src/core/ids.ts'
import type { Lock } from '../../src/core/lock.ts'
import type { MeterKind } from '../../src/core/meter.ts'
import type { Offer } from '../../src/core/offer.ts'
import type { Chunk, Price } from '../../src/core/price.ts'
import type { ChannelParties } from '../../src/core/promise.ts'
import type { Receipt } from '../../src/core/receipt.ts'
import type { Terms } from '../../src/core/terms.ts'
import type { ChunkInput, LockInput, OfferInput, Parties, PriceInput, ReceiptInput, TermsInput } from './reference.ts'

/** One case of a file. What a case of that file always has is given as `Extra`. */
export type Case<Input, Extra = object> = Extra & {
  readonly comment: string
  readonly input: Input
  readonly encoded?: string
  readonly digest?: string
  readonly signature?: string
  readonly signer?: string
  readonly error?: ErrorCode
}

export interface VectorFile<C> {
  readonly domain: Domain
  readonly valid: readonly C[]
  readonly mustFail: readonly C[]
  readonly rest: Readonly<Record<string, unknown>>
}

/** A checked-in file, `ledger/vectors/promises`. */
export function readVectors<C extends { readonly error?: ErrorCode }>(name: string): VectorFile<C> {
  const path = join(import.meta.dirname, '..', '..', 'protocols', `${name}.json`)
  const { domain, cases, ...rest } = JSON.parse(readFileSync(path, 'utf8'))
  return {
    domain: { chainId: BigInt(domain.chainId), ledger: parseAddress(domain.verifyingContract) },
    valid: cases.filter((one: C) => one.error === undefined),
    mustFail: cases.filter((one: C) => one.error !== undefined),
    rest,
  }
}

/** A field that a case of this kind must have. */
export function given<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the vector has no such field')
  return value
}

export const bytesOf = (hex: string | undefined): Uint8Array => fromHex(given(hex))

export function partiesOf(input: Parties): ChannelParties {
  const { owner, signer, target, token } = input
  return { owner: parseAddress(owner), signer: parseAddress(signer), target: parseAddress(target), token: parseAddress(token) }
}

export function lockOf({ anchor, unit, steps, expiry }: LockInput): Lock {
  return { anchor: parseHash32(anchor), unit: amount(BigInt(unit)), steps, expiry: seconds(expiry) }
}

function priceOf({ rates, unitName }: PriceInput): Price {
  const list = rates.map(({ kind, amount: base, per, from }) => ({
    kind: kind as MeterKind,
    amount: amount(BigInt(base)),
    per: BigInt(per),
    ...(from !== undefined && { from: BigInt(from) }),
  }))
  return unitName === undefined ? { rates: list } : { rates: list, unitName }
}

const chunkOf = ({ kind, size }: ChunkInput): Chunk => ({ kind: kind as MeterKind, size: BigInt(size) })

export function offerOf({ unconfirmedCredit, ...input }: OfferInput): Offer {
  return {
    ...input,
    ...(unconfirmedCredit !== '0' && { unconfirmedCredit: amount(BigInt(unconfirmedCredit)) }),
    provider: parseAddress(input.provider),
    sequence: BigInt(input.sequence),
    expiry: seconds(input.expiry),
    token: parseAddress(input.token),
    price: priceOf(input.price),
    chunk: chunkOf(input.chunk),
    minReservation: amount(BigInt(input.minReservation)),
  }
}

export function termsOf(input: TermsInput): Terms {
  return {
    session: parseSessionId(input.session),
    owner: parseAddress(input.owner),
    signer: parseAddress(input.signer),
    provider: parseAddress(input.provider),
    token: parseAddress(input.token),
    service: input.service,
    offerSequence: BigInt(input.offerSequence),
    price: priceOf(input.price),
    chunk: chunkOf(input.chunk),
    arrears: amount(BigInt(input.arrears)),
    patienceMs: input.patienceMs,
    opened: seconds(input.opened),
    expiry: seconds(input.expiry),
    content: fromHex(input.content),
  }
}

export function receiptOf(input: ReceiptInput): Receipt {
  const count = (kind: MeterKind): bigint => BigInt(given(input.meter[kind]))
  return {
    session: parseSessionId(input.session),
    terms: parseHash32(input.terms),
    channel: parseChannelId(input.channel),
    total: amount(BigInt(input.total)),
    amount: amount(BigInt(input.amount)),
    meter: { down: count('down'), up: count('up'), ms: count('ms'), calls: count('calls'), units: count('units') },
    closed: seconds(input.closed),
    reason: input.reason,
  }
}
