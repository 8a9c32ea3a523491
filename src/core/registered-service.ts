/**
 * A service as a provider registers it on chain, and how it is held against the provider's signed offer.
 * @see protocols/ledger/REGISTRY.md
 */
import { type Amount, isAmount } from './amount.ts'
import { TallyError } from './errors.ts'
import { type Address, type Hash32, isAddress, isHash32, ZERO_ADDRESS } from './ids.ts'
import { isServiceKind, isServiceName, type Offer } from './offer.ts'
import { type Chunk, chunkCost, isAtMost, type Price } from './price.ts'

/** A document that says what a service takes or gives. */
export interface Specification {
  /** 1 to 256 printable ASCII characters */
  readonly uri: string
  /** keccak256 of the bytes of the document, not zero */
  readonly hash: Hash32
}

/** The descriptor. All texts are a stranger's: escape them before they are shown. */
export interface RegisteredService {
  /** 1 to 64 of `a-z 0-9 . _ -` */
  readonly name: string
  /** 1 to 32 of `a-z 0-9 . _ -` */
  readonly kind: string
  /** a multiaddr that ends in the provider's peer id; 1 to 256 printable ASCII characters */
  readonly address: string
  readonly price: Price
  readonly chunk: Chunk
  readonly token: Address
  /** base units of `token`; one chunk at least, and never zero */
  readonly minReservation: Amount
  /** s, u32, not zero */
  readonly minTimeToExpiry: number
  readonly inputs: Specification
  readonly outputs: Specification
}

const PRINTABLE = /^[\x21-\x7e]{1,256}$/
const ZERO_HASH = `0x${'0'.repeat(64)}`

/** The first rule that the descriptor breaks, as a sentence; undefined when it breaks none. */
function flawOf(service: RegisteredService): string | undefined {
  const { name, kind, address, price, chunk, token, minReservation, minTimeToExpiry, inputs, outputs } = service
  if (!isServiceName(name)) return 'a service is named by 1 to 64 of a-z 0-9 . _ -'
  if (!isServiceKind(kind)) return 'a kind of service is named by 1 to 32 of a-z 0-9 . _ -'
  if (!PRINTABLE.test(address)) return 'a service address has 1 to 256 printable characters'
  if (!isAddress(token) || token === ZERO_ADDRESS) return 'a service is paid in a token'
  if (!isAmount(minReservation) || minReservation === 0n) return 'the minimum reservation is an amount above zero'
  if (minReservation < costOf(price, chunk)) return 'the minimum reservation does not pay one chunk'
  if (!(Number.isInteger(minTimeToExpiry) && minTimeToExpiry >= 1 && minTimeToExpiry <= 0xffff_ffff))
    return 'the minimum time to expiry is 1 to 4,294,967,295 s'
  for (const { uri, hash } of [inputs, outputs]) {
    if (!PRINTABLE.test(uri)) return 'the URI of a specification has 1 to 256 printable characters'
    if (!isHash32(hash) || hash === ZERO_HASH) return 'a specification is named by the hash of its bytes'
  }
  return undefined
}

/** A chunk that costs more than any amount is more than any reservation pays. */
function costOf(price: Price, chunk: Chunk): bigint {
  try {
    return chunkCost(price, chunk)
  } catch {
    return 1n << 96n
  }
}

/** Refuses a descriptor that no client would take. @throws TallyError MALFORMED */
export function checkRegisteredService(service: RegisteredService): void {
  const flaw = flawOf(service)
  if (flaw !== undefined) throw new TallyError('MALFORMED', { message: flaw })
}

/** A point in which an offer breaks what its provider registered. */
export type Disagreement =
  | 'provider'
  | 'service'
  | 'kind'
  | 'token'
  | 'price'
  | 'chunk'
  | 'min-reservation'
  | 'min-time-to-expiry'

/**
 * Where the offer is worse for the consumer than what the provider registered, or about something else. Empty: it keeps its word.
 * An offer changes by the minute and an entry costs a transaction, so the offer may be better, never worse.
 *
 * @see protocols/ledger/REGISTRY.md
 */
export function disagreements(provider: Address, service: RegisteredService, offer: Offer): readonly Disagreement[] {
  const checks: readonly (readonly [Disagreement, boolean])[] = [
    ['provider', offer.provider === provider],
    ['service', offer.service === service.name],
    ['kind', offer.kind === service.kind],
    ['token', offer.token === service.token],
    ['price', isAtMost(offer.price, service.price)],
    ['chunk', offer.chunk.kind === service.chunk.kind && offer.chunk.size <= service.chunk.size],
    ['min-reservation', offer.minReservation <= service.minReservation],
    ['min-time-to-expiry', offer.minTimeToExpiry <= service.minTimeToExpiry],
  ]
  return checks.filter(([, kept]) => !kept).map(([point]) => point)
}
