import { getBytes, hexlify, keccak256, type TypedDataDomain, TypedDataEncoder, toUtf8Bytes } from 'ethers'
import type { Address } from '../core/ids.ts'
import type { CallOptions, ChainSigner } from '../ports/chain.ts'
import { erc20Interface } from './abi.ts'
import type { BlockTag, Gateway } from './gateway.ts'
import { RpcRefusal } from './rpc-errors.ts'

export interface PermitSignature {
  readonly deadline: bigint
  readonly v: number
  readonly r: string
  readonly s: string
}

/** How tokens get out of the wallet: by EIP-2612, or by an approve, and then why. */
export type PullWay =
  | { readonly way: 'permit'; readonly domain: TypedDataDomain }
  | { readonly way: 'approve'; readonly reason: string }

const PERMIT_TYPES = {
  Permit: [
    { name: 'owner', type: 'address' },
    { name: 'spender', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'nonce', type: 'uint256' },
    { name: 'deadline', type: 'uint256' },
  ],
}
const PERMIT_TYPEHASH = keccak256(
  toUtf8Bytes('Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)'),
)
const typehashCall = keccak256(toUtf8Bytes('PERMIT_TYPEHASH()')).slice(0, 10)

/** A day: long enough for a transaction that waits for cheaper gas. Only the ledger can use the permit, and only for its owner. */
export const PERMIT_LIFE_S = 86_400

/**
 * Finds out whether the token has EIP-2612 permits that this node can sign. The domain's name and version differ between chains for
 * the same token (USDC), so they are read from the token and hashed, and only trusted when the hash is the token's own
 * DOMAIN_SEPARATOR.
 */
export async function pullWay(gateway: Gateway, token: Address, options: CallOptions = {}): Promise<PullWay> {
  const read = (name: string, args: readonly unknown[] = []) => readToken(gateway, token, name, args, 'latest', options)
  const typehash = gateway.call(token, typehashCall, 'latest', options).catch(noneIfRefused)
  const [separator, name, version, nonce, ownTypehash] = await Promise.all([
    read('DOMAIN_SEPARATOR'),
    read('name'),
    read('version'),
    read('nonces', [gateway.ledger]),
    typehash,
  ])
  if (separator === undefined || nonce === undefined) return { way: 'approve', reason: 'the token has no permit' }
  if (typeof name !== 'string') return { way: 'approve', reason: 'the token tells no name to sign a permit with' }
  if (ownTypehash !== undefined && ownTypehash.length === 66 && ownTypehash !== PERMIT_TYPEHASH) {
    return { way: 'approve', reason: 'the permit of the token is not the one of EIP-2612' }
  }
  const versions = [...new Set([...(typeof version === 'string' ? [version] : []), '1', '2'])]
  for (const candidate of versions) {
    const domain = { name, version: candidate, chainId: gateway.chainId, verifyingContract: token }
    if (TypedDataEncoder.hashDomain(domain) === separator) return { way: 'permit', domain }
  }
  return { way: 'approve', reason: 'the signing domain of the token is not made of its name and version' }
}

/** Signs a permit for exactly this value, to the ledger. `nowS` is the chain's time. */
export async function signPermit(
  gateway: Gateway,
  signer: ChainSigner,
  permit: {
    readonly token: Address
    readonly domain: TypedDataDomain
    readonly value: bigint
    readonly nowS: number
    readonly block: BlockTag
  },
): Promise<PermitSignature | undefined> {
  const owner = signer.address
  const nonce = await readToken(gateway, permit.token, 'nonces', [owner], permit.block)
  if (typeof nonce !== 'bigint') return undefined
  const deadline = BigInt(permit.nowS + PERMIT_LIFE_S)
  const digest = TypedDataEncoder.hash(permit.domain, PERMIT_TYPES, {
    owner,
    spender: gateway.ledger,
    value: permit.value,
    nonce,
    deadline,
  })
  const signature = await signer.sign(getBytes(digest))
  return { deadline, v: signature[64] ?? 0, r: hexlify(signature.subarray(0, 32)), s: hexlify(signature.subarray(32, 64)) }
}

/** One view of a token; undefined when the token has none, or answers what it should not. */
export async function readToken(
  gateway: Gateway,
  token: Address,
  name: string,
  args: readonly unknown[] = [],
  block: BlockTag = 'latest',
  options: CallOptions = {},
): Promise<unknown> {
  const data = erc20Interface.encodeFunctionData(name, args)
  const result = await gateway.call(token, data, block, options).catch(noneIfRefused)
  if (result === undefined || result === '0x') return undefined
  try {
    return erc20Interface.decodeFunctionResult(name, result)[0]
  } catch {
    return undefined
  }
}

function noneIfRefused(error: unknown): undefined {
  if (error instanceof RpcRefusal) return undefined
  throw error
}
