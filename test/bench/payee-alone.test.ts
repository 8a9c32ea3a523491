import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Address, SessionId } from '../../src/core/ids.ts'
import { type Child, start } from './child.ts'
import { demandSame } from './durable.ts'
import type { PayeeAnswers } from './payee-alone.ts'

const CHANNELS = 8
const ledger = '0x5fbdb2315678afecb367f032d93f642f64180aa3' as Address
const token = '0x9fe46736679d2d9a65f0992f2272de9f3c7fa6e0' as Address

describe('the figures of the benchmark', () => {
  let dir: string
  let payee: Child<PayeeAnswers>
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'tallystick-bench-test-'))
    payee = start<PayeeAnswers>('payee-alone.ts')
    await payee.ask('begin', { place: { rpcUrl: '', chainId: 31337, ledger, token, dir }, channels: CHANNELS })
  })
  after(async () => {
    await payee.stop()
    await rm(dir, { recursive: true, force: true })
  })

  it('count signed promises that are all on the disk', async () => {
    const { payments, promises } = await payee.ask('accept', { each: 3, pay: 'promise', window: 2 })
    assert.deepEqual({ payments, promises }, { payments: 3 * CHANNELS, promises: 3 * CHANNELS })
  })

  it('count ticks apart from the promises between their chains', async () => {
    const { payments, promises } = await payee.ask('accept', { each: 300, pay: 'tick', window: 64 })
    assert.equal(payments, 300 * CHANNELS)
    // a chain begins in each channel, and the first ones end after 1, 129 and 257 of their ticks
    assert.equal(promises, CHANNELS + 3)
  })

  it('stand only while the payee refuses a forged word between good ones of one read', async () => {
    await payee.ask('forge')
  })

  it('are found again by whoever opens the database anew', async () => {
    await payee.ask('reopen')
  })

  it('are refused when one payment is not there, or one too many is', () => {
    const id = '0x01' as SessionId
    demandSame('session', [[id, 2n]], new Map([[id, 2n]]))
    for (const held of [1n, 3n]) assert.throws(() => demandSame('session', [[id, 2n]], new Map([[id, held]])), /on the disk/)
    assert.throws(() => demandSame('session', [[id, 2n]], new Map()), /on the disk/)
  })
})
