import { asTallyError, TallyError } from '../core/errors.ts'
import type { Address } from '../core/ids.ts'
import type {
  CallOptions,
  ChainSigner,
  DryRun,
  Job,
  LedgerAction,
  SubmitOptions,
  Transactions,
  WaitOptions,
} from '../ports/chain.ts'
import type { Store } from '../ports/store.ts'
import { asUnreachable, type Gateway, quantity } from './gateway.ts'
import { encodeAction, needOf, summaryOf } from './ledger-calls.ts'
import type { LedgerReader } from './ledger-reader.ts'
import { openTxBook, type TxBook } from './tx-book.ts'
import { createTxPlanner, type Plan } from './tx-planner.ts'
import { failureOf, intentId, isFinished, jobOf, type TxRecord } from './tx-record.ts'
import { signTransaction } from './tx-sender.ts'
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
}

export const TX_DEFAULTS = { pollMs: 2_000, bumpAfterMs: 60_000, resendAfterMs: 15_000, maxFeeWei: 1_000_000_000_000n } as const

/** Nodes keep few transactions of one account (geth 16 for sure), so no more are out at once. */
const MAX_IN_FLIGHT = 16
const FIRST_PAUSE_MS = 10
/** Gas that a call is taken to need when it cannot be estimated before its approve is mined. */
const GAS_AFTER_APPROVE = 200_000n

export interface TxQueue extends Transactions {
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
  const { pollMs, bumpAfterMs, resendAfterMs, maxFeeWei } = { ...TX_DEFAULTS, ...withoutUndefined(init) }
  const onNotice = init.onNotice ?? (() => {})
  const closing = new AbortController()
  const { signal } = closing
  const nowMs = () => performance.now()
  const planner = createTxPlanner({ gateway, reader: init.reader, signer })
  const waiting = createWaitingRoom(confirmations)
  const keys = new Map<string, Promise<unknown>>()

  let book: TxBook | undefined
  let opening: Promise<{ book: TxBook; tracker: Tracker }> | undefined
  let running: Promise<void> | undefined
  let again = false
  let timer: NodeJS.Timeout | undefined
  let pauseMs = FIRST_PAUSE_MS
  let trouble: TallyError | undefined

  function open() {
    opening ??= openTxBook(store, onNotice).then((opened) => {
      book = opened
      opened.observe((job) => waiting.changed(opened.get(job.id)))
      return {
        book: opened,
        tracker: createTracker({
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
        }),
      }
    })
    return opening
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
        if (await round(parts.book, parts.tracker)) again = true
      } while (again && !signal.aborted)
      trouble = undefined
    } catch (error) {
      again = false
      if (signal.aborted) return
      trouble = asTallyError(error)
      onNotice('the transactions wait: the chain cannot be asked', error)
    }
  }

  async function round(book: TxBook, tracker: Tracker): Promise<boolean> {
    let progress = false
    let sight: Sight | undefined
    if (book.inFlight().length > 0 || !waiting.empty()) {
      sight = await tracker.look()
      for (const record of book.inFlight()) progress = (await tracker.track(record, sight)) || progress
      waiting.seen(sight.head)
    }
    for (const { id } of book.unfinished()) {
      const record = book.get(id)
      if (signal.aborted) return false
      if (record?.state !== 'written' || isHeld(book, record)) continue
      if (book.inFlight().filter(({ state }) => state !== 'mined').length >= MAX_IN_FLIGHT) break
      progress = (await launch(book, tracker, record)) || progress
    }
    return progress
  }

  async function launch(book: TxBook, tracker: Tracker, record: TxRecord): Promise<boolean> {
    const parent = record.after === undefined ? undefined : book.get(record.after)
    if (parent?.state === 'failed' || parent?.state === 'replaced') {
      await book.put({ ...record, state: 'failed', ...(parent.failure === undefined ? {} : { failure: parent.failure }) })
      return true
    }
    const others = book.inFlight().some(({ state }) => state !== 'mined')
    const ready = await prepare(record, others).catch(async (error: unknown) => {
      if (!isDefinite(error)) throw error
      // Something of ours is still on its way and may change the answer (a deposit that pays for this).
      if (!others) await book.put({ ...record, state: 'failed', failure: failureOf(error) })
      return others ? ('held' as const) : ('failed' as const)
    })
    if (ready === 'held' || ready === 'failed') return ready === 'failed'
    if (ready.type === 'first') {
      onNotice(`to ${record.summary} takes an approve first: ${ready.reason}`)
      const child = newRecord(book, ready.action, intentId(undefined))
      await book.put(child, { ...record, after: child.id })
      return true
    }
    const nonce = await nextNonce(book)
    const attempt = await signTransaction(gateway.chainId, signer, { ...ready, nonce })
    const signed: TxRecord = { ...record, state: 'signed', nonce, attempts: [attempt] }
    await book.put(signed)
    await tracker.sendFirst(signed)
    return true
  }

  async function prepare(record: TxRecord, others: boolean) {
    const plan = await planner.plan(record.action, others ? 'pending' : 'latest', { signal })
    if (plan.type === 'first') {
      if (record.after === undefined) return plan
      throw new TallyError('TX_REVERTED', {
        message: `cannot ${record.summary}: the token still does not let the ledger take it after an approve`,
      })
    }
    const fees = await planner.fees({ signal })
    await planner.checkGas(record.summary, plan.gasLimit * fees.maxFee + plan.call.wei, { signal })
    return { ...plan, fees }
  }

  async function nextNonce(book: TxBook): Promise<number> {
    const pending = await gateway
      .request('eth_getTransactionCount', [signer.address, 'pending'], { signal })
      .catch((error: unknown) => {
        throw asUnreachable(gateway.name, error)
      })
    const own = book.inFlight().map(({ nonce }) => (nonce ?? -1) + 1)
    return Math.max(Number(quantity(pending, gateway.name)), ...own)
  }

  function newRecord(book: TxBook, action: LedgerAction, id: string): TxRecord {
    const { to } = encodeAction(action, gateway.ledger)
    return {
      id,
      seq: book.nextSeq(),
      action,
      summary: summaryOf(action),
      from: signer.address,
      to,
      state: 'written',
      attempts: [],
    }
  }

  async function write(action: LedgerAction, id: string): Promise<Job> {
    const { book } = await open()
    const known = book.get(id)
    const reusable = known === undefined || known.state === 'failed' || known.state === 'replaced'
    if (!reusable) return jobOf(known)
    const record = newRecord(book, action, id)
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
    async start() {
      await open()
      nudge()
    },
    nudge,
    async submit(action: LedgerAction, options: SubmitOptions = {}) {
      options.signal?.throwIfAborted()
      if (signal.aborted) throw new TallyError('ABORTED', { message: 'the chain connection of this node is closed' })
      const id = intentId(options.key)
      // Two calls with one key at the same moment: the second waits for what the first wrote.
      const turn = (keys.get(id) ?? Promise.resolve()).then(() => write(action, id))
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
      if (signal.aborted) throw new TallyError('ABORTED', { message: 'the chain connection of this node is closed' })
      const promise = waiting.wait(record, options)
      nudge()
      return promise
    },
    async dryRun(action: LedgerAction, options: CallOptions = {}): Promise<DryRun> {
      const plan = await planner.plan(action, 'latest', options)
      const gas = await gasOf(plan, options)
      const { maxFee } = await planner.fees(options)
      const feeWei = gas * maxFee
      const summary = summaryOf(action)
      await planner.checkGas(summary, feeWei + ('wei' in action ? action.wei : 0n), options)
      return { summary, gas, feeWei, transactions: plan.type === 'first' ? 2 : 1 }
    },
    get(id) {
      const record = book?.get(id)
      return record === undefined ? undefined : shown(record)
    },
    list: () => (book?.all() ?? []).map(shown),
    observe(listener) {
      let stopped = false
      let stop = () => {}
      open().then(({ book }) => {
        if (!stopped) stop = book.observe(listener)
      }, onProblem)
      return () => {
        stopped = true
        stop()
      }
    },
    async close() {
      closing.abort()
      clearTimeout(timer)
      waiting.close()
      await running
      clearTimeout(timer)
    },
  }

  async function gasOf(plan: Plan, options: CallOptions): Promise<bigint> {
    if (plan.type === 'ready') return plan.gasLimit
    const approve = await planner.plan(plan.action, 'latest', options)
    return GAS_AFTER_APPROVE + (approve.type === 'ready' ? approve.gasLimit : 0n)
  }
}

/** Not yet: its approve is not mined, or an earlier one pulls the same token out of the wallet (permits have nonces of their own). */
function isHeld(book: TxBook, record: TxRecord): boolean {
  const parent = record.after === undefined ? undefined : book.get(record.after)
  if (parent !== undefined && !isFinished(parent.state) && !(parent.state === 'mined' && parent.reverted !== true)) return true
  const token = pulledToken(record)
  if (token === undefined) return false
  return book.unfinished().some((other) => other.seq < record.seq && other.state !== 'mined' && pulledToken(other) === token)
}

function pulledToken(record: TxRecord): Address | undefined {
  const need = needOf(record.action)
  return need?.from === 'wallet' ? need.token : undefined
}

/** Whether trying the same again cannot help: the chain answered, and the answer is no. */
function isDefinite(error: unknown): error is TallyError {
  if (!(error instanceof TallyError)) return false
  return (
    error.code === 'TX_REVERTED' || error.code === 'FUNDS_LOW' || error.code === 'GAS_LOW' || error.code === 'CONTRACT_MISSING'
  )
}

function withoutUndefined<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
}
