/** One purchase: as few sessions as possible, one budget over all of them, a receipt for each. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Amount, maxAmount } from '../../core/amount.ts'
import { equalBytes } from '../../core/bytes.ts'
import { asTallyError, type ErrorCode, TallyError } from '../../core/errors.ts'
import type { SessionId } from '../../core/ids.ts'
import type { ReceiptDocument } from '../../core/receipt-document.ts'
import { owedOf, type PayerSession, usedMeter } from '../../core/session/payer.ts'
import type { Found } from '../../discovery/market.ts'
import type { NodeSession } from '../../node/node-session.ts'
import { Candidates } from './candidates.ts'
import type { Delivery, Outcome, PurchaseInit } from './delivery.ts'
import { isForPeers, MORE_RESERVED, NEW_SESSION, NOT_SEEN, OWN } from './failures.ts'

const CLOSE_MS = 20_000
/** of the budget, when the user is told */
const WARN_PERCENTS = [80n, 95n]
/** pauses between tries: they grow from the first to the last */
const PAUSES_MS = [250, 500, 1_000, 2_000] as const
/** how long one provider is tried again where another one could go on */
const SWITCH_MS = 3_000
/** how long a provider that was left may take to give the receipt of what it sold */
const LAST_WORD_MS = 3_000
/** how long a provider may take to see a reservation that is confirmed here */
const SEEN_MS = 20_000
/** a stream that broke while its session lives is opened again so often without a byte in between */
const MAX_AGAIN = 3
const ENDED_SOON_MS = 500
export class Purchase {
  readonly #init: PurchaseInit
  readonly #delivery: Delivery
  readonly #sums = { paid: 0n, bytes: 0n, ms: 0n }
  readonly #sessions: SessionId[] = []
  readonly #receipts: string[] = []
  #current: NodeSession | undefined
  #movedMs = performance.now()
  #moved = 0n
  #tries = 0
  #said = ''
  #pauses = 0
  #warned = 0n
  #found: Found
  readonly #candidates: Candidates
  readonly #providers: string[] = []
  /** sessions that were cut with providers that were left for others; what they may still cost is booked */
  readonly #left: { readonly found: Found; readonly cut: PayerSession }[] = []

  constructor(init: PurchaseInit, delivery: Delivery) {
    this.#init = init
    this.#delivery = delivery
    this.#found = init.found
    const { found, others = [], mostProviders = 1, lookAgain = async () => [] } = init
    this.#candidates = new Candidates({ found, others, most: delivery.movable === true ? mostProviders : 1, lookAgain })
  }

  /** whom is bought from now */
  get found(): Found {
    return this.#found
  }

  /** the session that is going on, for whoever shows it */
  get current(): NodeSession | undefined {
    return this.#current
  }

  /** signed for the sessions of this run that are over, base units */
  get earlier(): Amount {
    return this.#sums.paid as Amount
  }

  /** Throws only when nothing was bought; else the outcome says what went wrong. */
  async run(): Promise<Outcome> {
    const { events } = this.#init.node
    events.on('payer:paid', this.#watchBudget)
    try {
      return await this.#run()
    } finally {
      events.off('payer:paid', this.#watchBudget)
    }
  }

  /** The user hears of the end of the budget before it is there. */
  readonly #watchBudget = ({ session }: { readonly session: PayerSession }): void => {
    const { budget, warn } = this.#init
    if (session.id !== this.#sessions.at(-1)) return
    const reached = WARN_PERCENTS.findLast((percent) => 100n * (this.#sums.paid + session.total) >= percent * budget) ?? 0n
    if (reached <= this.#warned) return
    this.#warned = reached
    warn(
      `${reached} % of the budget is used; the purchase ends in order when all of it is, and the same command goes on from there`,
    )
  }

  async #run(): Promise<Outcome> {
    for (;;) {
      let isLive = false
      try {
        this.#current ??= await this.#begin()
        isLive = true
        await this.#delivery.run(this.#current)
        return await this.#finish(undefined)
      } catch (thrown) {
        const failure = await this.#reason(asTallyError(thrown))
        if (this.#delivery.idles === true && isLive) this.#movedMs = performance.now()
        this.#noteMoves()
        if (!this.#mayGoOn(failure)) {
          if (await this.#switch(failure)) continue
          // alone it has all the patience
          if (!this.#mayGoOn(failure)) return await this.#giveUp(failure)
        }
        this.#tellOnce(`${failure.message}; trying again …`)
        const pause = PAUSES_MS[Math.min(this.#pauses++, PAUSES_MS.length - 1)]
        await delay(pause, undefined, { signal: this.#init.signal }).catch(() => undefined)
      }
    }
  }

  /** The session of an earlier run or connection goes on, or a new one begins. */
  async #begin(): Promise<NodeSession> {
    const { node, inputs, budget, limitAtRisk, maxPrice, expectBytes, pay, reserve, signal } = this.#init
    const cut = await this.#cutSession()
    if (cut !== undefined) {
      const resumed = cut.wish.budget <= budget - this.#sums.paid ? await this.#resume(cut) : undefined
      if (resumed !== undefined) return resumed
      await this.#forget(cut)
    }
    const left = (budget - this.#sums.paid) as Amount
    if (left <= 0n) throw new TallyError('BUDGET_REACHED')
    const session = await node.open({
      service: this.#found, inputs, budget: left, limitAtRisk, signal, ...(reserve !== undefined && { reserve }),
      ...(maxPrice !== undefined && { maxPrice }), ...(expectBytes !== undefined && { expectBytes }), ...(pay !== undefined && { pay }),
    }) // biome-ignore format: a record
    this.#note(session.id)
    return session
  }

  #note(session: SessionId): void {
    if (!this.#sessions.includes(session)) this.#sessions.push(session)
    const peer = this.#found.peer.toString()
    if (this.#providers.at(-1) !== peer) this.#providers.push(peer)
  }

  /** undefined: the session is over, a new one is needed. */
  async #resume(cut: PayerSession): Promise<NodeSession | undefined> {
    const { node, pay, reserve, signal } = this.#init
    const usedBytes = await this.#delivery.used(cut)
    try {
      const session = await node.resume(cut.id, this.#found, {
        signal,
        ...(usedBytes !== undefined && { usedBytes }),
        ...(pay !== undefined && { pay }),
        ...(reserve !== undefined && { reserve }),
      })
      this.#note(cut.id)
      this.#said = ''
      this.#init.tell(`going on with session ${cut.id}`)
      return session
    } catch (thrown) {
      if (asTallyError(thrown).code === 'SESSION_UNKNOWN') return undefined
      throw thrown
    }
  }

  async #forget(cut: PayerSession): Promise<void> {
    await this.#init.node.forget(cut.id)
    await this.#delivery.over(cut.id)
    if (!this.#sessions.includes(cut.id)) return
    this.#sums.paid += cut.total
  }

  async #cutSession(): Promise<PayerSession | undefined> {
    const { node, inputs } = this.#init
    const { provider, offer } = this.#found
    for await (const session of node.resumableWith(provider))
      if (session.wish.service === offer.service && equalBytes(session.wish.inputs, inputs)) return session
    return undefined
  }

  /** Why it broke off: what the session says is nearer to the truth than what its stream says. */
  async #reason(thrown: TallyError): Promise<TallyError> {
    const session = this.#current
    if (session === undefined || this.#init.signal.aborted) return thrown
    const ended = await Promise.race([session.ended, delay(ENDED_SOON_MS, undefined)])
    if (ended === undefined) return thrown
    if (!(await this.#init.node.isResumable(session.id))) await this.#book(session)
    this.#current = undefined
    if (ended.code === undefined || ended.code === thrown.code) return thrown
    return new TallyError(ended.code, { cause: thrown })
  }

  #tellOnce(line: string): void {
    if (line !== this.#said) this.#init.tell(line)
    this.#said = line
  }

  #noteMoves(): void {
    const bytes = this.#sums.bytes + (this.#current?.figures.delivered.down ?? 0n)
    if (bytes <= this.#moved) return
    this.#moved = bytes
    this.#movedMs = performance.now()
    this.#tries = 0
    this.#pauses = 0
    this.#candidates.moved()
  }

  #mayGoOn(failure: TallyError): boolean {
    const { signal, patienceMs, reserve } = this.#init
    const stillMs = performance.now() - this.#movedMs
    if (signal.aborted || stillMs > (this.#candidates.isOpen ? Math.min(patienceMs, SWITCH_MS) : patienceMs)) return false
    if (this.#current !== undefined) return failure.code === 'STREAM_CUT' && this.#delivery.again && ++this.#tries <= MAX_AGAIN
    if (reserve !== undefined && MORE_RESERVED.includes(failure.code)) return ++this.#tries <= MAX_AGAIN
    // a refusal of our own names what was demanded
    if (reserve !== undefined && NOT_SEEN.includes(failure.code))
      return failure.fields.demanded === undefined && stillMs < SEEN_MS
    if (this.#sessions.length === 0) return failure.code === 'BUSY' || failure.code === 'STREAM_CUT'
    const away: readonly string[] = ['STREAM_CUT', 'PEER_UNREACHABLE', 'BUSY']
    return away.includes(failure.code) || NEW_SESSION.includes(failure.code)
  }

  /** Leaves this provider for the next one, which goes on where this one stopped; false when there is none that could. */
  async #switch(failure: TallyError): Promise<boolean> {
    if (this.#init.signal.aborted || OWN.includes(failure.code)) return false
    const next = await this.#candidates.next()
    if (next === undefined) return false
    const session = this.#current
    this.#current = undefined
    if (session !== undefined) await this.#book(session, failure.code)
    const cut = await this.#cutSession()
    if (cut !== undefined && this.#sessions.includes(cut.id)) {
      this.#left.push({ found: this.#found, cut })
      // what is owed there is paid when it gives its receipt: the next provider's budget is what is left beside it
      this.#sums.paid += mostOf(cut)
      this.#sums.bytes += usedMeter(cut).down
      this.#sums.ms += usedMeter(cut).ms
    }
    this.#init.tell(`${this.#found.peer.toString()}: ${failure.message}; going on with ${next.peer.toString()}`)
    this.#found = next
    this.#movedMs = performance.now()
    this.#moved = this.#sums.bytes
    this.#tries = 0
    this.#pauses = 0
    this.#said = ''
    return true
  }

  /** A provider that was left and is back gives its receipt; one that is not has no more claim than what was signed. */
  async #lastWords(): Promise<void> {
    const { node, signal, tell } = this.#init
    for (const { found, cut } of this.#left.splice(0)) {
      if (!(await node.isResumable(cut.id))) continue
      this.#sums.paid -= mostOf(cut)
      this.#sums.bytes -= usedMeter(cut).down
      this.#sums.ms -= usedMeter(cut).ms
      const until = AbortSignal.any([signal, AbortSignal.timeout(LAST_WORD_MS)])
      const session = await node.resume(cut.id, found, { signal: until }).catch(() => undefined)
      if (session !== undefined) {
        await this.#book(session)
        continue
      }
      this.#sums.paid += cut.total
      this.#sums.bytes += usedMeter(cut).down
      this.#sums.ms += usedMeter(cut).ms
      tell(`${found.peer.toString()} is away and has not given its receipt; nothing more is paid to it`)
      await node.forget(cut.id)
      await this.#delivery.over(cut.id)
    }
  }

  async #giveUp(failure: TallyError): Promise<Outcome> {
    if (this.#sessions.length === 0) throw failure
    return await this.#finish(failure)
  }

  async #finish(failure: TallyError | undefined): Promise<Outcome> {
    const session = this.#current
    this.#current = undefined
    if (session !== undefined) await this.#book(session, failure?.code)
    const cut = await this.#cutSession()
    if (cut !== undefined && this.#sessions.includes(cut.id)) this.#sums.paid += cut.total
    await this.#lastWords()
    const { paid, bytes, ms } = this.#sums
    return {
      failure,
      paid: paid as Amount,
      bytes,
      ms,
      sessions: this.#sessions,
      receipts: this.#receipts,
      providers: this.#providers,
      resumable: cut !== undefined,
    }
  }

  /** Closes a session, or takes the end that it came to; its figures and its receipt are kept. */
  async #book(session: NodeSession, code?: ErrorCode): Promise<void> {
    const closed = await session
      .close({ signal: AbortSignal.timeout(CLOSE_MS), ...(isForPeers(code) && { code }) })
      .catch((thrown: unknown) => {
        this.#init.tell(`the session could not be closed in order: ${asTallyError(thrown).message}`)
        return undefined
      })
    const { signed, delivered } = closed?.figures ?? session.figures
    this.#sums.paid += signed
    this.#sums.bytes += delivered.down
    this.#sums.ms += delivered.ms
    if (closed?.receipt !== undefined && isWorthKeeping(closed.receipt))
      this.#receipts.push(await this.#init.keep(closed.receipt))
    await this.#delivery.over(session.id)
  }
}

/** The most that a cut session can come to cost: what is signed for it, or is to be signed for what was received. */
const mostOf = (cut: PayerSession): Amount => maxAmount(cut.total, owedOf(cut))

/** An index that was looked at leaves a receipt of nothing over nothing. */
function isWorthKeeping({ receipt }: ReceiptDocument): boolean {
  return receipt.total > 0n || receipt.meter.down > 0n
}
