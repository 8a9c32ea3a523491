// The money half of a call for services that are tested without a session: everything is covered, nothing is counted.
import type { ServiceCall } from '../../src/ports/service.ts'

export const UNCHARGED: Pick<ServiceCall, 'charge' | 'reserve'> = {
  charge: async () => undefined,
  reserve: async () => ({ debit: () => undefined, release: () => undefined }),
}
