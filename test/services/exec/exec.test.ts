import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, type TestContext, test } from 'node:test'
import type { Charge, ServiceCall } from '../../../src/ports/service.ts'
import { type ExecInit, execService } from '../../../src/services/exec/index.ts'
import { type CallEnd, RecordReader } from '../../../src/services/exec/records.ts'
import { UNCHARGED } from '../uncharged.ts'

const never = new AbortController().signal
const none = new Uint8Array()

async function* input(...pieces: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield Buffer.from(piece)
}

interface Made {
  output: string
  log: string | undefined
  end: CallEnd | undefined
}

/** A service that runs a script of the shell, and calls of it. */
function shop(t: TestContext, script: string, options: Partial<ExecInit> = {}) {
  const service = execService({ command: '/bin/sh', args: ['-c', script], killGraceMs: 50, ...options })
  t.after(() => service.close())
  async function body(stdin: AsyncIterable<Uint8Array> = input(), of: Partial<ServiceCall> = {}) {
    const answer = await service.open({ request: none, content: none, input: stdin, signal: never, ...UNCHARGED, ...of })
    return answer.body
  }
  async function call(stdin?: AsyncIterable<Uint8Array>): Promise<Made> {
    const made: Made = { output: '', log: undefined, end: undefined }
    const reader = new RecordReader()
    for await (const piece of await body(stdin)) {
      for (const record of reader.take(piece)) {
        if (record.type === 'output') made.output += Buffer.from(record.bytes).toString()
        else if (record.type === 'log') made.log = Buffer.from(record.tail).toString()
        else made.end = record.end
      }
    }
    reader.close()
    return made
  }
  return { service, body, call }
}

function isAlive(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] !== 'Z'
  } catch {
    return false
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

describe('exec service', () => {
  test('the input goes into the program, its output comes back, then its exit code', async (t) => {
    const { call } = shop(t, 'tr a-z A-Z')
    assert.deepEqual(await call(input('one ', 'two')), { output: 'ONE TWO', log: undefined, end: { how: 'exit', code: 0 } })
  })

  test('an exit code that is not 0 is told, after all that was written', async (t) => {
    const { call } = shop(t, 'cat; exit 37')
    assert.deepEqual(await call(input('before')), { output: 'before', log: undefined, end: { how: 'exit', code: 37 } })
  })

  test('a crash is told with its signal, and is not ours', async (t) => {
    const { call } = shop(t, 'kill -SEGV $$')
    assert.deepEqual((await call()).end, { how: 'signal', signal: 11 })
    assert.deepEqual((await call()).end, { how: 'signal', signal: 11 })
  })

  test('a program that does not read its input is no failure', async (t) => {
    const { call } = shop(t, 'exit 5')
    const large = input(...Array.from({ length: 64 }, () => new Uint8Array(65_536)))
    assert.deepEqual((await call(large)).end, { how: 'exit', code: 5 })
  })

  test('what the consumer sends is never read as words: it is input, and the request must be empty', async (t) => {
    const { call, body } = shop(t, '', { command: 'cat', args: [] })
    assert.equal((await call(input('$(id); `id`'))).output, '$(id); `id`')
    await assert.rejects(body(input(), { request: Buffer.from('-n') }), { code: 'REQUEST_INVALID' })
  })

  test('the words of the provider stay what they are, also under a memory limit', async (t) => {
    const words = { command: 'printf', args: ['%s|', '$HOME', '; exit 9', "it's"] }
    for (const maxMemoryBytes of [undefined, 1 << 30]) {
      const { call } = shop(t, '', { ...words, ...(maxMemoryBytes && { maxMemoryBytes }) })
      assert.equal((await call()).output, "$HOME|; exit 9|it's|")
    }
  })

  test('at its time limit a program is ended with all that it started, also one that does not listen', async (t) => {
    const { call } = shop(t, 'trap "" TERM; sleep 1000 & echo $! $$; wait; wait; sleep 1000', { maxMs: 200 })
    const { output, end } = await call()
    assert.deepEqual(end, { how: 'time' })
    const pids = output.split(/\s/).filter(Boolean).map(Number)
    assert.equal(pids.length, 2)
    await until(() => !pids.some(isAlive))
  })

  test('a program that takes more memory than it may fails by itself, and the same one with enough does not', async (t) => {
    // dd holds one block of this size in memory
    const script = 'exec dd if=/dev/zero of=/dev/null bs=256M count=1'
    const small = await shop(t, script, { maxMemoryBytes: 64 << 20, tellsLog: true }).call()
    assert.deepEqual(small.end, { how: 'exit', code: 1 })
    assert.match(small.log ?? '', /memory/)
    assert.deepEqual((await shop(t, script, { maxMemoryBytes: 1 << 30 }).call()).end, { how: 'exit', code: 0 })
  })

  test('a consumer that leaves ends the program and all that it started', async (t) => {
    const { body } = shop(t, 'sleep 1000 & echo $! $$; wait')
    const abort = new AbortController()
    const records = (await body(input(), { signal: abort.signal }))[Symbol.asyncIterator]()
    const first = await records.next()
    const pids = Buffer.from(first.value ?? none)
      .subarray(5)
      .toString()
      .trim()
      .split(' ')
      .map(Number)
    assert.ok(pids.length === 2 && pids.every(isAlive))
    abort.abort()
    await assert.rejects(records.next(), { code: 'ABORTED' })
    await until(() => !pids.some(isAlive))
  })

  test('an input that breaks off ends the program: it never takes a part for the whole', async (t) => {
    const { call } = shop(t, 'cat >/dev/null; echo whole')
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('part')
      throw new Error('reset')
    }
    await assert.rejects(call(broken()), { code: 'SERVICE_FAILED' })
  })

  test('the end of the standard error is told only where the provider says so, and no more than 4 KiB of it', async (t) => {
    const script = 'i=0; while [ $i -lt 1000 ]; do echo "line $i" >&2; i=$((i+1)); done'
    assert.equal((await shop(t, script).call()).log, undefined)
    const { log } = await shop(t, script, { tellsLog: true }).call()
    assert.ok(log !== undefined && log.length <= 4_096)
    assert.match(log, /line 998\nline 999\n$/)
  })

  test('runs no more programs at once than it may', async (t) => {
    const { body } = shop(t, 'exec sleep 1000', { maxPrograms: 2 })
    await body()
    await body()
    await assert.rejects(body(), { code: 'BUSY' })
  })

  test('a call is charged when the program has started, and one that cannot start is not', async (t) => {
    const told: string[] = []
    const reserve = async ({ calls }: Charge) => {
      told.push(`reserve ${calls}`)
      return { debit: () => void told.push('debit'), release: () => void told.push('release') }
    }
    for await (const _ of await shop(t, 'exit 1').body(input(), { reserve }));
    await assert.rejects(shop(t, '', { command: '/no/such', args: [] }).body(input(), { reserve }), { code: 'SERVICE_FAILED' })
    assert.deepEqual(told, ['reserve 1', 'debit', 'reserve 1', 'release'])
  })

  test('close ends all programs and waits until they are gone', async (t) => {
    const { service, body } = shop(t, 'echo $$; exec sleep 1000')
    const records = (await body())[Symbol.asyncIterator]()
    const pid = Number(
      Buffer.from((await records.next()).value ?? none)
        .subarray(5)
        .toString(),
    )
    await service.close()
    assert.equal(isAlive(pid), false)
    await assert.rejects(body(), { code: 'SHUTTING_DOWN' })
  })
})
