/** What the ledger says of the channels in which this node is paid: asked when needed, kept, and followed. */
import { setTimeout as delay } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { bestAmount, type ChannelFacts, type ChannelIn, NO_CHANNEL, reachOf } from '../core/channel.ts'
import { asTallyError, TallyError } from '../core/errors.ts'
import { chainLock, type Head, headAfter, headWorth } from '../core/head.ts'
import { type ChannelId, type ChannelParties, channelId } from '../core/ids.ts'
import type { Pay, Tick } from '../core/session/messages.ts'
import { factsAhead, lookBack, type TrustPolicy, trustSeen } from '../core/unconfirmed.ts'
import type { ChainFact, ChannelView } from '../ports/chain.ts'
import type { PayeeDeskComponents, PayeeDeskInit } from './components.ts'
import type { Live, PayeeBook, Visit } from './payee-book.ts'
import type { ChannelFile } from './payee-shelf.ts'

/** how long "the ledger has no such channel" is believed, ms: whoever asks again and again costs no RPC, whoever has just paid in waits */
const BELIEVED_MS = 3_000
const MAX_BELIEVED = 10_000
/** in so many blocks running a deposit that was seen must be missing before it is taken to be gone */
const MISSES = 2
/** a deposit that is in a block and not confirmed for us is waited for so often when a promise needs it, and so long each time */
const LAG_TRIES = 20
const LAG_MS = 500

/** A provider that says nothing gives nothing on what is not confirmed. */
export const trustPolicyOf = ({ policy }: PayeeDeskInit): TrustPolicy => ({
  unconfirmedCredit: policy.unconfirmedCredit ?? NO_CHANNEL.deposit,
  poolPerHour: policy.poolPerHour,
  unreserved: policy.unreserved,
})

export class PayeeChannels {
  readonly #book: PayeeBook
  readonly #components: PayeeDeskComponents
  readonly #missing: LRUCache<ChannelId, true>
  /** channels that were asked for because a promise is above what they were known to hold */
  readonly #short: LRUCache<ChannelId, true>
  /** channels that were asked for because their payer's deposit is used up */
  readonly #looked: LRUCache<ChannelId, true>
  readonly #policy: TrustPolicy
  /** channels of which some deposit stands in a block and is not confirmed: looked at again with each new block */
  readonly #pending = new Map<ChannelId, { readonly file: ChannelFile; misses: number }>()

  constructor(book: PayeeBook, components: PayeeDeskComponents, policy: TrustPolicy) {
    this.#book = book
    this.#components = components
    this.#policy = policy
    this.#missing = remembered(components)
    this.#short = remembered(components)
    this.#looked = remembered(components)
  }

  /**
   * The channel, with its record if there is such a channel; the chain is asked when it is new here or its reservation looks used up or over.
   * @throws BUSY while the chain cannot be asked; STORE_*
   */
  async lookUp(parties: ChannelParties): Promise<ChannelFile> {
    const file = await this.#book.shelf.channel(channelId(parties))
    const { id, channel: known } = file
    if (this.#isFresh(known) || this.#missing.has(id)) return file
    const view = await this.#components.chain.channel(parties).catch((thrown: unknown) => {
      if (known !== undefined) return undefined
      throw new TallyError('BUSY', { cause: thrown })
    })
    if (view === undefined) return file
    const before = file.channel
    await this.#take(file, parties, view)
    if (file.channel === undefined) this.#missing.set(id, true)
    else if (before === undefined) this.#components.chain.watch([id])
    return file
  }

  /**
   * Takes over what the chain says of a channel, confirmed or only seen; a record begins where something of it counts. What is given on a deposit
   * that is not confirmed, or owed because it was taken back, is stored with it.
   */
  async #take(file: ChannelFile, parties: ChannelParties, view: ChannelView, isBack = false): Promise<void> {
    const { confirmed } = view
    const seen = view.latest?.deposit ?? confirmed?.deposit ?? NO_CHANNEL.deposit
    const isAhead = seen > (confirmed?.deposit ?? 0n)
    if (!isAhead && file.channel?.pending === undefined && file.channel?.uncovered === undefined) {
      if (confirmed === undefined || (confirmed.deposit === 0n && file.channel === undefined)) return
      file.channel ??= { id: file.id, parties, best: undefined, frozen: undefined, facts: confirmed }
      if (setFacts(file, confirmed, isBack)) await this.#book.commit([], [file])
      return
    }
    const owner = await this.#book.shelf.owner(parties.owner, parties.token)
    // an answer of an earlier block that comes late
    if (!isBack && confirmed !== undefined && file.block !== undefined && confirmed.block < file.block) return
    const known: ChannelIn = file.channel ?? { id: file.id, parties, best: undefined, frozen: undefined, facts: NO_CHANNEL }
    const facts = view.latest === undefined || !isAhead ? (confirmed ?? NO_CHANNEL) : factsAhead(confirmed, view.latest)
    const back = lookBack({ pool: this.#book.pool, owner: owner.account, channel: { ...known, facts } }, seen, this.#policy)
    const next = trustSeen(back, seen, this.#policy, this.#components.clock.nowS())
    // an opening on which nothing is given is as good as none
    if (file.channel === undefined && reachOf(next.channel) === 0n) return
    this.#book.pool = next.pool
    owner.account = next.owner
    file.channel = next.channel
    if (confirmed?.block === undefined) delete file.block
    else file.block = confirmed.block
    if (next.channel.pending === undefined) this.#pending.delete(file.id)
    else this.#pending.set(file.id, { file, misses: 0 })
    const { records } = this.#book
    await this.#book.commit([records.putPool(next.pool), records.putOwner(this.#book.durableOwner(owner, []))], [file])
  }

  /** A session stands still, and its payer's deposit is used up: more of it may be on the way. Asks the chain once in a while. Never throws. */
  lookForMore({ record }: Live, quantum: bigint): void {
    const { channel } = record
    if (channel === undefined || this.#looked.has(channel.id) || reachOf(channel) - bestAmount(channel) >= quantum) return
    this.#looked.set(channel.id, true)
    void this.#look(record, channel).catch(() => undefined)
  }

  /**
   * What must be looked up before a payment is judged, if anything: whether there was a top-up that was not told yet, where it comes to more than
   * the deposit that is known. The peer's messages wait meanwhile. Never throws.
   */
  askFirst(visit: Visit, message: Pay | Tick): Promise<void> | undefined {
    const live = this.#book.live(message.session)
    const known = live?.record.channel
    if (live?.visit !== visit || known === undefined) return undefined
    const { best } = known
    const worth = worthAfter(best, message)
    if (worth <= reachOf(known) || (known.pending === undefined && this.#short.has(known.id))) return undefined
    return this.#lookAgain(live.record, known, worth)
  }

  async #lookAgain(file: ChannelFile, known: ChannelIn, worth: bigint): Promise<void> {
    this.#short.set(known.id, true)
    await this.#look(file, known)
    // the payer's node of the chain has seen it confirmed, and ours is a little behind
    for (let tries = 0; tries < LAG_TRIES && isComing(file.channel, worth); tries++) {
      await delay(LAG_MS)
      await this.#look(file, known)
    }
    // a payer that tops up again soon finds that looked up too
    if ((file.channel?.facts.deposit ?? 0n) > known.facts.deposit) this.#short.delete(known.id)
  }

  async #look(file: ChannelFile, { parties }: ChannelIn): Promise<void> {
    const view = await this.#components.chain.channel(parties).catch(() => undefined)
    if (view?.confirmed !== undefined || view?.latest !== undefined) await this.#take(file, parties, view)
  }

  #isFresh(known: ChannelIn | undefined): boolean {
    if (known === undefined) return false
    return known.facts.expiry > this.#components.clock.nowS() && known.facts.deposit > bestAmount(known)
  }

  /** A new block may confirm what was only seen, or have taken it back. A chain that cannot be asked leaves it as it is. */
  async #lookAtPending(): Promise<void> {
    for (const pending of [...this.#pending.values()]) {
      const { channel } = pending.file
      const view = channel && (await this.#components.chain.channel(channel.parties).catch(() => undefined))
      if (channel === undefined || view === undefined) continue
      // a node of the RPC that lags behind the others knows nothing of it yet: once is no proof
      const isGone = (view.latest?.deposit ?? 0n) < (channel.pending?.deposit ?? 0n)
      if (isGone && ++pending.misses < MISSES) continue
      await this.#take(pending.file, channel.parties, view)
    }
  }

  /** One record that cannot be read must not keep the others from what the ledger says. */
  async #fileOf(id: ChannelId): Promise<ChannelFile | undefined> {
    return await this.#book.shelf.channel(id).catch((thrown: unknown) => {
      const error = asTallyError(thrown)
      if (error.code !== 'STORE_CORRUPT') throw error
      this.#components.log.error({ channel: id, err: error.code }, 'the record of a channel cannot be read')
      return undefined
    })
  }

  /** Confirmed facts of the ledger, as the watcher tells them. */
  async onFacts(facts: readonly ChainFact[]): Promise<void> {
    const files = []
    if (facts.some(({ type }) => type === 'head')) await this.#lookAtPending()
    for (const fact of facts) {
      if (fact.type !== 'channel') continue
      this.#missing.delete(fact.id)
      const file = await this.#fileOf(fact.id)
      if (file === undefined) continue
      const isBack = fact.causes.includes('reorganised')
      const { channel } = file
      if (channel?.pending !== undefined || channel?.uncovered !== undefined) {
        // what is only seen belongs to it
        const view = await this.#components.chain.channel(channel.parties)
        await this.#take(file, channel.parties, view, isBack)
        continue
      }
      // an opening that was taken back covers nothing
      if (setFacts(file, fact.facts ?? NO_CHANNEL, isBack || fact.facts === undefined)) files.push(file)
    }
    if (files.length > 0) await this.#book.commit([], files)
  }
}

/**
 * Whether there is a record that they belong to, and they are news. An answer of an earlier block that comes late, from a node that lags, changes
 * nothing; only where the chain itself went back (`isBack`) an earlier block counts.
 */
function setFacts(file: ChannelFile, facts: ChannelFacts & { readonly block?: number }, isBack = false): boolean {
  if (file.channel === undefined) return false
  const { block } = facts
  if (!isBack && block !== undefined && file.block !== undefined && block < file.block) return false
  if (block === undefined) delete file.block
  else file.block = block
  file.channel = { ...file.channel, facts }
  return true
}

/** What a promise needs is in a block, and not confirmed. */
const isComing = (channel: ChannelIn | undefined, worth: bigint): boolean =>
  channel?.pending !== undefined && worth > reachOf(channel) && worth <= channel.pending.deposit

/** What the channel would be worth with it, before anything of it is checked. */
function worthAfter(best: Head | undefined, message: Pay | Tick): bigint {
  if (message.type === 'promise') return headWorth(headAfter(best, message.promise, message.salt))
  const lock = best === undefined ? undefined : chainLock(best)
  return best === undefined || lock === undefined ? 0n : best.promise.amount + BigInt(Math.min(message.k, lock.steps)) * lock.unit
}

/** What was asked a moment ago, and need not be asked again. */
function remembered({ clock }: PayeeDeskComponents): LRUCache<ChannelId, true> {
  // a time of 0 would mean "never set" to the cache
  return new LRUCache({ max: MAX_BELIEVED, ttl: BELIEVED_MS, ttlResolution: 0, perf: { now: () => clock.nowMs() + 1 } })
}
