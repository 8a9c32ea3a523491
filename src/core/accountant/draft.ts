/** The books while one input is worked into them, and what every rule of an accountant is put together from. */
import type { ErrorCode } from '../errors.ts'
import type { ChannelId, Hash32 } from '../ids.ts'
import type { AccountantContext, AccountantEffect, Books, Route } from './books.ts'
import { type Hop, type HopLink, isOpen, linkOf, mostOf, replaceLink, withWord } from './hop.ts'
import { type ClearEntry, type ClearingMessage, faultOf } from './messages.ts'
import { hasNews, writeUpdate } from './payer.ts'
import { judgeWord } from './words.ts'

/** A map that is copied when it is first changed: the books that came in stay what they were. */
export class Pages<K, V> {
  map: ReadonlyMap<K, V>
  #own: Map<K, V> | undefined

  constructor(map: ReadonlyMap<K, V>) {
    this.map = map
  }

  get changed(): boolean {
    return this.#own !== undefined
  }

  get(key: K): V | undefined {
    return this.map.get(key)
  }

  set(key: K, value: V): void {
    this.#mine().set(key, value)
  }

  delete(key: K): void {
    this.#mine().delete(key)
  }

  #mine(): Map<K, V> {
    if (this.#own === undefined) {
      this.#own = new Map(this.map)
      this.map = this.#own
    }
    return this.#own
  }
}

export interface Draft {
  readonly ins: Pages<ChannelId, Hop>
  readonly outs: Pages<ChannelId, Hop>
  readonly routes: Pages<Hash32, Route>
  readonly effects: AccountantEffect[]
  readonly context: AccountantContext
}

export function draftOf({ ins, outs, routes }: Books, context: AccountantContext): Draft {
  return { ins: new Pages(ins), outs: new Pages(outs), routes: new Pages(routes), effects: [], context }
}

export function tell(draft: Draft, hop: ChannelId, message: ClearingMessage): void {
  draft.effects.push({ type: 'send', hop, message })
}

/** A refusal of one link; without an anchor of the whole stream. */
export function tellFault(draft: Draft, hop: ChannelId, anchor: Hash32 | undefined, code: ErrorCode): void {
  tell(draft, hop, faultOf(anchor, code))
}

/**
 * A word that somebody showed: whatever it opens outwards it opens inwards. True when it was deeper than all before.
 *
 * The payer of the hop in is shown it too, so that nothing need be claimed on the ledger.
 */
export function raise(draft: Draft, route: Route | undefined, known: number, word: Uint8Array): boolean {
  if (route === undefined) return false
  const { anchor } = route
  const verdict = judgeWord({ steps: route.lock.steps, known: route.known, word: route.word }, { known, word })
  if (verdict !== 'new') return false
  draft.routes.set(anchor, { ...route, known, word })
  const inHop = draft.ins.get(route.inHop)
  const link = inHop === undefined ? undefined : linkOf(inHop, anchor)
  if (inHop === undefined || link === undefined || link.freed) return true
  const next = replaceLink(inHop, withWord(link, known, word))
  draft.ins.set(inHop.id, next)
  showInwards(draft, next, [withWord(link, known, word)])
  return true
}

/**
 * Whether a word of this link out is still paid for: it runs, and what is paid can be claimed in time. A node that was away for longer than its
 * margin pays for nothing that it is shown then.
 */
export function isOwed({ ins, routes, context }: Draft, { anchor, expiry }: HopLink): boolean {
  const inHop = ins.get(routes.get(anchor)?.inHop ?? NO_HOP)
  const link = inHop === undefined ? undefined : linkOf(inHop, anchor)
  if (link === undefined || link.freed || context.chainS >= expiry) return false
  return context.nowS < link.expiry - context.policy.claimS
}

const NO_HOP = '0x' as ChannelId

/** Clears with the payer of a hop in: what is known of these links and not folded, and what is freed. */
export function showInwards(draft: Draft, { id, parties }: Hop, links: readonly HopLink[]): void {
  const entries: ClearEntry[] = links
    .filter((link) => isOpen(link) || link.freed)
    .map(({ anchor, known, word, freed }) => ({ anchor, known, word, free: freed }))
  if (entries.length > 0) tell(draft, id, { type: 'clear', owner: parties.owner, token: parties.token, entries })
}

/** Writes the next promise of a hop out, if the last has its answer and there is something to say: a link that waits, else a fold. */
export function pump(draft: Draft, hop: ChannelId): void {
  const out = draft.outs.get(hop)
  if (out === undefined || out.update !== undefined) return
  for (const route of draft.routes.map.values()) {
    if (route.outHop !== hop || route.status !== 'waiting') continue
    const moved = rulesOf(draft, out).uniform && !mayMove(draft, out, route)
    const written = moved ? 'EXPIRY_REFUSED' : writeUpdate(out, { adds: route.lock, rent: route.rent }, rulesOf(draft, out))
    if (typeof written !== 'string') return sendUpdate(draft, written, route)
    // nothing was signed: freed at the next look at the clock
    draft.routes.set(route.anchor, { ...route, status: 'failed' })
    tellFault(draft, route.inHop, route.anchor, written)
  }
  if (!hasNews(out, draft.context.chainS)) return
  const written = writeUpdate(out, {}, rulesOf(draft, out))
  if (typeof written !== 'string') sendUpdate(draft, written, undefined)
}

/** K8 and E1: a new lock moves the others up to its expiry, which what was promised for them inwards must outlast. */
function mayMove({ ins, routes, context }: Draft, out: Hop, { lock }: Route): boolean {
  return out.links.every(({ anchor, expiry }) => {
    if (expiry >= lock.expiry) return true
    const inHop = ins.get(routes.get(anchor)?.inHop ?? NO_HOP)
    const link = inHop === undefined ? undefined : linkOf(inHop, anchor)
    return link !== undefined && !link.freed && lock.expiry + context.policy.tariff.marginS <= link.expiry
  })
}

function rulesOf({ context }: Draft, out: Hop) {
  return {
    chainS: context.chainS,
    uniform: context.forwards(out.id),
    sign: (...what: [Parameters<AccountantContext['sign']>[1], Parameters<AccountantContext['sign']>[2]]) =>
      context.sign(out, ...what),
  }
}

function sendUpdate(draft: Draft, hop: Hop, adds: Route | undefined): void {
  const { update } = hop
  if (update === undefined) return
  const { promise } = update
  draft.outs.set(hop.id, hop)
  if (adds !== undefined) draft.routes.set(adds.anchor, { ...adds, status: 'promised' })
  remember(draft, hop)
  const { owner, token } = hop.parties
  if (adds === undefined) return tell(draft, hop.id, { type: 'fold', owner, token, promise })
  tell(draft, hop.id, { type: 'link', owner, token, consumer: adds.consumer, promise, hops: adds.onward })
}

/** What was just signed can be claimed, and its locks are named on the ledger by the anchors that they begin with now. */
function remember(draft: Draft, { update }: Hop): void {
  if (update === undefined) return
  const most = mostOf(update.promise)
  for (const [i, link] of update.links.entries()) {
    const route = draft.routes.get(link.anchor)
    const lock = update.promise.locks[i]
    if (route === undefined || lock === undefined) continue
    const ceiling = route.ceiling !== undefined && route.ceiling > most ? route.ceiling : most
    const begins = route.begins.has(lock.anchor) ? route.begins : new Map([...route.begins, [lock.anchor, link.folded]])
    draft.routes.set(link.anchor, { ...route, lock: { ...route.lock, expiry: lock.expiry }, ceiling, begins })
  }
}
