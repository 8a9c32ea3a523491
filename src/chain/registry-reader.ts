import { TallyError } from '../core/errors.ts'
import type { Address, Hash32 } from '../core/ids.ts'
import type { RegisteredService } from '../core/registered-service.ts'
import type { CallOptions } from '../ports/chain.ts'
import { registryInterface, toAddress } from './abi.ts'
import { asUnreachable, type Gateway } from './gateway.ts'
import { decodeEntry, decodePublished, type PublishedService, publishedTopics, type RegistryEntry } from './registry-codec.ts'
import { HttpRefusal, RpcRefusal, unreachable } from './rpc-errors.ts'

/** An entry with the descriptor that its hash proves. */
export interface ServiceEntry extends RegistryEntry {
  readonly service: RegisteredService
}

/** What every registration of this registry locks. Fixed for ever. */
export interface StakeTerms {
  readonly token: Address
  /** base units */
  readonly amount: bigint
  /** from unregistering to withdrawal, s */
  readonly unbondingS: number
}

export interface RegistryReaderInit {
  readonly gateway: Gateway
  readonly registry: Address
  /** First block of interest: the one that holds the registry's deployment. @default 0 */
  readonly startBlock?: number
  /** Most blocks that one query for logs asks for. @default 2_000 */
  readonly maxSpan?: number
}

export interface ListOptions extends CallOptions {
  /** Most services that are returned, newest version first. @default 100 */
  readonly limit?: number
}

/** Typed reads of the service registry, newest block. Errors as the chain port says; CONTRACT_MISSING: there is no registry. */
export interface RegistryReader {
  stake(options?: CallOptions): Promise<StakeTerms>
  /** What is stored; undefined when the id was never registered. */
  entry(id: Hash32, options?: CallOptions): Promise<RegistryEntry | undefined>
  /**
   * The entry with its descriptor, whatever its status; undefined when the id was never registered.
   *
   * @throws TallyError MALFORMED when the descriptor breaks the rules of REGISTRY.md; CHAIN_UNREACHABLE when the RPC lacks its log
   */
  read(id: Hash32, options?: CallOptions): Promise<ServiceEntry | undefined>
  /** The listed services of a name or a kind; what cannot be proven or breaks the rules of REGISTRY.md is left out. */
  list(by: { name: string } | { kind: string }, options?: ListOptions): Promise<readonly ServiceEntry[]>
}

export const REGISTRY_DEFAULTS = { startBlock: 0, maxSpan: 2_000, limit: 100 } as const

/** Entries that are read at once. */
const READS_AT_ONCE = 20

export function createRegistryReader(init: RegistryReaderInit): RegistryReader {
  const { gateway, registry, startBlock = REGISTRY_DEFAULTS.startBlock, maxSpan = REGISTRY_DEFAULTS.maxSpan } = init

  async function view(name: string, args: readonly unknown[], options?: CallOptions) {
    const data = registryInterface.encodeFunctionData(name, args)
    const result = await gateway.call(registry, data, 'latest', options).catch((error: unknown) => {
      // No view of the registry ever reverts.
      if (error instanceof RpcRefusal && /revert/i.test(error.message)) throw notTheRegistry(registry, error)
      throw asUnreachable(gateway.name, error)
    })
    try {
      return registryInterface.decodeFunctionResult(name, result)
    } catch (cause) {
      throw notTheRegistry(registry, cause)
    }
  }

  async function entry(id: Hash32, options?: CallOptions): Promise<RegistryEntry | undefined> {
    return decodeEntry(id, await view('entry', [id], options))
  }

  /** The logs of a span of blocks; undefined when the RPC refuses so many. */
  async function readLogs(topics: readonly unknown[], from: number, to: number, options: CallOptions) {
    const hex = (value: number) => `0x${value.toString(16)}`
    const filter = { address: registry, fromBlock: hex(from), toBlock: hex(to), topics }
    try {
      const logs = await gateway.request('eth_getLogs', [filter], options)
      if (!Array.isArray(logs)) throw unreachable(gateway.name, new Error('the logs are not a list'))
      return logs.flatMap((log) => decodePublished(log) ?? [])
    } catch (error) {
      if (from < to && (error instanceof RpcRefusal || error instanceof HttpRefusal)) return undefined
      throw asUnreachable(gateway.name, error)
    }
  }

  /** Everything published under these topics, a span of blocks at a time, newest span first. */
  async function* scan(topics: readonly unknown[], options: CallOptions): AsyncGenerator<readonly PublishedService[]> {
    const head = await gateway.header('latest', options)
    let span = maxSpan
    for (let to = head?.number ?? -1; to >= startBlock; ) {
      const from = Math.max(startBlock, to - span + 1)
      const found = await readLogs(topics, from, to, options)
      if (found === undefined) {
        span = Math.ceil((to - from + 1) / 2)
        continue
      }
      yield found
      to = from - 1
    }
  }

  async function descriptorOf(stored: RegistryEntry, options: CallOptions): Promise<PublishedService> {
    const { id, publishedIn, serviceHash } = stored
    const topics = publishedTopics({ id })
    const proven = (found: readonly PublishedService[]) => found.find((one) => one.serviceHash === serviceHash)
    // The block is a hint: on some chains block.number is not the number by which the RPC knows the block.
    const hinted = proven((await readLogs(topics, publishedIn, publishedIn, options).catch(noneIfAnswered)) ?? [])
    if (hinted !== undefined) return hinted
    for await (const found of scan(topics, options)) {
      const published = proven(found)
      if (published !== undefined) return published
    }
    throw new TallyError('CHAIN_UNREACHABLE', {
      message: `the RPC at ${gateway.name} does not have the log that describes the service ${id}`,
      hint: 'use an RPC that keeps old logs, or ask the provider for its descriptor: the hash in the registry proves it',
      fields: { rpc: gateway.name, service: id },
    })
  }

  /** The service as it is listed now, if this is its present version and keeps the rules. */
  async function listed(published: PublishedService, options: CallOptions): Promise<ServiceEntry | undefined> {
    const stored = await entry(published.id, options)
    if (stored?.status !== 'listed' || stored.serviceHash !== published.serviceHash) return undefined
    try {
      return { ...stored, service: published.service() }
    } catch (error) {
      if (error instanceof TallyError && error.code === 'MALFORMED') return undefined
      throw error
    }
  }

  return {
    async stake(options) {
      const names = ['stakeToken', 'stakeAmount', 'unbondingSeconds']
      const [token, amount, seconds] = await Promise.all(names.map(async (name) => (await view(name, [], options))[0]))
      return { token: toAddress(String(token)), amount, unbondingS: Number(seconds) }
    },
    entry,
    async read(id, options = {}) {
      const stored = await entry(id, options)
      if (stored === undefined) return undefined
      return { ...stored, service: (await descriptorOf(stored, options)).service() }
    },
    async list(by, options = {}) {
      const limit = options.limit ?? REGISTRY_DEFAULTS.limit
      const services: ServiceEntry[] = []
      const seen = new Set<Hash32>()
      for await (const found of scan(publishedTopics(by), options)) {
        // spans come newest first, so whatever an older one says of a service that was seen is outdated
        const fresh = newestOfEach(found).filter(({ id }) => !seen.has(id))
        for (const { id } of fresh) seen.add(id)
        for (let i = 0; i < fresh.length && services.length < limit; i += READS_AT_ONCE) {
          const entries = await Promise.all(fresh.slice(i, i + READS_AT_ONCE).map((published) => listed(published, options)))
          services.push(...entries.filter((one) => one !== undefined))
        }
        if (services.length >= limit) break
      }
      return services.slice(0, limit)
    },
  }
}

/** The highest version of each service, newest log first. */
function newestOfEach(found: readonly PublishedService[]): readonly PublishedService[] {
  const newest = new Map<Hash32, PublishedService>()
  for (const one of found) {
    if (one.version < (newest.get(one.id)?.version ?? 0)) continue
    newest.delete(one.id) // so that its place in the order is that of its newest log
    newest.set(one.id, one)
  }
  return [...newest.values()].reverse()
}

/** An RPC may refuse a block that it does not have; only silence is a failure. */
function noneIfAnswered(error: unknown): undefined {
  if (error instanceof TallyError && error.cause instanceof RpcRefusal) return undefined
  throw error
}

function notTheRegistry(registry: Address, cause: unknown): TallyError {
  return new TallyError('CONTRACT_MISSING', {
    message: `the contract at ${registry} is not the service registry`,
    hint: 'check the address of the registry, and that it is of this chain',
    fields: { registry },
    cause,
  })
}
