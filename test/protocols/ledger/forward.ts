/** What an account without gas signs, and what a relay hands in for it. */
import type { Wallet } from 'ethers'
import type { Chain } from './fixture.ts'

const TYPES = {
  ForwardRequest: [
    { name: 'from', type: 'address' },
    { name: 'to', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'gas', type: 'uint256' },
    { name: 'nonce', type: 'uint256' },
    { name: 'deadline', type: 'uint48' },
    { name: 'data', type: 'bytes' },
  ],
}

/** A call of the ledger, signed for the forwarder of the chain: the argument of `execute`. Good for an hour, or until `until`. */
export async function forwardRequest(chain: Chain, from: Wallet, data: string, until?: bigint): Promise<unknown[]> {
  const [nonce] = await chain.forwarder.read('nonces', from.address)
  const deadline = until ?? (await chain.now()) + 3600n
  const request = { from: from.address, to: chain.ledger.address, value: 0n, gas: 1_000_000n, nonce, deadline, data }
  const domain = { name: 'TallystickForwarder', version: '1', chainId: 31337, verifyingContract: chain.forwarder.address }
  const signature = await from.signTypedData(domain, TYPES, request)
  return [request.from, request.to, request.value, request.gas, request.deadline, request.data, signature]
}
