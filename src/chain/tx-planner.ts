import { getBytes } from 'ethers'
import { TallyError } from '../core/errors.ts'
import type { Address } from '../core/ids.ts'
import type { CallOptions, ChainSigner, LedgerAction } from '../ports/chain.ts'
import { erc20Interface } from './abi.ts'
import { type BlockTag, type Gateway, quantity } from './gateway.ts'
import { type Call, encodeAction, type Need, needOf, summaryOf } from './ledger-calls.ts'
import type { LedgerReader } from './ledger-reader.ts'
import { type PullWay, pullWay, readToken, signPermit } from './permit.ts'
import { revertedError } from './revert.ts'
import { HttpRefusal, RpcRefusal, unreachable } from './rpc-errors.ts'
import { type Fees, marketFees } from './tx-fees.ts'

export type Plan =
  | { readonly type: 'ready'; readonly call: Call; readonly gasLimit: bigint }
  /** This must be mined first. */
  | { readonly type: 'first'; readonly action: LedgerAction; readonly reason: string }

/** Makes a transaction of an action and asks the chain whether it would work. Signs permits, sends nothing. */
export interface TxPlanner {
  /**
   * `block`: 'pending' counts the account's own transactions that are still on their way.
   *
   * Throws FUNDS_LOW, GAS_LOW, TX_REVERTED, or what the gateway throws.
   */
  plan(action: LedgerAction, block: BlockTag, options?: CallOptions): Promise<Plan>
  fees(options?: CallOptions): Promise<Fees>
  /** Throws GAS_LOW when the account cannot pay this much at most, in wei. */
  checkGas(summary: string, wei: bigint, options?: CallOptions): Promise<void>
}

/** What a transaction may use beyond the estimate, in percent: the ledger's state may have changed by the time it is mined. */
const GAS_MARGIN_PERCENT = 25n
const DEFAULT_TIP = 1_000_000_000n

export interface TxPlannerInit {
  readonly gateway: Gateway
  readonly reader: LedgerReader
  readonly signer: ChainSigner
}

export function createTxPlanner({ gateway, reader, signer }: TxPlannerInit): TxPlanner {
  const from = signer.address
  const ways = new Map<Address, PullWay>()

  async function wayOf(token: Address, options: CallOptions): Promise<PullWay> {
    const known = ways.get(token)
    if (known !== undefined) return known
    const way = await pullWay(gateway, token, options)
    ways.set(token, way)
    return way
  }

  /** The call of an action that takes tokens from the wallet: with a permit, or as it is when the allowance is there. */
  async function pullCall(action: LedgerAction, need: Need, block: BlockTag, options: CallOptions): Promise<Call | Plan> {
    await checkFunds(action, need, options)
    const allowance = await readToken(gateway, need.token, 'allowance', [from, gateway.ledger], block, options)
    if (typeof allowance === 'bigint' && allowance >= need.amount) return encodeAction(action, gateway.ledger)
    const way = await wayOf(need.token, options)
    if (way.way === 'permit') {
      const head = await gateway.header('latest', options)
      const nowS = head?.timeS ?? 0
      const permit = await signPermit(gateway, signer, { token: need.token, domain: way.domain, value: need.amount, nowS, block })
      if (permit !== undefined) return encodeAction(action, gateway.ledger, permit)
    }
    const reason = way.way === 'approve' ? way.reason : 'the token does not tell the nonce of a permit'
    return { type: 'first', action: approveAction(need, gateway.ledger), reason }
  }

  async function checkFunds(action: LedgerAction, need: Need, options: CallOptions): Promise<void> {
    const { token, amount } = need
    const wallet = need.from === 'wallet'
    const has = await (wallet ? reader.walletBalance : reader.ledgerBalance)(token, signer.address, 'latest', options)
    if (has >= amount) return
    const where = wallet ? `in the wallet ${from}` : `in the ledger balance of ${from}`
    throw new TallyError('FUNDS_LOW', {
      message: `cannot ${summaryOf(action)}: ${amount} base units of token ${token} are needed, ${has} are ${where}`,
      hint: wallet
        ? `send at least ${amount - has} base units of the token to ${from}`
        : `deposit at least ${amount - has} base units first`,
      fields: { token: token, needed: amount, available: has, account: from },
    })
  }

  async function estimate(action: LedgerAction, call: Call, block: BlockTag, options: CallOptions): Promise<bigint> {
    const summary = summaryOf(action)
    try {
      const params = { from, to: call.to, data: call.data, value: `0x${call.wei.toString(16)}` }
      return quantity(await gateway.request('eth_estimateGas', [params, block], options), gateway.name)
    } catch (error) {
      if (error instanceof HttpRefusal) throw unreachable(gateway.name, error)
      if (!(error instanceof RpcRefusal)) throw error
      if (/insufficient funds/i.test(error.message)) await checkGas(summary, call.wei, options)
      if (error.data === undefined && !/revert/i.test(error.message)) throw unreachable(gateway.name, error)
      const need = needOf(action)
      // The figures say more than the contract's reason.
      if (need !== undefined) await checkFunds(action, need, options)
      throw revertedError(summary, error.data)
    }
  }

  async function checkGas(summary: string, wei: bigint, options?: CallOptions): Promise<void> {
    const has = await reader.gasBalance(signer.address, options)
    if (has >= wei) return
    throw new TallyError('GAS_LOW', {
      message: `cannot ${summary}: up to ${wei} wei of the gas coin are needed, the account ${from} has ${has}`,
      hint: `send at least ${wei - has} wei of the gas coin of chain ${gateway.chainId} to ${from}, or let a relay hand it in: --relay auto`,
      fields: { account: from, needed: wei, available: has, chain_id: gateway.chainId },
    })
  }

  return {
    async plan(action, block, options = {}) {
      const need = needOf(action)
      const call = need?.from === 'wallet' ? await pullCall(action, need, block, options) : encodeAction(action, gateway.ledger)
      if ('type' in call) return call
      const gas = await estimate(action, call, block, options)
      return { type: 'ready', call, gasLimit: gas + (gas * GAS_MARGIN_PERCENT) / 100n }
    },
    async fees(options) {
      const [head, tip] = await Promise.all([
        gateway.header('latest', options),
        gateway.request('eth_maxPriorityFeePerGas', [], options).then(
          (value) => quantity(value, gateway.name),
          (error: unknown) => defaultTip(error),
        ),
      ])
      if (head?.baseFee !== undefined) return marketFees(head.baseFee, tip)
      return marketFees(undefined, quantity(await gateway.request('eth_gasPrice', [], options), gateway.name))
    },
    checkGas,
  }
}

/** Not every RPC knows eth_maxPriorityFeePerGas; 1 gwei is what most nodes would say. */
function defaultTip(error: unknown): bigint {
  if (error instanceof RpcRefusal) return DEFAULT_TIP
  throw error
}

/** Exactly what is needed: an allowance that stays behind is a risk that nobody asked for. */
function approveAction(need: Need, ledger: string): LedgerAction {
  const data = getBytes(erc20Interface.encodeFunctionData('approve', [ledger, need.amount]))
  return {
    kind: 'call',
    to: need.token,
    data,
    wei: 0n,
    summary: `allow the ledger to take ${need.amount} base units of ${need.token}`,
  }
}
