import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, type TestContext, test } from 'node:test'
import { type ProgramLog, type StreamInit, streamService } from '../../../src/services/stream/index.ts'
import { tempDir } from '../temp-dir.ts'
import { UNCHARGED } from '../uncharged.ts'

const never = new AbortController().signal
const none = new Uint8Array()

/** A service that runs a script of the shell, and what one data stream of it gives. */
function shop(t: TestContext, script: string, options: Partial<StreamInit> = {}) {
  const service = streamService({ command: '/bin/sh', args: ['-c', script], killGraceMs: 50, ...options })
  t.after(() => service.close())
  async function open(signal = never) {
    const content = await service.prepare(none, signal)
    const answer = await service.open({ request: none, content, input: nothing(), signal, ...UNCHARGED })
    assert.ok(!answer.free)
    return answer.body[Symbol.asyncIterator]()
  }
  return { service, open }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function text(body: AsyncIterator<Uint8Array>): Promise<string> {
  let all = ''
  for (let next = await body.next(); !next.done; next = await body.next()) all += Buffer.from(next.value).toString()
  return all
}

/** Pulls until the output holds `count` whole lines; these are the numbers in them. */
async function numbers(body: AsyncIterator<Uint8Array>, count: number): Promise<number[]> {
  let all = ''
  while (all.split('\n').length <= count) {
    const next = await body.next()
    assert.ok(!next.done, 'the program ended too early')
    all += Buffer.from(next.value).toString('latin1')
  }
  return all.split('\n').slice(0, count).map(Number)
}

/** The letter of a process's state; undefined when it is gone, and so is a zombie, which only waits to be counted. */
function stateOf(pid: number): string | undefined {
  try {
    const state = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0]
    return state === 'Z' ? undefined : state
  } catch {
    return undefined
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

describe('stream service', () => {
  test('sells what the program writes, byte for byte', async (t) => {
    const { open } = shop(t, 'printf "one\\n"; printf "two\\000three"')
    assert.equal(await text(await open()), 'one\ntwo\0three')
  })

  test('runs the program anew for each data stream, at the same time if need be', async (t) => {
    const { open } = shop(t, 'echo $$')
    const [a, b] = await Promise.all([open(), open()])
    assert.notEqual(await text(a), await text(b))
  })

  test('hands on each piece when it is written, not when the program ends', async (t) => {
    const { open } = shop(t, 'echo 1; exec sleep 1000')
    const body = await open()
    assert.deepEqual(await numbers(body, 1), [1])
    await body.return?.()
  })

  test('takes no word from the consumer: inputs and requests are refused', async (t) => {
    const { service } = shop(t, 'echo "$@"')
    await assert.rejects(service.prepare(Uint8Array.of(59), never), { code: 'REQUEST_INVALID' })
    const call = { request: Uint8Array.of(1), content: Uint8Array.of(1), input: nothing(), signal: never, ...UNCHARGED }
    await assert.rejects(service.open(call), { code: 'REQUEST_INVALID' })
  })

  test('starts the program without a shell unless told: its arguments stay what they are', async (t) => {
    const plain = shop(t, '', { command: 'printf', args: ['%s', '$HOME; echo x | y'] })
    assert.equal(await text(await plain.open()), '$HOME; echo x | y')
    const shell = shop(t, '', { command: 'echo a | tr a b', args: [], shell: true })
    assert.equal(await text(await shell.open()), 'b\n')
  })

  test('runs in the folder and the environment that it was given', async (t) => {
    const dir = tempDir(t)
    const { open } = shop(t, 'pwd; echo "$ONLY"; echo "$HOME"', { cwd: dir, env: { ONLY: 'this' } })
    assert.equal(await text(await open()), `${dir}\nthis\n\n`)
  })

  test('does not hand the password of the node to the program', async (t) => {
    process.env.TALLYSTICK_TEST_WORD = 'secret'
    t.after(() => delete process.env.TALLYSTICK_TEST_WORD)
    const { open } = shop(t, 'env')
    const output = await text(await open())
    assert.match(output, /^PATH=/m)
    assert.doesNotMatch(output, /secret/)
  })

  test('an exit code that is not 0, or a crash, is SERVICE_FAILED after all that was written', async (t) => {
    for (const [end, why] of [
      ['exit 3', /exit code was 3/],
      ['kill -9 $$', /SIGKILL/],
    ] as const) {
      const body = await shop(t, `echo before; ${end}`).open()
      assert.equal(Buffer.from((await body.next()).value ?? none).toString(), 'before\n')
      await assert.rejects(async () => body.next(), { code: 'SERVICE_FAILED', message: why })
    }
  })

  test('a program that cannot be started is SERVICE_FAILED, and the service lives on', async (t) => {
    const missing = shop(t, '', { command: '/no/such/program', args: [] })
    await assert.rejects(missing.open(), { code: 'SERVICE_FAILED' })
    await assert.rejects(missing.open(), { code: 'SERVICE_FAILED' })
    const noFolder = shop(t, 'echo x', { cwd: '/no/such/folder' })
    await assert.rejects(noFolder.open(), { code: 'SERVICE_FAILED' })
  })

  test('a program that floods its output while nobody reads stands still, and little is held', async (t) => {
    const { open } = shop(t, 'echo $$; exec yes')
    const body = await open()
    const [pid = 0] = await numbers(body, 1)
    // `yes` does nothing but write, so once it sleeps it waits for a reader
    const written = () => Number(/wchar: (\d+)/.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1])
    let before = -1
    while (stateOf(pid) !== 'S' || written() !== before) {
      before = written()
      assert.ok(before < 2 * 1024 * 1024, `${before} bytes were taken from the program`)
      for (let turn = 0; turn < 1000; turn++) await new Promise(setImmediate)
    }
    assert.ok(before > 0)
    await body.next()
    await body.return?.()
  })

  test('a consumer that leaves ends the program', async (t) => {
    const { open } = shop(t, 'echo $$; exec yes')
    const body = await open()
    const [pid = 0] = await numbers(body, 1)
    await body.return?.()
    await until(() => stateOf(pid) === undefined)
  })

  test('an abort ends the program and all that it started, also what does not listen to TERM', async (t) => {
    const { open } = shop(
      t,
      'trap "" TERM; sleep 1000 & echo $!; sh -c \'trap "" TERM; echo $$; sleep 1000 & echo $!; wait\' & echo $$; wait',
    )
    const abort = new AbortController()
    const body = await open(abort.signal)
    const pids = await numbers(body, 4)
    assert.ok(pids.every((pid) => stateOf(pid) !== undefined))
    abort.abort()
    await assert.rejects(async () => body.next(), { code: 'ABORTED' })
    await until(() => pids.every((pid) => stateOf(pid) === undefined))
  })

  test('an abort ends a program that nobody has pulled from', async (t) => {
    const { service, open } = shop(t, 'exec sleep 1000')
    const abort = new AbortController()
    const body = await open(abort.signal)
    abort.abort()
    await assert.rejects(async () => body.next(), { code: 'ABORTED' })
    await service.close()
  })

  test('a program that leaves children behind when it ends does not leave them running', async (t) => {
    const { open } = shop(t, 'sleep 1000 & echo $!; exit 0')
    const body = await open()
    const [pid = 0] = await numbers(body, 1)
    assert.equal(await text(body), '')
    await until(() => stateOf(pid) === undefined)
  })

  test('a program that closes its output and lives on is done, and is stopped', async (t) => {
    const { service, open } = shop(t, 'echo $$; exec >&-; exec sleep 1000')
    const body = await open()
    const [pid = 0] = await numbers(body, 1)
    assert.equal(await text(body), '')
    await service.close()
    assert.equal(stateOf(pid), undefined)
  })

  test('close ends all programs and waits until they are gone; nothing can be opened after it', async (t) => {
    const { service, open } = shop(t, 'echo $$; exec sleep 1000')
    const bodies = await Promise.all([open(), open(), open()])
    const pids = (await Promise.all(bodies.map((body) => numbers(body, 1)))).flat()
    await service.close()
    assert.deepEqual(pids.map(stateOf), [undefined, undefined, undefined])
    for (const body of bodies) await assert.rejects(async () => body.next(), { code: 'SHUTTING_DOWN' })
    await assert.rejects(open(), { code: 'SHUTTING_DOWN' })
  })

  test('runs no more programs at once than it may', async (t) => {
    const { open } = shop(t, 'echo $$; exec sleep 1000', { maxPrograms: 2 })
    const first = await open()
    await open()
    await assert.rejects(open(), { code: 'BUSY' })
    const [pid = 0] = await numbers(first, 1)
    await first.return?.()
    await until(() => stateOf(pid) === undefined)
    // the end of the program is heard a turn after it is gone
    const again = async (): Promise<AsyncIterator<Uint8Array>> =>
      open().catch(() => new Promise<void>((resolve) => setImmediate(resolve)).then(again))
    assert.equal((await numbers(await again(), 1)).length, 1)
  })

  test('passes on what the program says on its standard error, up to a limit, and never stalls on it', async (t) => {
    const log: ProgramLog[] = []
    const flood =
      'i=0; while [ $i -lt 2000 ]; do echo "line $i: $(printf %0900d 0)" >&2; i=$((i+1)); done; printf %05000d 0 >&2; echo done'
    const { open } = shop(t, flood.replaceAll('$(printf %0900d 0)', 'x'.repeat(900)), { onLog: (entry) => log.push(entry) })
    assert.equal(await text(await open()), 'done\n')
    assert.match(log[0]?.line ?? '', /^line 0: x+$/)
    assert.ok(log.every(({ line }) => line.length <= 1024))
    assert.ok(log.reduce((sum, { line }) => sum + line.length, 0) <= 66 * 1024)
    assert.equal(log.at(-1)?.line, '(more is not shown)')
  })
})
