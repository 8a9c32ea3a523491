import { AbiCoder, getBytes, keccak256 } from 'ethers'
import type { Address, Hash32 } from '../core/ids.ts'
import type { RegisteredService } from '../core/registered-service.ts'
import type { CallOptions, Job, Transactions } from '../ports/chain.ts'
import { erc20Interface, registryInterface } from './abi.ts'
import { readToken } from './permit.ts'
import { encodeService } from './registry-codec.ts'
import { createRegistryReader, type RegistryReader, type RegistryReaderInit } from './registry-reader.ts'

export interface RegistryInit extends RegistryReaderInit {
  /** The account that sends the transactions: the provider of what it registers. */
  readonly account: Address
  readonly transactions: Transactions
}

/**
 * The service registry over one RPC and one account's queue of transactions. What sends returns the job of the queue; its own errors
 * are those of `Transactions`, and `fields.reason` of TX_REVERTED names the registry's error.
 */
export interface Registry extends RegistryReader {
  /** The id that this account gets for a salt. */
  idOf(salt: Hash32): Hash32
  /**
   * Registers a service under the salt, and lets the registry take the stake first where it may not yet. The same salt again is the
   * same job: no second stake is locked, not even after a restart.
   *
   * @throws TallyError MALFORMED when the descriptor breaks the rules of REGISTRY.md; what the approve came to, when one was needed
   */
  register(salt: Hash32, service: RegisteredService, options?: CallOptions): Promise<{ readonly id: Hash32; readonly job: Job }>
  /** Replaces the descriptor of a service of this account. @throws TallyError MALFORMED */
  update(id: Hash32, service: RegisteredService, options?: CallOptions): Promise<Job>
  /** Takes a service of this account back and begins the delay after which the stake can be withdrawn. */
  unregister(id: Hash32, options?: CallOptions): Promise<Job>
  /** Returns the stake of a service that was taken back to this account. */
  withdrawStake(id: Hash32, options?: CallOptions): Promise<Job>
}

/** @see protocols/ledger/REGISTRY.md */
export function createRegistry(init: RegistryInit): Registry {
  const { gateway, registry, account, transactions } = init
  const reader = createRegistryReader(init)

  function send(to: Address, data: string, summary: string, options: CallOptions & { key?: string } = {}): Promise<Job> {
    return transactions.submit({ kind: 'call', to, data: getBytes(data), wei: 0n, summary }, options)
  }

  function call(fn: string, args: readonly unknown[], summary: string, options?: CallOptions & { key?: string }): Promise<Job> {
    return send(registry, registryInterface.encodeFunctionData(fn, args), summary, options)
  }

  /** An approve of exactly one stake, unless the registry may take that much already. */
  async function allowStake(options?: CallOptions): Promise<void> {
    const { token, amount } = await reader.stake(options)
    const allowed = await readToken(gateway, token, 'allowance', [account, registry], 'latest', options)
    if (typeof allowed === 'bigint' && allowed >= amount) return
    const data = erc20Interface.encodeFunctionData('approve', [registry, amount])
    const job = await send(token, data, `allow the registry to take a stake of ${amount} base units of ${token}`, options)
    await transactions.wait(job, { ...options, confirmations: 0 })
  }

  function idOf(salt: Hash32): Hash32 {
    const types = ['uint256', 'address', 'address', 'bytes32']
    return keccak256(AbiCoder.defaultAbiCoder().encode(types, [gateway.chainId, registry, account, salt])) as Hash32
  }

  async function registerNow(salt: Hash32, service: RegisteredService, options?: CallOptions) {
    const args = [salt, encodeService(service)]
    const id = idOf(salt)
    if ((await reader.entry(id, options)) === undefined) await allowStake(options)
    const job = await call('register', args, `register the service ${service.name}`, { ...options, key: `register ${id}` })
    return { id, job }
  }

  // An allowance is for one stake, so a registration waits until the one before it has used its own.
  let turn: Promise<unknown> = Promise.resolve()

  return {
    ...reader,
    idOf,
    register(salt, service, options) {
      const registered = turn.then(() => registerNow(salt, service, options))
      turn = registered.then(({ job }) => transactions.wait(job, { confirmations: 0 })).catch(() => {})
      return registered
    },
    update(id, service, options) {
      return call('update', [id, encodeService(service)], `update the service ${service.name} (${id})`, options)
    },
    unregister(id, options) {
      return call('unregister', [id], `unregister the service ${id}`, { ...options, key: `unregister ${id}` })
    },
    withdrawStake(id, options) {
      const key = `withdraw the stake of ${id}`
      return call('withdrawStake', [id], key, { ...options, key })
    },
  }
}
