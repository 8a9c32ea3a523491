/**
 * The rules of an accountant: it promises outwards what it was promised inwards, and claims inwards what is claimed outwards.
 *
 * Whatever it has signed outwards can be claimed for as long as its locks run, whoever took it or refused it, and with any words. So every lock
 * that was ever signed outwards has one inwards that runs longer, pays more, and is carried on until the one outwards is dead.
 * @see protocols/clearing/SPEC.md
 */
import type { ErrorCode } from '../errors.ts'
import { type ChannelId, type Hash32, hash32ToBytes } from '../ids.ts'
import type { Lock } from '../lock.ts'
import type { AccountantContext, AccountantEffect, AccountantInput, AccountantStep, Books, Route } from './books.ts'
import { type Draft, draftOf, isOwed, pump, raise, showInwards, tell, tellFault } from './draft.ts'
import { agreeOnHeld, heldOf } from './held.ts'
import { type Hop, linkOf, mostOf } from './hop.ts'
import { judgeUpdate } from './judge.ts'
import type { LinkAsked } from './messages.ts'
import { takeClear, updateRefused, updateTaken } from './payer.ts'
import { forgetWhatIsDone, freeWhatIsDead } from './release.ts'
import { unitIn } from './tariff.ts'
import { mustSettle, takeShown } from './words.ts'

/** One input. What changed is stored before anything is told: `store` comes first. */
export function accountantStep(books: Books, input: AccountantInput, context: AccountantContext): AccountantStep {
  const draft = draftOf(books, context)
  take(draft, input)
  const changed = draft.ins.changed || draft.outs.changed || draft.routes.changed
  if (!changed) return { books, effects: draft.effects }
  const next = { ins: draft.ins.map, outs: draft.outs.map, routes: draft.routes.map }
  const store: AccountantEffect = { type: 'store' }
  return { books: next, effects: [store, ...draft.effects] }
}

function take(draft: Draft, input: AccountantInput): void {
  switch (input.type) {
    case 'link':
      return takeLink(draft, input.hop, input.message, input.outHop)
    case 'fold':
      return takeFold(draft, input)
    case 'taken':
      return takenOutwards(draft, input.hop, input.anchor)
    case 'grant':
      return grantedOutwards(draft, input)
    case 'stored':
      return storedOutwards(draft, input.hop)
    case 'fault':
      return refusedOutwards(draft, input)
    case 'clear':
      return clearedOutwards(draft, input)
    case 'word':
      return shownOnLedger(draft, input)
    case 'facts': {
      const { hop, facts } = input
      const [ins, outs] = [draft.ins.get(hop), draft.outs.get(hop)]
      if (ins !== undefined) draft.ins.set(hop, { ...ins, facts })
      if (outs !== undefined) draft.outs.set(hop, { ...outs, facts })
      return
    }
    case 'open':
      return cameUp(draft, input.hop)
    case 'held':
      return heldOutwards(draft, input)
    case 'clock':
      return look(draft)
  }
}

/** Section 4, 2: everything is checked, then the promise is stored, then it is answered and promised outwards. */
function takeLink(draft: Draft, hop: ChannelId, message: LinkAsked, outHop: ChannelId | undefined): void {
  const { context } = draft
  const { tariff } = context.policy
  const [next, ...onward] = message.hops
  const lock = message.promise.locks.at(-1)
  const [inHop, out] = [draft.ins.get(hop), outHop === undefined ? undefined : draft.outs.get(outHop)]
  const refuse = (code: ErrorCode): void => tellFault(draft, hop, lock?.anchor, code)
  if (inHop === undefined) return refuse('CHANNEL_UNKNOWN')
  const verdict = judgeUpdate(inHop, message.promise, tariff.rent + (next?.rent ?? 0n), rulesOf(draft, inHop))
  if (verdict === 'same') return answerAgain(draft, hop, lock)
  if (typeof verdict === 'string') return refuse(verdict)
  if (next === undefined || outHop === undefined || out === undefined) return refuse('ROUTE_UNKNOWN')
  if (lock === undefined || draft.routes.get(lock.anchor) !== undefined || next.unit === 0n) return refuse('LOCKS_REFUSED')
  if (lock.unit < unitIn(tariff, next.unit)) return refuse('FEE_TOO_LOW')
  if (next.expiry + tariff.marginS > lock.expiry || next.expiry <= context.nowS) return refuse('EXPIRY_REFUSED')
  if (!context.isUp(outHop)) return refuse('BUSY')
  const route: Route = {
    anchor: lock.anchor, inHop: hop, outHop, consumer: message.consumer,
    lock: { anchor: lock.anchor, unit: next.unit, steps: lock.steps, expiry: next.expiry }, rent: next.rent, onward,
    status: 'waiting', ceiling: undefined, begins: new Map(), known: 0, word: hash32ToBytes(lock.anchor), grant: undefined,
  } // biome-ignore format: a record
  if (!isWithinCaps(draft, route, out)) return refuse('EXPOSURE_REACHED')
  draft.ins.set(hop, verdict)
  draft.routes.set(lock.anchor, route)
  tell(draft, hop, { type: 'taken', anchor: lock.anchor })
  pump(draft, outHop)
}

function rulesOf({ context }: Draft, hop: Hop) {
  const { marginS, longestS } = context.policy.tariff
  return {
    nowS: context.nowS,
    chainS: context.chainS,
    marginS,
    longestS,
    forwards: true,
    verify: (promise: Parameters<AccountantContext['verify']>[1]) => context.verify(hop, promise),
    isAnchorUsed: context.isAnchorUsed,
  }
}

/** What a link can make this node promise, base units of the hop out. */
const exposureOf = ({ lock, rent }: Route): bigint => BigInt(lock.steps) * lock.unit + rent

/** F3: what strangers can tie up, and what the reservation with the next payee has room for. */
function isWithinCaps({ routes, context }: Draft, route: Route, out: Hop): boolean {
  const { maxPerPayer, maxPerPayee, maxLinksPerPayer } = context.policy
  const all = [...routes.map.values()]
  const ofPayer = all.filter(({ inHop }) => inHop === route.inHop)
  const ofPayee = all.filter(({ outHop }) => outHop === route.outHop)
  const sum = (list: readonly Route[]): bigint => list.reduce((total, one) => total + exposureOf(one), exposureOf(route))
  if (ofPayer.length >= maxLinksPerPayer || sum(ofPayer) > maxPerPayer || sum(ofPayee) > maxPerPayee) return false
  const waiting = sum(ofPayee.filter(({ status }) => status === 'waiting'))
  const { promise = out.promise } = out.update ?? {}
  return waiting + (promise === undefined ? 0n : mostOf(promise)) <= out.facts.deposit
}

function answerAgain(draft: Draft, hop: ChannelId, lock: Lock | undefined): void {
  const route = lock === undefined ? undefined : draft.routes.get(lock.anchor)
  if (route === undefined) return tellFault(draft, hop, lock?.anchor, 'LINK_UNKNOWN')
  tell(draft, hop, { type: 'taken', anchor: route.anchor })
  if (route.grant !== undefined) tell(draft, hop, route.grant)
  if (route.status === 'failed') tellFault(draft, hop, route.anchor, 'ROUTE_UNKNOWN')
}

function takeFold(draft: Draft, { hop, message }: Extract<AccountantInput, { type: 'fold' }>): void {
  const inHop = draft.ins.get(hop)
  if (inHop === undefined) return tellFault(draft, hop, undefined, 'CHANNEL_UNKNOWN')
  const verdict = judgeUpdate(inHop, message.promise, undefined, rulesOf(draft, inHop))
  if (typeof verdict === 'string' && verdict !== 'same') {
    draft.effects.push({ type: 'drop', hop, code: verdict })
    return
  }
  if (verdict !== 'same') draft.ins.set(hop, verdict)
  tell(draft, hop, { type: 'stored', signature: message.promise.signature })
}

function takenOutwards(draft: Draft, hop: ChannelId, anchor: Hash32): void {
  const out = draft.outs.get(hop)
  const route = draft.routes.get(anchor)
  if (out?.update === undefined || out.update.adds !== anchor || route === undefined) return
  draft.outs.set(hop, updateTaken(out))
  if (route.onward.length === 0) grant(draft, route, out)
  pump(draft, hop)
}

function grant(draft: Draft, route: Route, { parties }: Hop): void {
  const { anchor, unit, steps, expiry } = route.lock
  const signature = draft.context.signGrant({ consumer: route.consumer, parties, anchor, unit, steps, expiry })
  const granted = { type: 'grant', anchor, owner: parties.owner, signer: parties.signer, signature } as const
  draft.routes.set(anchor, { ...route, status: 'granted', grant: granted })
  tell(draft, route.inHop, granted)
}

function grantedOutwards(draft: Draft, { hop, message }: Extract<AccountantInput, { type: 'grant' }>): void {
  const route = draft.routes.get(message.anchor)
  if (route === undefined || route.outHop !== hop || route.status !== 'promised') return
  draft.routes.set(route.anchor, { ...route, status: 'granted', grant: message })
  tell(draft, route.inHop, message)
}

function storedOutwards(draft: Draft, hop: ChannelId): void {
  const out = draft.outs.get(hop)
  if (out?.update === undefined || out.update.adds !== undefined) return
  draft.outs.set(hop, updateTaken(out))
  pump(draft, hop)
}

/** The next payee does not take it. It was signed all the same: the lock in stays until the one out is dead. */
function refusedOutwards(draft: Draft, { hop, anchor, code }: Extract<AccountantInput, { type: 'fault' }>): void {
  const out = draft.outs.get(hop)
  const route = anchor === undefined ? undefined : draft.routes.get(anchor)
  if (out === undefined || route === undefined || route.outHop !== hop || route.status !== 'promised') return
  if (out.update?.adds === anchor) draft.outs.set(hop, updateRefused(out))
  draft.routes.set(route.anchor, { ...route, status: 'failed' })
  draft.effects.push({ type: 'send', hop: route.inHop, message: { type: 'fault', anchor: route.anchor, code } })
  pump(draft, hop)
}

/** Section 7: the word is stored before the fold is signed, and shown inwards. */
function clearedOutwards(draft: Draft, { hop, entries }: Extract<AccountantInput, { type: 'clear' }>): void {
  const out = draft.outs.get(hop)
  if (out === undefined) return
  const { hop: next, refused } = takeClear(out, entries, (link) => isOwed(draft, link))
  if (next !== out) draft.outs.set(hop, next)
  for (const { anchor, known, word } of entries) {
    const code = refused.get(anchor)
    if (code !== undefined) tellFault(draft, hop, anchor, code)
    // a word is a fact, whether or not it is still paid for
    const route = draft.routes.get(anchor)
    if (route?.outHop === hop) raise(draft, route, known, word)
  }
  pump(draft, hop)
}

/** E5. It is owed outwards only when its block was before the expiry; claimed inwards it is whenever it was shown. */
function shownOnLedger(draft: Draft, { anchor, word, k, blockS }: Extract<AccountantInput, { type: 'word' }>): void {
  for (const route of draft.routes.map.values()) {
    const begins = route.begins.get(anchor)
    if (begins === undefined) continue
    const known = begins + k
    const out = draft.outs.get(route.outHop)
    const link = out === undefined ? undefined : linkOf(out, route.anchor)
    if (!raise(draft, route, known, word) && (link === undefined || link.known >= known)) continue
    if (out === undefined || link === undefined || blockS >= link.expiry) continue
    const shown = takeShown(out, { anchor: route.anchor, known, word })
    if (typeof shown !== 'string') draft.outs.set(route.outHop, shown)
    pump(draft, route.outHop)
  }
}

/** The stream of a hop in is there: its payer hears where it stands, and what it has not folded yet. */
function cameUp(draft: Draft, hop: ChannelId): void {
  const inHop = draft.ins.get(hop)
  if (inHop === undefined) return tellFault(draft, hop, undefined, 'CHANNEL_UNKNOWN')
  tell(draft, hop, heldOf(inHop))
  showInwards(draft, inHop, inHop.links)
}

/** The stream of a hop out is there: what had no answer is said again, or was taken after all. */
function heldOutwards(draft: Draft, { hop, message }: Extract<AccountantInput, { type: 'held' }>): void {
  const out = draft.outs.get(hop)
  if (out === undefined) return
  const adds = out.update?.adds
  const agreed = agreeOnHeld(out, message, {
    verify: (promise) => draft.context.verify(out, promise),
    isOwed: (link) => isOwed(draft, link),
  })
  if (typeof agreed === 'string') {
    draft.effects.push({ type: 'drop', hop, code: agreed })
    return
  }
  draft.outs.set(hop, agreed)
  for (const { anchor, known, word } of message.links) raise(draft, draft.routes.get(anchor), known, word)
  const route = adds === undefined ? undefined : draft.routes.get(adds)
  if (agreed.update !== undefined) return resend(draft, agreed)
  if (route?.status === 'promised' && route.onward.length === 0) grant(draft, route, agreed)
  pump(draft, hop)
}

function resend(draft: Draft, out: Hop): void {
  const { update, parties, id } = out
  if (update === undefined) return
  const { owner, token } = parties
  const route = update.adds === undefined ? undefined : draft.routes.get(update.adds)
  if (route === undefined) tell(draft, id, { type: 'fold', owner, token, promise: update.promise })
  else
    tell(draft, id, {
      type: 'link', owner, token, consumer: route.consumer, promise: update.promise, hops: route.onward,
    }) // biome-ignore format: a record
}

/** What time alone asks for: to settle before the hop in expires, to free what is dead, to fold, to forget. */
function look(draft: Draft): void {
  const { nowS, policy } = draft.context
  freeWhatIsDead(draft)
  for (const id of draft.outs.map.keys()) pump(draft, id)
  for (const [id, hop] of draft.ins.map)
    if (mustSettle(hop, nowS, policy.tariff.marginS)) draft.effects.push({ type: 'settle', hop: id })
  forgetWhatIsDone(draft)
}
