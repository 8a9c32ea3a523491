/**
 * HTTP over paid sessions: one session for each service, opened when it is needed and kept as long as it is used, and one budget over all
 * of them. What a session may sign is set when it is opened, and held where it is signed. What breaks is repeated only where nothing can
 * have happened twice.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Amount } from '../core/amount.ts'
import { asTallyError, type ErrorCode, TallyError } from '../core/errors.ts'
import { unlessAborted } from '../services/abort.ts'
import { endable } from '../services/endable.ts'
import { type HttpAnswer, type HttpCall, httpExchange, isRepeatable, resumed } from '../services/http/index.ts'
import { paidFetch } from './fetch.ts'
import { AWAY, type Holding, HttpSessions, type HttpSessionsInit } from './http-sessions.ts'
import type { NodeSession } from './node-session.ts'
import { Turns } from './turns.ts'

export interface PaidHttpInit extends HttpSessionsInit {
  /** how long a session that nobody uses is kept, ms; 0 = not at all */
  readonly idleMs: number
}

interface Entry {
  readonly holding: Holding
  readonly turns: Turns
  timer: NodeJS.Timeout | undefined
  over: Promise<void> | undefined
}

/** of the 32 that a session may have */
const MAX_STREAMS = 28
const ENDED_SOON_MS = 1_000
/** the provider lets a peer open so many streams a second: one that is refused for that is tried again for so long */
const PATIENCE_MS = 10_000
const AGAIN_MS = 50
/** a request goes to a new session so often when the one that it was for is over */
const MAX_AGAIN = 3
/** refusals of the stream itself: nothing of the request was sent */
const NOT_SENT: readonly ErrorCode[] = ['SESSION_UNKNOWN', 'WRONG_STATE']

export class PaidHttp {
  readonly #sessions: HttpSessions
  readonly #idleMs: number
  readonly #entries = new Map<string, Entry>()
  /** that are being closed */
  readonly #ending = new Set<Promise<void>>()
  #closed = false

  constructor(init: PaidHttpInit) {
    this.#sessions = new HttpSessions(init)
    this.#idleMs = init.idleMs
  }

  /** signed by sessions that are over, base units */
  get spent(): Amount {
    return this.#sessions.spent
  }

  /**
   * One request. Read `bytes` of the answer to its end, or return it. A request that may be made twice is made again when the way to the
   * provider breaks before its answer, and an answer with ranges goes on at its byte; each further request is charged like any other.
   *
   * @throws TallyError BUDGET_REACHED, PRICE_TOO_HIGH, UNSUPPORTED (it is no HTTP service), and as `open` of a node and `httpExchange`
   */
  async call(service: string, call: HttpCall): Promise<HttpAnswer> {
    const again = async (one: HttpCall): Promise<HttpAnswer> => await this.#call(service, one)
    const answer = await again(call)
    const bytes = resumed(call, answer, { again, isAway: ({ code }) => AWAY.includes(code) })
    return bytes === undefined ? answer : { ...answer, bytes: endable(bytes, async () => void (await answer.bytes.return())) }
  }

  async #call(service: string, call: HttpCall): Promise<HttpAnswer> {
    const end = performance.now() + PATIENCE_MS
    for (let tries = 0; ; ) {
      const entry = await this.#entry(service)
      // the session is for others too: who leaves does not end its opening
      const { opened } = entry.holding
      const { session } = await (call.signal === undefined ? opened : unlessAborted(opened, call.signal))
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
        if (code === 'RATE_EXCEEDED' && performance.now() < end) {
          await delay(AGAIN_MS)
          continue
        }
        const reason = await reasonOf(session, thrown)
        const mayRepeat = NOT_SENT.includes(code) || (isRepeatable(call) && AWAY.includes(reason.code))
        if (!mayRepeat || call.signal?.aborted === true || ++tries > MAX_AGAIN) throw reason
        // a stream may break while its session lives; who holds one still is not cut off
        if (NOT_SENT.includes(code) || (await isOver(session))) await this.#end(entry)
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
    const closing = this.#sessions.close()
    while (this.#ending.size > 0) await Promise.allSettled(this.#ending)
    await closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #entry(service: string): Promise<Entry> {
    const known = this.#entries.get(service)
    if (known !== undefined) return known
    if (this.#closed) throw new TallyError('SHUTTING_DOWN')
    if (!this.#sessions.hasRoom(service)) await this.#endIdle()
    return this.#entries.get(service) ?? this.#begin(service)
  }

  #begin(service: string): Entry {
    const holding = this.#sessions.begin(service)
    const entry: Entry = { holding, turns: new Turns(MAX_STREAMS), timer: undefined, over: undefined }
    this.#entries.set(service, entry)
    holding.opened.then(({ session }) => session.ended).then(() => this.#end(entry), () => this.#forget(entry)) // biome-ignore format: one thought
    return entry
  }

  #forget(entry: Entry): void {
    const { service } = entry.holding
    if (this.#entries.get(service) === entry) this.#entries.delete(service)
  }

  /** What they did not spend is free again. */
  async #endIdle(): Promise<void> {
    const idle = [...this.#entries.values()].filter(({ turns }) => turns.isIdle)
    await Promise.allSettled([...this.#ending, ...idle.map((entry) => this.#end(entry)), this.#sessions.endCut()])
  }

  #rest(entry: Entry): void {
    if (!entry.turns.isIdle || entry.over !== undefined) return
    clearTimeout(entry.timer)
    if (this.#idleMs === 0) void this.#end(entry)
    else entry.timer = setTimeout(() => void this.#end(entry), this.#idleMs).unref()
  }

  #end(entry: Entry): Promise<void> {
    if (entry.over === undefined) {
      clearTimeout(entry.timer)
      this.#forget(entry)
      const over = this.#sessions.end(entry.holding).finally(() => this.#ending.delete(over))
      entry.over = over
      this.#ending.add(over)
    }
    return entry.over
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

async function isOver(session: NodeSession): Promise<boolean> {
  return await Promise.race([session.ended.then(() => true), delay(0, false)])
}

/** Why it broke off: what the session says is nearer to the truth than what its stream says. */
async function reasonOf(session: NodeSession, thrown: unknown): Promise<TallyError> {
  const error = asTallyError(thrown)
  if (error.code !== 'STREAM_CUT' && error.code !== 'WRONG_STATE') return error
  const ended = await Promise.race([session.ended, delay(ENDED_SOON_MS, undefined)])
  return ended?.code === undefined || ended.code === error.code ? error : new TallyError(ended.code, { cause: error })
}
