/** EIP-3009, written after the standard and SPEC.md: what a holder signs so that its tokens go to the ledger for one purpose only. */
import { AbiCoder, keccak256, Signature, type Wallet, ZeroHash } from 'ethers'
import { LEDGER } from './fixture.ts'

const TYPES = {
  ReceiveWithAuthorization: [
    { name: 'from', type: 'address' },
    { name: 'to', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'validAfter', type: 'uint256' },
    { name: 'validBefore', type: 'uint256' },
    { name: 'nonce', type: 'bytes32' },
  ],
}
const coder = AbiCoder.defaultAbiCoder()

/** The nonce of a deposit for `account`. */
export function depositNonce(account: string, salt = ZeroHash): string {
  return keccak256(coder.encode(['address', 'bytes32'], [account, salt]))
}

/** The nonce of an opening: all that decides the channel and its expiry. */
export function openNonce(signer: string, target: string, token: string, expiry: bigint, salt = ZeroHash): string {
  const types = ['address', 'address', 'address', 'uint40', 'bytes32']
  return keccak256(coder.encode(types, [signer, target, token, expiry, salt]))
}

/** The `Authorization` that the ledger takes. `token` is an AuthorizationToken. */
export async function authorize(
  from: Wallet,
  token: string,
  amount: bigint,
  nonce: string,
  {
    salt = ZeroHash,
    validAfter = 0n,
    validBefore = 2n ** 48n,
  }: { salt?: string; validAfter?: bigint; validBefore?: bigint } = {},
): Promise<unknown[]> {
  const domain = { name: 'Authorized', version: '1', chainId: 31337, verifyingContract: token }
  const value = { from: from.address, to: LEDGER, value: amount, validAfter, validBefore, nonce }
  const { v, r, s } = Signature.from(await from.signTypedData(domain, TYPES, value))
  return [from.address, amount, validAfter, validBefore, salt, v, r, s]
}
