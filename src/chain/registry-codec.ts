import { getBytes, id as hashText, hexlify, type Interface, keccak256, type Result } from 'ethers'
import type { Amount } from '../core/amount.ts'
import { fromHex } from '../core/bytes.ts'
import { TallyError } from '../core/errors.ts'
import type { Address, Hash32, Seconds } from '../core/ids.ts'
import { decodeChunk, decodePrice, encodeChunk, encodePrice } from '../core/price.ts'
import { checkRegisteredService, type RegisteredService, type Specification } from '../core/registered-service.ts'
import { registryInterface, toAddress } from './abi.ts'

/** Listed: on sale. Unbonding: taken back, the stake is locked until `releaseAt`. Withdrawn: the stake is back. */
export type ServiceStatus = 'listed' | 'unbonding' | 'withdrawn'

/** What the registry stores of a service. */
export interface RegistryEntry {
  readonly id: Hash32
  readonly provider: Address
  readonly status: ServiceStatus
  /** 1 when registered, one more with each update */
  readonly version: number
  /** low 32 bits of the number of the block whose log holds this version */
  readonly publishedIn: number
  /** when the stake can be withdrawn; zero while listed */
  readonly releaseAt: Seconds
  readonly serviceHash: Hash32
}

/** A version of a service, as a log gives it. Nothing in it is proven but by the entry's hash. */
export interface PublishedService {
  readonly id: Hash32
  readonly version: number
  readonly serviceHash: Hash32
  /** The descriptor as the contract holds it, read on demand: a stranger's may break the rules of clients. @throws TallyError MALFORMED */
  readonly service: () => RegisteredService
}

const STATUSES: readonly (ServiceStatus | undefined)[] = [undefined, 'listed', 'unbonding', 'withdrawn']

/** The descriptor as the argument of register() and update(). @throws TallyError MALFORMED when no client would take it */
export function encodeService(service: RegisteredService): readonly unknown[] {
  checkRegisteredService(service)
  const { name, kind, address, price, chunk, token, minReservation, minTimeToExpiry, inputs, outputs } = service
  return [
    name,
    kind,
    address,
    hexlify(encodePrice(price)),
    hexlify(encodeChunk(chunk)),
    token,
    minReservation,
    minTimeToExpiry,
    [inputs.uri, inputs.hash],
    [outputs.uri, outputs.hash],
  ]
}

/** The hash under which the registry keeps a descriptor. @throws TallyError MALFORMED when no client would take it */
export function hashOfService(service: RegisteredService): Hash32 {
  return hashOfTuple(encodeService(service))
}

/** The entry behind an answer of entry(id); undefined when nothing was ever registered under the id. */
export function decodeEntry(id: Hash32, [entry]: Result): RegistryEntry | undefined {
  const status = STATUSES[Number(entry.status)]
  if (status === undefined) return undefined
  return {
    id,
    provider: toAddress(entry.provider),
    status,
    version: Number(entry.version),
    publishedIn: Number(entry.publishedIn),
    releaseAt: Number(entry.releaseAt) as Seconds,
    serviceHash: entry.serviceHash,
  }
}

/** What a log of the registry publishes; undefined when it is no such log. A log may come from anybody: the hash decides. */
export function decodePublished(log: unknown): PublishedService | undefined {
  try {
    const { topics, data } = log as { topics: string[]; data: string }
    const event = registryInterface.parseLog({ topics, data })
    if (event?.name !== 'Published') return undefined
    const { id, version, service } = event.args
    return { id, version: Number(version), serviceHash: hashOfTuple(service), service: () => decodeService(service) }
  } catch {
    return undefined // texts that are not UTF-8, or bytes that are no log
  }
}

/** The topics by which the logs of a service, a name or a kind are found. */
export function publishedTopics(by: { id: Hash32 } | { name: string } | { kind: string }): readonly (string | null)[] {
  const topic = topicOf(registryInterface, 'Published')
  if ('id' in by) return [topic, by.id]
  return 'name' in by ? [topic, null, hashText(by.name)] : [topic, null, null, hashText(by.kind)]
}

function topicOf(abi: Interface, name: string): string {
  const event = abi.getEvent(name)
  if (event === null) throw new TypeError(`the registry has no event ${name}`)
  return event.topicHash
}

/** keccak256(abi.encode(service)): the arguments of update(id, service) after the selector, without the id and the offset in front. */
function hashOfTuple(service: readonly unknown[]): Hash32 {
  const update = registryInterface.getFunction('update')
  const type = update?.inputs[1]
  if (type === undefined) throw new TypeError('the registry has no update')
  return keccak256(registryInterface.getAbiCoder().encode([type], [service])) as Hash32
}

function decodeService(tuple: Result): RegisteredService {
  const specification = ({ uri, hash }: Result): Specification => ({ uri, hash })
  try {
    const service: RegisteredService = {
      name: tuple.name,
      kind: tuple.kind,
      address: tuple.serviceAddress,
      price: decodePrice(getBytes(tuple.price)),
      chunk: decodeChunk(fromHex(tuple.chunk)),
      token: toAddress(tuple.token),
      minReservation: tuple.minReservation as Amount,
      minTimeToExpiry: Number(tuple.minTimeToExpiry),
      inputs: specification(tuple.inputs),
      outputs: specification(tuple.outputs),
    }
    checkRegisteredService(service)
    return service
  } catch (cause) {
    if (cause instanceof TallyError) throw cause
    throw new TallyError('MALFORMED', { message: 'the registered service cannot be read', cause })
  }
}
