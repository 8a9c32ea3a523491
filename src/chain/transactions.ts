import { asTallyError, TallyError } from '../core/errors.ts'
import type {
  CallOptions,
  ChainNotice,
  ChainSigner,
  DryRun,
  Job,
  LedgerAction,
  SubmitOptions,
  Transactions,
  WaitOptions,
} from '../ports/chain.ts'
import type { Relays } from '../ports/relays.ts'
import type { Store } from '../ports/store.ts'
import { type ChainForwarder, createForwarder } from './forwarder.ts'
import type { Gateway } from './gateway.ts'
import { summaryOf } from './ledger-calls.ts'
import type { LedgerReader } from './ledger-reader.ts'
import { createRelayCarrier, type RelayCarrier } from './relay-carrier.ts'
import { createRelayPlanner, type RelayPlanner } from './relay-plan.ts'
import { openTxBook, type TxBook } from './tx-book.ts'
import { createLauncher, type Launcher, newRecord } from './tx-launcher.ts'
import { createTxPlanner, type Plan } from './tx-planner.ts'
import { intentId, isFinished, jobOf, type TxRecord } from './tx-record.ts'
import { createTracker, type Sight, type Tracker } from './tx-tracker.ts'
import { createWaitingRoom } from './tx-waiting.ts'

export interface TxQueueInit {
  readonly gateway: Gateway
  readonly reader: LedgerReader
  readonly signer: ChainSigner
  readonly store: Store
  /** Blocks on top of a transaction before it is done. */
  readonly confirmations: number
  /** Longest pause between two looks at unfinished transactions. @default 2_000 */
  readonly pollMs?: number
  /** @default 60_000 */
  readonly bumpAfterMs?: number
  /** @default 15_000 */
  readonly resendAfterMs?: number
  /** Most that a raised fee may offer for a unit of gas. @default 1_000 gwei */
  readonly maxFeeWei?: bigint
  /** For the log: decisions (an approve instead of a permit) and failures that are tried again. */
  readonly onNotice?: ChainNotice
  /** Others who may hand in what this account signs. @default none: everything is a transaction of its own */
  readonly relays?: Relays
}

export const TX_DEFAULTS = { pollMs: 2_000, bumpAfterMs: 60_000, resendAfterMs: 15_000, maxFeeWei: 1_000_000_000_000n } as const

const FIRST_PAUSE_MS = 10
/** Gas that a call is taken to need when it cannot be estimated before its approve is mined. */
const GAS_AFTER_APPROVE = 200_000n

interface Parts {
  readonly book: TxBook
  readonly carrier: RelayCarrier | undefined
  readonly tracker: Tracker
  readonly launcher: Launcher
}

export interface TxQueue extends Transactions {
  readonly forwarder: ChainForwarder
  /** Reads what is unfinished from the store and goes on with it. */
  start(): Promise<void>
  /** Looks at once instead of after the pause. */
  nudge(): void
  close(): Promise<void>
}

/**
 * One queue for one account. Written before signed, signed before sent, each step durable; nonces in one row; a transaction that is
 * out keeps its nonce until the chain has used it, so nothing is paid twice whatever is lost.
 */
export function createTransactions(init: TxQueueInit): TxQueue {
  const { gateway, signer, store, confirmations } = init
  const { pollMs, bumpAfterMs, resendAfterMs, maxFeeWei } = { ...TX_DEFAULTS, ...init }
  const onNotice = init.onNotice ?? (() => {})
  const closing = new AbortController()
  const { signal } = closing
  const nowMs = () => performance.now()
  const planner = createTxPlanner({ gateway, reader: init.reader, signer })
  const forwarder = createForwarder(gateway, planner)
  const relayPlanner: RelayPlanner = createRelayPlanner({ gateway, reader: init.reader, signer, forwarder, relays: init.relays })
  const waiting = createWaitingRoom(confirmations)
  const keys = new Map<string, Promise<unknown>>()
  const observers = new Set<(job: Job) => void>()

  let book: TxBook | undefined
  let opening: Promise<Parts> | undefined
  let running: Promise<void> | undefined
  let again = false
  let timer: NodeJS.Timeout | undefined
  let pauseMs = FIRST_PAUSE_MS
  let trouble: TallyError | undefined

  function open() {
    opening ??= openTxBook(store, changed).then((opened) => {
      book = opened
      const tracker = createTracker({
        gateway,
        planner,
        signer,
        book: opened,
        confirmations,
        bumpAfterMs,
        resendAfterMs,
        maxFeeWei,
        signal,
        nowMs,
      })
      const { relays } = init
      const common = { gateway, signer, book: opened, confirmations, resendAfterMs, signal, nowMs, onNotice }
      const carrier = relays && createRelayCarrier({ ...common, forwarder, planner: relayPlanner, relays })
      const launcher = createLauncher({ gateway, planner, signer, book: opened, tracker, carrier, signal, onNotice })
      return { book: opened, tracker, launcher, carrier }
    })
    return opening
  }

  function changed(record: TxRecord): void {
    waiting.changed(record)
    for (const observer of observers) {
      try {
        observer(jobOf(record))
      } catch (error) {
        // Observers look on: what one of them throws must not stop the queue.
        onNotice('an observer of transactions failed', error)
      }
    }
  }

  function nudge(): void {
    if (signal.aborted) return
    clearTimeout(timer)
    again = true
    pauseMs = FIRST_PAUSE_MS
    running ??= run().finally(() => {
      running = undefined
      if (signal.aborted) return
      if (again) return nudge()
      schedule()
    })
  }

  function schedule(): void {
    if (signal.aborted || ((book?.unfinished().length ?? 0) === 0 && waiting.empty())) return
    timer = setTimeout(() => {
      const pause = Math.min(pauseMs * 2, pollMs)
      nudge()
      pauseMs = pause
    }, pauseMs)
  }

  async function run(): Promise<void> {
    try {
      const parts = await open()
      do {
        again = false
        if (!(await round(parts))) continue
        again = true
        pauseMs = FIRST_PAUSE_MS
      } while (again && !signal.aborted)
      trouble = undefined
    } catch (error) {
      again = false
      if (signal.aborted) return
      trouble = asTallyError(error)
      onNotice('the transactions wait: the chain cannot be asked', error)
    }
  }

  async function round({ book, tracker, launcher, carrier }: Parts): Promise<boolean> {
    let progress = false
    let sight: Sight | undefined
    if (book.inFlight().length > 0 || !waiting.empty()) {
      sight = await tracker.look()
      for (const record of book.inFlight()) progress = (await tracker.track(record, sight)) || progress
      waiting.seen(sight.head)
    }
    if (signal.aborted) return false
    progress = (await launcher.launchAll()) || progress
    progress = ((await carrier?.round()) ?? false) || progress
    return progress
  }

  async function write(action: LedgerAction, id: string, { relay: wish, worth }: SubmitOptions): Promise<Job> {
    const { book } = await open()
    const known = book.get(id)
    const reusable = known === undefined || known.state === 'failed' || known.state === 'replaced'
    if (!reusable) return jobOf(known)
    if (wish !== undefined) relayPlanner.refuseOther(action)
    const relayed = wish === undefined ? {} : { relayed: { wish, requests: [] } }
    const more = { ...relayed, ...(worth === undefined ? {} : { worth }) }
    const record = { ...newRecord(book, action, id, signer.address, gateway.ledger), ...more }
    await book.put(record)
    nudge()
    return jobOf(record)
  }

  const shown = (record: TxRecord): Job => {
    const job = jobOf(record)
    if (trouble === undefined || job.error !== undefined || isFinished(job.state)) return job
    const { code, message, hint } = trouble
    return { ...job, error: hint === undefined ? { code, message } : { code, message, hint } }
  }

  return {
    forwarder,
    async start() {
      await open()
      nudge()
    },
    nudge,
    async submit(action: LedgerAction, options: SubmitOptions = {}) {
      if (options.signal?.aborted === true) throw new TallyError('ABORTED', { message: 'aborted before anything was written' })
      if (signal.aborted) throw new TallyError('ABORTED', { message: 'the chain connection of this node is closed' })
      const id = intentId(options.key)
      // Two calls with one key at the same moment: the second waits for what the first wrote.
      const turn = (keys.get(id) ?? Promise.resolve()).then(() => write(action, id, options))
      const settled = turn.catch(() => {})
      keys.set(id, settled)
      try {
        return await turn
      } finally {
        if (keys.get(id) === settled) keys.delete(id)
      }
    },
    async wait(job: string | Job, options: WaitOptions = {}) {
      const { book } = await open()
      const id = typeof job === 'string' ? job : job.id
      const record = book.get(id)
      if (record === undefined) throw new TallyError('NOT_FOUND', { message: `this node has no transaction ${id}` })
      const promise = waiting.wait(record, options)
      nudge()
      return promise
    },
    async dryRun(action, options = {}): Promise<DryRun> {
      if (options.relay !== undefined) return await relayPlanner.dryRun(action, options.relay, options)
      try {
        return await ownRun(action, options)
      } catch (thrown) {
        if (asTallyError(thrown).code !== 'GAS_LOW' || init.relays?.areSet !== true || !relayPlanner.canCarry(action))
          throw thrown
        return await relayPlanner.dryRun(action, {}, options)
      }
    },
    get(id) {
      const record = book?.get(id)
      return record === undefined ? undefined : shown(record)
    },
    list: () => (book?.all() ?? []).map(shown),
    observe(listener) {
      observers.add(listener)
      return () => observers.delete(listener)
    },
    async close() {
      closing.abort()
      clearTimeout(timer)
      waiting.close()
      await running
      clearTimeout(timer)
    },
  }

  async function ownRun(action: LedgerAction, options: CallOptions): Promise<DryRun> {
    const plan = await planner.plan(action, 'latest', options)
    const gas = await gasOf(plan, options)
    const { maxFee } = await planner.fees(options)
    const feeWei = gas * maxFee
    const summary = summaryOf(action)
    await planner.checkGas(summary, feeWei + ('wei' in action ? action.wei : 0n), options)
    return { summary, gas, feeWei, transactions: plan.type === 'first' ? 2 : 1 }
  }

  async function gasOf(plan: Plan, options: CallOptions): Promise<bigint> {
    if (plan.type === 'ready') return plan.gasLimit
    const approve = await planner.plan(plan.action, 'latest', options)
    return GAS_AFTER_APPROVE + (approve.type === 'ready' ? approve.gasLimit : 0n)
  }
}
