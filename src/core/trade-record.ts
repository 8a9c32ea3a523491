/** What a payer's own sessions say of the providers it bought from. */
import type { Amount } from './amount.ts'
import type { ErrorCode } from './errors.ts'
import { NO_RECORD, type TradeRecord } from './ranking.ts'
import type { PayerSession } from './session/payer-state.ts'

/** Ends for which the provider answers: what it sent, said or signed was wrong, or it forgot the session. */
const FAULTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'CONTENT_WRONG',
  'SERVICE_FAILED',
  'METER_DISAGREES',
  'RECEIPT_WRONG',
  'HEAD_DISAGREES',
  'TERMS_REFUSED',
  'DEBT_DISPUTED',
  'SESSION_UNKNOWN',
  'MALFORMED',
  'FRAME_TOO_LARGE',
  'WRONG_STATE',
])

type Seen = Pick<PayerSession, 'status' | 'total' | 'receipt' | 'failure'>

/** The record with one session more; those that go on, or that this node ended for reasons of its own, change only what was paid. */
export function withSession(record: TradeRecord, { status, total, receipt, failure }: Seen): TradeRecord {
  const failed = failure !== undefined && FAULTS.has(failure)
  const completed = status === 'closed' && receipt !== undefined && failure === undefined
  return {
    completed: record.completed + Number(completed),
    failed: record.failed + Number(failed),
    paid: (record.paid + total) as Amount,
  }
}

/** What several say together. */
export function sumRecords(records: Iterable<TradeRecord>): TradeRecord {
  let sum = NO_RECORD
  for (const { completed, failed, paid } of records) sum = shiftRecord(sum, { completed, failed, paid }, NO_RECORD)
  return sum
}

/** The sum once one of the sessions in it is as `is` says, that was as `was` says. */
export function shiftRecord(sum: TradeRecord, is: TradeRecord, was: TradeRecord): TradeRecord {
  return {
    completed: sum.completed + is.completed - was.completed,
    failed: sum.failed + is.failed - was.failed,
    paid: (sum.paid + is.paid - was.paid) as Amount,
  }
}
