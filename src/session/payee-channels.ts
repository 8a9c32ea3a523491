/** What the ledger says of the channels in which this node is paid: asked when needed, kept, and followed. */
import { LRUCache } from 'lru-cache'
import type { ChannelIn } from '../core/channel.ts'
import { TallyError } from '../core/errors.ts'
import { type ChannelId, type ChannelParties, channelId } from '../core/ids.ts'
import type { ChainFact } from '../ports/chain.ts'
import type { PayeeDeskComponents } from './components.ts'
import type { PayeeBook } from './payee-book.ts'

/** how long "the ledger has no such channel" is believed, ms: whoever asks again and again costs no RPC, whoever has just paid in waits */
const BELIEVED_MS = 3_000
const MAX_BELIEVED = 10_000

export class PayeeChannels {
  readonly #book: PayeeBook
  readonly #components: PayeeDeskComponents
  readonly #missing: LRUCache<ChannelId, true>

  constructor(book: PayeeBook, components: PayeeDeskComponents) {
    this.#book = book
    this.#components = components
    this.#missing = new LRUCache({
      max: MAX_BELIEVED,
      ttl: BELIEVED_MS,
      ttlResolution: 0,
      // a time of 0 would mean "never set" to the cache
      perf: { now: () => components.clock.nowMs() + 1 },
    })
  }

  /**
   * The channel's record is there afterwards if there is such a channel; the chain is asked when it is new here or its reservation looks
   * used up or over. @throws BUSY while the chain cannot be asked
   */
  async lookUp(parties: ChannelParties): Promise<void> {
    const id = channelId(parties)
    if (this.#isFresh(id) || this.#missing.has(id)) return
    const known = this.#book.channel(id)
    const view = await this.#components.chain.channel(parties).catch((thrown: unknown) => {
      if (known !== undefined) return { id, confirmed: known.facts }
      throw new TallyError('BUSY', { cause: thrown })
    })
    if (view.confirmed === undefined || view.confirmed.deposit === 0n) {
      this.#missing.set(id, true)
      return
    }
    const channel: ChannelIn = {
      ...(this.#book.channel(id) ?? { id, parties, best: undefined, frozen: undefined }),
      facts: view.confirmed,
    }
    this.#book.setChannel(channel)
    this.#components.chain.watch([id])
    await this.#book.commit([this.#book.records.putChannel(channel)])
  }

  #isFresh(id: ChannelId): boolean {
    const known = this.#book.channel(id)
    if (known === undefined) return false
    return known.facts.expiry > this.#components.clock.nowS() && known.facts.deposit > (known.best?.amount ?? 0n)
  }

  /** Confirmed facts of the ledger, as the watcher tells them. */
  async onFacts(facts: readonly ChainFact[]): Promise<void> {
    const ops = []
    for (const fact of facts) {
      if (fact.type !== 'channel') continue
      this.#missing.delete(fact.id)
      const known = this.#book.channel(fact.id)
      if (known === undefined || fact.facts === undefined) continue
      const channel = { ...known, facts: fact.facts }
      this.#book.setChannel(channel)
      ops.push(this.#book.records.putChannel(channel))
    }
    if (ops.length > 0) await this.#book.commit(ops)
  }
}
