/**
 * The signed objects a second time, written from the specifications only: typed data by ethers, packed bytes by concatenation. Nothing
 * here imports src, so that a vector is what the specification says and not what our code does.
 */
import {
  concat,
  getCreateAddress,
  HDNodeWallet,
  hexlify,
  keccak256,
  Signature,
  TypedDataEncoder,
  toBeHex,
  toUtf8Bytes,
  type Wallet,
  ZeroAddress,
  ZeroHash,
} from 'ethers'

const MNEMONIC = 'test test test test test test test test test test test junk'

/** anvil's default account of that number. */
export function account(index: number): HDNodeWallet {
  return HDNodeWallet.fromPhrase(MNEMONIC, undefined, `m/44'/60'/0'/0/${index}`)
}

const deployer = account(0)

export const DOMAIN = {
  name: 'Tallystick',
  version: '1',
  chainId: 31337,
  // the first contract of anvil's first account on a fresh chain
  verifyingContract: getCreateAddress({ from: deployer.address, nonce: 0 }),
}

/** The third contract of the same account: the test token of a fresh development chain. */
export const TOKEN = low(getCreateAddress({ from: deployer.address, nonce: 2 }))

export type TypedDomain = typeof DOMAIN
type Signer = HDNodeWallet | Wallet
export type Fields = readonly { readonly name: string; readonly type: string }[]

/** The fields of a type, written as EIP-712 writes them. */
function fields(list: string): Fields {
  return list.split(',').map((field) => {
    const [type = '', name = ''] = field.split(' ')
    return { type, name }
  })
}

export const TYPES = {
  Promise: fields('address owner,address target,address token,uint96 amount,bytes32 locks'),
  Close: fields('bytes32 channel,uint96 amount,uint40 deadline,uint24 epoch'),
  Payout: fields('address target,address token,address payout,uint256 nonce,uint40 deadline'),
  Grant: fields(
    'address consumer,address owner,address signer,address provider,address token,bytes32 anchor,uint96 unit,uint16 steps,uint40 expiry',
  ),
  Offer: fields(
    'address provider,uint64 sequence,uint40 expiry,address token,string service,string kind,string description,bytes price,' +
      'bytes chunk,uint96 minReservation,uint32 minTimeToExpiry,uint96 unconfirmedCredit,bytes addresses,string inputs,string outputs',
  ),
  Terms: fields(
    'bytes16 session,address owner,address signer,address provider,address token,string service,uint64 offerSequence,bytes price,' +
      'bytes chunk,uint96 arrears,uint32 patienceMs,uint40 opened,uint40 expiry,bytes content',
  ),
  Receipt: fields(
    'bytes16 session,bytes32 terms,bytes32 channel,uint96 total,uint96 amount,bytes meter,uint40 closed,uint16 reason',
  ),
} as const

export type TypeName = keyof typeof TYPES

/** The digest of a struct, by ethers. */
export function hashTyped(type: TypeName, value: Record<string, unknown>, domain: TypedDomain = DOMAIN): string {
  return TypedDataEncoder.hash(domain, { [type]: [...TYPES[type]] }, value)
}

/** 65 bytes r | s | v. */
export function signHash(digest: string, by: Signer): string {
  return by.signingKey.sign(digest).serialized
}

/** A digest and its signature, as every case of a file holds them. */
export interface Signed {
  readonly digest: string
  readonly signature: string
  readonly signer: string
}

export function signTyped(type: TypeName, value: Record<string, unknown>, by: Signer, domain: TypedDomain = DOMAIN): Signed {
  const digest = hashTyped(type, value, domain)
  return { digest, signature: signHash(digest, by), signer: low(by.address) }
}

/** An address in lower case. */
export function low(address: string): string {
  return address.toLowerCase()
}

const u = (value: bigint | number | string, bytes: number): string => toBeHex(BigInt(value), bytes)
const short = (bytes: string | Uint8Array, lengthBytes: number): string =>
  concat([u(hexlify(bytes).length / 2 - 1, lengthBytes), bytes])
const str8 = (text: string): string => short(toUtf8Bytes(text), 1)
const str16 = (text: string): string => short(toUtf8Bytes(text), 2)

export interface Parties {
  readonly owner: string
  readonly signer: string
  readonly target: string
  readonly token: string
}

export function channelIdOf({ owner, signer, target, token }: Parties): string {
  return keccak256(concat([owner, signer, target, token].map((address) => u(address, 32))))
}

export interface LockInput {
  readonly anchor: string
  readonly unit: string
  readonly steps: number
  readonly expiry: number
}

export interface ShownInput extends LockInput {
  readonly word: string
  readonly k: number
}

const lockTail = ({ unit, steps, expiry }: LockInput): string => concat([u(unit, 12), u(steps, 2), u(expiry, 5)])

export function packLockInputs(locks: readonly LockInput[]): string {
  return concat(locks.map((lock) => concat([lock.anchor, lockTail(lock)])))
}

export function packShownInputs(shown: readonly ShownInput[]): string {
  return concat(shown.map((lock) => concat([lock.word, u(lock.k, 2), lockTail(lock)])))
}

export function hashLockInputs(locks: readonly LockInput[]): string {
  return locks.length === 0 ? ZeroHash : keccak256(packLockInputs(locks))
}

/** The word of which the anchor of `steps` hashes is made, and every word between: chain[k] hashes k times to the anchor. */
export function hashChain(seed: string, steps: number): readonly string[] {
  const words = [keccak256(toUtf8Bytes(seed))]
  for (let i = 0; i < steps; i++) words.push(keccak256(words[i] as string))
  return words.reverse()
}

/** The fields of a promise as they are signed. An owner that signs for itself is not named. */
export function promiseValue(parties: Parties, amount: string, locks: readonly LockInput[]): Record<string, unknown> {
  const { owner, signer, target, token } = parties
  return { owner: owner === signer ? ZeroAddress : owner, target, token, amount, locks: hashLockInputs(locks) }
}

/** A promise on the wire: amount u96 | signature 65 | lock count u8 | locks. */
export function encodePromise(amount: string, signature: string, locks: readonly LockInput[]): string {
  return concat([u(amount, 12), signature, u(locks.length, 1), packLockInputs(locks)])
}

/** A row of settleBatch. */
export function encodeRow(parties: Parties, amount: string, signature: string, shown: readonly ShownInput[]): string {
  const named = parties.owner !== parties.signer
  return concat([
    u((named ? 1 : 0) | (shown.length > 0 ? 2 : 0), 1),
    u(amount, 12),
    Signature.from(signature).compactSerialized,
    named ? parties.owner : '0x',
    shown.length > 0 ? concat([u(shown.length, 1), packShownInputs(shown)]) : '0x',
  ])
}

const KINDS = ['down', 'up', 'ms', 'calls', 'units']

export interface PriceInput {
  readonly rates: readonly { readonly kind: string; readonly amount: string; readonly per: string; readonly from?: string }[]
  readonly unitName?: string
}

export interface ChunkInput {
  readonly kind: string
  readonly size: string
}

export function packPrice({ rates, unitName = '' }: PriceInput): string {
  const packed = rates.map(({ kind, amount, per, from }) =>
    concat([
      u(KINDS.indexOf(kind) + (from === undefined ? 0 : 128), 1),
      u(amount, 12),
      u(per, 8),
      from === undefined ? '0x' : u(from, 8),
    ]),
  )
  return concat([u(rates.length, 1), ...packed, str8(unitName)])
}

export function packChunk({ kind, size }: ChunkInput): string {
  return concat([u(KINDS.indexOf(kind), 1), u(size, 8)])
}

export interface OfferInput {
  readonly provider: string
  readonly sequence: string
  readonly expiry: number
  readonly token: string
  readonly service: string
  readonly kind: string
  readonly description: string
  readonly price: PriceInput
  readonly chunk: ChunkInput
  readonly minReservation: string
  readonly minTimeToExpiry: number
  readonly unconfirmedCredit: string
  readonly addresses: readonly string[]
  readonly inputs: string
  readonly outputs: string
}

const packAddresses = (addresses: readonly string[]): string => concat([u(addresses.length, 1), ...addresses.map(str16)])

export function offerValue(o: OfferInput): Record<string, unknown> {
  return { ...o, price: packPrice(o.price), chunk: packChunk(o.chunk), addresses: packAddresses(o.addresses) }
}

export function encodeOffer(o: OfferInput, signature: string): string {
  return concat([
    o.provider, u(o.sequence, 8), u(o.expiry, 5), o.token, str8(o.service), str8(o.kind), str16(o.description), packPrice(o.price),
    packChunk(o.chunk), u(o.minReservation, 12), u(o.minTimeToExpiry, 4), u(o.unconfirmedCredit, 12), packAddresses(o.addresses), str16(o.inputs), str16(o.outputs),
    signature,
  ]) // biome-ignore format: one field after the other
}

export interface TermsInput {
  readonly session: string
  readonly owner: string
  readonly signer: string
  readonly provider: string
  readonly token: string
  readonly service: string
  readonly offerSequence: string
  readonly price: PriceInput
  readonly chunk: ChunkInput
  readonly arrears: string
  readonly patienceMs: number
  readonly opened: number
  readonly expiry: number
  readonly content: string
}

export function termsValue(t: TermsInput): Record<string, unknown> {
  return { ...t, price: packPrice(t.price), chunk: packChunk(t.chunk) }
}

export function encodeTermsInput(t: TermsInput): string {
  return concat([
    t.session, t.owner, t.signer, t.provider, t.token, str8(t.service), u(t.offerSequence, 8), packPrice(t.price), packChunk(t.chunk),
    u(t.arrears, 12), u(t.patienceMs, 4), u(t.opened, 5), u(t.expiry, 5), short(t.content, 2),
  ]) // biome-ignore format: one field after the other
}

export interface ReceiptInput {
  readonly session: string
  readonly terms: string
  readonly channel: string
  readonly total: string
  readonly amount: string
  readonly meter: Readonly<Record<string, string>>
  readonly closed: number
  readonly reason: number
}

export function packMeter(meter: Readonly<Record<string, string>>): string {
  return concat(KINDS.map((kind) => u(meter[kind] ?? '0', 8)))
}

export function receiptValue(r: ReceiptInput): Record<string, unknown> {
  return { ...r, meter: packMeter(r.meter) }
}

export function encodeReceiptInput(r: ReceiptInput): string {
  return concat([
    r.session,
    r.terms,
    r.channel,
    u(r.total, 12),
    u(r.amount, 12),
    packMeter(r.meter),
    u(r.closed, 5),
    u(r.reason, 2),
  ])
}
