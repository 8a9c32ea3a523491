/**
 * Which blocks of the chain to read next, and what a reorganisation made doubtful: the decision part of the watcher, pure. It asks
 * (yields) and is answered; who asks the chain, and how, is not its business.
 *
 * A mark remembers the hash of the last block of a range that was read, and what the logs of that range touched. While the newest
 * mark is still on the chain, nothing before it has changed. When it is not, marks are dropped until one is, all that the dropped
 * ranges touched is told again, and reading goes on from there.
 *
 * A touch is `cause slot...`, words separated by one space: it says which slot of the ledger to read and why.
 */

/** `number`: last block of a range; the range begins after the mark before it. */
export interface Mark {
  readonly number: number
  readonly hash: string
  readonly touched: readonly string[]
}

export interface Trail {
  /** First block that is worth reading. */
  readonly start: number
  /** Ascending by number. */
  readonly marks: readonly Mark[]
  /** What has been touched and not been told yet. */
  readonly untold: readonly string[]
  /** No mark was left on the chain: every slot that anybody watches must be told again. */
  readonly lost: boolean
  /** Most blocks that one query asks for; halved when the RPC refuses, an eighth more when it answers. */
  readonly span: number
  readonly maxSpan: number
  /** Blocks behind the newest mark that are remembered. A deeper reorganisation makes everything doubtful. */
  readonly keep: number
  /** Rounds in a row in which the RPC was behind the newest mark. */
  readonly behind: number
}

/** Rounds that an RPC may lag behind what it said before; after them the chain is taken to have been cut back. */
export const LAG_ROUNDS = 5

/** The cause of a touch whose log was taken back. */
export const REORGANISED = 'reorganised'

export interface TrailInit {
  readonly start: number
  readonly maxSpan: number
  readonly keep: number
  readonly marks?: readonly Mark[]
  readonly untold?: readonly string[]
  readonly lost?: boolean
}

export function newTrail(init: TrailInit): Trail {
  const marks = [...(init.marks ?? [])].sort((a, b) => a.number - b.number)
  const { start, maxSpan, keep, untold = [], lost = false } = init
  return { start, marks, untold, lost, span: maxSpan, maxSpan, keep, behind: 0 }
}

/** Last block that was read; one before the start when none was. */
export function cursorOf(trail: Trail): number {
  return trail.marks.at(-1)?.number ?? trail.start - 1
}

/**
 * Slots that are watched from now on, and told in the next round. Their state so far may rest on any block up to the newest mark, so
 * they are tied to that mark: a reorganisation that takes back such a block takes back the mark too.
 */
export function withWatched(trail: Trail, touches: readonly string[]): Trail {
  const last = trail.marks.at(-1)
  const marks = last === undefined ? [] : [...trail.marks.slice(0, -1), { ...last, touched: union(last.touched, touches) }]
  return { ...trail, marks, untold: union(trail.untold, touches) }
}

/** What a round asks for, and what it must be answered (in brackets). */
export type Ask =
  /** The newest block that counts: head less confirmations; may be negative. [number] */
  | { readonly type: 'safe' }
  /** The hash of that block now. [string, undefined when there is no such block] */
  | { readonly type: 'hash'; readonly number: number }
  /** What the logs of these blocks touched. [strings, or undefined when the RPC refuses so many blocks] */
  | { readonly type: 'logs'; readonly from: number; readonly to: number }
  /** Read the slots of these touches (of everything watched, when lost) as they are at that block, and hold them. [nothing] */
  | { readonly type: 'slots'; readonly touched: readonly string[]; readonly lost: boolean; readonly at: number }
  /** Tell what is held. [nothing] */
  | { readonly type: 'tell' }
  /** Keep this trail, durably; what was told before is in it. [nothing] */
  | { readonly type: 'save'; readonly trail: Trail }
export type Answer = number | string | readonly string[] | undefined

/** Thrown when the RPC refuses the logs of even a single block. */
export class RefusedError extends Error {
  readonly block: number
  constructor(block: number) {
    super(`the RPC refuses the logs of block ${block}`)
    this.block = block
  }
}

/**
 * One round: from the trail as it was saved last to the newest block that counts. May be dropped at any ask: the next round then
 * begins at the last saved trail and misses nothing (it may tell something twice).
 */
export function* followRound(saved: Trail): Generator<Ask, void, Answer> {
  let safe = asNumber(yield { type: 'safe' })
  if (cursorOf(saved) > safe && saved.marks.length > 0 && saved.behind < LAG_ROUNDS) {
    // A load-balanced RPC steps back for a moment now and then, so one such answer proves nothing.
    yield { type: 'save', trail: { ...saved, behind: saved.behind + 1 } }
    return
  }
  let trail = yield* findGround({ ...saved, behind: 0 })
  let ranges = 0
  while (cursorOf(trail) < safe) {
    const next = yield* readRange(trail, safe)
    if (next === undefined) return
    trail = next
    if (++ranges > 1 && cursorOf(trail) >= safe) {
      // Catching up took a while. Slots can only be read at a recent block: older ones are gone from most RPCs.
      ranges = 0
      safe = asNumber(yield { type: 'safe' })
    }
  }
  if (trail.untold.length > 0 || trail.lost) {
    const told = yield* tell(trail, safe)
    if (!told) return
    trail = { ...trail, untold: [], lost: false }
  }
  yield { type: 'save', trail }
}

/** Drops marks until the newest is one that is on the chain. */
function* findGround(trail: Trail): Generator<Ask, Trail, Answer> {
  for (;;) {
    const last = trail.marks.at(-1)
    if (last === undefined || (yield { type: 'hash', number: last.number }) === last.hash) return trail
    const marks = trail.marks.slice(0, -1)
    trail = { ...trail, marks, untold: union(trail.untold, last.touched.map(revoked)), lost: trail.lost || marks.length === 0 }
  }
}

function* readRange(trail: Trail, safe: number): Generator<Ask, Trail | undefined, Answer> {
  const from = cursorOf(trail) + 1
  const to = Math.min(safe, from + trail.span - 1)
  // The hash is taken before the logs: should the chain change between the two, the mark is wrong and falls in the next round.
  const hash = yield { type: 'hash', number: to }
  if (typeof hash !== 'string') return undefined
  // Both must be of one history: had the ground been replaced unseen, the blocks that replaced it would never be read.
  const ground = trail.marks.at(-1)
  if (ground !== undefined && (yield { type: 'hash', number: ground.number }) !== ground.hash) return undefined
  const touched = yield { type: 'logs', from, to }
  if (!Array.isArray(touched)) {
    if (from === to) throw new RefusedError(to)
    const smaller = { ...trail, span: Math.ceil((to - from + 1) / 2) }
    yield { type: 'save', trail: smaller }
    return smaller
  }
  const next = withMark(trail, { number: to, hash, touched: union([], touched) })
  yield { type: 'save', trail: next }
  return next
}

function* tell(trail: Trail, safe: number): Generator<Ask, boolean, Answer> {
  const ground = trail.marks.at(-1)
  const at = ground?.number ?? safe
  yield { type: 'slots', touched: trail.untold, lost: trail.lost, at }
  // The slots were read by block number. Should that block have changed meanwhile, they may be of another history than the mark.
  if (ground !== undefined && (yield { type: 'hash', number: at }) !== ground.hash) return false
  yield { type: 'tell' }
  return true
}

function withMark(trail: Trail, mark: Mark): Trail {
  const all = [...trail.marks, mark]
  // The newest mark at or before the limit stays, as the ground on which the younger ones stand.
  const ground = all.findLastIndex((m) => m.number <= mark.number - trail.keep)
  const marks = ground > 0 ? all.slice(ground) : all
  return {
    ...trail,
    marks,
    untold: union(trail.untold, mark.touched),
    span: Math.min(trail.maxSpan, trail.span + Math.ceil(trail.span / 8)),
  }
}

function revoked(touch: string): string {
  return REORGANISED + touch.slice(touch.indexOf(' '))
}

function union(a: readonly string[], b: Iterable<string>): readonly string[] {
  return [...new Set([...a, ...b])]
}

function asNumber(answer: Answer): number {
  if (typeof answer === 'number') return answer
  throw new TypeError('a block number was asked for')
}
