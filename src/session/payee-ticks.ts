/**
 * Where the ticks of the control streams go: counted one by one as they come, handed to the rules together at the end of what came in one
 * piece, or before any other message is looked at. Only acknowledgements may pass in front of them: those travel between the ticks, and touch
 * neither the channel nor what was paid.
 */
import type { Amount } from '../core/amount.ts'
import type { Tick } from '../core/session/messages.ts'
import type { PayeeInput } from '../core/session/payee.ts'
import { TickRun } from '../core/tick-run.ts'
import type { Live, PayeeBook, Visit } from './payee-book.ts'

export interface PayeeTicksInit {
  readonly book: PayeeBook
  /** how far above the deposit a promise may go, base units */
  readonly unreserved: Amount
  readonly run: (live: Live, input: PayeeInput) => void
}

/** It holds a run only while the messages of one piece are gone through: nothing else happens meanwhile. */
export class PayeeTicks {
  readonly #init: PayeeTicksInit
  #open: { readonly visit: Visit; readonly live: Live; readonly run: TickRun } | undefined

  constructor(init: PayeeTicksInit) {
    this.#init = init
  }

  /** Counts the tick, if it is the next of a live session; false when the rules must look at it, after `handIn`. */
  take(visit: Visit, { session, k, word }: Tick): boolean {
    const open = this.#open
    if (open?.visit === visit && open.live.session.id === session) return open.run.take(k, word)
    this.handIn()
    const live = this.#init.book.live(session)
    if (live?.visit !== visit || live.session.status !== 'live') return false
    const { channel } = live.record
    const run = channel === undefined ? undefined : TickRun.from(channel, this.#init.unreserved)
    if (run?.take(k, word) !== true) return false
    this.#open = { visit, live, run }
    return true
  }

  /** The rules hear of what was counted. */
  handIn(): void {
    const open = this.#open
    if (open === undefined) return
    this.#open = undefined
    const { live, run } = open
    if (run.count === 0) return
    const message: Tick = { type: 'tick', session: live.session.id, ...run.last }
    this.#init.run(live, { type: 'tick', message, proven: run.begun })
  }
}
