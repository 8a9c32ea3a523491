/** The registry on chain as discovery sees it. */
import type { Address } from '../core/ids.ts'
import type { RegisteredService } from '../core/registered-service.ts'

/** A service that is registered now, with a stake behind it. All texts are a stranger's. */
export interface Listing {
  readonly provider: Address
  readonly service: RegisteredService
}

export interface Listings {
  /** The services of a name or a kind; what cannot be proven is left out. @throws CHAIN_UNREACHABLE, CONTRACT_MISSING, ABORTED */
  list(by: { name: string } | { kind: string }, options?: { signal?: AbortSignal }): Promise<readonly Listing[]>
  /** Frees sockets and timers. Idempotent. */
  close(): void
}
