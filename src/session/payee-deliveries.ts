/** The data streams of a provider: which it takes, and how far each may write. */
import { asTallyError, TallyError } from '../core/errors.ts'
import { rateOf } from '../core/price.ts'
import { sellsCounts, soldOf } from '../core/session/counts.ts'
import { isOpen } from '../core/session/flow.ts'
import { allowance, BYTE, covers, type PayeeContext, type PayeeInput } from '../core/session/payee.ts'
import type { IncomingData } from '../ports/link.ts'
import type { ServiceAdapter } from '../ports/service.ts'
import type { Log, ServiceOnSale } from './components.ts'
import { Delivery } from './delivery.ts'
import type { Live, PayeeBook } from './payee-book.ts'
import type { OwnerFile } from './payee-shelf.ts'

/** D6 of the data protocol */
const MAX_STREAMS = 32
/** over all sessions: each may hold a file, a program and a piece of 1 MiB */
const MAX_DELIVERIES = 1_024
/** what one session may read without paying: indexes and manifests, of which each has a few MiB at most */
const MAX_FREE_BYTES = 16 * 1024 * 1024

export interface DeliveriesInit {
  readonly book: PayeeBook
  readonly services: ReadonlyMap<string, ServiceOnSale>
  readonly log: Log
  readonly run: (live: Live, input: PayeeInput) => void
  readonly context: (live: Live) => PayeeContext
}

export class PayeeDeliveries {
  readonly #init: DeliveriesInit
  /** also those that were cut and whose service has not let go yet */
  #count = 0
  readonly #taken = new WeakMap<ServiceAdapter, WeakMap<OwnerFile, { count: number }>>()

  constructor(init: DeliveriesInit) {
    this.#init = init
  }

  /** Answers one data stream: checks that it belongs to a live session of that peer, asks the service, delivers as far as it is paid. */
  async serve(incoming: IncomingData): Promise<void> {
    const { session: id, stream, request } = incoming.header
    const live = this.#init.book.live(id)
    const adapter = live === undefined ? undefined : this.#adapterOf(live)
    if (live === undefined || adapter === undefined || live.session.terms.signer !== incoming.address)
      return incoming.refuse(new TallyError('SESSION_UNKNOWN'))
    const { session, deliveries } = live
    const isUsed = deliveries.has(stream) || isOpen(session.flow, stream)
    if (session.status !== 'live' || session.stopping !== undefined || isUsed)
      return incoming.refuse(new TallyError('WRONG_STATE'))
    if (deliveries.size >= MAX_STREAMS || session.flow.open.length >= 2 * MAX_STREAMS)
      return incoming.refuse(new TallyError('RATE_EXCEEDED'))
    const taken = this.#takenBy(live.file, adapter)
    if (taken.count >= Math.ceil((adapter.slots ?? MAX_DELIVERIES) / 2)) return incoming.refuse(new TallyError('BUSY'))
    if (this.#count >= MAX_DELIVERIES) return incoming.refuse(new TallyError('BUSY'))
    const delivery = this.#delivery(live, incoming)
    deliveries.set(stream, delivery)
    this.#count += 1
    taken.count += 1
    try {
      await delivery.run(adapter, request, session.terms.content)
    } catch (thrown) {
      this.#init.log.debug({ session: id, stream, err: asTallyError(thrown).code }, 'delivery ended early')
    } finally {
      this.#count -= 1
      taken.count -= 1
      if (deliveries.get(stream) === delivery) deliveries.delete(stream)
    }
  }

  /** What one owner has of a service, over all its signers and sessions; also what was cut and has not let go. */
  #takenBy(file: OwnerFile, adapter: ServiceAdapter): { count: number } {
    const ofAdapter = this.#taken.get(adapter) ?? new WeakMap<OwnerFile, { count: number }>()
    this.#taken.set(adapter, ofAdapter)
    const taken = ofAdapter.get(file) ?? { count: 0 }
    ofAdapter.set(file, taken)
    return taken
  }

  /** More may be written by the owner's sessions. */
  wake(live: Live): void {
    for (const one of live.file.lives) for (const delivery of one.deliveries.values()) delivery.wake()
  }

  cut(live: Live): void {
    for (const delivery of live.deliveries.values()) delivery.cut()
    live.deliveries.clear()
  }

  #adapterOf(live: Live): ServiceAdapter | undefined {
    return live.adapter ?? this.#init.services.get(live.session.terms.service)?.adapter
  }

  #delivery(live: Live, incoming: IncomingData): Delivery {
    const { book, run, context } = this.#init
    const { stream } = incoming.header
    const { price } = live.session.terms
    const sellsUp = rateOf(price, 'up') !== undefined
    const sellsTime = rateOf(price, 'ms') !== undefined
    return new Delivery(incoming, {
      opened: () => run(live, { type: 'opened', stream }),
      allowance: (kind) => {
        if (kind === 'down' || sellsUp) return allowance(book.state(live), context(live), kind)
        // where time is paid, bytes of the consumer that cost nothing keep the service busy: not while the time is not covered
        return sellsTime && allowance(book.state(live), context(live), 'down') === 0n ? 0n : undefined
      },
      wrote: (bytes) => run(live, { type: 'wrote', stream, bytes }),
      blocked: (want) => {
        book.flush()
        for (const delivery of live.deliveries.values()) delivery.tell()
        run(live, { type: 'blocked', want: sellsUp || want.up === undefined ? want : BYTE })
      },
      took: (bytes) => {
        if (sellsUp) run(live, { type: 'took', stream, bytes })
      },
      sold: (counts) => soldOf(price, counts),
      covers: (want) => covers(book.state(live), context(live), want),
      hold: (counts) => run(live, { type: 'hold', counts }),
      settle: (held, charged, final) => run(live, { type: 'settle', stream, held, charged, final }),
      forfeit: (held) => run(live, { type: 'forfeit', held }),
      served: () => {
        if (sellsCounts(price)) run(live, { type: 'served', stream })
      },
      isFree: (bytes) => {
        live.freeBytes += bytes
        return live.freeBytes <= MAX_FREE_BYTES
      },
    })
  }
}
