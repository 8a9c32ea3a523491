import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, describe, type TestContext, test } from 'node:test'
import { callProgram, type ExecInit, execService } from '../../src/services/exec/index.ts'
import { addressOf, failure, type TestNetwork, testNetwork } from '../support/network.ts'

async function* pieces(bytes: Uint8Array, size = 100_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

describe('a program that is sold by the call', () => {
  let net: TestNetwork
  before(async () => {
    net = await testNetwork()
  })
  after(() => net.stop())

  async function session(t: TestContext, script: string, price: string, budget = '5 token', init: Partial<ExecInit> = {}) {
    const provider = await net.provider(t)
    const service = execService({ command: '/bin/sh', args: ['-c', script], killGraceMs: 50, ...init })
    await provider.serve({ name: 'program', service, price })
    const consumer = await net.consumer(t, [provider])
    return await consumer.open({ service: 'program', provider: addressOf(provider), budget })
  }

  test('each run is a call, whatever its exit code, and the receipt says how many', async (t) => {
    const live = await session(t, 'read word; echo "$word!"; exit 3', '0.01/call')
    for (const word of ['one', 'two', 'three']) {
      let output = ''
      const { end } = await callProgram(live, {
        input: pieces(Buffer.from(`${word}\n`)),
        output: (bytes) => {
          output += Buffer.from(bytes).toString()
          return true
        },
      })
      assert.deepEqual([output, end], [`${word}!\n`, { how: 'exit', code: 3 }])
    }
    const { code, receipt } = await live.close()
    assert.equal(code, undefined)
    assert.deepEqual([receipt?.receipt.meter.calls, receipt?.receipt.total], [3n, 30_000n])
  })

  test('8 MiB through a program, paid by the byte in both directions', async (t) => {
    const live = await session(t, 'cat', '0.01/MiB+0.01/up:MiB')
    const sent = randomBytes(8 << 20)
    const hash = createHash('sha256')
    const { end } = await callProgram(live, { input: pieces(sent), output: (bytes) => hash.update(bytes) && true })
    assert.deepEqual(end, { how: 'exit', code: 0 })
    assert.equal(hash.digest('hex'), createHash('sha256').update(sent).digest('hex'))
    const { receipt } = await live.close()
    assert.equal(receipt?.receipt.meter.up, BigInt(sent.length))
  })

  test('output that nobody wants any more ends the program, and is not paid', async (t) => {
    const live = await session(t, 'exec yes', '0.01/MiB')
    let left = 100_000
    const output = (bytes: Uint8Array): boolean => {
      left -= bytes.length
      return left > 0
    }
    const { end } = await callProgram(live, { output })
    assert.equal(end, undefined)
    assert.equal((await live.close()).code, undefined)
  })

  test('the end of the budget ends the call with BUDGET_REACHED', async (t) => {
    const live = await session(t, 'exec yes', '0.01/MiB', '0.005 token')
    assert.equal((await failure(() => callProgram(live, { output: () => true }))).code, 'BUDGET_REACHED')
    assert.equal((await live.ended).code, 'BUDGET_REACHED')
  })

  test('a program that cannot be started is SERVICE_FAILED, and costs nothing', async (t) => {
    const live = await session(t, '', '0.01/call', '1 token', { command: '/no/such/program' })
    assert.equal((await failure(() => callProgram(live, { output: () => true }))).code, 'SERVICE_FAILED')
    assert.equal((await live.close()).figures.signed, 0n)
  })
})
