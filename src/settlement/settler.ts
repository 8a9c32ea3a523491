/**
 * Turns promises into tokens: looks which channels should be settled, puts them into one transaction per token, and waits for it
 * before the next one. The ledger is the authority for what was settled; this only sends.
 */
import { toHex } from '../core/bytes.ts'
import type { ChannelIn } from '../core/channel.ts'
import { keccak256 } from '../core/crypto/keccak.ts'
import { asTallyError, TallyError } from '../core/errors.ts'
import { revealed, settlementOf } from '../core/head.ts'
import type { Address, ChannelId } from '../core/ids.ts'
import { settleRow } from '../core/promise.ts'
import { payable, type SettlementPolicy, settleReason } from '../core/settlement.ts'
import type { Chain, Job, LedgerAction } from '../ports/chain.ts'
import type { Clock } from '../ports/clock.ts'
import { Attempts } from './attempts.ts'

export interface SettlerComponents {
  readonly chain: Pick<Chain, 'transactions' | 'channel'>
  readonly clock: Clock
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void }
  /** the payee's records of its channels */
  readonly channels: () => Iterable<ChannelIn>
  /** whether a session that is live or may be resumed uses the channel */
  readonly inUse: (id: ChannelId) => boolean
  /** reads the ledger's facts of a channel anew, so that nobody has to wait for the log follower */
  readonly onSettled: (id: ChannelId) => Promise<void>
}

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
/** looks at least this often, ms */
const LOOK_MS = 600_000
/** how long a stopping node waits for what is being settled, ms; it goes on with it at its next start */
const STOP_MS = 10_000

export class Settler {
  readonly #components: SettlerComponents
  readonly #policy: SettlementPolicy
  readonly #target: Address
  readonly #closed = new Set<ChannelId>()
  readonly #attempts = new Attempts()
  readonly #stop = new AbortController()
  #started = false
  #running: Promise<void> | undefined
  #again = false
  #timer: NodeJS.Timeout | undefined

  constructor(components: SettlerComponents, init: { policy: SettlementPolicy; target: Address }) {
    this.#components = components
    this.#policy = init.policy
    this.#target = init.target
  }

  /**
   * Begins to look. What an earlier run of the node has sent is waited for first, so that nothing is sent twice; sessions that ended
   * while nobody could settle count as closed.
   */
  start(): void {
    this.#started = true
    for (const { id } of this.#components.channels()) if (!this.#components.inUse(id)) this.#closed.add(id)
    const before = this.#components.chain.transactions.list().filter(isOpenSettlement)
    this.#run(async () => {
      if (before.length > 0) await this.#finish(before)
      await this.#settleDue()
    })
  }

  /** A session of the channel has closed, or its reservation ends: look at it soon. */
  wish(channel: ChannelId, why: 'expiry' | 'close'): void {
    if (why === 'close') this.#closed.add(channel)
    this.look()
  }

  /** Looks at all channels now; settles what the policy says. Failures are logged, and tried again ever more rarely. */
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
   * Settles these channels whatever the policy says, all in one transaction per token.
   *
   * @returns the mined jobs; none when there is nothing to settle
   * @throws TX_REVERTED, TX_UNKNOWN, TX_REPLACED, GAS_LOW, CHAIN_UNREACHABLE, ABORTED
   */
  async settle(ids: readonly ChannelId[], options: { signal?: AbortSignal } = {}): Promise<Job[]> {
    const wanted = new Set(ids)
    const due = [...this.#components.channels()].filter((channel) => wanted.has(channel.id) && payable(channel) > 0n)
    const jobs: Job[] = []
    for (const batch of this.actions(due)) jobs.push(await this.#send(batch, options.signal))
    return jobs
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

  #schedule(): void {
    if (!this.#started) return
    const { clock, channels } = this.#components
    const [nowMs, nowS] = [clock.nowMs(), clock.nowS()]
    let wait = LOOK_MS
    for (const channel of channels()) {
      if (payable(channel) === 0n) continue
      const margin = (channel.facts.expiry - this.#policy.marginS - nowS) * 1000
      // frozen, or within the margin and tried: news of the channel brings the next look
      const due = this.#reason(channel) !== undefined ? 0 : margin > 0 ? margin : LOOK_MS
      wait = Math.min(wait, Math.max(due, this.#attempts.nextAt(channel) - nowMs))
    }
    this.#timer = setTimeout(() => this.look(), Math.max(wait, 50))
  }

  #reason(channel: ChannelIn): ReturnType<typeof settleReason> {
    return settleReason(channel, this.#policy, this.#components.clock.nowS(), this.#closed.has(channel.id))
  }

  async #settleDue(): Promise<void> {
    const { clock, channels } = this.#components
    const nowMs = clock.nowMs()
    const due = [...channels()].filter((one) => this.#reason(one) !== undefined && this.#attempts.mayTry(one, nowMs))
    for (const batch of this.actions(due)) {
      // a session that closes from now on is a reason of its own
      const closed = batch.channels.filter(({ id }) => this.#closed.delete(id))
      const wait = (those: readonly ChannelIn[]): void => those.forEach(({ id }) => void this.#closed.add(id))
      try {
        await this.#send(batch, this.#stop.signal)
        wait(closed.filter(({ id }) => this.#attempts.isWaiting(id)))
      } catch (thrown) {
        wait(closed)
        if (this.#stop.signal.aborted) return
        for (const channel of batch.channels)
          this.#attempts.failed(channel, asTallyError(thrown).code, clock.nowMs(), clock.nowS())
        this.#warn(thrown)
      }
    }
  }

  #warn(thrown: unknown): void {
    const { code, message, hint } = asTallyError(thrown)
    this.#components.log.warn({ err: code, hint }, `settlement waits: ${message}`)
  }

  async #send({ action, channels: batch }: Batch, signal: AbortSignal | undefined): Promise<Job> {
    const { chain, log, onSettled } = this.#components
    const options = signal === undefined ? {} : { signal }
    const job = await chain.transactions.submit(action, { ...options, key: keyOf(batch) })
    const mined = await chain.transactions.wait(job, options)
    for (const channel of batch) await onSettled(channel.id)
    this.#judge(batch)
    log.info({ job: mined.id, hash: mined.hash, promises: batch.length }, 'settled')
    return mined
  }

  /** A row of a batch that the ledger skipped must not come along in every later transaction. */
  #judge(batch: readonly ChannelIn[]): void {
    const now = new Map([...this.#components.channels()].map((channel) => [channel.id, channel]))
    for (const before of batch) {
      const after = now.get(before.id) ?? before
      const paid = after.facts.settled > before.facts.settled || payable(after) === 0n
      if (paid) this.#attempts.succeeded(after)
      else this.#attempts.wasInVain(before, this.#components.clock.nowMs())
    }
  }

  /** Waits for settlements of an earlier run; then the ledger says what is left to do. */
  async #finish(jobs: readonly Job[]): Promise<void> {
    const { chain, channels, onSettled } = this.#components
    const options = { signal: this.#stop.signal }
    await Promise.allSettled(jobs.map((job) => chain.transactions.wait(job, options)))
    for (const channel of [...channels()]) if (payable(channel) > 0n) await onSettled(channel.id)
  }
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

/** The same promises make the same key: a settlement that was interrupted is found again instead of sent twice. */
function keyOf(channels: readonly ChannelIn[]): string {
  const parts = channels
    .map((channel) => ({ ...channel, best: settlementOf(channel.best) }))
    .map(({ id, best, facts }) => `${id}:${best}:${facts.deposit}:${facts.settled}:${facts.epoch}`)
    .sort()
  return `settle:${toHex(keccak256(new TextEncoder().encode(parts.join(','))))}`
}
