import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { describe, test } from 'node:test'

const root = join(import.meta.dirname, '../..')
const SIZE = 64 * 1024 * 1024
const PRICE_OF_ALL = 640_000n

interface Event {
  readonly event: string
  readonly [fact: string]: unknown
}

/** Runs the real command; every line of its standard output must be one JSON object. */
async function demo(...flags: string[]): Promise<{ code: number; events: Event[]; result: Event; stderr: string }> {
  return await new Promise((resolve) => {
    execFile(
      join(root, 'bin/tallystick'),
      ['demo', '--json', '--rate', '32 MiB', ...flags],
      { maxBuffer: 1 << 26, timeout: 90_000 },
      (error, stdout, stderr) => {
        const events = stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as Event)
        const result = events.find(({ event }) => event === 'result') as Event
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), events, result, stderr })
      },
    )
  })
}

/** signed = settled = spent = what either store holds: one figure, five places. */
function sumsAgree(result: Record<string, unknown>): bigint {
  const stores = result.stores as Record<'payee' | 'payer', Record<'session' | 'promised', string>>
  const figures = [
    result.signed,
    result.settled,
    result.spent,
    stores.payee.session,
    stores.payer.session,
    stores.payee.promised,
    stores.payer.promised,
  ]
  assert.equal(new Set(figures.map(String)).size, 1, `they differ: ${figures.join(', ')}`)
  return BigInt(String(result.signed))
}

const has = (events: readonly Event[], name: string): boolean => events.some(({ event }) => event === name)

describe('the demo, with two processes, a chain and a file of 64 MiB', () => {
  test('delivers, is paid to the last unit, settles, and the file that came is the file that was sent', async () => {
    const { code, events, result, stderr } = await demo()
    assert.equal(code, 0, stderr)
    assert.equal(sumsAgree(result), PRICE_OF_ALL)
    assert.equal(result.delivered, String(SIZE))
    const { sent, got } = result.sha256 as unknown as { sent: string; got: string }
    assert.equal(got, sent)
    for (const step of [
      'chain',
      'contracts',
      'provider',
      'found',
      'reserved',
      'session',
      'progress',
      'closed',
      'settled',
      'released',
    ])
      assert.ok(has(events, step), step)
  })

  for (const who of ['provider', 'consumer'] as const) {
    test(`a ${who} that is killed in mid-stream goes on with the same session, and nothing is paid twice`, async () => {
      const { code, events, result, stderr } = await demo(`--kill-${who}`)
      assert.equal(code, 0, stderr)
      assert.ok(has(events, 'killed') && has(events, 'resumed'))
      const started = events.find(({ event }) => event === 'session')
      const resumed = events.find(({ event }) => event === 'resumed')
      assert.equal(resumed?.session, started?.session, 'the same session')
      assert.ok(Number(resumed?.at) > 0, 'not from the beginning')
      assert.equal(sumsAgree(result), PRICE_OF_ALL)
      // bytes that were on their way when the process died were written and never arrived: no more than the credit
      const lost = result.lost as { provider: string; consumer: string }
      assert.equal(lost.consumer, '0')
      assert.ok(BigInt(lost.provider) <= 40_000n, `lost ${lost.provider}`)
    })
  }

  test('without gas: a consumer with nothing but tokens from an exchange and a provider with nothing, a relay, and every sum agrees', async () => {
    const { code, events, result, stderr } = await demo('--gasless', '--size', '16 MiB')
    assert.equal(code, 0, stderr)
    assert.equal(sumsAgree(result), PRICE_OF_ALL / 4n)
    for (const step of ['relay', 'paid-out', 'reserved', 'settled', 'released', 'withdrawn']) assert.ok(has(events, step), step)
    const { provider, consumer, earned, othersGas, othersSent } = result.relay as Record<string, string>
    assert.deepEqual([othersGas, othersSent], ['0', '0'])
    assert.equal(BigInt(provider ?? 0) + BigInt(consumer ?? 0), BigInt(earned ?? 0))
  })

  test('a consumer that stops paying is cut, and costs the provider no more than the credit it gave', async () => {
    const { code, result, stderr } = await demo('--cheat', 'consumer')
    assert.equal(code, 0, stderr)
    sumsAgree(result)
    const lost = BigInt((result.lost as { provider: string }).provider)
    assert.ok(lost > 0n && lost <= 40_000n, `lost ${lost}`)
  })

  test('a provider that sends garbage is left at the first bad chunk, which is not paid', async () => {
    const { code, events, result, stderr } = await demo('--cheat', 'provider')
    assert.equal(code, 0, stderr)
    assert.equal(events.find(({ event }) => event === 'closed')?.code, 'CONTENT_WRONG')
    assert.ok(sumsAgree(result) <= PRICE_OF_ALL / 2n)
    assert.deepEqual((result.lost as { consumer: string }).consumer, '0')
  })
})
