import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import type { NodeSession } from '../../src/node/node-session.ts'
import type { PaidStream } from '../../src/ports/service.ts'
import { streamService } from '../../src/services/stream/index.ts'
import { addressOf, type TestNetwork, testNetwork } from '../support/network.ts'

/** A line of 100 bytes a hundred times a second: the process, and which line it is. */
const PROGRAM = 'i=0; while :; do printf "%d %d %080d\\n" $$ $i 0; i=$((i+1)); sleep 0.01; done'

/** What a payer hears, line by line. */
async function* lines(stream: PaidStream): AsyncGenerator<{ pid: number; line: number }> {
  let rest = ''
  for await (const piece of stream) {
    rest += Buffer.from(piece).toString('latin1')
    const whole = rest.split('\n')
    rest = whole.pop() ?? ''
    for (const text of whole) {
      const [pid, line] = text.split(' ').map(Number)
      yield { pid: pid ?? 0, line: line ?? 0 }
    }
  }
}

interface Listener {
  readonly session: NodeSession
  readonly heard: AsyncGenerator<{ pid: number; line: number }>
  pid: number
  last: number
}

/** Hears so many lines more, of one program, without a gap. */
async function listen(listener: Listener, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const { value } = await listener.heard.next()
    assert.ok(value, 'the stream ended')
    if (listener.pid !== 0) assert.deepEqual(value, { pid: listener.pid, line: listener.last + 1 })
    listener.pid = value.pid
    listener.last = value.line
  }
}

describe('one run of a program for many payers', () => {
  let net: TestNetwork
  before(async () => {
    net = await testNetwork()
  })
  after(() => net.stop())

  test('of five payers one stops paying and is cut, and the others go on without a gap', async (t) => {
    const provider = await net.provider(t, { provider: { patienceMs: 1_000 } })
    const service = streamService({ command: '/bin/sh', args: ['-c', PROGRAM], shared: true, maxPrograms: 1 })
    await provider.serve({ name: 'tv', service, price: '0.001/KiB', chunk: '1 KiB' })
    const sessions: NodeSession[] = []
    for (let i = 0; i < 5; i++) {
      const consumer = await net.consumer(t, [provider])
      sessions.push(await consumer.open({ service: 'tv', provider: addressOf(provider), budget: '1 token' }))
    }
    const listeners: Listener[] = []
    for (const session of sessions) {
      const listener = { session, heard: lines(await session.open()), pid: 0, last: 0 }
      await listen(listener, 1)
      listeners.push(listener)
    }
    assert.equal(new Set(listeners.map(({ pid }) => pid)).size, 1)
    const first = listeners.map(({ last }) => last)
    assert.deepEqual(
      first,
      first.toSorted((a, b) => a - b),
      'who came later began later',
    )

    const [dead, ...others] = listeners
    assert.ok(dead)
    // it reads no more, and so pays no more
    const cut = once(provider.events, 'payee:ended')
    let isCut = false
    void cut.then(() => (isCut = true))
    while (!isCut) await Promise.all(others.map((one) => listen(one, 10)))
    const [{ session, code }] = await cut
    assert.deepEqual([session.id, code], [dead.session.id, 'PATIENCE_OVER'])
    await Promise.all(others.map((one) => listen(one, 50)))

    for (const { session } of others) {
      const { code, receipt, figures } = await session.close()
      assert.equal(code, undefined)
      assert.equal(receipt?.receipt.total, figures.signed)
    }
  })
})
