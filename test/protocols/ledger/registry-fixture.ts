/** A service registry beside the ledger of a test, and the words in which its tests are written. */
import { AbiCoder, id as hashText, hexlify, keccak256, randomBytes, toUtf8Bytes, type Wallet } from 'ethers'
import { type Chain, type Contract, newWallet } from './fixture.ts'

export const STAKE = 50_000n
export const UNBONDING_S = 86_400n

/** The states of an entry, as IServiceRegistry numbers them. */
export const STATUS = { unknown: 0n, listed: 1n, unbonding: 2n, withdrawn: 3n } as const

/** The parts of a descriptor, in the order in which IServiceRegistry numbers them. */
export const PARTS = [
  'name',
  'kind',
  'serviceAddress',
  'price',
  'chunk',
  'token',
  'minReservation',
  'minTimeToExpiry',
  'inputs.uri',
  'inputs.hash',
  'outputs.uri',
  'outputs.hash',
] as const

/** The descriptor as the contract takes it. */
export interface ServiceTuple {
  readonly name: string
  readonly kind: string
  readonly serviceAddress: string
  readonly price: string
  readonly chunk: string
  readonly token: string
  readonly minReservation: bigint
  readonly minTimeToExpiry: bigint
  readonly inputs: { readonly uri: string; readonly hash: string }
  readonly outputs: { readonly uri: string; readonly hash: string }
}

/** 5 base units for 1,024 bytes down, in chunks of 64 KiB. */
export const newService = (token: string, of: Partial<ServiceTuple> = {}): ServiceTuple => ({
  name: 'maps',
  kind: 'files',
  serviceAddress: '/dns4/maps.example/tcp/4001/p2p/16Uiu2HAm5KdVUKkKn8mDr8UDBUXpcH9wbRqUkqk3xbtqK4xFBvM1',
  price: '0x0100000000000000000000000005000000000000040000',
  chunk: '0x000000000000010000',
  token,
  minReservation: 5_000n,
  minTimeToExpiry: 3_600n,
  inputs: { uri: 'https://maps.example/inputs.json', hash: hashText('a path') },
  outputs: { uri: 'https://maps.example/outputs.json', hash: hashText('bytes') },
  ...of,
})

/** What `serviceHash` of an entry must be, written a second time after REGISTRY.md. */
export function hashService(service: ServiceTuple): string {
  const specification = 'tuple(string,bytes32)'
  const type = `tuple(string,string,string,bytes,bytes9,address,uint96,uint32,${specification},${specification})`
  const { inputs, outputs, ...flat } = service
  const values = [...Object.values(flat), [inputs.uri, inputs.hash], [outputs.uri, outputs.hash]]
  return keccak256(AbiCoder.defaultAbiCoder().encode([type], [values]))
}

export interface Entry {
  readonly provider: string
  readonly status: bigint
  readonly version: bigint
  readonly publishedIn: bigint
  readonly releaseAt: bigint
  readonly serviceHash: string
}

/** A registry on this chain whose stake is in `token`. */
export function deployRegistry(chain: Chain, token: Contract = chain.token): Promise<Contract> {
  return chain.deploy('ServiceRegistry', chain.forwarder.address, token.address, STAKE, UNBONDING_S)
}

/** Gives `account` tokens for this many stakes and lets the registry take them. */
export async function fundStakes(registry: Contract, token: Contract, account: string, stakes = 1n): Promise<void> {
  await token.send(account, 'mint', account, stakes * STAKE)
  await token.send(account, 'approve', registry.address, 2n ** 256n - 1n)
}

export async function readEntry(registry: Contract, id: string): Promise<Entry> {
  const [{ provider, status, version, publishedIn, releaseAt, serviceHash }] = await registry.read('entry', id)
  return { provider, status, version, publishedIn, releaseAt, serviceHash }
}

export const newSalt = (): string => hexlify(randomBytes(32))

/** A listed service of a new provider, or of the one given. */
export async function registerService(
  registry: Contract,
  token: Contract,
  service: ServiceTuple,
  provider: Wallet = newWallet(),
): Promise<{ provider: Wallet; salt: string; id: string }> {
  await fundStakes(registry, token, provider.address)
  const salt = newSalt()
  const [id] = await registry.read('serviceId', provider.address, salt)
  await registry.send(provider.address, 'register', salt, service)
  return { provider, salt, id }
}

const FORWARD_REQUEST = [
  { name: 'from', type: 'address' },
  { name: 'to', type: 'address' },
  { name: 'value', type: 'uint256' },
  { name: 'gas', type: 'uint256' },
  { name: 'nonce', type: 'uint256' },
  { name: 'deadline', type: 'uint48' },
  { name: 'data', type: 'bytes' },
]

/** The argument of the forwarder's execute(): a call of `from`, signed by it, that anybody may hand in. */
export async function forwardRequest(chain: Chain, from: Wallet, to: Contract, data: string): Promise<unknown[]> {
  const [nonce] = await chain.forwarder.read('nonces', from.address)
  const deadline = (await chain.now()) + 3_600n
  const request = { from: from.address, to: to.address, value: 0n, gas: 1_000_000n, nonce, deadline, data }
  const domain = { name: 'TallystickForwarder', version: '1', chainId: 31337, verifyingContract: chain.forwarder.address }
  const signature = await from.signTypedData(domain, { ForwardRequest: FORWARD_REQUEST }, request)
  return [request.from, request.to, request.value, request.gas, request.deadline, request.data, signature]
}

/** A text of exactly this many bytes. */
export const textOf = (bytes: number): string => 'x'.repeat(bytes)
export const bytesOf = (bytes: number): string => hexlify(toUtf8Bytes(textOf(bytes)))
