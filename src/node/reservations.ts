/**
 * Reserves by itself what a purchase needs: before it begins, and again before what is reserved runs out or is over. Never more than it
 * is allowed to. What is to be done is decided by `reserveStep`, from figures alone.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type Amount, maxAmount, minAmount } from '../core/amount.ts'
import { type ChannelFacts, type ChannelOut, NO_CHANNEL, newChannelOut, signedOf } from '../core/channel.ts'
import { asTallyError, type ErrorCode, TallyError } from '../core/errors.ts'
import type { Address, Seconds } from '../core/ids.ts'
import type { PayerSession } from '../core/session/payer.ts'
import { formatAmount, type TokenInfo } from '../core/token.ts'
import type { Found } from '../discovery/market.ts'
import type { Chain, DryRun, Job, LedgerAction, RelayWish } from '../ports/chain.ts'
import type { Clock } from '../ports/clock.ts'
import { refuseAborted } from '../services/abort.ts'
import type { PayerDesk } from '../session/payer-desk.ts'
import type { Money } from './money.ts'
import { Pace } from './pace.ts'

interface Options {
  readonly signal?: AbortSignal
}

interface EnsureOptions extends Options {
  /** as `ReserveWanted.taken` */
  readonly taken?: Amount
  /** does not wait for the confirmations: the provider lets some of it count before */
  readonly early?: boolean
}

/** What may still be added to reservations. Purchases that share one share the limit. Base units. */
export interface Allowance {
  left: Amount
}

/** What is wanted of a reservation; amounts in base units. */
export interface ReserveWanted {
  /** demanded by the offer */
  readonly minReservation: Amount
  readonly minTimeToExpiryS: number
  /** so much is to be free; it is filled up when less than half of it is */
  readonly free: Amount
  /** what is free and will be paid for what has come already: as good as used. @default 0 */
  readonly taken?: Amount
  /** the most that may be added now */
  readonly most: Amount
  readonly forS: number
}

/** What is to be added to a reservation, base units, and until when it is then. */
export interface ReserveStep {
  readonly amount: Amount
  readonly expiry: Seconds
  /** free before it */
  readonly free: Amount
}

/** A step as it would be carried out now. */
export interface ReservePlan {
  readonly step: ReserveStep
  readonly action: LedgerAction
  readonly run: DryRun
}

/** a reservation that is over sooner than what the offer demands and this is prolonged, seconds: margins and patience must fit in */
const NEAR_S = 900

/** undefined: nothing is to be done. A step that is short of what the offer demands is for the caller to refuse. */
export function reserveStep(channel: ChannelOut, wanted: ReserveWanted, nowS: number): ReserveStep | undefined {
  const used = maxAmount(maxAmount(signedOf(channel), channel.reserved), channel.facts.settled)
  const free = (channel.facts.deposit > used ? channel.facts.deposit - used : 0n) as Amount
  const { taken = 0n as Amount } = wanted
  const left = free > taken ? free - taken : 0n
  const isLow = 2n * left < wanted.free || left < wanted.minReservation || left === 0n
  const target = maxAmount(wanted.free, wanted.minReservation)
  const lack = (isLow && target > left ? target - left : 0n) as Amount
  const amount = minAmount(lack, wanted.most)
  const isNear = channel.facts.expiry - nowS < wanted.minTimeToExpiryS + NEAR_S
  if (!isNear && amount === 0n) return undefined
  const fresh = nowS + wanted.forS
  return { amount, expiry: Math.max(channel.facts.expiry, fresh) as Seconds, free }
}

/** How much of it comes out of the wallet, base units. */
export function pulledOut(action: LedgerAction): Amount {
  if (action.kind !== 'open') return 0n as Amount
  return action.from === 'wallet' ? action.amount : (action.deposit?.amount ?? (0n as Amount))
}

/** One purchase that reserves by itself. */
export interface ReserveOrder {
  readonly found: Found
  /** in mid-session so much is to be free, or what the budget leaves where that is less; base units */
  readonly upTo: Amount
  readonly allowance: Allowance
  readonly forS: number
  /** told before a step, and when it is done or has failed */
  readonly tell?: ((step: ReserveStep, job: Job | TallyError | undefined) => void) | undefined
  /** by a relay, although there may be gas */
  readonly relay?: RelayWish | undefined
}

export interface ReservationsComponents {
  readonly chain: Chain
  readonly clock: Clock
  readonly payer: PayerDesk
  readonly money: Money
}

const relayOf = ({ relay }: ReserveOrder) => (relay === undefined ? {} : { relay })

/** a top-up is begun when what is free lasts for less than so many times as long as one takes */
const LEAD = 2
/** what a reservation is thought to take before one was made, ms */
const FIRST_MS = 15_000
/** how long a look at the chain waits for the next one, ms */
const POLL_MS = 200
/** how long what a mined transaction changed may take to be seen, ms */
const SEEN_MS = 15_000
/** a step that did not change the ledger is not tried for ever */
const MAX_STEPS = 3

/** the transaction moved nothing, and never will; one of which that is not known has used the allowance */
const NOT_DONE: readonly ErrorCode[] = ['TX_REVERTED', 'TX_REPLACED', 'FUNDS_LOW', 'RELAY_NONE', 'RELAY_EXPIRED']

export class Reservations {
  readonly #of: ReservationsComponents
  /** how long the last one took until it counted, ms */
  #tookMs = FIRST_MS

  constructor(components: ReservationsComponents) {
    this.#of = components
  }

  /** What would be done so that `free` is there, and for how much gas; undefined when enough is reserved. @throws as `ensure` */
  async plan(order: ReserveOrder, free: Amount, options: Options = {}): Promise<ReservePlan | undefined> {
    const { money } = this.#of
    const step = await this.#step(order, free, options)
    if (step === undefined) return undefined
    const action = await money.openAction(order.found.provider, step.amount, step.expiry, options)
    return { step, action, run: await money.dryRun(action, { ...options, ...relayOf(order) }) }
  }

  /**
   * Resolves when `free` is reserved and confirmed, or what the allowance leaves of it. The intent is keyed by what the ledger holds: after a crash the same call waits for the same
   * transaction, and reserves nothing twice.
   *
   * @throws RESERVATION_TOO_SMALL (the offer demands more than may be reserved; field `demanded`), FUNDS_LOW, GAS_LOW, TX_*, CHAIN_UNREACHABLE, ABORTED
   */
  async ensure(order: ReserveOrder, free: Amount, options: EnsureOptions = {}): Promise<void> {
    const { money, clock } = this.#of
    const { provider } = order.found
    const startMs = clock.nowMs()
    for (let count = 0; count < MAX_STEPS; count++) {
      const step = await this.#step(order, free, options)
      if (step === undefined) {
        if (options.early === true) return
        await this.confirmed(provider, options)
        if (count > 0) this.#tookMs = clock.nowMs() - startMs
        return
      }
      order.tell?.(step, undefined)
      const action = await money.openAction(provider, step.amount, step.expiry, options)
      order.allowance.left = (order.allowance.left - step.amount) as Amount
      try {
        const before = (await this.#latest(provider, options)) ?? NO_CHANNEL
        const name = `reserve ${money.idOf(provider)} ${before.epoch} ${before.deposit} ${before.expiry}`
        const key = await this.#keyOf(order, action, name, before)
        const early = options.early === true && { confirmations: 0 }
        const job = await money.send(action, { ...options, provider, key, ...relayOf(order), ...early })
        await this.#seen(provider, before, options)
        order.tell?.(step, job)
      } catch (thrown) {
        const error = asTallyError(thrown)
        if (NOT_DONE.includes(error.code)) order.allowance.left = (order.allowance.left + step.amount) as Amount
        order.tell?.(step, error)
        throw error
      }
    }
    if (options.early !== true) await this.confirmed(provider, options)
  }

  /**
   * Hands the transaction in; its key. One that is final though the ledger is as it was before it was taken back by a reorganisation deeper than
   * the confirmations: then it is made again, under the next key.
   */
  async #keyOf(order: ReserveOrder, action: LedgerAction, key: string, before: ChannelFacts): Promise<string> {
    const { chain } = this.#of
    for (let next = key; ; ) {
      const job = await chain.transactions.submit(action, { key: next, ...relayOf(order) })
      if (job.state !== 'confirmed' || (chain.status().confirmed ?? -1) < (job.block ?? 0)) return next
      // another purchase has made it a moment ago
      if (!isSame((await this.#latest(order.found.provider, {})) ?? NO_CHANNEL, before)) return next
      next = `${key} after ${job.id}`
    }
  }

  /** Looks after the reservation of a session: call it after each payment. Failures are told, never thrown: what is there lasts while it lasts. */
  keeper(order: ReserveOrder, options: Options): (session: PayerSession, taken?: Amount) => void {
    const { clock, payer, money } = this.#of
    const pace = new Pace()
    let busy = false
    let failed = false
    return (session, taken = 0n as Amount) => {
      const nowMs = clock.nowMs()
      pace.paid(session.total, nowMs)
      if (busy || failed || options.signal?.aborted === true) return
      // filled up when less than half is free: as much as is spent until the next one counts is to be there then
      const upTo = maxAmount(order.upTo, (2n * pace.within(LEAD * this.#tookMs)) as Amount)
      const free = minAmount(upTo, (session.wish.budget - session.total - taken) as Amount)
      // its session is live: it is in memory
      const channel = payer.book.shelf.known(money.idOf(order.found.provider))
      if (free <= 0n || channel === undefined) return
      if (this.#judge(channel, order, free, taken) === undefined) return
      busy = true
      const topUp = this.ensure(order, free, { ...options, taken })
        // a chain that cannot be asked is no reason to end what is paid for: the next session of the purchase says why
        .catch(() => {
          failed = true
        })
        .finally(() => {
          busy = false
        })
      // a session that is faster than the chain waits for it
      payer.coming.expect(money.idOf(order.found.provider), topUp)
    }
  }

  async #step(order: ReserveOrder, free: Amount, options: EnsureOptions): Promise<ReserveStep | undefined> {
    refuseAborted(options.signal)
    const { money } = this.#of
    const { provider, offer } = order.found
    const facts = await this.#latest(provider, options)
    const id = money.idOf(provider)
    const known = (await this.#of.payer.book.shelf.file(id)).channel ?? newChannelOut(id, money.parties(provider), NO_CHANNEL)
    // the clock of the chain decides when a reservation is over
    const nowS = Math.max(this.#of.clock.nowS(), await this.#of.chain.time(options))
    const step = this.#judge({ ...known, facts: facts ?? NO_CHANNEL }, order, free, options.taken, nowS)
    if (step !== undefined && step.expiry - nowS < offer.minTimeToExpiry + NEAR_S)
      throw tooShort(offer.minTimeToExpiry, order.forS)
    if (step !== undefined && step.free + step.amount < maxAmount(offer.minReservation, 1n as Amount))
      throw tooSmall(offer.minReservation, step, money.token)
    return step
  }

  #judge(channel: ChannelOut, order: ReserveOrder, free: Amount, taken?: Amount, nowS: number = this.#of.clock.nowS()) {
    const { offer } = order.found
    const wanted: ReserveWanted = {
      minReservation: offer.minReservation,
      minTimeToExpiryS: offer.minTimeToExpiry,
      free,
      ...(taken !== undefined && { taken }),
      most: maxAmount(order.allowance.left, 0n as Amount),
      forS: order.forS,
    }
    return reserveStep(channel, wanted, nowS)
  }

  async #latest(provider: Address, options: Options): Promise<ChannelFacts | undefined> {
    const { chain, money } = this.#of
    return (await chain.channel(money.parties(provider), options)).latest
  }

  /** An RPC may show a transaction as mined before it shows what it changed. */
  async #seen(provider: Address, before: ChannelFacts, options: Options): Promise<void> {
    const { clock, money } = this.#of
    const end = clock.nowMs() + SEEN_MS
    while (clock.nowMs() < end) {
      const now = (await this.#latest(provider, options)) ?? NO_CHANNEL
      if (!isSame(now, before)) break
      await delay(POLL_MS, undefined, options).catch(() => undefined)
      refuseAborted(options.signal)
    }
    // the record of the channel was read when the transaction was mined
    await money.channelTo(provider, options)
  }

  /** What is in a block may still wait for its confirmations: until then it does not count for the provider. */
  async confirmed(provider: Address, options: Options = {}): Promise<void> {
    const { chain, money, payer } = this.#of
    for (;;) {
      const { latest, confirmed } = await chain.channel(money.parties(provider), options)
      if (latest === undefined) return
      if ((confirmed?.deposit ?? 0n) >= latest.deposit) {
        // sessions that wait for it hear of it now, not with the next look at the logs
        if (payer.book.shelf.known(money.idOf(provider))?.facts.deposit !== latest.deposit)
          await money.channelTo(provider, options)
        return
      }
      await delay(POLL_MS, undefined, options).catch(() => undefined)
      refuseAborted(options.signal)
    }
  }
}

const isSame = (a: ChannelFacts, b: ChannelFacts): boolean =>
  a.deposit === b.deposit && a.expiry === b.expiry && a.epoch === b.epoch

/** A provider that names years would hold the tokens for as long. */
function tooShort(demandedS: number, forS: number): TallyError {
  const days = (seconds: number): number => Math.ceil(seconds / 86_400)
  return new TallyError('CHANNEL_EXPIRED', {
    message: `the offer demands a reservation for more than ${days(demandedS)} days; this purchase reserves for ${days(forS)}`,
    hint: 'choose another provider, or set consumer.reservationDays',
    fields: { demanded: demandedS, may: forS },
  })
}

function tooSmall(demanded: Amount, { free, amount }: ReserveStep, token: TokenInfo): TallyError {
  const may = formatAmount((free + amount) as Amount, token)
  return new TallyError('RESERVATION_TOO_SMALL', {
    message: `the offer demands a reservation of ${formatAmount(demanded, token)}; no more than ${may} may be reserved for this purchase`,
    hint: `say that more may be reserved: --reserve '${formatAmount(maxAmount(demanded, 1n as Amount), token)}'`,
    fields: { demanded, may: free + amount },
  })
}
