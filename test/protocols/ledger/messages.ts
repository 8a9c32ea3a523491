/** What the contract reads, written a second time and only after SPEC.md: typed data by ethers, rows and locks by concatenation. */
import {
  concat,
  dataLength,
  dataSlice,
  keccak256,
  Signature,
  type TypedDataDomain,
  TypedDataEncoder,
  toBeHex,
  type Wallet,
  ZeroAddress,
  ZeroHash,
} from 'ethers'
import { LEDGER, type Parties } from './fixture.ts'

export const DOMAIN: TypedDataDomain = { name: 'Tallystick', version: '1', chainId: 31337, verifyingContract: LEDGER }

const PROMISE = {
  Promise: [
    { name: 'owner', type: 'address' },
    { name: 'target', type: 'address' },
    { name: 'token', type: 'address' },
    { name: 'amount', type: 'uint96' },
    { name: 'locks', type: 'bytes32' },
  ],
}
const CLOSE = {
  Close: [
    { name: 'channel', type: 'bytes32' },
    { name: 'amount', type: 'uint96' },
    { name: 'deadline', type: 'uint40' },
    { name: 'epoch', type: 'uint24' },
  ],
}
const PAYOUT = {
  Payout: [
    { name: 'target', type: 'address' },
    { name: 'token', type: 'address' },
    { name: 'payout', type: 'address' },
    { name: 'nonce', type: 'uint256' },
    { name: 'deadline', type: 'uint40' },
  ],
}

/** A lock as it is signed. */
export interface Lock {
  readonly anchor: string
  readonly unit: bigint
  readonly steps: number
  readonly expiry: bigint
}

/** A lock as it is shown: with a word that hashes k times to the anchor. */
export interface ShownLock extends Lock {
  readonly word: string
  readonly k: number
}

const terms = (lock: Lock): string => concat([toBeHex(lock.unit, 12), toBeHex(lock.steps, 2), toBeHex(lock.expiry, 5)])

/** Hashes a word k times. */
export function walk(word: string, k: number): string {
  let result = word
  for (let i = 0; i < k; i++) result = keccak256(result)
  return result
}

/** The hash that a promise carries for its locks. */
export function hashLocks(locks: readonly Lock[]): string {
  return locks.length === 0 ? ZeroHash : keccak256(concat(locks.map((lock) => concat([lock.anchor, terms(lock)]))))
}

/** The bytes in which locks are shown to the contract. */
export function showLocks(locks: readonly ShownLock[]): string {
  return concat(locks.map((lock) => concat([lock.word, toBeHex(lock.k, 2), terms(lock)])))
}

/** The signer's signature, 65 bytes. `owner` zero is the promise that names no owner. */
export function signPromise(
  parties: Parties,
  amount: bigint,
  locks: readonly Lock[] = [],
  {
    by = parties.signer,
    owner = parties.owner.address,
    domain = DOMAIN,
  }: { by?: Wallet; owner?: string; domain?: TypedDataDomain } = {},
): Promise<string> {
  return by.signTypedData(domain, PROMISE, {
    owner,
    target: parties.target.address,
    token: parties.token,
    amount,
    locks: hashLocks(locks),
  })
}

/** What the signer of a promise without locks signs. */
export function hashPromise({ owner, target, token }: Pick<Parties, 'owner' | 'target' | 'token'>, amount: bigint): string {
  const value = { owner: owner.address, target: target.address, token, amount, locks: ZeroHash }
  return TypedDataEncoder.hash(DOMAIN, PROMISE, value)
}

/** The target's signature on the end of a channel's epoch. */
export function signClose(
  parties: Parties,
  amount: bigint,
  deadline: bigint,
  epoch: bigint,
  by = parties.target,
): Promise<string> {
  return by.signTypedData(DOMAIN, CLOSE, { channel: parties.id, amount, deadline, epoch })
}

/** The new payout's acceptance. `payout` may be another address than the one that signs, as with a contract. */
export function signPayout(
  by: Wallet,
  { target, token, payout = by.address, nonce = 0n }: { target: string; token: string; payout?: string; nonce?: bigint },
  deadline: bigint,
): Promise<string> {
  return by.signTypedData(DOMAIN, PAYOUT, { target, token, payout, nonce, deadline })
}

/** The 64 bytes of EIP-2098. What has 64 bytes already is left as it is. */
export function compact(signature: string): string {
  return dataLength(signature) === 64 ? signature : Signature.from(signature).compactSerialized
}

/** A row: one promise as it is settled. Without `owner` the promise must name none. */
export function encodeRow(
  amount: bigint,
  signature: string,
  { owner, locks }: { owner?: string; locks?: readonly ShownLock[] } = {},
): string {
  const flags = (owner === undefined ? 0 : 1) | (locks === undefined ? 0 : 2)
  return concat([
    toBeHex(flags, 1),
    toBeHex(amount, 12),
    compact(signature),
    owner ?? '0x',
    locks === undefined ? '0x' : concat([toBeHex(locks.length, 1), showLocks(locks)]),
  ])
}

/** Signs a promise and makes its row, owner given. */
export async function signedRow(parties: Parties, amount: bigint, locks?: readonly ShownLock[]): Promise<string> {
  const owner = parties.owner.address
  return encodeRow(amount, await signPromise(parties, amount, locks), locks === undefined ? { owner } : { owner, locks })
}

/** Signs a promise that names no owner (the signer is the owner) and makes its row. */
export async function signedShortRow(parties: Parties, amount: bigint, locks?: readonly ShownLock[]): Promise<string> {
  const signature = await signPromise(parties, amount, locks, { owner: ZeroAddress })
  return encodeRow(amount, signature, locks === undefined ? {} : { locks })
}

/** The arguments of `settle` for a promise that is signed here, owner given. */
export async function settleCall(
  parties: Parties,
  amount: bigint,
  locks?: readonly ShownLock[],
): Promise<['settle', string, string, string]> {
  return ['settle', parties.target.address, parties.token, await signedRow(parties, amount, locks)]
}

/** What a log says of a promise that was paid. */
export function logEntry(parties: Parties, settled: bigint): string {
  return concat([dataSlice(parties.id, 0, 20), toBeHex(settled, 12)])
}
