import { randomBytes } from 'node:crypto'
import type { Devnet } from '../../../src/chain/devnet.ts'
import { createGateway, type Gateway } from '../../../src/chain/gateway.ts'
import { createRegistry, type Registry, type RegistryInit } from '../../../src/chain/registry.ts'
import { toHex } from '../../../src/core/bytes.ts'
import { keccakText } from '../../../src/core/crypto/keccak.ts'
import type { Address, Hash32 } from '../../../src/core/ids.ts'
import { priceOf } from '../../../src/core/price.ts'
import type { RegisteredService } from '../../../src/core/registered-service.ts'
import type { Chain } from '../../../src/ports/chain.ts'
import { units } from './fixture.ts'

export const newSalt = (): Hash32 => toHex(randomBytes(32)) as Hash32
const hash = (text: string): Hash32 => toHex(keccakText(text)) as Hash32

/** 5 base units for 1,024 bytes down, in chunks of 64 KiB: a chunk costs 320. */
export const newService = (token: Address, of: Partial<RegisteredService> = {}): RegisteredService => ({
  name: 'maps',
  kind: 'files',
  address: '/dns4/maps.example/tcp/4001/p2p/16Uiu2HAm5KdVUKkKn8mDr8UDBUXpcH9wbRqUkqk3xbtqK4xFBvM1',
  price: priceOf([{ kind: 'down', amount: units(5n), per: 1_024n }]),
  chunk: { kind: 'down', size: 65_536n },
  token,
  minReservation: units(5_000n),
  minTimeToExpiry: 3_600,
  inputs: { uri: 'https://maps.example/inputs.json', hash: hash('a path') },
  outputs: { uri: 'https://maps.example/outputs.json', hash: hash('bytes') },
  ...of,
})

/** The registry of a devnet, used by the account of this chain. */
export function registryOn(
  t: { after(fn: () => void): void },
  net: Devnet,
  chain: Chain,
  init: Partial<RegistryInit> & { rpcUrl?: string } = {},
): Registry {
  const gateway: Gateway = createGateway({ rpcUrl: init.rpcUrl ?? net.rpcUrl, chainId: net.chainId, ledger: net.ledger })
  t.after(() => gateway.close())
  return createRegistry({ gateway, registry: net.registry, account: chain.account, transactions: chain.transactions, ...init })
}
