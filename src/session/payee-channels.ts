/** What the ledger says of the channels in which this node is paid: asked when needed, kept, and followed. */
import { LRUCache } from 'lru-cache'
import { bestAmount, type ChannelFacts, type ChannelIn, NO_CHANNEL } from '../core/channel.ts'
import { asTallyError, TallyError } from '../core/errors.ts'
import { chainLock, type Head, headAfter, headWorth } from '../core/head.ts'
import { type ChannelId, type ChannelParties, channelId } from '../core/ids.ts'
import type { Pay, Tick } from '../core/session/messages.ts'
import type { ChainFact } from '../ports/chain.ts'
import type { PayeeDeskComponents } from './components.ts'
import type { PayeeBook, Visit } from './payee-book.ts'
import type { ChannelFile } from './payee-shelf.ts'

/** how long "the ledger has no such channel" is believed, ms: whoever asks again and again costs no RPC, whoever has just paid in waits */
const BELIEVED_MS = 3_000
const MAX_BELIEVED = 10_000

export class PayeeChannels {
  readonly #book: PayeeBook
  readonly #components: PayeeDeskComponents
  readonly #missing: LRUCache<ChannelId, true>
  /** channels that were asked for because a promise is above what they were known to hold */
  readonly #short: LRUCache<ChannelId, true>

  constructor(book: PayeeBook, components: PayeeDeskComponents) {
    this.#book = book
    this.#components = components
    this.#missing = remembered(components)
    this.#short = remembered(components)
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
      if (known !== undefined) return { id, confirmed: known.facts }
      throw new TallyError('BUSY', { cause: thrown })
    })
    if (view.confirmed === undefined || view.confirmed.deposit === 0n) {
      this.#missing.set(id, true)
      return file
    }
    file.channel ??= { id, parties, best: undefined, frozen: undefined, facts: view.confirmed }
    setFacts(file, view.confirmed)
    this.#components.chain.watch([id])
    await this.#book.commit([], [file])
    return file
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
    if (worthAfter(best, message) <= known.facts.deposit || this.#short.has(known.id)) return undefined
    return this.#lookAgain(live.record, known)
  }

  async #lookAgain(file: ChannelFile, { id, parties, facts }: ChannelIn): Promise<void> {
    this.#short.set(id, true)
    const view = await this.#components.chain.channel(parties).catch(() => undefined)
    // a payer that tops up again soon finds that looked up too
    if ((view?.confirmed?.deposit ?? 0n) > facts.deposit) this.#short.delete(id)
    if (view?.confirmed !== undefined && setFacts(file, view.confirmed)) await this.#book.commit([], [file])
  }

  #isFresh(known: ChannelIn | undefined): boolean {
    if (known === undefined) return false
    return known.facts.expiry > this.#components.clock.nowS() && known.facts.deposit > bestAmount(known)
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
    for (const fact of facts) {
      if (fact.type !== 'channel') continue
      this.#missing.delete(fact.id)
      const file = await this.#fileOf(fact.id)
      if (file === undefined) continue
      const isBack = fact.causes.includes('reorganised')
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
