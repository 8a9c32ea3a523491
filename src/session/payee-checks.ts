/**
 * Checks the signatures of the promises that came in one piece before the rules look at them, where so many come that other threads are worth
 * their messages. The rules ask for a check as ever: they find the answer, or make the check themselves.
 */
import { availableParallelism } from 'node:os'
import type { FromPayer } from '../core/session/messages.ts'
import { CheckPool, type SignatureCheck } from './check-pool.ts'
import type { Log } from './components.ts'
import type { Live, PayeeBook, Visit } from './payee-book.ts'

/** promises of one turn of the loop that the rules check by themselves: a quiet node never starts a thread */
const FEW = 8
/** promises of one session that are checked ahead: the first bad one ends the session, so what is checked behind it is work for nothing */
const MOST_AHEAD = 8

interface PayeeChecksInit {
  readonly book: PayeeBook
  readonly log: Log
  /** workers; 0 = none. @default one less than there are processors */
  readonly threads?: number | undefined
}

export class PayeeChecks {
  readonly #book: PayeeBook
  readonly #pool: CheckPool
  readonly #threads: number
  #thisTurn = 0

  constructor({ book, log, threads = availableParallelism() - 1 }: PayeeChecksInit) {
    this.#book = book
    this.#threads = threads
    const onLost = (err: unknown): void => log.warn({ err }, 'a thread that checks signatures is gone; its work is done here')
    this.#pool = new CheckPool({ threads, onLost })
  }

  /** What to wait for before these messages of one stream are given to the rules; undefined = nothing. Never rejects. */
  ahead({ link, lives }: Visit, messages: readonly FromPayer[]): Promise<void> | undefined {
    if (this.#threads < 1) return undefined
    let checks: SignatureCheck[] | undefined
    let counts: Map<Live, number> | undefined
    for (const message of messages) {
      if (message.type !== 'promise' || this.#isFew()) continue
      checks ??= []
      counts ??= new Map()
      const live = this.#book.live(message.session)
      if (live === undefined || !lives.has(live)) continue
      const count = (counts.get(live) ?? 0) + 1
      counts.set(live, count)
      if (count > MOST_AHEAD) continue
      checks.push(live.crypto.checkAhead(message.promise, link.publicKey))
    }
    return checks === undefined || checks.length === 0 ? undefined : this.#pool.check(checks)
  }

  async stop(): Promise<void> {
    await this.#pool.stop()
  }

  #isFew(): boolean {
    if (this.#thisTurn === 0)
      setImmediate(() => {
        this.#thisTurn = 0
      })
    this.#thisTurn += 1
    return this.#thisTurn <= FEW
  }
}
