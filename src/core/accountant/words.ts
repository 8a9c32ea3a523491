/**
 * Words of a link as they are shown, and what a payee must do about them before they are worth nothing.
 * @see protocols/clearing/SPEC.md K9, E6, E7
 */
import { equalBytes } from '../bytes.ts'
import type { ErrorCode } from '../errors.ts'
import type { Hash32, Seconds } from '../ids.ts'
import { WORD_BYTES, walk } from '../lock.ts'
import { type Hop, type HopLink, isOpen, linkOf, mostOf, replaceLink, withWord, worthOf } from './hop.ts'

/** A word that hashes `known` times to a link's first anchor. */
export interface Shown {
  readonly anchor: Hash32
  readonly known: number
  readonly word: Uint8Array
}

/** Whether the word is deeper than what is known: `new`, `old` (harmless, whatever it is), or the rule that it breaks. */
export function judgeWord(
  link: Pick<HopLink, 'known' | 'steps' | 'word'>,
  { known, word }: Omit<Shown, 'anchor'>,
): 'new' | 'old' | ErrorCode {
  if (known <= link.known) return 'old'
  // before anything is hashed: a walk is never longer than the link
  if (known > link.steps || word.length !== WORD_BYTES) return 'WORD_WRONG'
  return equalBytes(walk(word, known - link.known), link.word) ? 'new' : 'WORD_WRONG'
}

/** The hop with what was shown of one of its links. */
export function takeShown(hop: Hop, shown: Shown): Hop | ErrorCode {
  const link = linkOf(hop, shown.anchor)
  if (link === undefined) return 'LINK_UNKNOWN'
  const verdict = judgeWord(link, shown)
  if (verdict === 'old') return hop
  return verdict === 'new' ? replaceLink(hop, withWord(link, shown.known, shown.word)) : verdict
}

/** When a payee stops to count words of this hop and settles, unix seconds (K9); undefined: nothing is open. */
export function deadlineOf(hop: Hop, marginS: number): Seconds | undefined {
  const times = hop.links.filter(isOpen).map(({ expiry }) => expiry - marginS)
  return times.length === 0 ? undefined : (Math.min(...times) as Seconds)
}

/**
 * A provider's judging of a tick. What it counts it can claim: by one settlement before the first expiry of anything that is open, since after
 * that a part of what was settled shadows what the other locks earn.
 */
export function judgeTickOf(hop: Hop, shown: Shown, now: { readonly nowS: Seconds; readonly marginS: number }): Hop | ErrorCode {
  const link = linkOf(hop, shown.anchor)
  if (link === undefined || link.freed) return 'LINK_UNKNOWN'
  const next = takeShown(hop, shown)
  if (typeof next === 'string' || next === hop) return next
  // the link itself is open now
  if (now.nowS >= (deadlineOf(next, now.marginS) ?? 0)) return 'CHANNEL_EXPIRED'
  return hop.promise !== undefined && mostOf(hop.promise) > hop.facts.deposit ? 'AMOUNT_OVER_DEPOSIT' : next
}

/** Whether the hop must be settled now with every word: `reserveS` before the expiry of anything that is open. */
export function mustSettle(hop: Hop, nowS: Seconds, reserveS: number): boolean {
  const deadline = deadlineOf(hop, reserveS)
  return deadline !== undefined && nowS >= deadline && worthOf(hop, nowS) > hop.facts.settled
}
