import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Amount } from '../../src/core/amount.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import { NO_RECORD } from '../../src/core/ranking.ts'
import type { SignedReceipt } from '../../src/core/receipt.ts'
import { withSession } from '../../src/core/trade-record.ts'

const receipt = {} as SignedReceipt
const total = 5n as Amount
const ended = (failure: ErrorCode | undefined, given: SignedReceipt | undefined = undefined) =>
  withSession(NO_RECORD, { status: 'closed', total, receipt: given, failure })

describe('the record of a provider', () => {
  test('a session that ended with a receipt counts as completed, and what was signed as paid', () => {
    assert.deepEqual(ended(undefined, receipt), { completed: 1, failed: 0, paid: 5n })
    assert.deepEqual(withSession(ended(undefined, receipt), { status: 'closed', total, receipt, failure: undefined }), {
      completed: 2,
      failed: 0,
      paid: 10n,
    })
  })

  test('what the provider answers for counts as a failure, with a receipt or without', () => {
    for (const code of ['CONTENT_WRONG', 'SERVICE_FAILED', 'TERMS_REFUSED', 'SESSION_UNKNOWN'] as const) {
      assert.deepEqual(ended(code), { completed: 0, failed: 1, paid: 5n }, code)
      assert.deepEqual(ended(code, receipt), { completed: 0, failed: 1, paid: 5n }, code)
    }
  })

  test('what this node ended for reasons of its own is neither, nor is a session that goes on', () => {
    for (const code of ['BUDGET_REACHED', 'ABORTED', 'RISK_TOO_HIGH'] as const)
      assert.deepEqual(ended(code, receipt), { completed: 0, failed: 0, paid: 5n }, code)
    const live = withSession(NO_RECORD, { status: 'cut', total, receipt: undefined, failure: undefined })
    assert.deepEqual(live, { completed: 0, failed: 0, paid: 5n })
  })
})
