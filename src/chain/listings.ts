import type { Listings } from '../ports/listings.ts'
import { createGateway, type GatewayInit } from './gateway.ts'
import { createRegistryReader, type RegistryReaderInit } from './registry-reader.ts'

/** The registry's listed services over one RPC. Made without a byte on the network. @throws CONFIG_INVALID as the gateway */
export function createListings(init: GatewayInit & Omit<RegistryReaderInit, 'gateway'>): Listings {
  const gateway = createGateway(init)
  const reader = createRegistryReader({ ...init, gateway })
  return { list: (by, options) => reader.list(by, options), close: () => gateway.close() }
}
