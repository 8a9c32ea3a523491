/**
 * Which channels are to be settled next, and when to look again. Nobody goes through all channels: those whose reservation ends are found by
 * the index of what is due; those whose record has changed are told; and what was left from before is gone through once, a page at a time.
 */
import { type ChannelIn, isFrozen } from '../core/channel.ts'
import { asTallyError, type TallyError } from '../core/errors.ts'
import type { ChannelId, Seconds } from '../core/ids.ts'
import { payable, type SettlementPolicy, settleReason } from '../core/settlement.ts'
import type { Clock } from '../ports/clock.ts'
import type { Attempts } from './attempts.ts'

export interface Due {
  readonly id: ChannelId
  readonly expiry: Seconds
}

/** The payee's records, as a settler asks for them. */
export interface PayeeChannels {
  channel(id: ChannelId): Promise<ChannelIn | undefined>
  /** channels for which a settlement would pay something, soonest expiry first, after that entry */
  due(after?: Due): AsyncIterable<Due>
  /** channels with something to settle whose record was written since the last call */
  takeChanged(): Iterable<ChannelId>
  /** whether a session that is live or may be resumed uses the channel */
  isInUse(channel: ChannelIn): boolean
}

export interface WorklistInit {
  readonly policy: SettlementPolicy
  readonly clock: Clock
  readonly attempts: Attempts
  /** a record that cannot be read; told once */
  readonly onDamaged: (id: ChannelId, thrown: TallyError) => void
}

/** looks at least this often, ms */
const LOOK_MS = 600_000
/** so many channels are taken at once at most */
const MAX_TAKEN = 3_000
/** so many of those that were left from before are looked at in one go, and how long until the next ones: nobody waits for them */
const PAGE = 1_000
const PAGE_MS = 1_000

export class Worklist {
  readonly #channels: PayeeChannels
  readonly #init: WorklistInit
  /** to be looked at, because something has changed; they stay as long as there is a reason to settle that waits */
  readonly #noticed = new Set<ChannelId>()
  readonly #closed = new Set<ChannelId>()
  /** how far what was left from before has been gone through; undefined: to its end */
  #left: { readonly after: Due | undefined } | undefined = { after: undefined }
  readonly #damaged = new Set<ChannelId>()
  #isFull = false

  constructor(channels: PayeeChannels, init: WorklistInit) {
    this.#channels = channels
    this.#init = init
  }

  /** A session of each of the channels has closed. */
  closed(ids: readonly ChannelId[]): void {
    for (const id of ids) {
      if (this.#init.policy.onClose) this.#closed.add(id)
      this.#noticed.add(id)
    }
  }

  /** These are being settled: a session that closes from now on is a reason of its own. Returns those in which one had closed. */
  begun(channels: readonly ChannelIn[]): ChannelId[] {
    return channels.map(({ id }) => id).filter((id) => this.#closed.delete(id))
  }

  /** The channels that should be settled now and may be tried; those whose reservation ends come first. @throws STORE_* */
  async take(): Promise<ChannelIn[]> {
    const taken = new Map<ChannelId, ChannelIn>()
    for await (const { id } of this.#ending()) {
      if (taken.size === MAX_TAKEN) break
      await this.#consider(id, taken)
    }
    for (const id of this.#channels.takeChanged()) this.#noticed.add(id)
    for (const id of this.#noticed) {
      if (taken.size === MAX_TAKEN) break
      await this.#consider(id, taken)
    }
    for await (const id of this.#page()) await this.#consider(id, taken)
    this.#isFull = taken.size >= MAX_TAKEN
    return [...taken.values()]
  }

  /** Takes it when there is a reason and it may be tried; it stays noticed as long as it waits for something that nobody will tell. */
  async #consider(id: ChannelId, taken: Map<ChannelId, ChannelIn>): Promise<void> {
    const channel = await this.#channel(id)
    const { clock, attempts } = this.#init
    const reason = channel === undefined ? undefined : this.#reason(channel)
    if (channel !== undefined && reason !== undefined && attempts.mayTry(channel, clock.nowMs())) taken.set(id, channel)
    // a Close that was signed runs out
    const waits = channel !== undefined && payable(channel) > 0n && isFrozen(channel, clock.nowS())
    if (reason !== undefined || waits) this.#noticed.add(id)
    else {
      this.#noticed.delete(id)
      this.#closed.delete(id)
    }
  }

  /** One record that cannot be read must not keep the others from being settled in time. @throws STORE_* for what concerns all of them */
  async #channel(id: ChannelId): Promise<ChannelIn | undefined> {
    try {
      return await this.#channels.channel(id)
    } catch (thrown) {
      const error = asTallyError(thrown)
      if (error.code !== 'STORE_CORRUPT') throw error
      if (!this.#damaged.has(id)) this.#init.onDamaged(id, error)
      this.#damaged.add(id)
      return undefined
    }
  }

  /** How long nothing has to be done, as far as is known now, ms. @throws STORE_* */
  async untilNext(): Promise<number> {
    if (this.#isFull) return 0
    let wait = this.#mayGoOn() ? PAGE_MS : LOOK_MS
    for (const id of this.#noticed) {
      const channel = await this.#channel(id)
      if (channel !== undefined) wait = Math.min(wait, this.#waitOf(channel))
    }
    for await (const { id, expiry } of this.#channels.due()) {
      const channel = await this.#channel(id)
      if (channel !== undefined) wait = Math.min(wait, this.#waitOf(channel))
      // the first one that is not within its margin: those behind it end later
      if (expiry > this.#marginS()) break
    }
    return wait
  }

  #waitOf(channel: ChannelIn): number {
    const { clock, policy, attempts } = this.#init
    if (payable(channel) === 0n) return LOOK_MS
    const margin = (channel.facts.expiry - policy.marginS - clock.nowS()) * 1000
    // frozen, or within the margin and tried: news of the channel brings the next look
    const due = this.#reason(channel) !== undefined ? 0 : margin > 0 ? margin : LOOK_MS
    return Math.max(due, attempts.nextAt(channel) - clock.nowMs())
  }

  #reason(channel: ChannelIn): ReturnType<typeof settleReason> {
    const { policy, clock } = this.#init
    const isClosed = this.#closed.has(channel.id) || !this.#channels.isInUse(channel)
    return settleReason(channel, policy, clock.nowS(), isClosed)
  }

  /** The moment before which a reservation that ends must be settled. */
  #marginS(): number {
    return this.#init.clock.nowS() + this.#init.policy.marginS
  }

  async *#ending(): AsyncGenerator<Due> {
    for await (const due of this.#channels.due()) {
      if (due.expiry > this.#marginS()) return
      yield due
    }
  }

  /** What was left from before is gone on with while not too many channels wait. */
  #mayGoOn(): boolean {
    return this.#left !== undefined && this.#noticed.size < MAX_TAKEN
  }

  async *#page(): AsyncGenerator<ChannelId> {
    if (this.#left === undefined || !this.#mayGoOn()) return
    let count = 0
    for await (const due of this.#channels.due(this.#left.after)) {
      yield due.id
      this.#left = { after: due }
      if (++count === PAGE) return
    }
    this.#left = undefined
  }
}
