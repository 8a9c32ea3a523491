/**
 * The sessions behind paid HTTP: opened, gone on with after a cut, left for those of the next provider, closed; one budget over all of them.
 *
 * Owns: the budget, and sessions that were cut until they are over.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type Amount, maxAmount } from '../core/amount.ts'
import { asTallyError, type ErrorCode, TallyError } from '../core/errors.ts'
import type { Address, SessionId } from '../core/ids.ts'
import { owedOf, type PayerSession } from '../core/session/payer.ts'
import type { Found } from '../discovery/market.ts'
import type { ClosedSession, NodeSession } from './node-session.ts'

export interface HttpSessionsInit {
  /** over all sessions, base units */
  readonly budget: Amount
  /** who sells it, of those that are not named. @throws when there is none */
  readonly find: (service: string, without: readonly Address[]) => Promise<Found>
  /** opens a session that signs no more than the budget */
  readonly open: (found: Found, budget: Amount) => Promise<NodeSession>
  /** goes on with a session that was cut. @throws SESSION_UNKNOWN when either end has forgotten it */
  readonly resume: (id: SessionId, found: Found, signal?: AbortSignal) => Promise<NodeSession>
  /** a session that was cut and may be gone on with, as it is on record */
  readonly cut: (id: SessionId) => Promise<PayerSession | undefined>
  /** gives up a session that was cut */
  readonly forget: (id: SessionId) => Promise<void>
  /** a session is over */
  readonly onClosed?: ((closed: ClosedSession, session: NodeSession) => void | Promise<void>) | undefined
}

interface Opened {
  readonly found: Found
  readonly session: NodeSession
}

/** A session that was cut, with what is set aside for it. */
interface Cut extends Opened {
  readonly budget: Amount
}

/** A session of a service, or one that is being opened. */
export interface Holding {
  readonly service: string
  readonly opened: Promise<Opened>
}

interface Held extends Holding {
  opened: Promise<Opened>
  /** what is set aside for it */
  budget: Amount
  /** goes on with this one, if it can be */
  cut: Cut | undefined
}

/** The provider is away; it may come back, and another one may be there. */
export const AWAY: readonly ErrorCode[] = ['STREAM_CUT', 'PEER_UNREACHABLE', 'BUSY', 'SHUTTING_DOWN']

const CLOSE_MS = 20_000
/** how long a provider that is away is tried again */
const PATIENCE_MS = 10_000
/** the same where another one could take its place */
const SWITCH_MS = 1_000
const AGAIN_MS = 100
/** how long a provider that is away may take to give the receipt of what it sold */
const LAST_WORD_MS = 3_000

export class HttpSessions {
  readonly #init: HttpSessionsInit
  readonly #cuts = new Map<string, Cut>()
  /** with providers that were left for others */
  readonly #left = new Set<Cut>()
  #spent = 0n
  #set = 0n
  #closed = false

  constructor(init: HttpSessionsInit) {
    this.#init = init
  }

  /** signed by sessions that are over, base units */
  get spent(): Amount {
    return this.#spent as Amount
  }

  /** whether there is budget for one more session */
  hasRoom(service: string): boolean {
    return this.#cuts.has(service) || this.#free > 0n
  }

  get #free(): bigint {
    return this.#init.budget - this.#spent - this.#set
  }

  /** Begins to open one, or to go on with the one that was cut. @throws BUDGET_REACHED, SHUTTING_DOWN */
  begin(service: string): Holding {
    if (this.#closed) throw new TallyError('SHUTTING_DOWN')
    const cut = this.#cuts.get(service)
    this.#cuts.delete(service)
    const budget = (cut?.budget ?? this.#free) as Amount
    if (budget <= 0n) {
      const message =
        this.#set > 0n ? 'what is left of the budget is set aside for a session that is in use' : 'the budget is used up'
      throw new TallyError('BUDGET_REACHED', { message })
    }
    if (cut === undefined) this.#set += budget
    const held = { service, budget, cut } as Held
    held.opened = this.#open(held).catch((thrown: unknown) => {
      if (held.cut === undefined) this.#set -= held.budget
      else this.#cuts.set(service, held.cut)
      throw thrown
    })
    return held
  }

  /** Pays and closes it, and counts what was signed; one that was cut is kept for the next request. */
  async end(holding: Holding): Promise<void> {
    const opened = await holding.opened.catch(() => undefined)
    if (opened === undefined) return
    const { service, budget } = holding as Held
    const isCut = (await this.#init.cut(opened.session.id)) !== undefined
    if (!isCut) await this.#close(opened.session, budget)
    else if (this.#closed) await this.#lastWord({ ...opened, budget })
    else this.#cuts.set(service, { ...opened, budget })
  }

  /** What sessions that were cut did not spend is free again. */
  async endCut(): Promise<void> {
    const cuts = [...this.#cuts.values(), ...this.#left]
    this.#cuts.clear()
    this.#left.clear()
    await Promise.all(cuts.map((cut) => this.#lastWord(cut)))
  }

  /** No more are opened. */
  async close(): Promise<void> {
    this.#closed = true
    await this.endCut()
  }

  async #open(held: Held): Promise<Opened> {
    const began = performance.now()
    const tried: Address[] = []
    let found = held.cut?.found
    let first: TallyError | undefined
    for (;;) {
      try {
        const resumed = held.cut === undefined ? undefined : await this.#resume(held, held.cut)
        if (resumed !== undefined) return resumed
        found ??= await this.#find(held.service, tried)
        return { found, session: await this.#init.open(found, held.budget) }
      } catch (thrown) {
        const error = asTallyError(thrown)
        first ??= error
        if (this.#closed || found === undefined || !(AWAY.includes(error.code) || tried.length > 0)) throw error
        const [switchMs, patienceMs] = held.cut === undefined ? [0, 0] : [SWITCH_MS, PATIENCE_MS]
        const stillMs = performance.now() - began
        const next =
          stillMs < switchMs ? undefined : await this.#find(held.service, [...tried, found.provider]).catch(() => undefined)
        if (next !== undefined) {
          tried.push(found.provider)
          found = next
          await this.#leave(held)
        } else if (stillMs < patienceMs) await delay(AGAIN_MS)
        else throw first
      }
    }
  }

  async #find(service: string, without: readonly Address[]): Promise<Found> {
    const found = await this.#init.find(service, without)
    if (found.offer.kind !== 'http') throw new TallyError('UNSUPPORTED', { message: `"${service}" is not an HTTP service` })
    return found
  }

  /** undefined: it is over, a new one is needed. */
  async #resume(held: Held, { found, session }: Cut): Promise<Opened | undefined> {
    const total = (await this.#init.cut(session.id))?.total ?? session.figures.signed
    try {
      const resumed = await this.#init.resume(session.id, found)
      held.cut = undefined
      return { found, session: resumed }
    } catch (thrown) {
      if (asTallyError(thrown).code !== 'SESSION_UNKNOWN') throw thrown
    }
    held.cut = undefined
    held.budget = (held.budget - total) as Amount
    this.#book(total, total)
    await this.#init.forget(session.id)
    if (held.budget <= 0n) throw new TallyError('BUDGET_REACHED')
    return undefined
  }

  /** The next provider's budget is what is left beside all that this one may still ask for. */
  async #leave(held: Held): Promise<void> {
    const { cut } = held
    if (cut === undefined) return
    const record = await this.#init.cut(cut.session.id)
    const most = record === undefined ? cut.session.figures.signed : maxAmount(record.total, owedOf(record))
    held.cut = undefined
    held.budget = (held.budget - most) as Amount
    this.#left.add({ ...cut, budget: most })
    if (held.budget <= 0n) throw new TallyError('BUDGET_REACHED')
  }

  /** A provider that is back gives its receipt; one that is not has no more claim than what was signed. */
  async #lastWord({ found, session, budget }: Cut): Promise<void> {
    const { id } = session
    const resumed = await this.#init.resume(id, found, AbortSignal.timeout(LAST_WORD_MS)).catch(() => undefined)
    if (resumed !== undefined) return await this.#close(resumed, budget)
    await this.#close(session, budget)
    // a node that is stopped by now keeps it as it is
    await this.#init.forget(id).catch(() => undefined)
  }

  async #close(session: NodeSession, budget: Amount): Promise<void> {
    const closed = await session.close({ signal: AbortSignal.timeout(CLOSE_MS) }).catch(() => undefined)
    this.#book(budget, (closed?.figures ?? session.figures).signed)
    if (closed !== undefined) await this.#init.onClosed?.(closed, session)
  }

  /** So much was set aside, and so much of it is spent. */
  #book(set: bigint, spent: bigint): void {
    this.#set -= set
    this.#spent += spent
  }
}
