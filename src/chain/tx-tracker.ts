import type { ChainSigner } from '../ports/chain.ts'
import { asUnreachable, type Gateway, quantity } from './gateway.ts'
import { encodeAction } from './ledger-calls.ts'
import { revertedError } from './revert.ts'
import { RpcRefusal } from './rpc-errors.ts'
import type { TxBook } from './tx-book.ts'
import { bumpedFees } from './tx-fees.ts'
import type { TxPlanner } from './tx-planner.ts'
import { type Attempt, failureOf, isFinished, type TxRecord } from './tx-record.ts'
import { broadcast, resign, type SendResult } from './tx-sender.ts'

export interface TrackerInit {
  readonly gateway: Gateway
  readonly planner: TxPlanner
  readonly signer: ChainSigner
  readonly book: TxBook
  readonly confirmations: number
  /** After this long without being mined the fees are raised. */
  readonly bumpAfterMs: number
  /** After this long without being mined the same bytes are sent again: the RPC may have forgotten them. */
  readonly resendAfterMs: number
  /** Most that a raised fee may offer for a unit of gas, in wei. */
  readonly maxFeeWei: bigint
  readonly signal: AbortSignal
  readonly nowMs: () => number
}

/** What the chain looked like before the receipts were asked for. */
export interface Sight {
  readonly head: number
  /** Transactions of the account that are in the chain. */
  readonly count: number
}

/** Follows signed transactions until they are deep enough in the chain: sends again, raises fees, notices reorganisations. */
export interface Tracker {
  look(): Promise<Sight>
  /** One step for one record in flight. Resolves true when something changed. */
  track(record: TxRecord, sight: Sight): Promise<boolean>
  /** The first broadcast of bytes that were signed a moment ago. */
  sendFirst(record: TxRecord): Promise<void>
}

/** Rounds in which the nonce must be seen used, with none of our hashes in the chain, before a transaction is given up. */
const GONE_ROUNDS = 3

interface Memory {
  sentMs?: number
  signedMs: number
  goneRounds: number
  goneHead: number
}

export function createTracker(init: TrackerInit): Tracker {
  const { gateway, planner, signer, book, confirmations, signal, nowMs } = init
  const from = signer.address
  const memories = new Map<string, Memory>()

  function memoryOf(record: TxRecord): Memory {
    const known = memories.get(record.id)
    if (known !== undefined) return known
    const fresh = { signedMs: nowMs(), goneRounds: 0, goneHead: 0 }
    memories.set(record.id, fresh)
    return fresh
  }

  async function ask(method: string, params: readonly unknown[]): Promise<unknown> {
    return gateway.request(method, params, { signal }).catch((error: unknown) => {
      throw asUnreachable(gateway.name, error)
    })
  }

  async function findReceipt(attempts: readonly Attempt[]): Promise<Receipt | undefined> {
    const found = await Promise.all(attempts.map(({ hash }) => ask('eth_getTransactionReceipt', [hash])))
    const receipt = found.find((one) => one !== null && one !== undefined)
    return receipt === undefined ? undefined : parseReceipt(receipt, gateway.name)
  }

  async function found(record: TxRecord, receipt: Receipt, sight: Sight): Promise<boolean> {
    const deep = sight.head - receipt.block >= confirmations
    const reverted = !receipt.ok
    const state = deep ? (reverted ? 'failed' : 'confirmed') : 'mined'
    if (record.state === state && record.blockHash === receipt.blockHash) return false
    const failure = reverted ? { failure: record.failure ?? failureOf(await whyReverted(record, receipt)) } : {}
    const { failure: _old, stale: _stale, ...rest } = record
    const { block, blockHash, gasUsed, feeWei, hash: minedHash } = receipt
    const attempts = deep ? record.attempts.map(({ raw: _raw, ...kept }) => kept) : record.attempts
    await book.put({ ...rest, ...failure, state, attempts, reverted, block, blockHash, gasUsed, feeWei, minedHash })
    if (deep) memories.delete(record.id)
    return true
  }

  async function whyReverted(record: TxRecord, receipt: Receipt) {
    const { to, data, wei } = encodeAction(record.action, gateway.ledger)
    const call = { from, to, data, value: `0x${wei.toString(16)}` }
    const reason = await gateway.request('eth_call', [call, `0x${receipt.block.toString(16)}`], { signal }).then(
      () => undefined,
      (error: unknown) => (error instanceof RpcRefusal ? error.data : undefined),
    )
    return revertedError(record.summary, reason, { hash: receipt.hash })
  }

  /** The nonce is used and it was not by one of ours. */
  async function gone(record: TxRecord, memory: Memory, sight: Sight): Promise<boolean> {
    if (memory.goneRounds === 0) memory.goneHead = sight.head
    memory.goneRounds++
    if (memory.goneRounds < GONE_ROUNDS || sight.head - memory.goneHead < confirmations) return false
    memories.delete(record.id)
    const { nonce: _nonce, stale: _stale, failure: _failure, ...rest } = record
    if (record.stale === true) {
      // No RPC ever took it and its nonce is gone for good: it may be signed anew.
      await book.put({ ...rest, state: 'written', attempts: [] })
      return true
    }
    const failure = {
      code: 'TX_REPLACED' as const,
      message: `could not ${record.summary}: another transaction of ${from} used the nonce ${record.nonce}`,
      hint: 'was it cancelled in a wallet, or does another program use this key? Run the command again to do it after all',
    }
    await book.put({ ...rest, ...(record.nonce === undefined ? {} : { nonce: record.nonce }), state: 'replaced', failure })
    return true
  }

  async function send(record: TxRecord, first: boolean): Promise<boolean> {
    const last = record.attempts.at(-1)
    if (last === undefined || isFinished(record.state)) return false
    memoryOf(record).sentMs = nowMs()
    const result = await broadcast(gateway, last, signal)
    const next = afterSend(record, result, first)
    if (next !== record) await book.put(next)
    if (result.type === 'fee-low') await raiseFees(next)
    return next.state !== record.state
  }

  async function raiseFees(record: TxRecord): Promise<boolean> {
    const last = record.attempts.at(-1)
    if (last === undefined) return false
    memoryOf(record).signedMs = nowMs()
    const fees = bumpedFees(last, await planner.fees({ signal }), init.maxFeeWei)
    if (fees === undefined) return false
    const attempt = await resign(signer, last, fees)
    const next = { ...record, attempts: [...record.attempts, attempt] }
    await book.put(next)
    memoryOf(record).sentMs = nowMs()
    const result = await broadcast(gateway, attempt, signal)
    const sent = afterSend(next, result, false)
    if (sent !== next) await book.put(sent)
    return true
  }

  return {
    async look() {
      const [head, count] = await Promise.all([ask('eth_blockNumber', []), ask('eth_getTransactionCount', [from, 'latest'])])
      return { head: Number(quantity(head, gateway.name)), count: Number(quantity(count, gateway.name)) }
    },
    async track(record, sight) {
      const receipt = await findReceipt(record.attempts)
      if (receipt !== undefined) return found(record, receipt, sight)
      const memory = memoryOf(record)
      if (record.state === 'mined') {
        // A reorganisation took its block back.
        await book.put(unmined(record))
        memory.sentMs = Number.NEGATIVE_INFINITY
        return true
      }
      if (record.nonce !== undefined && sight.count > record.nonce) return gone(record, memory, sight)
      memory.goneRounds = 0
      const now = nowMs()
      if (sight.count === record.nonce && now - memory.signedMs >= init.bumpAfterMs && record.state !== 'signed')
        return raiseFees(record)
      if (now - (memory.sentMs ?? Number.NEGATIVE_INFINITY) >= init.resendAfterMs) return send(record, false)
      return false
    },
    async sendFirst(record) {
      await send(record, true)
    },
  }
}

/** What the answer to a broadcast says about the record. */
function afterSend(record: TxRecord, result: SendResult, first: boolean): TxRecord {
  const { failure, ...rest } = record
  switch (result.type) {
    case 'taken':
      return record.state === 'sent' && failure === undefined ? record : { ...rest, state: 'sent' }
    case 'nonce-used':
      return { ...rest, state: 'unknown', ...(first && record.attempts.length === 1 ? { stale: true } : {}) }
    case 'fee-low':
      return { ...rest, state: 'unknown' }
    case 'held':
      return { ...rest, state: first ? 'signed' : record.state, failure: failureOf(result.error) }
    case 'lost':
      return { ...rest, state: record.state === 'sent' ? 'sent' : 'unknown', failure: failureOf(result.error) }
  }
}

function unmined(record: TxRecord): TxRecord {
  const { block: _b, blockHash: _h, minedHash: _m, gasUsed: _g, feeWei: _f, reverted: _r, failure: _e, ...rest } = record
  return { ...rest, state: 'sent' }
}

interface Receipt {
  readonly hash: string
  readonly block: number
  readonly blockHash: string
  readonly ok: boolean
  readonly gasUsed: bigint
  readonly feeWei: bigint
}

function parseReceipt(value: unknown, name: string): Receipt {
  const { transactionHash, blockNumber, blockHash, status, gasUsed, effectiveGasPrice } = value as Record<string, unknown>
  const gas = quantity(gasUsed, name)
  const price = effectiveGasPrice === undefined ? 0n : quantity(effectiveGasPrice, name)
  return {
    hash: String(transactionHash),
    block: Number(quantity(blockNumber, name)),
    blockHash: String(blockHash),
    ok: quantity(status, name) === 1n,
    gasUsed: gas,
    feeWei: gas * price,
  }
}
