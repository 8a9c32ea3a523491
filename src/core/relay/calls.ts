/**
 * The calls of the ledger that travel in a request: `multicall` of what the signer wants, and last the fee. Read strictly: bytes that are
 * not exactly what an encoder writes are refused, so that nothing can hide between the calls.
 */
import type { Amount } from '../amount.ts'
import { ByteWriter, equalBytes } from '../bytes.ts'
import { keccakText } from '../crypto/keccak.ts'
import { TallyError } from '../errors.ts'
import { type Address, addressFromBytes, addressToBytes } from '../ids.ts'

/** Calls of one request, the fee included. */
export const MAX_CALLS = 8
const WORD = 32
const AUTHORIZATION = '(address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)'

/** What a relay hands in: the function, and which of its words names the token. All else of the ledger it leaves alone. */
export const RELAYED_CALLS: Readonly<Record<string, number>> = {
  'deposit(address,address,uint256)': 0,
  'depositWithPermit(address,address,uint256,uint256,uint8,bytes32,bytes32)': 0,
  [`depositWithAuthorization(address,address,${AUTHORIZATION})`]: 0,
  'sweep(address,address)': 1,
  'withdraw(address,address,uint256)': 0,
  'transfer(address,address,uint256)': 0,
  'open(address,address,address,uint96,uint40)': 2,
  'depositAndOpen(address,address,address,uint96,uint40)': 2,
  'depositAndOpenWithPermit(address,address,address,uint96,uint40,uint256,uint8,bytes32,bytes32)': 2,
  [`depositAndOpenWithAuthorization(address,address,address,uint40,${AUTHORIZATION})`]: 2,
  'topUp(address,address,address,address,uint96)': 3,
  'reclaim(address,address,address)': 2,
  'close(address,address,address,uint96,uint40,bytes)': 2,
  'settle(address,address,bytes)': 1,
  'settleDirect(address,bytes)': 0,
  'settleBatch(address,address,bytes)': 1,
  'proposePayout(address,address,address)': 1,
  'acceptPayout(address,address)': 1,
  'setMaxRelayFee(address,address,uint96)': 1,
}

const selectorOf = (signature: string): Uint8Array => keccakText(signature).slice(0, 4)
const MULTICALL = selectorOf('multicall(bytes[])')
const TRANSFER = selectorOf('transfer(address,address,uint256)')
const KNOWN = Object.entries(RELAYED_CALLS).map(([signature, tokenWord]) => ({ selector: selectorOf(signature), tokenWord }))

/** What a relay gets: balance to balance inside the ledger, in the same transaction as all else. */
export interface RelayFee {
  readonly token: Address
  readonly to: Address
  readonly amount: Amount
}

/** The call that pays a relay, 100 bytes. */
export function feeCall({ token, to, amount }: RelayFee): Uint8Array {
  const call = new Uint8Array(4 + 3 * WORD)
  call.set(TRANSFER)
  call.set(addressToBytes(token), 4 + 12)
  call.set(addressToBytes(to), 4 + WORD + 12)
  call.set(new ByteWriter(12).u96(amount).finish(), 4 + 2 * WORD + 20)
  return call
}

/** The calldata of `multicall`, as every encoder writes it. */
export function encodeMulticall(calls: readonly Uint8Array[]): Uint8Array {
  const sizes = calls.map(({ length }) => WORD + padded(length))
  const heads = 2 * WORD + calls.length * WORD
  const data = new Uint8Array(4 + heads + sizes.reduce((sum, size) => sum + size, 0))
  const view = new DataView(data.buffer)
  const word = (at: number, value: number): void => view.setUint32(4 + at + 28, value)
  data.set(MULTICALL)
  word(0, WORD)
  word(WORD, calls.length)
  let place = calls.length * WORD
  for (const [i, call] of calls.entries()) {
    word(2 * WORD + i * WORD, place)
    word(2 * WORD + place, call.length)
    data.set(call, 4 + 3 * WORD + place)
    place += sizes[i] ?? 0
  }
  return data
}

/** The calls inside of it. @throws TallyError RELAY_CALL_REFUSED for anything that `encodeMulticall` does not write */
export function decodeMulticall(data: Uint8Array): Uint8Array[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  // only the low 32 bits are read: that the others are zero is seen when it is written again
  const word = (at: number): number => (4 + at + WORD <= data.length ? view.getUint32(4 + at + 28) : 0)
  const count = word(WORD)
  if (count > MAX_CALLS) throw refused(`more than ${MAX_CALLS} calls in a request`)
  const calls: Uint8Array[] = []
  for (let i = 0; i < count; i++) {
    const place = word(2 * WORD + i * WORD)
    const start = 4 + 3 * WORD + place
    const end = start + word(2 * WORD + place)
    if (end > data.length) throw refused('the calls are cut off')
    calls.push(data.slice(start, end))
  }
  if (!equalBytes(encodeMulticall(calls), data)) throw refused('the request is no multicall in its usual form')
  return calls
}

/** What a request does, and what it pays for that. */
export interface RelayedCalls {
  /** the tokens that its calls move, without repeats */
  readonly tokens: readonly Address[]
  readonly fee: RelayFee
}

/** Looks at the data of a request. @throws TallyError RELAY_CALL_REFUSED for calls that no relay hands in, or without a fee at the end */
export function readCalls(data: Uint8Array): RelayedCalls {
  const calls = decodeMulticall(data)
  const tokens = new Set(calls.map(tokenOf))
  const last = calls.at(-1)
  if (last === undefined || calls.length < 2) throw refused('a request has at least one call and the fee')
  const fee = readFee(last)
  if (fee === undefined) throw refused('the last call of a request pays the relay')
  return { tokens: [...tokens], fee }
}

function readFee(call: Uint8Array): RelayFee | undefined {
  if (call.length !== 4 + 3 * WORD) return undefined
  const fee = {
    token: addressAt(call, 0),
    to: addressAt(call, 1),
    amount: call.slice(-12).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n) as Amount,
  }
  return equalBytes(feeCall(fee), call) ? fee : undefined
}

function tokenOf(call: Uint8Array): Address {
  const known = KNOWN.find(({ selector }) => equalBytes(selector, call.subarray(0, 4)))
  if (known === undefined) throw refused('a call that relays do not hand in')
  const end = 4 + (known.tokenWord + 1) * WORD
  const isPadded = call.subarray(end - WORD, end - 20).every((byte) => byte === 0)
  if (call.length < end || !isPadded) throw refused('a call without a token')
  return addressAt(call, known.tokenWord)
}

function addressAt(call: Uint8Array, word: number): Address {
  const end = 4 + (word + 1) * WORD
  return addressFromBytes(call.slice(end - 20, end))
}

const padded = (length: number): number => Math.ceil(length / WORD) * WORD

function refused(message: string): TallyError {
  return new TallyError('RELAY_CALL_REFUSED', { message })
}
