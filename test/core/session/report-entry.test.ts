import assert from 'node:assert/strict'
import { test } from 'node:test'
import { channelId } from '../../../src/core/ids.ts'
import { meterOf } from '../../../src/core/meter.ts'
import { priceOf } from '../../../src/core/price.ts'
import type { SignedReceipt } from '../../../src/core/receipt.ts'
import { NO_FLOW } from '../../../src/core/session/flow.ts'
import { newPayeeSession, type PayeeSession } from '../../../src/core/session/payee.ts'
import { newPayerSession } from '../../../src/core/session/payer.ts'
import { earningOf, settledOf, spendingOf } from '../../../src/core/session/report-entry.ts'
import { toyDigest, toyTermsSignature } from '../../sim/toy-crypto.ts'
import { A, NOW_S, PARTIES, PAYEE, PAYER, SESSION, TOKEN, terms, wish } from './fixture.ts'

/** 1,000 bytes acknowledged, 300 written, 50 lost on the way; arrears of 20 and 700 of its own are paid. */
function sold(of: Partial<PayeeSession> = {}): PayeeSession {
  const price = priceOf([
    { kind: 'down', amount: A(1), per: 1n },
    { kind: 'calls', amount: A(10), per: 1n },
  ])
  const agreed = terms({ arrears: A(20), price })
  return {
    ...newPayeeSession(agreed, toyDigest(agreed), toyTermsSignature(agreed), 0),
    payerSignature: new Uint8Array(65),
    flow: { done: 1_000n, lost: 50n, written: 300n, acked: 0n, open: [{ stream: 1, written: 300n, acked: 0n }] },
    total: A(720),
    ...of,
  }
}

test('delivered is all that was given away, billed is what was acknowledged, arrears apart', () => {
  assert.deepEqual(earningOf(sold()), {
    token: TOKEN, channel: channelId(PARTIES), peer: PAYER, offer: 'files', opened: NOW_S, meter: meterOf({ down: 1_000n }),
    delivered: 1_350n, billed: 1_000n, paid: 720n, arrears: 20n,
  }) // biome-ignore format: a record
})

test('what may still be charged is not delivered', () => {
  const held = { up: 0n, calls: 5n, units: 0n }
  assert.equal(earningOf(sold({ held }))?.delivered, 1_350n)
})

test('before the payer has agreed there is nothing to count, at either end', () => {
  assert.equal(earningOf(sold({ payerSignature: undefined })), undefined)
  assert.equal(spendingOf(newPayerSession(SESSION, wish(), 0)), undefined)
})

test('a payer counts what it used as delivered and as billed', () => {
  const session = {
    ...newPayerSession(SESSION, wish(), 0),
    terms: terms(),
    total: A(900),
    flow: { ...NO_FLOW, done: 850n },
  }
  const { peer, delivered, billed, paid } = spendingOf(session) ?? {}
  assert.deepEqual([peer, delivered, billed, paid], [PAYEE, 850n, 850n, 900n])
})

test('what is settled of a session follows from where its receipt stands among the promises of the channel', () => {
  const receipt = (amount: number) => ({ receipt: { amount: A(amount) } }) as SignedReceipt
  const paid = (settled: bigint, closedAt?: number) =>
    settledOf({ signed: 5_000n, settled }, { total: A(1_000), receipt: closedAt === undefined ? undefined : receipt(closedAt) })
  assert.deepEqual(
    [paid(1_000n, 3_000), paid(2_400n, 3_000), paid(3_000n, 3_000), paid(4_000n, 3_000)],
    [0n, 400n, 1_000n, 1_000n],
  )
  assert.deepEqual([paid(0n), paid(2_400n), paid(5_000n)], [0n, undefined, 1_000n])
})
