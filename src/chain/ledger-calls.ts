import { hexlify } from 'ethers'
import type { Address } from '../core/ids.ts'
import { encodeRows } from '../core/promise.ts'
import type { LedgerAction } from '../ports/chain.ts'
import { ledgerInterface } from './abi.ts'
import type { PermitSignature } from './permit.ts'

/** Calldata and target of one transaction, as hex. */
export interface Call {
  readonly to: Address
  readonly data: string
  readonly wei: bigint
}

/** The action as a transaction. `permit` is used where the action pulls tokens out of the wallet; without it an allowance must be there. */
export function encodeAction(action: LedgerAction, ledger: Address, permit?: PermitSignature): Call {
  if (action.kind === 'send') return { to: action.to, data: '0x', wei: action.wei }
  if (action.kind === 'call') return { to: action.to, data: hexlify(action.data), wei: action.wei }
  if (action.kind === 'open' && (action.deposit !== undefined || action.sweep !== undefined))
    return fundThenOpen(action, ledger, permit)
  const [name, values] = ledgerCall(action, permit)
  return { to: ledger, data: ledgerInterface.encodeFunctionData(name, values), wei: 0n }
}

/** What the balance lacks comes from the deposit address and the wallet, the reservation out of all: one transaction, all of it or nothing. */
function fundThenOpen(action: Open, ledger: Address, permit: PermitSignature | undefined): Call {
  const { deposit, sweep, ...open } = action
  const calls = [
    ...(sweep === undefined ? [] : [encodeAction({ kind: 'sweep', token: action.token, account: sweep }, ledger).data]),
    ...(deposit === undefined ? [] : [encodeAction({ kind: 'deposit', token: action.token, ...deposit }, ledger, permit).data]),
    encodeAction(open, ledger).data,
  ]
  return { to: ledger, data: ledgerInterface.encodeFunctionData('multicall', [calls]), wei: 0n }
}

type Open = Extract<LedgerAction, { kind: 'open' }>
type LedgerCallAction = Exclude<LedgerAction, { kind: 'send' | 'call' }>

function ledgerCall(action: LedgerCallAction, permit: PermitSignature | undefined): [name: string, values: unknown[]] {
  const token = action.token
  const signed = permit === undefined ? [] : [permit.deadline, permit.v, permit.r, permit.s]
  switch (action.kind) {
    case 'deposit':
      return [permit === undefined ? 'deposit' : 'depositWithPermit', [token, action.account, action.amount, ...signed]]
    case 'sweep':
      return ['sweep', [action.account, token]]
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
      return ['settle', [action.target, token, hexlify(encodeRows([action]))]]
    case 'settle-batch':
      return ['settleBatch', [action.target, token, hexlify(encodeRows(action.rows))]]
  }
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
      // how much comes from the deposit address the chain says when it is tried
      if (action.sweep !== undefined && action.deposit === undefined) return undefined
      if (action.deposit !== undefined) return { token: action.token, amount: action.deposit.amount, from: 'wallet' }
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
    case 'sweep':
      return `take what lies at the deposit address of ${action.account} into its balance`
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
