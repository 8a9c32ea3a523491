/**
 * The rules of a consumer that pays through an accountant: the payer of the first hop. It reveals words to the provider and to nobody else, and
 * folds what it is shown: only its own words open its locks.
 * @see protocols/clearing/SPEC.md sections 4, 6 and 7
 */
import type { Amount } from '../amount.ts'
import type { ChannelFacts } from '../channel.ts'
import { codeOfWire, type ErrorCode } from '../errors.ts'
import type { Address, Hash32, Seconds } from '../ids.ts'
import type { Lock } from '../lock.ts'
import type { SignedPromise } from '../promise.ts'
import type { Grant } from './grant.ts'
import { agreeOnHeld } from './held.ts'
import { type Hop, isOver, type Update } from './hop.ts'
import { type ClearEntry, type ClearingMessage, faultOf, type Granted, type Held, type OnwardHop } from './messages.ts'
import { hasNews, takeClear, updateRefused, updateTaken, writeUpdate } from './payer.ts'
import { takeShown } from './words.ts'

/** A link that is wanted, or stands. */
export interface Wanted {
  /** the lock of the first hop */
  readonly lock: Lock
  readonly rent: Amount
  readonly hops: readonly OnwardHop[]
  /** what the grant must say */
  readonly grant: Omit<Grant, 'parties'>
  /** the payer and the payee of the last hop */
  readonly last: { readonly signer: Address; readonly provider: Address }
}

export interface ConsumerState {
  readonly hop: Hop
  /** what was asked for and has no grant yet, by anchor */
  readonly asked: ReadonlyMap<Hash32, Wanted>
  /** the first of them is on its way; the others wait for its answer */
  readonly queue: readonly Hash32[]
}

export interface ConsumerContext {
  readonly chainS: Seconds
  /** the payee forwards (its tariff says so): all locks of a promise have one expiry */
  readonly uniform: boolean
  readonly sign: (amount: Amount, locks: readonly Lock[]) => SignedPromise
  readonly verify: (promise: SignedPromise) => boolean
  readonly verifyGrant: (grant: Grant, signature: Uint8Array) => boolean
}

export type ConsumerInput =
  | { readonly type: 'want'; readonly wanted: Wanted }
  | { readonly type: 'held'; readonly message: Held }
  | { readonly type: 'taken'; readonly anchor: Hash32 }
  | { readonly type: 'stored' }
  | { readonly type: 'grant'; readonly message: Granted }
  | { readonly type: 'fault'; readonly anchor: Hash32 | undefined; readonly code: number }
  | { readonly type: 'clear'; readonly entries: readonly ClearEntry[] }
  /** a word of one of its links in the ledger's log, counted from the link's first anchor */
  | {
      readonly type: 'word'
      readonly anchor: Hash32
      readonly known: number
      readonly word: Uint8Array
      readonly blockS: Seconds
    }
  | { readonly type: 'facts'; readonly facts: ChannelFacts }
  | { readonly type: 'clock' }

export type ConsumerEffect =
  | { readonly type: 'store' }
  | { readonly type: 'send'; readonly message: ClearingMessage }
  /** words of this link may be revealed to the provider, which is shown the grant */
  | { readonly type: 'granted'; readonly anchor: Hash32; readonly grant: Grant; readonly signature: Uint8Array }
  /** nothing of this link is ever revealed */
  | { readonly type: 'failed'; readonly anchor: Hash32; readonly code: ErrorCode }
  | { readonly type: 'drop'; readonly code: ErrorCode }

export interface ConsumerStep {
  readonly state: ConsumerState
  readonly effects: readonly ConsumerEffect[]
}

const STORE: ConsumerEffect = { type: 'store' }

export function newConsumer(hop: Hop): ConsumerState {
  return { hop, asked: new Map(), queue: [] }
}

export function consumerStep(state: ConsumerState, input: ConsumerInput, context: ConsumerContext): ConsumerStep {
  const { hop } = state
  switch (input.type) {
    case 'want': {
      const { anchor } = input.wanted.lock
      const asked = new Map(state.asked).set(anchor, input.wanted)
      return pump({ ...state, asked, queue: [...state.queue, anchor] }, context, [])
    }
    case 'held': {
      const isOwed = (link: { readonly expiry: Seconds }): boolean => !isOver(link, context.chainS)
      const agreed = agreeOnHeld(hop, input.message, { verify: context.verify, isOwed })
      if (typeof agreed === 'string') return { state, effects: [{ type: 'drop', code: agreed }] }
      const next = { ...state, hop: agreed }
      return agreed.update === undefined ? pump(next, context, []) : { state: next, effects: [STORE, say(next, agreed.update)] }
    }
    case 'taken':
      return hop.update?.adds === input.anchor ? pump({ ...state, hop: updateTaken(hop) }, context, []) : keep(state)
    case 'stored':
      return hop.update !== undefined && hop.update.adds === undefined
        ? pump({ ...state, hop: updateTaken(hop) }, context, [])
        : keep(state)
    case 'grant':
      return takeGrant(state, input.message, context)
    case 'fault':
      return refused(state, input.anchor, codeOfWire(input.code) ?? 'PEER_REFUSED', context)
    case 'clear': {
      const { hop: next, refused } = takeClear(hop, input.entries, (link) => !isOver(link, context.chainS))
      const faults = [...refused].map(([anchor, code]) => send(faultOf(anchor, code)))
      return next === hop ? keep(state, ...faults) : pump({ ...state, hop: next }, context, faults)
    }
    case 'word': {
      const link = hop.links.find(({ anchor }) => anchor === input.anchor)
      const shown = link === undefined || input.blockS >= link.expiry ? hop : takeShown(hop, input)
      return typeof shown === 'string' || shown === hop ? keep(state) : pump({ ...state, hop: shown }, context, [])
    }
    case 'facts':
      return pump({ ...state, hop: { ...hop, facts: input.facts } }, context, [])
    case 'clock':
      return hasNews(hop, context.chainS) && hop.update === undefined ? pump(state, context, []) : keep(state)
  }
}

const keep = (state: ConsumerState, ...effects: ConsumerEffect[]): ConsumerStep => ({ state, effects })
const send = (message: ClearingMessage): ConsumerEffect => ({ type: 'send', message })

/** Stores, then writes the next promise if the last has its answer: a link that is wanted, else a fold. */
function pump(state: ConsumerState, context: ConsumerContext, effects: readonly ConsumerEffect[]): ConsumerStep {
  const { hop, asked, queue } = state
  const rules = { chainS: context.chainS, uniform: context.uniform, sign: context.sign }
  if (hop.update !== undefined) return { state, effects: [STORE, ...effects] }
  const [anchor, ...rest] = queue
  const wanted = anchor === undefined ? undefined : asked.get(anchor)
  if (anchor !== undefined && wanted !== undefined) {
    const written = writeUpdate(hop, { adds: wanted.lock, rent: wanted.rent }, rules)
    if (typeof written !== 'string') {
      const next = { ...state, hop: written, queue: rest }
      return { state: next, effects: [STORE, ...effects, say(next, written.update)] }
    }
    return pump(without(state, anchor), context, [...effects, { type: 'failed', anchor, code: written }])
  }
  const written = hasNews(hop, context.chainS) ? writeUpdate(hop, {}, rules) : 'WRONG_STATE'
  if (typeof written === 'string') return { state, effects: [STORE, ...effects] }
  const next = { ...state, hop: written }
  return { state: next, effects: [STORE, ...effects, say(next, written.update)] }
}

/** The update that has no answer, as it is sent first and again. */
function say({ hop, asked }: ConsumerState, update: Update): ConsumerEffect {
  const { owner, token } = hop.parties
  const wanted = update.adds === undefined ? undefined : asked.get(update.adds)
  if (wanted === undefined) return send({ type: 'fold', owner, token, promise: update.promise })
  const { grant, hops } = wanted
  return send({ type: 'link', owner, token, consumer: grant.consumer, promise: update.promise, hops })
}

function without(state: ConsumerState, anchor: Hash32): ConsumerState {
  const asked = new Map(state.asked)
  asked.delete(anchor)
  return { ...state, asked, queue: state.queue.filter((other) => other !== anchor) }
}

/** Section 6: the grant says what was asked for, by the payer of the last hop. */
function takeGrant(state: ConsumerState, message: Granted, context: ConsumerContext): ConsumerStep {
  const wanted = state.asked.get(message.anchor)
  if (wanted === undefined || state.hop.update?.adds === message.anchor) return keep(state)
  const { signer, provider } = wanted.last
  const parties = { owner: message.owner, signer: message.signer, target: provider, token: state.hop.parties.token }
  const grant: Grant = { ...wanted.grant, parties }
  const next = without(state, message.anchor)
  if (message.signer !== signer || !context.verifyGrant(grant, message.signature))
    return { state: next, effects: [STORE, { type: 'failed', anchor: message.anchor, code: 'GRANT_WRONG' }] }
  return { state: next, effects: [STORE, { type: 'granted', anchor: message.anchor, grant, signature: message.signature }] }
}

/** A refused link costs nothing: no word of it is ever revealed, and the next promise is built without it. */
function refused(state: ConsumerState, anchor: Hash32 | undefined, code: ErrorCode, context: ConsumerContext): ConsumerStep {
  if (anchor === undefined) return { state, effects: [{ type: 'drop', code }] }
  if (!state.asked.has(anchor)) return keep(state)
  const hop = state.hop.update?.adds === anchor ? updateRefused(state.hop) : state.hop
  return pump(without({ ...state, hop }, anchor), context, [{ type: 'failed', anchor, code }])
}
