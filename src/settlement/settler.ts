/**
 * Turns promises into tokens: looks which channels should be settled, puts them into one transaction per token, and waits for it
 * before the next one. The ledger is the authority for what was settled; this only sends. Which channels those are says `Worklist`.
 */
import type { Amount } from '../core/amount.ts'
import { toHex } from '../core/bytes.ts'
import type { ChannelIn } from '../core/channel.ts'
import { keccak256 } from '../core/crypto/keccak.ts'
import { asTallyError, TallyError } from '../core/errors.ts'
import { revealed, settlementOf } from '../core/head.ts'
import type { Address, ChannelId } from '../core/ids.ts'
import { settleRow } from '../core/promise.ts'
import { payable, type SettlementPolicy } from '../core/settlement.ts'
import type { Chain, Job, LedgerAction, SubmitOptions } from '../ports/chain.ts'
import type { Clock } from '../ports/clock.ts'
import { Attempts } from './attempts.ts'
import { type PayeeChannels, Worklist } from './worklist.ts'

export interface SettlerComponents {
  readonly chain: Pick<Chain, 'transactions' | 'status'>
  readonly clock: Clock
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void }
  /** the payee's records of its channels */
  readonly channels: PayeeChannels
  /** reads the ledger's facts of a channel anew, so that nobody has to wait for the log follower */
  readonly onSettled: (id: ChannelId) => Promise<void>
}

/** `relay`: by one, although there may be gas */
type SendOptions = Pick<SubmitOptions, 'signal' | 'relay' | 'worth'>

interface Batch {
  readonly action: LedgerAction
  readonly channels: readonly ChannelIn[]
}

/** at most this much gas in one transaction, by estimate: half of what one may use */
const MAX_BATCH_GAS = 8_000_000
/** a row, and a step of its chain (protocols/ledger/SPEC.md section 12), rounded up */
const ROW_GAS = 16_000
const STEP_GAS = 90
/** no more than this many promises in any case */
const MAX_ROWS = 300
/** so many channels are asked for at most when all are to be settled */
const MAX_ALL = 30_000
/** pause before the next look, ms: at least, and after one that failed */
const SHORTEST_MS = 50
const AGAIN_MS = 5_000
/** how long a stopping node waits for what is being settled, ms; it goes on with it at its next start */
const STOP_MS = 10_000

export class Settler {
  readonly #components: SettlerComponents
  readonly #target: Address
  readonly #attempts = new Attempts()
  readonly #work: Worklist
  readonly #stop = new AbortController()
  #started = false
  #running: Promise<void> | undefined
  #again = false
  /** the last block with a settlement of an earlier run */
  #doubtfulTo = -1
  /** until the next look, ms */
  #wait = AGAIN_MS
  #timer: NodeJS.Timeout | undefined

  constructor(components: SettlerComponents, init: { policy: SettlementPolicy; target: Address }) {
    this.#components = components
    this.#target = init.target
    this.#work = new Worklist(components.channels, {
      policy: init.policy,
      clock: components.clock,
      attempts: this.#attempts,
      onDamaged: (channel, { code }) => components.log.warn({ channel, err: code }, 'the record of a channel cannot be read'),
    })
  }

  /**
   * Begins to look. What an earlier run of the node has sent is waited for first, so that nothing is sent twice; then everything that is
   * not settled is gone through once.
   */
  start(): void {
    this.#started = true
    const before = this.#components.chain.transactions.list().filter(isOpenSettlement)
    this.#run(async () => {
      if (before.length > 0) await this.#finish(before)
      await this.#settleDue()
    })
  }

  /** A session of the channel has closed, or its reservation ends: look at it soon. */
  wish(channel: ChannelId, why: 'expiry' | 'close'): void {
    if (why === 'close') this.#work.closed([channel])
    this.look()
  }

  /** Looks at what has changed or ends; settles what the policy says. Failures are logged, and tried again ever more rarely. */
  look(): void {
    this.#run(() => this.#settleDue())
  }

  /** Waits for what is being settled, at most 10 s or until the signal; nothing new is begun. */
  async stop(signal?: AbortSignal): Promise<void> {
    this.#started = false
    clearTimeout(this.#timer)
    const limit = setTimeout(() => this.#stop.abort(), STOP_MS)
    const hurry = (): void => this.#stop.abort()
    if (signal?.aborted === true) hurry()
    signal?.addEventListener('abort', hurry, { once: true })
    await this.#running
    signal?.removeEventListener('abort', hurry)
    clearTimeout(limit)
  }

  /**
   * Settles these channels, or all that are not settled, whatever the policy says, as few transactions per token as they fit in.
   *
   * @returns the mined jobs; none when there is nothing to settle
   * @throws TX_REVERTED, TX_UNKNOWN, TX_REPLACED, GAS_LOW, CHAIN_UNREACHABLE, ABORTED
   */
  async settle(which: 'all' | readonly ChannelId[], options: SendOptions = {}): Promise<Job[]> {
    const jobs: Job[] = []
    for (const batch of this.actions(await this.unsettled(which))) jobs.push(await this.#send(batch, options))
    return jobs
  }

  /** Those of the channels for which a settlement would pay something; of all of them the first 30,000, soonest expiry first. @throws STORE_* */
  async unsettled(which: 'all' | readonly ChannelId[]): Promise<ChannelIn[]> {
    const { channels } = this.#components
    const found: ChannelIn[] = []
    for await (const id of which === 'all' ? idsOf(channels.due()) : new Set(which)) {
      const channel = await channels.channel(id)
      if (channel !== undefined && payable(channel) > 0n) found.push(channel)
      if (found.length === MAX_ALL) break
    }
    return found
  }

  /** The calls that settle these channels; one per token. */
  actions(channels: readonly ChannelIn[]): Batch[] {
    const byToken = Map.groupBy(channels, (channel) => channel.parties.token)
    return [...byToken].flatMap(([token, all]) => {
      return batchesOf(all).map((batch) => ({ action: this.#action(token, batch), channels: batch }))
    })
  }

  #action(token: Address, channels: readonly ChannelIn[]): LedgerAction {
    const rows = channels.map((channel) => {
      if (channel.best === undefined)
        throw new TallyError('INTERNAL', { message: 'a channel without a promise was chosen for settlement' })
      return settleRow(channel.parties, channel.best.promise, revealed(channel.best))
    })
    const [first] = rows
    if (rows.length === 1 && first !== undefined) return { kind: 'settle', target: this.#target, token, ...first }
    return { kind: 'settle-batch', target: this.#target, token, rows }
  }

  /** One at a time: whoever comes meanwhile is answered by one more look afterwards. */
  #run(work: () => Promise<void>): void {
    if (!this.#started) return
    if (this.#running !== undefined) {
      this.#again = true
      return
    }
    clearTimeout(this.#timer)
    this.#running = work()
      .catch((thrown: unknown) => this.#warn(thrown))
      .finally(() => {
        this.#running = undefined
        const again = this.#again
        this.#again = false
        if (again) this.look()
        else this.#schedule()
      })
  }

  /** When the next look is due was worked out at the end of the last one; one that failed is made again soon. */
  #schedule(): void {
    if (!this.#started) return
    this.#timer = setTimeout(() => this.look(), Math.max(this.#wait, SHORTEST_MS))
    this.#wait = AGAIN_MS
  }

  async #settleDue(): Promise<void> {
    for (const batch of this.actions(await this.#due())) {
      if (this.#stop.signal.aborted) return
      // a session that closes from now on is a reason of its own
      const closed = this.#work.begun(batch.channels)
      try {
        // by itself it pays no relay more than the settlement brings in
        const worth = batch.channels.reduce((sum, channel) => sum + payable(channel), 0n) as Amount
        await this.#send(batch, { signal: this.#stop.signal, worth })
        this.#work.closed(closed.filter((id) => this.#attempts.isWaiting(id)))
      } catch (thrown) {
        this.#work.closed(closed)
        if (this.#stop.signal.aborted) return
        const { clock } = this.#components
        for (const channel of batch.channels)
          this.#attempts.failed(channel, asTallyError(thrown).code, clock.nowMs(), clock.nowS())
        this.#warn(thrown)
      }
    }
    this.#wait = await this.#work.untilNext()
  }

  /** What is to be settled; asked about at the ledger first as long as a settlement of an earlier run may be in blocks that were not told yet. */
  async #due(): Promise<readonly ChannelIn[]> {
    const { chain, onSettled } = this.#components
    const due = await this.#work.take()
    if ((chain.status().confirmed ?? -1) >= this.#doubtfulTo) return due
    for (const { id } of due) await onSettled(id)
    return await this.#work.take()
  }

  #warn(thrown: unknown): void {
    const { code, message, hint } = asTallyError(thrown)
    this.#components.log.warn({ err: code, hint }, `settlement waits: ${message}`)
  }

  async #send({ action, channels: batch }: Batch, options: SendOptions): Promise<Job> {
    const { chain, log, onSettled } = this.#components
    const job = await this.#submitted({ action, channels: batch }, options)
    const mined = await chain.transactions.wait(job, options)
    for (const channel of batch) await onSettled(channel.id)
    await this.#judge(batch)
    log.info({ job: mined.id, hash: mined.hash, promises: batch.length }, 'settled')
    return mined
  }

  /**
   * The same promises are sent once: whoever asks again gets the transaction of before. One that is final and that the ledger shows no more was
   * taken back by a reorganisation deeper than the confirmations; then it is sent anew. Should the ledger only seem so, that pays nothing twice.
   */
  async #submitted({ action, channels: batch }: Batch, options: SendOptions): Promise<Job> {
    const { chain, channels, onSettled } = this.#components
    const key = keyOf(batch)
    let job = await chain.transactions.submit(action, { ...options, key })
    while (job.state === 'confirmed' && (chain.status().confirmed ?? -1) >= (job.block ?? 0)) {
      for (const { id } of batch) await onSettled(id)
      const now = await Promise.all(batch.map(({ id }) => channels.channel(id)))
      // as it was when it was chosen, in spite of that transaction
      if (!now.some((channel, at) => channel !== undefined && isUnmoved(batch[at], channel))) break
      job = await chain.transactions.submit(action, { ...options, key: `${key} after ${job.id}` })
    }
    return job
  }

  /** A row of a batch that the ledger skipped must not come along in every later transaction. */
  async #judge(batch: readonly ChannelIn[]): Promise<void> {
    for (const before of batch) {
      const after = (await this.#components.channels.channel(before.id)) ?? before
      const paid = after.facts.settled > before.facts.settled || payable(after) === 0n
      if (paid) this.#attempts.succeeded(after)
      else this.#attempts.wasInVain(before, this.#components.clock.nowMs())
    }
  }

  /** Waits for settlements of an earlier run; then the ledger says what is left to do. */
  async #finish(jobs: readonly Job[]): Promise<void> {
    const options = { signal: this.#stop.signal }
    const ends = await Promise.allSettled(jobs.map((job) => this.#components.chain.transactions.wait(job, options)))
    for (const end of ends)
      if (end.status === 'fulfilled') this.#doubtfulTo = Math.max(this.#doubtfulTo, end.value.block ?? this.#doubtfulTo)
  }
}

async function* idsOf(due: AsyncIterable<{ readonly id: ChannelId }>): AsyncGenerator<ChannelId> {
  for await (const { id } of due) yield id
}

/** A channel's chain is walked on the chain: a few deep ones weigh as much as many promises. Each batch has at least one. */
function batchesOf(channels: readonly ChannelIn[]): ChannelIn[][] {
  const batches: ChannelIn[][] = []
  let left = 0
  for (const channel of channels) {
    const gas = ROW_GAS + STEP_GAS * (channel.best?.chain?.k ?? 0)
    const batch = batches.at(-1)
    if (batch === undefined || gas > left || batch.length === MAX_ROWS) {
      batches.push([channel])
      left = MAX_BATCH_GAS - gas
    } else {
      batch.push(channel)
      left -= gas
    }
  }
  return batches
}

function isOpenSettlement({ kind, state }: Job): boolean {
  return (kind === 'settle' || kind === 'settle-batch') && !['confirmed', 'replaced', 'failed'].includes(state)
}

/** Whether the ledger has paid nothing for the channel since, though there is something to pay. */
function isUnmoved(before: ChannelIn | undefined, now: ChannelIn): boolean {
  const { facts } = now
  return payable(now) > 0n && facts.settled === before?.facts.settled && facts.epoch === before.facts.epoch
}

/** The same promises make the same key: a settlement that was interrupted is found again instead of sent twice. */
function keyOf(channels: readonly ChannelIn[]): string {
  const parts = channels
    .map((channel) => ({ ...channel, best: settlementOf(channel.best) }))
    .map(({ id, best, facts }) => `${id}:${best}:${facts.deposit}:${facts.settled}:${facts.epoch}`)
    .sort()
  return `settle:${toHex(keccak256(new TextEncoder().encode(parts.join(','))))}`
}
