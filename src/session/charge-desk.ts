/**
 * What a service charges on one data stream: reserved before the work, charged as it came out, given away where it was left open.
 * @see protocols/session/SPEC.md M2, M3
 */
import { TallyError } from '../core/errors.ts'
import { MAX_COUNT } from '../core/meter.ts'
import { addCounts, type Counts, isWithin, NO_COUNTS, someCount } from '../core/session/counts.ts'
import type { Want } from '../core/session/payee.ts'
import type { Charge, Reservation } from '../ports/service.ts'

/** What charges need of the session. */
export interface ChargeRules {
  /** the counts that the price names, of these */
  sold(counts: Counts): Counts
  covers(want: Want): boolean
  hold(counts: Counts): void
  /** `final`: nothing more will be charged on the stream */
  settle(held: Counts, charged: Counts, final: boolean): void
  /** the service is done with the stream: nothing more will be charged on it */
  served(): void
  forfeit(held: Counts): void
  /** this is wanted, and is not allowed now */
  blocked(want: Want): void
}

interface ChargeDeskInit extends ChargeRules {
  /** the stream counts from now on */
  opened(): void
  /** resolves with what `take` answers, once it does; rejects once the stream is over. Nothing comes between two calls of it and what it books */
  until<T>(take: () => T | undefined, want: Want): Promise<T>
  isOver(): boolean
}

export class ChargeDesk {
  readonly #init: ChargeDeskInit
  readonly #open = new Set<Held>()
  /** the stream is free, or over: nothing is counted any more */
  #stopped = false
  /** settled in this turn of the loop: what ends with its stream is told with the last word of it, in one message */
  #settled: { readonly held: Counts; readonly charged: Counts } | undefined

  constructor(init: ChargeDeskInit) {
    this.#init = init
  }

  async charge(counts: Charge): Promise<void> {
    const reserved = await this.reserve(counts)
    reserved.debit()
  }

  async reserve(most: Charge): Promise<Reservation> {
    const counts = this.#stopped ? NO_COUNTS : this.#init.sold(countsOfCharge(most))
    if (!someCount(counts)) return this.#hold(counts)
    this.#init.opened()
    const { calls, units } = counts
    const take = (): Held | undefined =>
      this.#stopped || this.#init.covers({ calls, units }) ? this.#hold(this.#stopped ? NO_COUNTS : counts) : undefined
    return await this.#init.until(take, { calls, units })
  }

  #hold(counts: Counts): Held {
    const held: Held = new Held(counts, this.#init, (charged) => {
      this.#open.delete(held)
      if (charged !== undefined) this.#settle(counts, charged)
    })
    this.#open.add(held)
    return held
  }

  #settle(held: Counts, charged: Counts): void {
    const before = this.#settled
    if (before === undefined) setImmediate(() => this.flush())
    this.#settled =
      before === undefined
        ? { held, charged }
        : { held: addCounts(before.held, held), charged: addCounts(before.charged, charged) }
  }

  /** Books what was settled now. */
  flush(final = false): void {
    const settled = this.#settled
    this.#settled = undefined
    if (settled !== undefined) this.#init.settle(settled.held, settled.charged, final)
    else if (final) this.#init.served()
  }

  /** Nothing is charged on a free stream. */
  stop(): void {
    this.#stopped = true
    for (const held of [...this.#open]) held.release()
  }

  /** The stream is over: what was left open is given away. */
  end(): void {
    this.#stopped = true
    for (const held of [...this.#open]) held.forfeit()
  }
}

class Held implements Reservation {
  readonly #counts: Counts
  readonly #init: ChargeDeskInit
  readonly #done: (charged: Counts | undefined) => void
  #settled = false

  /** `done` is told what is charged; undefined = nothing is to be booked */
  constructor(counts: Counts, init: ChargeDeskInit, done: (charged: Counts | undefined) => void) {
    this.#counts = counts
    this.#init = init
    this.#done = done
    if (someCount(counts)) init.hold(counts)
  }

  debit(counts?: Charge): void {
    const charged = counts === undefined ? this.#counts : this.#init.sold(countsOfCharge(counts))
    // a free stream reserves nothing, whatever is debited of it
    if (someCount(this.#counts) && !isWithin(charged, this.#counts))
      throw new TallyError('USAGE', { message: 'a debit is more than what was reserved: reserve the most, or charge the rest' })
    this.#settle(someCount(this.#counts) ? charged : NO_COUNTS)
  }

  release(): void {
    this.#settle(NO_COUNTS)
  }

  forfeit(): void {
    this.#settled = true
    this.#done(undefined)
    if (someCount(this.#counts)) this.#init.forfeit(this.#counts)
  }

  #settle(charged: Counts): void {
    // one that was forfeited with its stream is settled too: its service may not know yet
    if (this.#settled && !this.#init.isOver())
      throw new TallyError('USAGE', { message: 'a reservation is settled once: debited, or released' })
    if (this.#settled) return
    this.#settled = true
    this.#done(someCount(this.#counts) ? charged : undefined)
  }
}

/** @throws TallyError USAGE for what is no count */
export function countsOfCharge({ calls = 0, units = 0 }: Charge): Counts {
  return { up: 0n, calls: countOf('calls', calls), units: countOf('units', units) }
}

/** A whole number, 0 <= x < 2^64. @throws TallyError USAGE for anything else */
function countOf(kind: string, count: number | bigint): bigint {
  const whole = typeof count === 'bigint' || Number.isSafeInteger(count)
  if (whole && count >= 0 && BigInt(count) <= MAX_COUNT) return BigInt(count)
  throw new TallyError('USAGE', { message: `${count} ${kind} cannot be charged: a count is a whole number, 0 or more` })
}
