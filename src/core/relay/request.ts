/**
 * What an account without gas signs, so that somebody else can hand it in: one call of the ledger, for the ledger's forwarder.
 *
 * @see protocols/relay/SPEC.md
 */
import { keccak256 } from '../crypto/keccak.ts'
import { recoverAddress } from '../crypto/secp256k1.ts'
import { addressWord, bytesWord, structHash, textWord, typeHash, uintWord } from '../eip712.ts'
import { type Address, type Hash32, hash32FromBytes, type Seconds } from '../ids.ts'

/** Where a request counts: one forwarder on one chain. The name is told by the forwarder itself (EIP-5267). */
export interface ForwarderDomain {
  readonly name: string
  readonly version: string
  readonly chainId: bigint
  readonly forwarder: Address
}

/** A call as it is signed. No coin ever goes along. */
export interface ForwardRequest {
  readonly from: Address
  /** the ledger */
  readonly to: Address
  /** what the call may use, 1 <= gas < 2^32 */
  readonly gas: number
  /** of `from` at the forwarder: each is used once, in a row */
  readonly nonce: bigint
  /** unix seconds of the chain; the forwarder refuses it later */
  readonly deadline: Seconds
  readonly data: Uint8Array
}

export interface SignedForward {
  readonly request: ForwardRequest
  /** 65 bytes r | s | v */
  readonly signature: Uint8Array
}

const DOMAIN_TYPE = typeHash('EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)')
const REQUEST_TYPE = typeHash(
  'ForwardRequest(address from,address to,uint256 value,uint256 gas,uint256 nonce,uint48 deadline,bytes data)',
)

/** What is signed for a request, 32 bytes; it also names the request. @throws TallyError MALFORMED for a field out of its range */
export function forwardDigest(domain: ForwarderDomain, request: ForwardRequest): Uint8Array {
  const separator = structHash(DOMAIN_TYPE, [
    textWord(domain.name),
    textWord(domain.version),
    uintWord(domain.chainId, 256),
    addressWord(domain.forwarder),
  ])
  const struct = structHash(REQUEST_TYPE, [
    addressWord(request.from),
    addressWord(request.to),
    uintWord(0n, 256),
    uintWord(request.gas, 32),
    uintWord(request.nonce, 64),
    uintWord(request.deadline, 40),
    bytesWord(request.data),
  ])
  const preimage = new Uint8Array(66)
  preimage.set([0x19, 0x01])
  preimage.set(separator, 2)
  preimage.set(struct, 34)
  return keccak256(preimage)
}

/** The name of a request on the wire and on the disk. */
export function requestId(domain: ForwarderDomain, request: ForwardRequest): Hash32 {
  return hash32FromBytes(forwardDigest(domain, request))
}

/** Whether `from` has signed it. */
export function isSigned(domain: ForwarderDomain, { request, signature }: SignedForward): boolean {
  return recoverAddress(forwardDigest(domain, request), signature) === request.from
}
