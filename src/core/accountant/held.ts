/**
 * What the payee of a hop says it holds when the hop is opened again, and what the payer makes of it.
 * @see protocols/clearing/SPEC.md section 9
 */
import { equalBytes } from '../bytes.ts'
import type { SignedPromise } from '../promise.ts'
import { type Hop, type HopLink, linkOf } from './hop.ts'
import type { Held } from './messages.ts'
import { updateTaken } from './payer.ts'
import { takeShown } from './words.ts'

/** The payee's answer to `open`. */
export function heldOf({ parties, promise, links }: Hop): Held {
  const { owner, token } = parties
  const held = links.map(({ anchor, steps, folded, known, word, freed }) => ({ anchor, steps, folded, known, word, freed }))
  return { type: 'held', owner, token, promise, links: held }
}

export interface HeldRules {
  readonly verify: (promise: SignedPromise) => boolean
  /** whether a word of this link that is new is still owed */
  readonly isOwed: (link: HopLink) => boolean
}

/**
 * The payer's hop as both ends have it: with the last promise taken, if the payee holds that, and with the words that it shows. It must be the
 * last that the payer knows to be taken, or the one that had no answer: with any other, one of the two has lost what it had.
 */
export function agreeOnHeld(hop: Hop, held: Held, rules: HeldRules): Hop | 'HEAD_DISAGREES' {
  const { promise } = held
  if (promise !== undefined && !rules.verify(promise)) return 'HEAD_DISAGREES'
  const wasTaken = hop.update !== undefined && isSame(promise, hop.update.promise)
  const agreed = isSame(promise, hop.promise) ? hop : wasTaken ? updateTaken(hop) : undefined
  if (agreed === undefined) return 'HEAD_DISAGREES'
  let next = agreed
  for (const { anchor, known, word } of held.links) {
    const link = linkOf(next, anchor)
    if (link === undefined) return 'HEAD_DISAGREES'
    if (!rules.isOwed(link)) continue
    const shown = takeShown(next, { anchor, known, word })
    if (typeof shown === 'string') return 'HEAD_DISAGREES'
    next = shown
  }
  return next
}

function isSame(a: SignedPromise | undefined, b: SignedPromise | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equalBytes(a.signature, b.signature)
}
