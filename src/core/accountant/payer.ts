/**
 * The payer's half of a hop: the next promise, and what becomes of it. All promises of a hop have one author, who writes the next only when
 * the last is answered; what was refused is signed all the same.
 * @see protocols/clearing/SPEC.md sections 2, 3 and 7
 */
import { type Amount, isAmount } from '../amount.ts'
import { toHex } from '../bytes.ts'
import type { ErrorCode } from '../errors.ts'
import type { Hash32, Seconds } from '../ids.ts'
import { type Lock, MAX_LOCKS } from '../lock.ts'
import type { SignedPromise } from '../promise.ts'
import {
  amountOf,
  type Hop,
  type HopLink,
  isOpen,
  isOver,
  linkOf,
  mostOf,
  newLink,
  replaceLink,
  type Update,
  wordAt,
} from './hop.ts'
import type { ClearEntry } from './messages.ts'
import { takeShown } from './words.ts'

export interface PayerRules {
  /** time of the newest confirmed block whose logs are known */
  readonly chainS: Seconds
  /** the payee forwards: all locks of a promise have one expiry (K8) */
  readonly uniform: boolean
  readonly sign: (amount: Amount, locks: readonly Lock[]) => SignedPromise
}

/** What the next promise is for. */
export interface Next {
  /** the new lock of a link */
  readonly adds?: Lock
  /** by how much the amount rises for that link at once */
  readonly rent?: Amount
}

/**
 * The hop with its next promise, signed and waiting to be sent and answered: everything known is folded, what is over or freed is left out. It
 * costs nothing that is not owed: a word is known only if it was shown.
 */
export function writeUpdate(
  hop: Hop,
  { adds, rent = 0n as Amount }: Next,
  rules: PayerRules,
): (Hop & { readonly update: Update }) | ErrorCode {
  if (hop.update !== undefined) return 'WRONG_STATE'
  const links: HopLink[] = []
  const locks: Lock[] = []
  // a rest may not begin where another lock does: whoever makes chains of one seed could else keep the whole hop from going on
  const taken = new Set<Hash32>([
    ...(hop.promise?.locks ?? []).map(({ anchor }) => anchor),
    ...(adds === undefined ? [] : [adds.anchor]),
  ])
  if (adds !== undefined && hop.promise?.locks.some(({ anchor }) => anchor === adds.anchor)) return 'LOCKS_REFUSED'
  let amount = amountOf(hop) + rent
  for (const link of hop.links) {
    const ends = link.freed || isOver(link, rules.chainS) || link.known === link.steps
    const begins = ends ? link.known : restOf(link, taken)
    amount += BigInt(begins - link.folded) * link.unit
    if (ends) continue
    const expiry = rules.uniform && adds !== undefined ? adds.expiry : link.expiry
    if (expiry < link.expiry) return 'EXPIRY_REFUSED'
    links.push({ ...link, folded: begins, expiry })
    locks.push({ anchor: toHex(wordAt(link, begins)) as Hash32, unit: link.unit, steps: link.steps - begins, expiry })
  }
  if (locks.length === 0 && hop.facts.settled > amount) amount = hop.facts.settled + rent
  if (adds !== undefined) {
    links.push(newLink(adds))
    locks.push(adds)
  }
  // a fold that cannot be written now says what was said before: it would be answered and written again for ever
  if (adds === undefined && locks.length === hop.links.length && amount === amountOf(hop)) return 'WRONG_STATE'
  if (locks.length > MAX_LOCKS) return 'BUSY'
  if (!isAmount(amount) || mostOf({ amount, locks }) > hop.facts.deposit) return 'AMOUNT_OVER_DEPOSIT'
  const promise = rules.sign(amount, locks)
  const signed = amount > hop.signed ? amount : hop.signed
  return { ...hop, signed, update: { promise, links, adds: adds?.anchor } }
}

/** Where the rest begins: behind all that is known, or where it began before if another lock has that anchor. */
function restOf(link: HopLink, taken: Set<Hash32>): number {
  if (!isOpen(link)) return link.folded
  const anchor = toHex(link.word) as Hash32
  if (taken.has(anchor)) return link.folded
  taken.add(anchor)
  return link.known
}

/** Whether the next promise would say anything that this one does not: something known and not folded, or a link that can be left out. */
export function hasNews(hop: Hop, chainS: Seconds): boolean {
  return hop.links.some((link) => isOpen(link) || link.freed || isOver(link, chainS))
}

/** The payee took the promise. Words that came while it was on its way stay known. */
export function updateTaken(hop: Hop): Hop {
  const { update } = hop
  if (update === undefined) return hop
  const links = update.links.map((link) => {
    const now = linkOf(hop, link.anchor)
    return now === undefined ? link : { ...link, known: now.known, word: now.word, freed: now.freed }
  })
  return { ...hop, promise: update.promise, links, update: undefined }
}

/** The payee refused it: the next promise is built on the one that it took last. `signed` stays. */
export function updateRefused(hop: Hop): Hop {
  return hop.update === undefined ? hop : { ...hop, update: undefined }
}

/** What became of a clear. */
export interface Cleared {
  readonly hop: Hop
  /** the entries that show nothing, each with the rule that it breaks */
  readonly refused: ReadonlyMap<Hash32, ErrorCode>
}

/** The hop with every word that a payee shows and that is right. `isOwed`: whether a word of this link that is new is still paid for. */
export function takeClear(hop: Hop, entries: readonly ClearEntry[], isOwed: (link: HopLink) => boolean): Cleared {
  const refused = new Map<Hash32, ErrorCode>()
  let next = hop
  for (const entry of entries) {
    const link = linkOf(next, entry.anchor)
    const late = link !== undefined && entry.known > link.known && !isOwed(link)
    const shown = late ? 'EXPIRY_REFUSED' : takeShown(next, entry)
    if (typeof shown === 'string') refused.set(entry.anchor, shown)
    else next = entry.free ? replaceLink(shown, { ...(linkOf(shown, entry.anchor) as HopLink), freed: true }) : shown
  }
  return { hop: next, refused }
}
