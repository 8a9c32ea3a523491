/**
 * The rules of a provider that is paid through an accountant: a payee that forwards nothing. It counts a word only as long as it can claim it
 * without anybody's help.
 * @see protocols/clearing/SPEC.md K9 and section 7
 */
import type { ChannelFacts } from '../channel.ts'
import type { ErrorCode } from '../errors.ts'
import type { Hash32 } from '../ids.ts'
import { heldOf } from './held.ts'
import { type Hop, isOpen, linkOf, replaceLink } from './hop.ts'
import { type HopRules, judgeUpdate } from './judge.ts'
import { type ClearEntry, type ClearingMessage, type Fold, faultOf, type LinkAsked } from './messages.ts'
import { deadlineOf, judgeTickOf, mustSettle, type Shown } from './words.ts'

export interface ProviderContext extends Omit<HopRules, 'forwards'> {
  /** how long before its deadline it asks for a fold, seconds */
  readonly askS: number
}

export type ProviderInput =
  | { readonly type: 'open' }
  | { readonly type: 'link'; readonly message: LinkAsked }
  | { readonly type: 'fold'; readonly message: Fold }
  /** a word that the consumer showed */
  | { readonly type: 'tick'; readonly shown: Shown }
  /** no further word of this link will be taken */
  | { readonly type: 'done'; readonly anchor: Hash32 }
  | { readonly type: 'facts'; readonly facts: ChannelFacts }
  | { readonly type: 'clock' }

export type ProviderEffect =
  | { readonly type: 'store' }
  | { readonly type: 'send'; readonly message: ClearingMessage }
  /** settle the hop now, with every word that is known */
  | { readonly type: 'settle' }
  /** the steps up to here are paid */
  | { readonly type: 'counted'; readonly anchor: Hash32; readonly known: number }
  /** the word is not counted, and why */
  | { readonly type: 'refused'; readonly anchor: Hash32; readonly code: ErrorCode }
  | { readonly type: 'drop'; readonly code: ErrorCode }

export interface ProviderStep {
  readonly hop: Hop
  readonly effects: readonly ProviderEffect[]
}

const STORE: ProviderEffect = { type: 'store' }
const send = (message: ClearingMessage): ProviderEffect => ({ type: 'send', message })

export function providerStep(hop: Hop, input: ProviderInput, context: ProviderContext): ProviderStep {
  switch (input.type) {
    case 'open':
      return { hop, effects: [send(heldOf(hop)), ...clear(hop)] }
    case 'link':
      return takeLink(hop, input.message, context)
    case 'fold':
      return takeFold(hop, input.message, context)
    case 'tick':
      return takeTick(hop, input.shown, context)
    case 'done': {
      const link = linkOf(hop, input.anchor)
      if (link === undefined || link.freed) return { hop, effects: [] }
      const next = replaceLink(hop, { ...link, freed: true })
      return { hop: next, effects: [STORE, ...clear(next)] }
    }
    case 'facts':
      return { hop: { ...hop, facts: input.facts }, effects: [STORE] }
    case 'clock':
      return look(hop, context)
  }
}

function takeLink(hop: Hop, { promise, hops }: LinkAsked, context: ProviderContext): ProviderStep {
  const anchor = promise.locks.at(-1)?.anchor
  const verdict = hops.length > 0 ? 'ROUTE_UNKNOWN' : judgeUpdate(hop, promise, 0n, { ...context, forwards: false })
  if (anchor === undefined) return { hop, effects: [{ type: 'drop', code: 'LOCKS_REFUSED' }] }
  if (verdict === 'same') return { hop, effects: [send({ type: 'taken', anchor })] }
  if (typeof verdict === 'string') return { hop, effects: [send(faultOf(anchor, verdict))] }
  return { hop: verdict, effects: [STORE, send({ type: 'taken', anchor })] }
}

function takeFold(hop: Hop, { promise }: Fold, context: ProviderContext): ProviderStep {
  const verdict = judgeUpdate(hop, promise, undefined, { ...context, forwards: false })
  const stored = send({ type: 'stored', signature: promise.signature })
  if (verdict === 'same') return { hop, effects: [stored] }
  if (typeof verdict === 'string') return { hop, effects: [{ type: 'drop', code: verdict }] }
  return { hop: verdict, effects: [STORE, stored] }
}

function takeTick(hop: Hop, shown: Shown, context: ProviderContext): ProviderStep {
  const { anchor } = shown
  const verdict = judgeTickOf(hop, shown, context)
  if (typeof verdict === 'string') return { hop, effects: [{ type: 'refused', anchor, code: verdict }] }
  const counted: ProviderEffect = { type: 'counted', anchor, known: linkOf(verdict, anchor)?.known ?? 0 }
  return verdict === hop ? { hop, effects: [counted] } : { hop: verdict, effects: [STORE, counted] }
}

/** It asks in time, and settles in time, whatever it was answered. */
function look(hop: Hop, { nowS, marginS, askS }: ProviderContext): ProviderStep {
  const deadline = deadlineOf(hop, marginS)
  if (deadline === undefined || nowS < deadline - askS) return { hop, effects: [] }
  return { hop, effects: [...clear(hop), ...(mustSettle(hop, nowS, marginS) ? [{ type: 'settle' } as const] : [])] }
}

/** Shows what is known and not folded, and what will take no further word. */
function clear({ parties, links }: Hop): readonly ProviderEffect[] {
  const entries: ClearEntry[] = links
    .filter((link) => isOpen(link) || link.freed)
    .map(({ anchor, known, word, freed }) => ({ anchor, known, word, free: freed }))
  return entries.length === 0 ? [] : [send({ type: 'clear', owner: parties.owner, token: parties.token, entries })]
}
