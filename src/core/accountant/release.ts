/**
 * When an accountant lets go of a lock in, and when it forgets a link.
 * @see protocols/clearing/SPEC.md E4
 */
import type { Route } from './books.ts'
import { type Draft, showInwards } from './draft.ts'
import { linkOf, replaceLink } from './hop.ts'

/** Frees every lock in for which nothing can be claimed outwards any more, and tells its payer. */
export function freeWhatIsDead(draft: Draft): void {
  for (const route of draft.routes.map.values()) {
    const inHop = draft.ins.get(route.inHop)
    const link = inHop === undefined ? undefined : linkOf(inHop, route.anchor)
    if (inHop === undefined || link === undefined || link.freed || !isDead(draft, route)) continue
    const freed = { ...link, freed: true }
    draft.ins.set(inHop.id, replaceLink(inHop, freed))
    showInwards(draft, inHop, [freed])
  }
}

/**
 * Whether no promise that was ever signed outwards can be worth more by this lock than what is promised without it. What the next payee says
 * about it is no reason: the older promises are still in its hands.
 */
function isDead({ outs, context }: Draft, { status, ceiling, lock, outHop }: Route): boolean {
  if (status === 'waiting') return false
  if (ceiling === undefined || context.chainS >= lock.expiry) return true
  return (outs.get(outHop)?.signed ?? 0n) >= ceiling
}

/** A link that lies on neither hop any more, and that nobody can claim, is done. Its anchor stays used. */
export function forgetWhatIsDone(draft: Draft): void {
  for (const route of [...draft.routes.map.values()]) {
    const [inHop, out] = [draft.ins.get(route.inHop), draft.outs.get(route.outHop)]
    const lies = [inHop, out].some((hop) => hop !== undefined && linkOf(hop, route.anchor) !== undefined)
    if (!lies && out?.update?.adds !== route.anchor && isDead(draft, route)) draft.routes.delete(route.anchor)
  }
}
