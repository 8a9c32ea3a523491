import { TallyError } from '../core/errors.ts'
import type { Job, WaitOptions } from '../ports/chain.ts'
import { errorOf, jobOf, type TxRecord } from './tx-record.ts'

/** Callers who wait for transactions. */
export interface WaitingRoom {
  wait(record: TxRecord, options: WaitOptions): Promise<Job>
  changed(record: TxRecord | undefined): void
  /** The chain has grown to this block. */
  seen(head: number): void
  empty(): boolean
  close(): void
}

interface Waiter {
  record: TxRecord
  readonly confirmations: number
  readonly resolve: (job: Job) => void
  readonly reject: (error: TallyError) => void
}

/** `enough`: confirmations that the queue itself waits for. */
export function createWaitingRoom(enough: number): WaitingRoom {
  const waiters = new Set<Waiter>()
  let head = 0
  let closed = false

  function check(waiter: Waiter): void {
    const outcome = outcomeOf(waiter.record, waiter.confirmations, enough, head)
    if (outcome === undefined) return
    waiters.delete(waiter)
    if (outcome instanceof TallyError) waiter.reject(outcome)
    else waiter.resolve(outcome)
  }

  return {
    async wait(record, options) {
      const { signal, confirmations = enough } = options
      const { promise, resolve, reject } = Promise.withResolvers<Job>()
      const waiter: Waiter = { record, confirmations, resolve, reject }
      const leave = () => {
        waiters.delete(waiter)
        reject(leftError(waiter.record))
      }
      waiters.add(waiter)
      if (closed || signal?.aborted === true) leave()
      else check(waiter)
      signal?.addEventListener('abort', leave, { once: true })
      return promise.finally(() => signal?.removeEventListener('abort', leave))
    },
    changed(record) {
      if (record === undefined) return
      for (const waiter of [...waiters]) {
        if (waiter.record.id !== record.id) continue
        waiter.record = record
        check(waiter)
      }
    },
    seen(block) {
      head = block
      for (const waiter of [...waiters]) check(waiter)
    },
    empty: () => waiters.size === 0,
    close() {
      closed = true
      for (const waiter of [...waiters]) {
        waiters.delete(waiter)
        waiter.reject(leftError(waiter.record))
      }
    },
  }
}

function outcomeOf(record: TxRecord, confirmations: number, enough: number, head: number): Job | TallyError | undefined {
  if (record.state === 'failed' || record.state === 'replaced') return failed(record)
  const done = record.state === 'confirmed' && confirmations <= enough
  const deep = record.block !== undefined && head - record.block >= confirmations
  if (!done && !deep) return undefined
  return record.reverted === true ? failed(record) : jobOf(record)
}

function failed(record: TxRecord): TallyError {
  return record.failure === undefined ? new TallyError('TX_REVERTED') : errorOf(record.failure)
}

/** Who stops waiting learns whether something may still happen: unknown is not failed. */
function leftError(record: TxRecord): TallyError {
  if (record.attempts.length === 0 && (record.relayed?.requests.length ?? 0) === 0) {
    return new TallyError('ABORTED', {
      message: `stopped waiting to ${record.summary}; nothing has been sent yet`,
      hint: 'it stays in the queue and is sent as soon as the chain can be reached',
      fields: { job: record.id },
    })
  }
  if (record.relayed !== undefined) {
    return new TallyError('TX_UNKNOWN', {
      message: `stopped waiting to ${record.summary}; a relay has the request and may still hand it in`,
      hint: 'do not start it again: look at its state later, or wait again',
      fields: { job: record.id },
    })
  }
  const hash = record.attempts.at(-1)?.hash
  return new TallyError('TX_UNKNOWN', {
    message: `stopped waiting to ${record.summary}; the transaction ${hash} may still go through`,
    hint: 'do not start it again: look at its state later, or wait again',
    fields: { job: record.id, hash },
  })
}
