import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { within } from '../../protocols/deadline.ts'
import { TallyError } from '../../src/core/errors.ts'

const late = (): TallyError => new TallyError('PEER_UNREACHABLE')
const never = (): Promise<never> => new Promise(() => {})

describe('within', () => {
  test('gives what the work gives', async () => {
    assert.equal(await within(60_000, late, undefined, async () => 7), 7)
  })

  test('passes on what the work throws', async () => {
    const failure = new TallyError('MALFORMED')
    await assert.rejects(
      within(60_000, late, undefined, () => Promise.reject(failure)),
      failure,
    )
  })

  test('gives up work that ignores its signal when the time is over', async () => {
    await assert.rejects(within(1, late, undefined, never), { code: 'PEER_UNREACHABLE' })
  })

  test('says that the time was over even when the work throws because of it', async () => {
    const obedient = (signal: AbortSignal): Promise<never> =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted')))
      })
    await assert.rejects(within(1, late, undefined, obedient), { code: 'PEER_UNREACHABLE' })
  })

  test('says ABORTED when the signal of the caller fires, before or during the work', async () => {
    await assert.rejects(within(60_000, late, AbortSignal.abort(), never), { code: 'ABORTED' })
    const controller = new AbortController()
    const waiting = within(60_000, late, controller.signal, never)
    controller.abort()
    await assert.rejects(waiting, { code: 'ABORTED' })
  })

  test('keeps the reason of a signal that is one of our errors', async () => {
    const reason = new TallyError('SHUTTING_DOWN')
    await assert.rejects(within(60_000, late, AbortSignal.abort(reason), never), reason)
  })
})
