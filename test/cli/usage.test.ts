import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import type { Command } from 'commander'
import { COMMANDS } from '../../src/cli/commands.ts'
import { Cli } from '../../src/cli/context.ts'
import { reportOf } from '../../src/cli/failure.ts'
import { parseTarget } from '../../src/cli/get/target.ts'
import { facts, plain, roughSize, roughTime, table } from '../../src/cli/output.ts'
import { buildProgram } from '../../src/cli/program.ts'
import { ERRORS, type ErrorCode, TallyError } from '../../src/core/errors.ts'
import { World } from './harness.ts'

const PEER = '16Uiu2HAkzEnAGUUrdmSpVq7vBqyatN5siqNrJti73Ubg6WhJW7Ff'

describe('the command line', () => {
  const world = new World()
  after(async () => await world.end())

  test('a command that does not exist is refused with the nearest one', async () => {
    const { code, stderr, stdout } = await world.run(['balanc'])
    assert.deepEqual([code, stdout], [2, ''])
    assert.equal(stderr, "tallystick: unknown command 'balanc'\n  hint: Did you mean balance?\n")
  })

  test('a failure in JSON has code, message, hint, retryable and exit code, on stderr alone', async () => {
    const { code, stderr, stdout } = await world.run(['status', '--jsn', '--json'])
    assert.deepEqual([code, stdout], [2, ''])
    assert.deepEqual(JSON.parse(stderr), {
      error: { code: 'USAGE', message: "unknown option '--jsn'", hint: 'Did you mean --json?', retryable: false, exit_code: 2 },
    })
  })

  test('a purchase without a budget is refused before anything is opened, with an example', async () => {
    const { code, stderr } = await world.run(['get', 'films/a.bin'])
    assert.equal(code, 2)
    assert.match(stderr, /needs a budget[^\n]*\n {2}hint: tallystick get films\/a\.bin --budget '0\.5 tUSDC'\n$/)
  })

  test('a home that is not there is named, with the command that makes one', async () => {
    const { code, stderr } = await world.run(['balance'], { home: world.path('nowhere') })
    assert.equal(code, 2)
    assert.match(stderr, /there is no node in ".*nowhere"\n {2}hint: Make one with `tallystick init --home .*nowhere`/)
  })

  test('a network that is not there is named', async () => {
    const { code, stderr } = await world.run(['init', '--yes', '--network', 'dev'], { home: world.path('early') })
    assert.equal(code, 2)
    assert.match(stderr, /there is no network "dev"[^\n]*\n {2}hint: Start a local one with `tallystick dev`/)
  })

  test('no stack trace is shown unless it is asked for', async () => {
    const args = ['receipt', 'verify', '/nowhere.json']
    assert.doesNotMatch((await world.run(args)).stderr, /\n\s+at /)
    assert.match((await world.run(args, { env: { TALLYSTICK_DEBUG: '1' } })).stderr, /\n\s+at /)
  })

  test('version is one line for people and an object for programs', async () => {
    assert.match((await world.run(['version'])).stdout, /^tallystick \d+\.\d+\.\d+ \(Node 2\d/)
    assert.equal(typeof (await world.json(['version'])).tallystick, 'string')
  })
})

describe('the help', () => {
  const leaves = (command: Command): Command[] => (command.commands.length === 0 ? [command] : command.commands.flatMap(leaves))

  test('every command has examples that begin with its own name', () => {
    const cli = new Cli([], {})
    try {
      const program = buildProgram(cli, COMMANDS)
      for (const command of leaves(program)) {
        if (['version', 'help'].includes(command.name())) continue
        let text = ''
        command.configureOutput({ writeOut: (part) => (text += part) }).outputHelp()
        assert.match(text, /\nExamples:\n {2}(?:\$ )?tallystick /, command.name())
        assert.ok(
          text.includes(`tallystick ${command.parent?.parent ? `${command.parent.name()} ` : ''}${command.name()}`),
          command.name(),
        )
      }
    } finally {
      cli.stop.release()
    }
  })
})

describe('what is to be bought', () => {
  test('is a service with a path, of anybody or of one provider', () => {
    const via = `/ip4/1.2.3.4/tcp/4001/p2p/${PEER}`
    const cases: [string, string | undefined, string, string][] = [
      ['films', undefined, 'films', ''],
      ['films/', undefined, 'films', ''],
      ['films/a/b.bin', undefined, 'films', 'a/b.bin'],
      ['films/a/', undefined, 'films', 'a/'],
      [`${PEER}/films/a.bin`, PEER, 'films', 'a.bin'],
      [`tallystick://${PEER}/films/a.bin`, PEER, 'films', 'a.bin'],
      ['tallystick://films/a.bin', undefined, 'films', 'a.bin'],
      [`${via}/films/a.bin`, via, 'films', 'a.bin'],
      [`tallystick://${via}/films`, via, 'films', ''],
    ]
    for (const [text, provider, service, path] of cases) assert.deepEqual(parseTarget(text), { provider, service, path }, text)
  })

  test('is refused when no service is named, or when its name is none', () => {
    for (const text of [
      '',
      '/',
      PEER,
      `${PEER}/`,
      'tallystick://',
      'Films/a',
      'fi lms',
      '(films)/a',
      `/ip4/1.2.3.4/tcp/1/p2p/${PEER}`,
    ]) {
      assert.throws(() => parseTarget(text), { code: 'USAGE' }, text)
    }
  })
})

describe('output', () => {
  test('a failure of every code is told in one line with its exit code', () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      const report = reportOf(new TallyError(code, { message: 'a\n  b', hint: 'c\nd' }))
      assert.deepEqual(report, { code, message: 'a b', hint: 'c d', retryable: ERRORS[code].retry, exit_code: ERRORS[code].exit })
    }
    assert.equal(reportOf(new RangeError('boom')).message, 'something went wrong inside the node: boom')
  })

  test('tables and facts line up', () => {
    assert.deepEqual(table(['a', 'sum'], [['long', '1'], ['x', '100']], ['sum']), ['a     sum', 'long    1', 'x     100']) // biome-ignore format: a table
    assert.deepEqual(facts([['a', '1'], ['long', '2']]), ['a     1', 'long  2']) // biome-ignore format: a table
  })

  test('a stranger cannot move the cursor or turn the reading direction', () => {
    assert.equal(plain('a\u001b[2Jb\u202ec\nd'), 'a\ufffd[2Jb\ufffdc\ufffdd')
  })

  test('sizes and times are rounded for reading', () => {
    assert.deepEqual([0n, 1023n, 1536n, 64n << 20n].map(roughSize), ['0 B', '1023 B', '1.5 KiB', '64.0 MiB'])
    assert.deepEqual([-5, 59, 61, 3_661, 90_000].map(roughTime), ['0 s', '59 s', '1 min', '1 h 1 min', '1 d 1 h'])
  })
})
