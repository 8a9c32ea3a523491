import { Interface } from 'ethers'
import registryArtefact from '../../protocols/ledger/generated/ServiceRegistry.json' with { type: 'json' }
import ledgerArtefact from '../../protocols/ledger/generated/TallyLedger.json' with { type: 'json' }
import type { Address } from '../core/ids.ts'

export const ledgerInterface = new Interface(ledgerArtefact.abi)

export const registryInterface = new Interface(registryArtefact.abi)

/** The parts of ERC-20, EIP-2612 and their common extras that a node reads or calls. */
export const erc20Interface = new Interface([
  'function approve(address spender, uint256 amount)',
  'function allowance(address owner, address spender) view returns (uint256)',
  'function balanceOf(address account) view returns (uint256)',
  'function symbol() view returns (string)',
  'function name() view returns (string)',
  'function version() view returns (string)',
  'function decimals() view returns (uint256)',
  'function nonces(address owner) view returns (uint256)',
  'function DOMAIN_SEPARATOR() view returns (bytes32)',
])

/** ethers writes addresses with a checksum; ours are lower case, so that they are map keys. */
export function toAddress(checksummed: string): Address {
  return checksummed.toLowerCase() as Address
}
