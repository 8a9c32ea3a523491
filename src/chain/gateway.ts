import { JsonRpcProvider, Network } from 'ethers'
import { TallyError } from '../core/errors.ts'
import type { Address } from '../core/ids.ts'
import type { CallOptions } from '../ports/chain.ts'
import { fromEthers, HttpRefusal, RpcRefusal, unreachable } from './rpc-errors.ts'
import { createTransport } from './rpc-transport.ts'

export interface GatewayInit {
  readonly rpcUrl: string
  readonly chainId: number
  readonly ledger: Address
  /** @default 10_000 */
  readonly timeoutMs?: number
  /** @default 16 MiB */
  readonly maxReplyBytes?: number
}

export const GATEWAY_DEFAULTS = { timeoutMs: 10_000, maxReplyBytes: 16 << 20, batchMaxCount: 20 } as const

export interface Header {
  readonly number: number
  readonly hash: string
  readonly parent: string
  readonly timeS: number
  /** Absent on chains without EIP-1559. */
  readonly baseFee?: bigint
}

export type BlockTag = number | 'latest' | 'pending'

/** One RPC endpoint of one chain. Constructed without a single byte sent; every call is bound in time. */
export interface Gateway {
  readonly chainId: number
  readonly ledger: Address
  /** The RPC without secrets, for sentences. */
  readonly name: string
  /** Throws CHAIN_UNREACHABLE, CHAIN_WRONG or CONTRACT_MISSING. */
  ready(options?: CallOptions): Promise<void>
  /**
   * One JSON-RPC call, after the chain was checked. Throws CHAIN_UNREACHABLE, CHAIN_WRONG, CONTRACT_MISSING, ABORTED; RpcRefusal
   * or HttpRefusal when the RPC answered and said no.
   */
  request(method: string, params: readonly unknown[], options?: CallOptions): Promise<unknown>
  /** The block at that tag, undefined when there is none. */
  header(block: BlockTag, options?: CallOptions): Promise<Header | undefined>
  /** eth_call. Throws RpcRefusal with the revert data. */
  call(to: string, data: string, block: BlockTag, options?: CallOptions): Promise<string>
  close(): void
}

/**
 * Joins ethers to one RPC. The network is fixed, so ethers never looks for it on its own (that loop logs to the console and never
 * ends); instead the chain id and the ledger's code are checked before the first call and after each failure: an RPC that comes
 * back may be of another chain.
 */
export function createGateway(init: GatewayInit): Gateway {
  const { chainId, ledger, timeoutMs = GATEWAY_DEFAULTS.timeoutMs, maxReplyBytes = GATEWAY_DEFAULTS.maxReplyBytes } = init
  const transport = createTransport(init.rpcUrl, { timeoutMs, maxReplyBytes })
  const provider = new JsonRpcProvider(transport.request, chainId, {
    staticNetwork: Network.from(chainId),
    cacheTimeout: -1,
    batchMaxCount: GATEWAY_DEFAULTS.batchMaxCount,
    batchStallTime: 1,
  })
  const closing = new AbortController()
  let checked: Promise<void> | undefined

  async function raw(method: string, params: readonly unknown[]): Promise<unknown> {
    try {
      return await provider.send(method, [...params])
    } catch (thrown) {
      if (closing.signal.aborted) throw closedError()
      const error = fromEthers(method, thrown)
      if (error instanceof RpcRefusal) throw error
      checked = undefined
      if (error instanceof HttpRefusal && error.status !== 429 && error.status < 500) throw error
      throw unreachable(transport.name, error)
    }
  }

  async function check(): Promise<void> {
    const [id, code] = await Promise.all([raw('eth_chainId', []), raw('eth_getCode', [ledger, 'latest'])]).catch(
      (error: unknown) => {
        throw unreachable(transport.name, error)
      },
    )
    if (quantity(id) !== BigInt(chainId)) throw wrongChain(transport.name, quantity(id), chainId)
    if (typeof code !== 'string' || code.length <= 2) throw contractMissing(transport.name, ledger, chainId)
  }

  function ensureChecked(): Promise<void> {
    if (checked === undefined) {
      const attempt = check()
      checked = attempt
      attempt.catch(() => {
        if (checked === attempt) checked = undefined
      })
    }
    return checked
  }

  async function request(method: string, params: readonly unknown[], options: CallOptions = {}): Promise<unknown> {
    return abortable(
      ensureChecked().then(() => raw(method, params)),
      [closing.signal, options.signal],
    )
  }

  return {
    chainId,
    ledger,
    name: transport.name,
    ready(options = {}) {
      checked = undefined
      return abortable(ensureChecked(), [closing.signal, options.signal])
    },
    request,
    async header(block, options) {
      const found = await request('eth_getBlockByNumber', [tag(block), false], options).catch((error: unknown) => {
        // Some RPCs answer with an error, not with null, for a block that is not there yet.
        if (error instanceof RpcRefusal && typeof block === 'number') return null
        throw asUnreachable(transport.name, error)
      })
      return found === null ? undefined : parseHeader(found, transport.name)
    },
    async call(to, data, block, options) {
      const result = await request('eth_call', [{ to, data }, tag(block)], options)
      if (typeof result !== 'string') throw unreachable(transport.name, new Error('eth_call: the answer is not hex'))
      return result
    },
    close() {
      closing.abort()
      provider.destroy()
      transport.close()
    },
  }
}

/** RpcRefusal and HttpRefusal, where the caller has no use for them, as CHAIN_UNREACHABLE. */
export function asUnreachable(name: string, thrown: unknown): unknown {
  return thrown instanceof RpcRefusal || thrown instanceof HttpRefusal ? unreachable(name, thrown) : thrown
}

function tag(block: BlockTag): string {
  return typeof block === 'number' ? `0x${block.toString(16)}` : block
}

/** A JSON-RPC quantity; CHAIN_UNREACHABLE when it is something else. */
export function quantity(value: unknown, name = 'the RPC'): bigint {
  if (typeof value === 'string' && /^0x[0-9a-f]{1,64}$/i.test(value)) return BigInt(value)
  throw unreachable(name, new Error('a number in the answer is not a number'))
}

function parseHeader(block: unknown, name: string): Header {
  const { number, hash, parentHash, timestamp, baseFeePerGas } = block as Record<string, unknown>
  if (!isHash(hash) || !isHash(parentHash)) throw unreachable(name, new Error('a block without a hash'))
  return {
    number: Number(quantity(number, name)),
    hash,
    parent: parentHash,
    timeS: Number(quantity(timestamp, name)),
    ...(baseFeePerGas === undefined || baseFeePerGas === null ? {} : { baseFee: quantity(baseFeePerGas, name) }),
  }
}

function isHash(value: unknown): value is string {
  return typeof value === 'string' && /^0x[0-9a-f]{64}$/.test(value)
}

/** Settles with the promise, or with ABORTED as soon as one of the signals fires. */
export async function abortable<T>(promise: Promise<T>, signals: readonly (AbortSignal | undefined)[]): Promise<T> {
  const live = signals.filter((signal) => signal !== undefined)
  promise.catch(() => {})
  const { promise: stopped, reject } = Promise.withResolvers<never>()
  const stop = () => reject(closedError())
  if (live.some((signal) => signal.aborted)) throw closedError()
  for (const signal of live) signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([promise, stopped])
  } finally {
    for (const signal of live) signal.removeEventListener('abort', stop)
  }
}

function closedError(): TallyError {
  return new TallyError('ABORTED', { message: 'the call to the chain was aborted' })
}

function wrongChain(name: string, found: bigint, wanted: number): TallyError {
  return new TallyError('CHAIN_WRONG', {
    message: `the RPC at ${name} is of chain ${found}, but this node is set up for chain ${wanted}`,
    hint: 'correct the RPC address or the chain id in the configuration',
    fields: { rpc: name, found, wanted },
  })
}

function contractMissing(name: string, ledger: string, chainId: number): TallyError {
  return new TallyError('CONTRACT_MISSING', {
    message: `there is no contract at the ledger address ${ledger} on chain ${chainId}`,
    hint: `check the ledger address; if it is right, the node behind ${name} may not have caught up with the chain yet`,
    fields: { rpc: name, ledger, chain_id: chainId },
  })
}
