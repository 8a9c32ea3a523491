/**
 * HTTP over paid sessions: one session for each service, opened when it is needed and kept as long as it is used, and one budget over all
 * of them. What a session may sign is set when it is opened, and held where it is signed.
 *
 * Owns: its sessions, from their opening to their receipts.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Amount } from '../core/amount.ts'
import { asTallyError, TallyError } from '../core/errors.ts'
import type { Price } from '../core/price.ts'
import type { Found } from '../discovery/market.ts'
import { unlessAborted } from '../services/abort.ts'
import { endable } from '../services/endable.ts'
import { type HttpAnswer, type HttpCall, httpExchange } from '../services/http/index.ts'
import { paidFetch } from './fetch.ts'
import type { ClosedSession, NodeSession } from './node-session.ts'
import { Turns } from './turns.ts'

export interface PaidHttpInit {
  /** over all sessions, base units */
  readonly budget: Amount
  readonly maxPrice: Price | undefined
  /** who sells it */
  readonly find: (service: string) => Promise<Found>
  /** opens a session that signs no more than the budget */
  readonly open: (found: Found, budget: Amount) => Promise<NodeSession>
  /** how long a session that nobody uses is kept, ms; 0 = not at all */
  readonly idleMs: number
  /** a session is over */
  readonly onClosed?: ((closed: ClosedSession, session: NodeSession) => void | Promise<void>) | undefined
}

interface Entry {
  readonly service: string
  /** what it may sign */
  readonly budget: Amount
  readonly session: Promise<NodeSession>
  readonly turns: Turns
  timer: NodeJS.Timeout | undefined
  over: Promise<void> | undefined
}

/** of the 32 that a session may have */
const MAX_STREAMS = 28
const CLOSE_MS = 20_000
const ENDED_SOON_MS = 1_000
/** the provider lets a peer open so many streams a second: one that is refused for that is tried again for so long */
const PATIENCE_MS = 10_000
const AGAIN_MS = 50

export class PaidHttp {
  readonly #init: PaidHttpInit
  readonly #entries = new Map<string, Entry>()
  /** that are being closed */
  readonly #ending = new Set<Promise<void>>()
  #spent = 0n
  #set = 0n
  #closed = false

  constructor(init: PaidHttpInit) {
    this.#init = init
  }

  /** signed by sessions that are over, base units */
  get spent(): Amount {
    return this.#spent as Amount
  }

  /**
   * One request. Read `bytes` of the answer to its end, or return it.
   *
   * @throws TallyError BUDGET_REACHED, PRICE_TOO_HIGH, UNSUPPORTED (it is no HTTP service), and as `open` of a node and `httpExchange`
   */
  async call(service: string, call: HttpCall): Promise<HttpAnswer> {
    const end = performance.now() + PATIENCE_MS
    for (let reopened = false; ; ) {
      const entry = await this.#entry(service)
      // the session is for others too: who leaves does not end its opening
      const session = await (call.signal === undefined ? entry.session : unlessAborted(entry.session, call.signal))
      const leave = await entry.turns.enter(call.signal)
      clearTimeout(entry.timer)
      const left = (): void => {
        leave()
        this.#rest(entry)
      }
      try {
        const answer = await httpExchange(session, call)
        const end = async (): Promise<void> => {
          await answer.bytes.return()
          left()
        }
        return { ...answer, bytes: endable(this.#watched(answer.bytes, session, left), end) }
      } catch (thrown) {
        left()
        const { code } = asTallyError(thrown)
        // both are refusals of the stream itself: nothing of the request was sent
        const gone = code === 'SESSION_UNKNOWN' || code === 'WRONG_STATE'
        if (gone && !reopened) {
          reopened = true
          await this.#end(entry)
        } else if (code === 'RATE_EXCEEDED' && performance.now() < end) await delay(AGAIN_MS)
        else throw await reasonOf(session, thrown)
      }
    }
  }

  /** As `fetch` of the web, of `tally://name/path` or `http://name.tally/path`. @throws as `call`, USAGE */
  async fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    return await paidFetch(async (service, call) => await this.call(service, call), input, init)
  }

  /** Closes every session in order; no more are opened. */
  async close(): Promise<void> {
    this.#closed = true
    for (const entry of this.#entries.values()) void this.#end(entry)
    while (this.#ending.size > 0) await Promise.allSettled(this.#ending)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #entry(service: string): Promise<Entry> {
    const known = this.#entries.get(service)
    if (known !== undefined) return known
    if (this.#closed) throw new TallyError('SHUTTING_DOWN')
    if (this.#left <= 0n) await this.#endIdle()
    return this.#entries.get(service) ?? this.#begin(service)
  }

  #begin(service: string): Entry {
    const budget = this.#left
    if (budget <= 0n) {
      const message =
        this.#set > 0n ? 'what is left of the budget is set aside for a session that is in use' : 'the budget is used up'
      throw new TallyError('BUDGET_REACHED', { message })
    }
    this.#set += budget
    const session = this.#open(service, budget)
    const entry: Entry = { service, budget, session, turns: new Turns(MAX_STREAMS), timer: undefined, over: undefined }
    this.#entries.set(service, entry)
    session.then(({ ended }) => ended).then(() => this.#end(entry), () => this.#forget(entry)) // biome-ignore format: one thought
    return entry
  }

  async #open(service: string, budget: Amount): Promise<NodeSession> {
    const found = await this.#init.find(service)
    if (found.offer.kind !== 'http') throw new TallyError('UNSUPPORTED', { message: `"${service}" is not an HTTP service` })
    return await this.#init.open(found, budget)
  }

  get #left(): Amount {
    return (this.#init.budget - this.#spent - this.#set) as Amount
  }

  #forget(entry: Entry): void {
    if (this.#entries.get(entry.service) === entry) this.#entries.delete(entry.service)
    this.#set -= entry.budget
  }

  /** What they did not spend is free again. */
  async #endIdle(): Promise<void> {
    const idle = [...this.#entries.values()].filter(({ turns }) => turns.isIdle)
    await Promise.allSettled([...this.#ending, ...idle.map((entry) => this.#end(entry))])
  }

  #rest(entry: Entry): void {
    if (!entry.turns.isIdle || entry.over !== undefined) return
    const { idleMs } = this.#init
    clearTimeout(entry.timer)
    if (idleMs === 0) void this.#end(entry)
    else entry.timer = setTimeout(() => void this.#end(entry), idleMs).unref()
  }

  #end(entry: Entry): Promise<void> {
    if (entry.over === undefined) {
      clearTimeout(entry.timer)
      if (this.#entries.get(entry.service) === entry) this.#entries.delete(entry.service)
      const over = this.#book(entry).finally(() => this.#ending.delete(over))
      entry.over = over
      this.#ending.add(over)
    }
    return entry.over
  }

  /** Pays, closes, and counts what was signed. */
  async #book(entry: Entry): Promise<void> {
    const session = await entry.session.catch(() => undefined)
    if (session === undefined) return
    const closed = await session.close({ signal: AbortSignal.timeout(CLOSE_MS) }).catch(() => undefined)
    const { signed } = closed?.figures ?? session.figures
    this.#spent += signed
    this.#set -= entry.budget
    if (closed !== undefined) await this.#init.onClosed?.(closed, session)
  }

  async *#watched(bytes: HttpAnswer['bytes'], session: NodeSession, over: () => void): HttpAnswer['bytes'] {
    try {
      yield* bytes
    } catch (thrown) {
      throw await reasonOf(session, thrown)
    } finally {
      over()
    }
  }
}

/** Why it broke off: what the session says is nearer to the truth than what its stream says. */
async function reasonOf(session: NodeSession, thrown: unknown): Promise<TallyError> {
  const error = asTallyError(thrown)
  if (error.code !== 'STREAM_CUT' && error.code !== 'WRONG_STATE') return error
  const ended = await Promise.race([session.ended, delay(ENDED_SOON_MS, undefined)])
  return ended?.code === undefined || ended.code === error.code ? error : new TallyError(ended.code, { cause: error })
}
