/**
 * Turns promises into tokens: looks which channels should be settled, puts them into one transaction per token, and waits for it
 * before the next one. The ledger is the authority for what was settled; this only sends.
 */
import type { ChannelIn } from '../core/channel.ts'
import { asTallyError, TallyError } from '../core/errors.ts'
import { type Address, type ChannelId } from '../core/ids.ts'
import { keccak256 } from '../core/crypto/keccak.ts'
import { toHex } from '../core/bytes.ts'
import { settleRow } from '../core/promise.ts'
import { payable, type SettlementPolicy, settleReason } from '../core/settlement.ts'
import type { Chain, Job, LedgerAction } from '../ports/chain.ts'
import type { Clock } from '../ports/clock.ts'

export interface SettlerComponents {
  readonly chain: Pick<Chain, 'transactions' | 'channel'>
  readonly clock: Clock
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void }
  /** the payee's records of its channels */
  readonly channels: () => Iterable<ChannelIn>
  /** called with the ledger's new facts after a settlement, so that nobody has to wait for the log follower */
  readonly onSettled: (id: ChannelId) => Promise<void>
}

/** at most this many promises in one transaction: well below the gas limit of a block */
const MAX_ROWS = 300

export class Settler {
  readonly #components: SettlerComponents
  readonly #policy: SettlementPolicy
  readonly #target: Address
  readonly #closed = new Set<ChannelId>()
  #running: Promise<void> | undefined
  #again = false

  constructor(components: SettlerComponents, init: { policy: SettlementPolicy; target: Address }) {
    this.#components = components
    this.#policy = init.policy
    this.#target = init.target
  }

  /** A session of the channel has closed, or its reservation ends: look at it soon. */
  wish(channel: ChannelId, why: 'expiry' | 'close'): void {
    if (why === 'close') this.#closed.add(channel)
    this.look()
  }

  /** Looks at all channels now; settles what the policy says. Failures are logged and looked at again the next time. */
  look(): void {
    if (this.#running !== undefined) {
      this.#again = true
      return
    }
    this.#running = this.#settleDue()
      .catch((thrown: unknown) => this.#components.log.warn({ err: asTallyError(thrown).code }, `settlement waits: ${asTallyError(thrown).message}`))
      .finally(() => {
        this.#running = undefined
        if (!this.#again) return
        this.#again = false
        this.look()
      })
  }

  /** Resolves when nothing is being settled. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  /** Settles these channels whatever the policy says, all in one transaction per token. @returns the mined jobs; none when there is nothing to settle */
  async settle(ids: readonly ChannelId[], options: { signal?: AbortSignal } = {}): Promise<Job[]> {
    const wanted = new Set(ids)
    return await this.#send([...this.#components.channels()].filter((channel) => wanted.has(channel.id) && payable(channel) > 0n), options.signal)
  }

  /** The calls that settle these channels; one per token. */
  actions(channels: readonly ChannelIn[]): { action: LedgerAction; channels: readonly ChannelIn[] }[] {
    const byToken = Map.groupBy(channels, (channel) => channel.parties.token)
    return [...byToken].flatMap(([token, all]) => {
      const batches = []
      for (let at = 0; at < all.length; at += MAX_ROWS) batches.push(all.slice(at, at + MAX_ROWS))
      return batches.map((batch) => ({ action: this.#action(token, batch), channels: batch }))
    })
  }

  #action(token: Address, channels: readonly ChannelIn[]): LedgerAction {
    const rows = channels.map((channel) => {
      if (channel.best === undefined) throw new TallyError('INTERNAL', { message: 'a channel without a promise was chosen for settlement' })
      return settleRow(channel.parties, channel.best)
    })
    const [first] = rows
    if (rows.length === 1 && first !== undefined) return { kind: 'settle', target: this.#target, token, ...first }
    return { kind: 'settle-batch', target: this.#target, token, rows }
  }

  async #settleDue(): Promise<void> {
    const now = this.#components.clock.nowS()
    const due = [...this.#components.channels()].filter((channel) => settleReason(channel, this.#policy, now, this.#closed.has(channel.id)) !== undefined)
    this.#closed.clear()
    if (due.length > 0) await this.#send(due, undefined)
  }

  async #send(channels: readonly ChannelIn[], signal: AbortSignal | undefined): Promise<Job[]> {
    const { chain, log } = this.#components
    const options = signal === undefined ? {} : { signal }
    const jobs: Job[] = []
    for (const { action, channels: batch } of this.actions(channels)) {
      const job = await chain.transactions.submit(action, { ...options, key: keyOf(batch) })
      const mined = await chain.transactions.wait(job, options)
      for (const channel of batch) await this.#components.onSettled(channel.id)
      log.info({ job: mined.id, hash: mined.hash, promises: batch.length }, 'settled')
      jobs.push(mined)
    }
    return jobs
  }
}

/** The same promises make the same key: a settlement that was interrupted is found again instead of sent twice. */
function keyOf(channels: readonly ChannelIn[]): string {
  const parts = channels.map((channel) => `${channel.id}:${channel.best?.amount}:${channel.facts.settled}`).sort()
  return `settle:${toHex(keccak256(new TextEncoder().encode(parts.join(','))))}`
}

