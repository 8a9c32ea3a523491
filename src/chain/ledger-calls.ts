import { concat, hexlify } from 'ethers'
import { compactSignature } from '../core/crypto/secp256k1.ts'
import { TallyError } from '../core/errors.ts'
import { type Address, ZERO_ADDRESS } from '../core/ids.ts'
import type { LedgerAction, SettleRow } from '../ports/chain.ts'
import { ledgerInterface } from './abi.ts'
import type { PermitSignature } from './permit.ts'

/** Calldata and target of one transaction, as hex. */
export interface Call {
  readonly to: Address
  readonly data: string
  readonly wei: bigint
}

/** Bytes of one lock of a shown lock list. */
const LOCK_BYTES = 53
const MAX_LOCKS = 64

/** The action as a transaction. `permit` is used where the action pulls tokens out of the wallet; without it an allowance must be there. */
export function encodeAction(action: LedgerAction, ledger: Address, permit?: PermitSignature): Call {
  if (action.kind === 'send') return { to: action.to, data: '0x', wei: action.wei }
  if (action.kind === 'call') return { to: action.to, data: hexlify(action.data), wei: action.wei }
  const [name, values] = ledgerCall(action, permit)
  return { to: ledger, data: ledgerInterface.encodeFunctionData(name, values), wei: 0n }
}

type LedgerCallAction = Exclude<LedgerAction, { kind: 'send' | 'call' }>

function ledgerCall(action: LedgerCallAction, permit: PermitSignature | undefined): [name: string, values: unknown[]] {
  const token = action.token
  const signed = permit === undefined ? [] : [permit.deadline, permit.v, permit.r, permit.s]
  switch (action.kind) {
    case 'deposit':
      return [permit === undefined ? 'deposit' : 'depositWithPermit', [token, action.account, action.amount, ...signed]]
    case 'withdraw':
      return ['withdraw', [token, action.to, action.amount]]
    case 'transfer':
      return ['transfer', [token, action.to, action.amount]]
    case 'open': {
      const values = [action.signer, action.target, token, action.amount, action.expiry]
      if (action.from === 'balance') return ['open', values]
      return [permit === undefined ? 'depositAndOpen' : 'depositAndOpenWithPermit', [...values, ...signed]]
    }
    case 'top-up':
      return ['topUp', [action.owner, action.signer, action.target, token, action.amount]]
    case 'reclaim':
      return ['reclaim', [action.signer, action.target, token]]
    case 'close': {
      const { amount, deadline, signature } = action
      return ['close', [action.signer, action.target, token, amount, deadline, hexlify(signature)]]
    }
    case 'settle':
      return ['settle', [ownerHex(action), action.target, token, action.amount, hexlify(action.locks), hexlify(action.signature)]]
    case 'settle-batch':
      return ['settleBatch', [action.target, token, concat(action.rows.map(encodeRow))]]
  }
}

function ownerHex(row: SettleRow): Address {
  return row.owner ?? ZERO_ADDRESS
}

/**
 * One row of a batch: flags 1 | amount 12 | r 32 | vs 32 | [owner 20] | [count 1 | locks of 53 bytes].
 *
 * Throws MALFORMED when signature or locks have another length than the ledger reads.
 * @see protocols/ledger/SPEC.md
 */
export function encodeRow(row: SettleRow): Uint8Array {
  const locks = row.locks.length / LOCK_BYTES
  const signature = row.signature.length === 64 ? row.signature : compactSignature(row.signature)
  if (!Number.isInteger(locks) || locks > MAX_LOCKS)
    throw malformed(`the locks of a batch row must be at most ${MAX_LOCKS} of ${LOCK_BYTES} bytes`)
  const flags = (row.owner === undefined ? 0 : 1) | (locks === 0 ? 0 : 2)
  const head = Buffer.alloc(13)
  head[0] = flags
  head.set(Buffer.from(row.amount.toString(16).padStart(24, '0'), 'hex'), 1)
  const owner = row.owner === undefined ? [] : [Buffer.from(row.owner.slice(2), 'hex')]
  return Buffer.concat([head, signature, ...owner, ...(locks === 0 ? [] : [Uint8Array.of(locks), row.locks])])
}

function malformed(message: string): TallyError {
  return new TallyError('MALFORMED', { message })
}

export interface Need {
  readonly token: Address
  readonly amount: bigint
  /** Where the tokens are taken from. */
  readonly from: 'wallet' | 'balance'
}

/** The tokens that the action takes from the account that sends it; undefined when it takes none. */
export function needOf(action: LedgerAction): Need | undefined {
  switch (action.kind) {
    case 'deposit':
      return { token: action.token, amount: action.amount, from: 'wallet' }
    case 'open':
      return { token: action.token, amount: action.amount, from: action.from }
    case 'withdraw':
    case 'transfer':
    case 'top-up':
      return { token: action.token, amount: action.amount, from: 'balance' }
    default:
      return undefined
  }
}

/** One line for a person, in base units: who knows the token's decimals may say it better. */
export function summaryOf(action: LedgerAction): string {
  switch (action.kind) {
    case 'deposit':
      return `deposit ${action.amount} base units for ${action.account}`
    case 'withdraw':
      return `withdraw ${action.amount} base units to ${action.to}`
    case 'transfer':
      return `transfer ${action.amount} base units to ${action.to} inside the ledger`
    case 'open':
      return `reserve ${action.amount} base units for ${action.target} until ${isoTime(action.expiry)}`
    case 'top-up':
      return `top up the channel to ${action.target} by ${action.amount} base units`
    case 'reclaim':
      return `reclaim what is left in the channel to ${action.target}`
    case 'close':
      return `close the channel to ${action.target} at ${action.amount} base units`
    case 'settle':
      return `settle a promise of ${action.amount} base units for ${action.target}`
    case 'settle-batch':
      return `settle ${action.rows.length} promises for ${action.target}`
    case 'send':
      return `send ${action.wei} wei to ${action.to}`
    case 'call':
      return action.summary
  }
}

function isoTime(seconds: number): string {
  const time = new Date(seconds * 1000)
  return Number.isNaN(time.getTime()) ? `second ${seconds}` : time.toISOString()
}
