import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, test } from 'node:test'

/** Runs an example as a program of its own. It must end by itself: a timer or a socket that is left would hold it. */
async function run(name: string): Promise<string[]> {
  const child = spawn(process.execPath, [join(import.meta.dirname, name)], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 })
  let output = ''
  let complaint = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text
  })
  const [code, signal] = await once(child, 'close')
  assert.deepEqual([code, signal, complaint], [0, null, ''])
  return output.trimEnd().split('\n')
}

describe('the examples run as they stand, and end by themselves', () => {
  test('sell-and-buy: a file is bought, paid, receipted and settled at the same sum', async () => {
    assert.deepEqual(await run('sell-and-buy.ts'), [
      'bought 3145728 bytes, equal to what was sold',
      'paid 0.03 tUSDC, receipt over 0.03 tUSDC',
      'settled 0.03 tUSDC',
    ])
  })

  test('paid-stream-with-it-pipe: the time that a stream ran is paid, exactly', async () => {
    const [heard = '', paid = '', ...rest] = await run('paid-stream-with-it-pipe.ts')
    const ms = /^heard 12 ticks in (\d+) ms$/.exec(heard)?.[1]
    const units = /^paid 0\.(\d{1,6}) tUSDC, receipt agrees$/.exec(paid)?.[1]?.padEnd(6, '0')
    // 0.001 token for 1,000 ms, in base units of a millionth
    assert.ok(ms !== undefined && Number(ms) > 1_000, heard)
    assert.equal(BigInt(units ?? 0), BigInt(ms), paid)
    assert.deepEqual(rest, [])
  })
})
