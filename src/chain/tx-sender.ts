import { getBytes, hexlify, Signature, Transaction } from 'ethers'
import { type ErrorCode, TallyError } from '../core/errors.ts'
import type { ChainSigner } from '../ports/chain.ts'
import type { Gateway } from './gateway.ts'
import type { Call } from './ledger-calls.ts'
import { RpcRefusal } from './rpc-errors.ts'
import type { Fees } from './tx-fees.ts'
import type { Attempt } from './tx-record.ts'

export interface SignInit {
  readonly call: Call
  readonly nonce: number
  readonly gasLimit: bigint
  readonly fees: Fees
}

/** Signs a transaction. The bytes say all: whoever has them can send them, and sending them twice is harmless. */
export async function signTransaction(chainId: number, signer: ChainSigner, init: SignInit): Promise<Attempt> {
  const { call, nonce, gasLimit, fees } = init
  const common = { chainId, nonce, to: call.to, data: call.data, value: call.wei, gasLimit }
  const transaction = Transaction.from(
    fees.tip === undefined
      ? { ...common, type: 0, gasPrice: fees.maxFee }
      : { ...common, type: 2, maxFeePerGas: fees.maxFee, maxPriorityFeePerGas: fees.tip },
  )
  transaction.signature = Signature.from(hexlify(await signer.sign(getBytes(transaction.unsignedHash))))
  const { hash, serialized: raw } = transaction
  if (hash === null) throw new TypeError('a signed transaction has a hash')
  return { hash, raw, gasLimit, maxFee: fees.maxFee, ...(fees.tip === undefined ? {} : { tip: fees.tip }) }
}

/** The same transaction as an attempt, with other fees. */
export async function resign(signer: ChainSigner, last: Attempt, fees: Fees): Promise<Attempt> {
  if (last.raw === undefined) throw new TypeError('the bytes of a finished transaction are gone')
  const { to, data, value, nonce, gasLimit, chainId } = Transaction.from(last.raw)
  const call = { to: (to ?? '').toLowerCase() as Call['to'], data, wei: value }
  return signTransaction(Number(chainId), signer, { call, nonce, gasLimit, fees })
}

/**
 * taken: the RPC has it. nonce-used: another transaction with this nonce is in the chain, or this one is. fee-low: it wants more.
 * held: the RPC refuses it for now, for the reason given. lost: no answer came, so nobody knows.
 */
export type SendResult =
  | { readonly type: 'taken' | 'nonce-used' | 'fee-low' }
  | { readonly type: 'held' | 'lost'; readonly error: TallyError }

/** Hands the signed bytes to the RPC. Never throws for what the RPC or the network does. */
export async function broadcast(gateway: Gateway, attempt: Attempt, signal: AbortSignal): Promise<SendResult> {
  try {
    await gateway.request('eth_sendRawTransaction', [attempt.raw], { signal })
    return { type: 'taken' }
  } catch (error) {
    if (!(error instanceof RpcRefusal)) return { type: 'lost', error: unknownError(error) }
    return refusal(error.message)
  }
}

/** Nodes word their refusals differently; what none of these match is held and tried again. */
export function refusal(message: string): SendResult {
  if (/already known|already imported|known transaction|already in (the )?(mem)?pool|already exists/i.test(message))
    return { type: 'taken' }
  if (/replacement/i.test(message)) return { type: 'taken' }
  if (/nonce.*too low|nonce.*(already )?used|invalid nonce|old nonce/i.test(message)) return { type: 'nonce-used' }
  if (/underpriced|fee.*(too low|less than)|gas price.*(too low|below)|below.*base fee/i.test(message)) return { type: 'fee-low' }
  if (/insufficient funds/i.test(message))
    return { type: 'held', error: heldError('GAS_LOW', message, 'send gas coin to the account; it is sent again by itself') }
  return { type: 'held', error: heldError('TX_UNKNOWN', message, 'it is sent again by itself') }
}

function heldError(code: ErrorCode, reason: string, hint: string): TallyError {
  return new TallyError(code, { message: `the RPC does not take the signed transaction: ${reason}`, hint })
}

function unknownError(cause: unknown): TallyError {
  return new TallyError('TX_UNKNOWN', {
    message: 'the RPC gave no answer to the signed transaction, so it may or may not go through',
    hint: 'wait: the same bytes are sent again, which cannot pay twice',
    cause,
  })
}
