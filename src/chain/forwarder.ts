import { hexlify, Interface } from 'ethers'
import artefact from '../../protocols/ledger/generated/ERC2771Forwarder.json' with { type: 'json' }
import { TallyError } from '../core/errors.ts'
import type { Address } from '../core/ids.ts'
import type { ForwarderDomain, SignedForward } from '../core/relay/request.ts'
import type { CallOptions, Execution, Forwarder, LedgerAction } from '../ports/chain.ts'
import { ledgerInterface, toAddress } from './abi.ts'
import { asUnreachable, type BlockTag, type Gateway, quantity } from './gateway.ts'
import { RpcRefusal } from './rpc-errors.ts'
import type { TxPlanner } from './tx-planner.ts'

export const forwarderInterface = new Interface(artefact.abi)

/** Most blocks that one query for logs asks for. */
const MAX_SPAN = 2_000

interface RawLog {
  readonly topics: readonly string[]
  readonly data: string
  readonly transactionHash: string
  readonly blockHash: string
  readonly blockNumber: string
}

function parseLog({ topics, data }: RawLog): { readonly nonce: bigint; readonly ok: boolean } | undefined {
  try {
    const args = forwarderInterface.parseLog({ topics: [...topics], data })?.args
    return args === undefined ? undefined : { nonce: BigInt(args[1]), ok: Boolean(args[2]) }
  } catch {
    return undefined
  }
}

const toQuantity = (value: number): string => `0x${value.toString(16)}`

/** The forwarder with what only the chain side asks of it. */
export interface ChainForwarder extends Forwarder {
  nonceAt(account: Address, block: BlockTag, options?: CallOptions): Promise<bigint>
}

/** Reads and calls the forwarder that the ledger trusts. Nothing is asked before it is needed; what never changes is asked once. */
export function createForwarder(gateway: Gateway, planner: Pick<TxPlanner, 'fees'>): ChainForwarder {
  let known: Promise<ForwarderDomain> | undefined

  async function view(
    to: Address,
    of: Interface,
    name: string,
    args: readonly unknown[],
    block: BlockTag,
    options?: CallOptions,
  ) {
    const data = of.encodeFunctionData(name, args)
    const result = await gateway.call(to, data, block, options).catch((error: unknown) => {
      if (error instanceof RpcRefusal && /revert/i.test(error.message)) throw noForwarder(to, error)
      throw asUnreachable(gateway.name, error)
    })
    try {
      return of.decodeFunctionResult(name, result).toArray()
    } catch (cause) {
      throw noForwarder(to, cause)
    }
  }

  async function find(options?: CallOptions): Promise<ForwarderDomain> {
    const [found] = await view(gateway.ledger, ledgerInterface, 'trustedForwarder', [], 'latest', options)
    const forwarder = toAddress(String(found))
    const [, name, version] = await view(forwarder, forwarderInterface, 'eip712Domain', [], 'latest', options)
    return { name: String(name), version: String(version), chainId: BigInt(gateway.chainId), forwarder }
  }

  async function domain(options?: CallOptions): Promise<ForwarderDomain> {
    known ??= find(options)
    const asking = known
    asking.catch(() => {
      if (known === asking) known = undefined
    })
    return await asking
  }

  async function nonceAt(account: Address, block: BlockTag, options?: CallOptions): Promise<bigint> {
    const { forwarder } = await domain(options)
    const [nonce] = await view(forwarder, forwarderInterface, 'nonces', [account], block, options)
    return BigInt(nonce as bigint)
  }

  async function ask(method: string, params: readonly unknown[], options?: CallOptions): Promise<unknown> {
    return await gateway.request(method, params, options).catch((error: unknown) => {
      throw asUnreachable(gateway.name, error)
    })
  }

  async function execution(
    account: Address,
    nonce: bigint,
    since: number,
    options?: CallOptions,
  ): Promise<Execution | undefined> {
    const { forwarder } = await domain(options)
    const head = Number(quantity(await ask('eth_blockNumber', [], options), gateway.name))
    const topics = forwarderInterface.encodeFilterTopics('ExecutedForwardRequest', [account])
    for (let from = since; from <= head; from += MAX_SPAN) {
      const range = { fromBlock: toQuantity(from), toBlock: toQuantity(Math.min(from + MAX_SPAN - 1, head)) }
      const logs = await ask('eth_getLogs', [{ address: forwarder, topics, ...range }], options)
      for (const log of Array.isArray(logs) ? (logs as RawLog[]) : []) {
        const found = parseLog(log)
        if (found?.nonce !== nonce) continue
        const transaction = (await ask('eth_getTransactionByHash', [log.transactionHash], options)) as { input?: unknown } | null
        const input = typeof transaction?.input === 'string' ? transaction.input.toLowerCase() : ''
        const { transactionHash: hash, blockHash, blockNumber } = log
        return {
          hash,
          blockHash,
          block: Number(quantity(blockNumber, gateway.name)),
          ok: found.ok,
          isOf: (signature) => input.includes(hexlify(signature).slice(2)),
        }
      }
    }
    return undefined
  }

  return {
    domain,
    execution,
    nonceAt,
    nonce: (account, options) => nonceAt(account, 'latest', options),
    async execute({ request, signature }: SignedForward, options): Promise<LedgerAction> {
      const { forwarder } = await domain(options)
      const { from, to, gas, deadline, data } = request
      const tuple = [from, to, 0n, gas, deadline, hexlify(data), hexlify(signature)]
      const call = forwarderInterface.encodeFunctionData('execute', [tuple])
      return {
        kind: 'call',
        to: forwarder,
        data: Uint8Array.from(Buffer.from(call.slice(2), 'hex')),
        wei: 0n,
        summary: `hand in request ${request.nonce} of ${from}`,
      }
    },
    async gasPrice(options) {
      const { maxFee, tip } = await planner.fees(options)
      // twice the base fee is offered, so that it stays good for a while; about half of it is paid
      return tip === undefined ? maxFee : (maxFee - tip) / 2n + tip
    },
  }
}

function noForwarder(at: Address, cause: unknown): TallyError {
  return new TallyError('CONTRACT_MISSING', {
    message: `the contract at ${at} does not answer as a ledger with its forwarder should`,
    hint: 'check the ledger address in the configuration',
    fields: { at },
    cause,
  })
}
