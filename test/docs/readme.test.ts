import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { after, describe, test } from 'node:test'

const root = join(import.meta.dirname, '../..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')

interface Block {
  readonly terminal: string
  readonly lines: readonly string[]
}

/** The fences of the README that are meant to be typed, in order: ```sh terminal-1 … ``` */
const blocks: Block[] = [...readme.matchAll(/^```sh (terminal-\d)\n([\s\S]*?)^```$/gm)].map((match) => ({
  terminal: match[1] as string,
  lines: (match[2] as string).split('\n').filter((line) => line !== '' && !line.startsWith('#')),
}))

/** A line that ends so is left running, as the reader would leave it in its window. */
const STAYS = '# stays up'
const LINE_MS = 60_000

/** One window: a shell that keeps its variables from line to line. */
class Terminal {
  readonly #shell: ChildProcess
  #output = ''
  #running = ''

  constructor(home: string) {
    const bin = join(home, 'bin')
    this.#shell = spawn('bash', ['--norc'], {
      cwd: home,
      detached: true,
      env: { HOME: home, PATH: [bin, process.env.PATH].join(delimiter), LANG: 'C.UTF-8', CI: 'true' },
      stdio: 'pipe',
    })
    for (const stream of [this.#shell.stdout, this.#shell.stderr])
      stream?.on('data', (bytes: Buffer) => (this.#output += bytes.toString()))
    // npx of a reader is the command of this checkout here
    this.#shell.stdin?.write(`npx() { shift; ${JSON.stringify(join(root, 'bin/tallystick'))} "$@"; }\n`)
  }

  async type(line: string): Promise<string> {
    const from = this.#output.length
    this.#running = line
    if (line.endsWith(STAYS)) {
      this.#shell.stdin?.write(`${line}\n`)
      await this.#until(() => /^\s*try:/m.test(this.#output.slice(from)))
    } else {
      this.#shell.stdin?.write(`${line}\necho "exit:$?"\n`)
      await this.#until(() => /^exit:\d+$/m.test(this.#output.slice(from)))
      assert.match(this.#output.slice(from), /^exit:0$/m, `${line}\n${this.#output.slice(from)}`)
    }
    return this.#output.slice(from)
  }

  async #until(done: () => boolean): Promise<void> {
    const late = performance.now() + LINE_MS
    while (!done()) {
      assert.ok(performance.now() < late, `"${this.#running}" did not come to its end:\n${this.#output}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  close(): void {
    // the whole group: the shell and what it left running
    if (this.#shell.pid !== undefined) process.kill(-this.#shell.pid, 'SIGTERM')
  }
}

describe('the README', () => {
  const home = mkdtempSync(join(tmpdir(), 'tallystick-readme-'))
  const terminals = new Map<string, Terminal>()
  after(() => {
    for (const terminal of terminals.values()) terminal.close()
    rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  })

  test('has a walk through two homes', () => {
    assert.deepEqual([...new Set(blocks.map(({ terminal }) => terminal))], ['terminal-1', 'terminal-2', 'terminal-3'])
  })

  test('can be followed word for word: every line ends well, and the file that was bought is the file that was sold', async () => {
    let said = ''
    for (const { terminal: name, lines } of blocks) {
      const terminal = terminals.get(name) ?? new Terminal(home)
      terminals.set(name, terminal)
      for (const line of lines) said += await terminal.type(line)
    }
    assert.match(said, /0\.02861\d tUSDC|0\.0286 tUSDC/, 'what 3,000,000 bytes cost at 0.01 tUSDC a MiB')
    assert.deepEqual(readFileSync(join(home, 'sample.bin')), readFileSync(join(home, 'shop/sample.bin')))
  })

  test('names only commands and scripts that exist', () => {
    const scripts = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts
    for (const [, script] of readme.matchAll(/npm run ([a-z:]+)/g)) assert.ok((script as string) in scripts, `npm run ${script}`)
  })
})
