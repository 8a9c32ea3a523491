/** One purchase: as few sessions as possible, one budget over all of them, a receipt for each. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Amount } from '../../core/amount.ts'
import { equalBytes } from '../../core/bytes.ts'
import { asTallyError, ERRORS, type ErrorCode, TallyError } from '../../core/errors.ts'
import type { SessionId } from '../../core/ids.ts'
import type { Price } from '../../core/price.ts'
import type { ReceiptDocument } from '../../core/receipt-document.ts'
import type { PayerSession } from '../../core/session/payer.ts'
import type { Found } from '../../discovery/market.ts'
import type { TallyNode } from '../../node/node.ts'
import type { NodeSession } from '../../node/node-session.ts'
import type { PayMode } from '../../node/options.ts'

export interface PurchaseInit {
  readonly node: TallyNode
  readonly found: Found
  readonly inputs: Uint8Array
  /** over all sessions of this run */
  readonly budget: Amount
  readonly limitAtRisk: Amount
  readonly maxPrice: Price | undefined
  readonly expectBytes?: bigint
  readonly pay?: PayMode
  /** how long a lost connection is tried again, ms */
  readonly patienceMs: number
  readonly signal: AbortSignal
  readonly tell: (line: string) => void
  readonly keep: (document: ReceiptDocument) => Promise<string>
}

/** What is to be done with a session: gets what is sold, and knows what it holds of it. */
export interface Delivery {
  /** bytes of this session that are durably kept; undefined = as many as the session counted */
  used(session: PayerSession): Promise<bigint | undefined>
  /** resolves when everything was got; called again on the next session after a break */
  run(session: NodeSession): Promise<void>
  /** the session is over for good */
  over(session: SessionId): Promise<void>
  /** whether a stream that breaks while the session lives may be opened again */
  readonly again: boolean
  /** true: it may be silent for long, so that patience begins with a break and not with the last byte. @default false */
  readonly idles?: boolean
}

export interface Outcome {
  /** undefined = everything was got */
  readonly failure: TallyError | undefined
  readonly paid: Amount
  /** metered bytes of the sessions of this run */
  readonly bytes: bigint
  readonly ms: bigint
  readonly sessions: readonly SessionId[]
  readonly receipts: readonly string[]
  /** true: the session was cut, and the same command goes on with it */
  readonly resumable: boolean
}

const CLOSE_MS = 20_000
const PAUSE_MS = 500
/** a stream that broke while its session lives is opened again so often without a byte in between */
const MAX_AGAIN = 3
const ENDED_SOON_MS = 500
/** the session is over, and a new one may do better */
const NEW_SESSION: readonly ErrorCode[] = ['SESSION_UNKNOWN', 'SHUTTING_DOWN', 'BUSY', 'CONTENT_CHANGED', 'RATE_EXCEEDED']

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

  constructor(init: PurchaseInit, delivery: Delivery) {
    this.#init = init
    this.#delivery = delivery
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
        if (!this.#mayGoOn(failure)) return await this.#giveUp(failure)
        this.#tellOnce(`${failure.message}; trying again …`)
        await delay(PAUSE_MS, undefined, { signal: this.#init.signal }).catch(() => undefined)
      }
    }
  }

  /** The session of an earlier run or connection goes on, or a new one begins. */
  async #begin(): Promise<NodeSession> {
    const { node, found, inputs, budget, limitAtRisk, maxPrice, expectBytes, pay, signal } = this.#init
    const cut = this.#cutSession()
    if (cut !== undefined) {
      const resumed = cut.wish.budget <= budget - this.#sums.paid ? await this.#resume(cut) : undefined
      if (resumed !== undefined) return resumed
      await this.#forget(cut)
    }
    const left = (budget - this.#sums.paid) as Amount
    if (left <= 0n) throw new TallyError('BUDGET_REACHED')
    const session = await node.open({
      service: found, inputs, budget: left, limitAtRisk, signal,
      ...(maxPrice !== undefined && { maxPrice }), ...(expectBytes !== undefined && { expectBytes }), ...(pay !== undefined && { pay }),
    }) // biome-ignore format: a record
    this.#sessions.push(session.id)
    return session
  }

  /** undefined: the session is over, a new one is needed. */
  async #resume(cut: PayerSession): Promise<NodeSession | undefined> {
    const { node, found, pay, signal } = this.#init
    const usedBytes = await this.#delivery.used(cut)
    try {
      const session = await node.resume(cut.id, found, {
        signal,
        ...(usedBytes !== undefined && { usedBytes }),
        ...(pay !== undefined && { pay }),
      })
      if (!this.#sessions.includes(cut.id)) this.#sessions.push(cut.id)
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

  #cutSession(): PayerSession | undefined {
    const { node, found, inputs } = this.#init
    return [...node.resumable].find(
      ({ wish }) => wish.provider === found.provider && wish.service === found.offer.service && equalBytes(wish.inputs, inputs),
    )
  }

  /** Why it broke off: what the session says is nearer to the truth than what its stream says. */
  async #reason(thrown: TallyError): Promise<TallyError> {
    const session = this.#current
    if (session === undefined || this.#init.signal.aborted) return thrown
    const ended = await Promise.race([session.ended, delay(ENDED_SOON_MS, undefined)])
    if (ended === undefined) return thrown
    const resumable = [...this.#init.node.resumable].some(({ id }) => id === session.id)
    if (!resumable) await this.#book(session)
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
  }

  #mayGoOn(failure: TallyError): boolean {
    const { signal, patienceMs } = this.#init
    if (signal.aborted || performance.now() - this.#movedMs > patienceMs) return false
    if (this.#current !== undefined) return failure.code === 'STREAM_CUT' && this.#delivery.again && ++this.#tries <= MAX_AGAIN
    if (this.#sessions.length === 0) return failure.code === 'BUSY' || failure.code === 'STREAM_CUT'
    const away: readonly string[] = ['STREAM_CUT', 'PEER_UNREACHABLE', 'BUSY']
    return away.includes(failure.code) || NEW_SESSION.includes(failure.code)
  }

  async #giveUp(failure: TallyError): Promise<Outcome> {
    if (this.#sessions.length === 0) throw failure
    return await this.#finish(failure)
  }

  async #finish(failure: TallyError | undefined): Promise<Outcome> {
    const session = this.#current
    this.#current = undefined
    if (session !== undefined) await this.#book(session, failure?.code)
    const cut = this.#cutSession()
    if (cut !== undefined && this.#sessions.includes(cut.id)) this.#sums.paid += cut.total
    const { paid, bytes, ms } = this.#sums
    return {
      failure,
      paid: paid as Amount,
      bytes,
      ms,
      sessions: this.#sessions,
      receipts: this.#receipts,
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

/** An index that was looked at leaves a receipt of nothing over nothing. */
function isWorthKeeping({ receipt }: ReceiptDocument): boolean {
  return receipt.total > 0n || receipt.meter.down > 0n
}

/** Whether the other end may be told; a user who stops has simply had enough. */
function isForPeers(code: ErrorCode | undefined): code is ErrorCode {
  return code !== undefined && 'wire' in ERRORS[code]
}
