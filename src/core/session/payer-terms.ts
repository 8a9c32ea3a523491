/**
 * What a payer checks before it agrees to anything.
 * @see protocols/session/SPEC.md S4, S9
 */
import type { Amount } from '../amount.ts'
import type { ErrorCode } from '../errors.ts'
import type { Address, Seconds, SessionId } from '../ids.ts'
import { type Chunk, chunkCost, isAtMost, type Price } from '../price.ts'
import { isPinned } from '../price-free.ts'
import type { Terms } from '../terms.ts'
import type { TermsOffered } from './messages.ts'

/** What the user wants and allows for one session. All amounts in base units of `token`. */
export interface Wish {
  readonly service: string
  readonly inputs: Uint8Array
  readonly owner: Address
  readonly signer: Address
  readonly provider: Address
  readonly token: Address
  /** the price and chunk of the provider's signed offer: the terms must repeat them */
  readonly offered: { readonly price: Price; readonly chunk: Chunk; readonly sequence: bigint }
  readonly maxPrice: Price | undefined
  /** never sign more than this for the session */
  readonly budget: Amount
  /** never be further ahead of the delivery than this */
  readonly limitAtRisk: Amount
  /** what this node knows that the owner still owes this provider from before */
  readonly owed: Amount
  /** how many bytes will be bought at most, where that is known: nothing beyond is prepaid */
  readonly expect: bigint | undefined
}

/** The first rule that the terms break, or undefined. The signature is checked by the caller. */
export function checkTerms(
  session: { readonly id: SessionId; readonly wish: Wish; readonly terms: Terms | undefined },
  message: TermsOffered,
  now: Seconds,
  /** payments that never reached the payee: it may ask for them again */
  gap: Amount,
): ErrorCode | undefined {
  const { wish } = session
  const { terms } = message
  const parties = terms.owner === wish.owner && terms.signer === wish.signer && terms.provider === wish.provider
  if (!parties || terms.session !== session.id || terms.token !== wish.token || terms.service !== wish.service)
    return 'TERMS_REFUSED'
  if (session.terms !== undefined) return sameTerms(session.terms, terms) ? undefined : 'TERMS_REFUSED'
  if (!isPinned(terms.price, wish.offered.price) || !sameChunk(terms.chunk, wish.offered.chunk)) return 'TERMS_REFUSED'
  if (wish.maxPrice !== undefined && !isAtMost(terms.price, wish.maxPrice)) return 'PRICE_TOO_HIGH'
  if (terms.expiry <= now || terms.patienceMs < 1000) return 'TERMS_REFUSED'
  if (terms.arrears > wish.owed + gap) return 'DEBT_DISPUTED'
  // the terms repeat the offer (above), and no offer's chunk costs more than an amount can hold
  const cost = chunkCost(terms.price, terms.chunk)
  if (cost > wish.limitAtRisk) return 'RISK_TOO_HIGH'
  if (cost + terms.arrears > wish.budget && terms.arrears >= wish.budget) return 'BUDGET_REACHED'
  return undefined
}

const samePrice = (a: Price, b: Price): boolean => isPinned(a, b) && isPinned(b, a)
const sameChunk = (a: Chunk, b: Chunk): boolean => a.kind === b.kind && a.size === b.size

/** A resumed session keeps its pinned terms, word for word. */
function sameTerms(a: Terms, b: Terms): boolean {
  const content = a.content.length === b.content.length && a.content.every((byte, i) => byte === b.content[i])
  const figures = a.arrears === b.arrears && a.opened === b.opened && a.expiry === b.expiry && a.offerSequence === b.offerSequence
  return content && figures && samePrice(a.price, b.price) && sameChunk(a.chunk, b.chunk)
}
