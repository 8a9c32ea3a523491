/**
 * One channel of a route with the links that lie on it, as either end remembers it.
 *
 * The ledger pays the largest promise of a channel, never a sum of two, and keeps no state of locks. So both ends remember of each link how
 * far it was folded into the amount, and how far it was shown.
 * @see protocols/clearing/SPEC.md sections 1 and 3
 */
import type { Amount } from '../amount.ts'
import type { ChannelFacts } from '../channel.ts'
import { type ChannelId, type Hash32, hash32ToBytes, type Seconds } from '../ids.ts'
import { fullValue, type Lock, type Reveal, walk } from '../lock.ts'
import type { ChannelParties, SignedPromise } from '../promise.ts'

/** A link on one hop. `k` is always counted from its first anchor, whatever was folded. */
export interface HopLink {
  /** the anchor that the link began with; its name */
  readonly anchor: Hash32
  /** base units a step, on this hop */
  readonly unit: Amount
  readonly steps: number
  readonly expiry: Seconds
  /** where the rest begins: so many steps are part of the promise's amount */
  readonly folded: number
  /** how many steps were shown; at least `folded` */
  readonly known: number
  /** hashes `known` times to the anchor */
  readonly word: Uint8Array
  /** the payee said that the rest may be left out */
  readonly freed: boolean
}

/** A promise that was signed and has no answer yet, with the links as they are once it is taken. */
export interface Update {
  readonly promise: SignedPromise
  readonly links: readonly HopLink[]
  /** the link that it adds; undefined: a fold */
  readonly adds: Hash32 | undefined
}

export interface Hop {
  readonly id: ChannelId
  readonly parties: ChannelParties
  /** confirmed facts only */
  readonly facts: ChannelFacts
  /** the promise that the payee took last; undefined: none was ever made */
  readonly promise: SignedPromise | undefined
  /** one for each lock of the promise, in its order */
  readonly links: readonly HopLink[]
  /** the payer's: what waits for an answer. The payee of a hop has none */
  readonly update: Update | undefined
  /** the payer's: the highest amount that it ever signed. What was refused was signed all the same */
  readonly signed: Amount
}

export function newHop(id: ChannelId, parties: ChannelParties, facts: ChannelFacts, promise?: SignedPromise): Hop {
  const signed = promise?.amount ?? (0n as Amount)
  return { id, parties, facts, promise, links: [], update: undefined, signed }
}

export function newLink({ anchor, unit, steps, expiry }: Lock): HopLink {
  return { anchor, unit, steps, expiry, folded: 0, known: 0, word: hash32ToBytes(anchor), freed: false }
}

export function linkOf({ links }: Hop, anchor: Hash32): HopLink | undefined {
  return links.find((link) => link.anchor === anchor)
}

export const amountOf = ({ promise }: Hop): Amount => promise?.amount ?? (0n as Amount)

/** Whether something was shown that no promise has in its amount. */
export const isOpen = ({ known, folded }: HopLink): boolean => known > folded

/** The word of a step that was shown or folded. @throws TallyError MALFORMED for a step beyond what is known */
export function wordAt({ word, known }: HopLink, k: number): Uint8Array {
  return walk(word, known - k)
}

/** Whether the chain of the ledger has passed the expiry for good: `chainS` is the time of a confirmed block. */
export const isOver = ({ expiry }: { readonly expiry: Seconds }, chainS: Seconds): boolean => chainS >= expiry

/** The link with a word that was checked. */
export function withWord(link: HopLink, known: number, word: Uint8Array): HopLink {
  return known > link.known ? { ...link, known, word } : link
}

export function replaceLink(hop: Hop, next: HopLink): Hop {
  return { ...hop, links: hop.links.map((link) => (link.anchor === next.anchor ? next : link)) }
}

/** What was revealed of each lock of the promise, by the anchor with which the lock begins: as a settlement shows it. */
export function revealedOf({ promise, links }: Hop): ReadonlyMap<Hash32, Reveal> {
  const reveals = new Map<Hash32, Reveal>()
  for (const [i, lock] of (promise?.locks ?? []).entries()) {
    const { word, known, folded } = links[i] as HopLink
    if (known > folded) reveals.set(lock.anchor, { word, k: known - folded })
  }
  return reveals
}

/** What the promise pays at that time with every word that is known, base units; a payee keeps it covered. */
export function worthOf({ promise, links }: Hop, now: Seconds): Amount {
  let worth = promise?.amount ?? 0n
  for (const { known, folded, unit, expiry } of links) if (expiry > now) worth += BigInt(known - folded) * unit
  return worth as Amount
}

/** The most that a promise can ever pay: its amount and all its locks in full, those that are over included. */
export function mostOf({ amount, locks }: Pick<SignedPromise, 'amount' | 'locks'>): bigint {
  return amount + fullValue(locks, 0 as Seconds)
}
