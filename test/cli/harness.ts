/** Real processes of the executable, against a real local chain, in a folder of their own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { initHome } from '../../src/node/home.ts'

const root = join(import.meta.dirname, '../..')
export const PASSWORD = 'correct horse'

export interface Result {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A process that stays up. */
export interface Running {
  readonly child: ChildProcess
  /** what it printed on stdout first, up to and including the awaited line */
  readonly first: string
  /** Ends it in order; resolves with its exit code. Safe to call twice. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
  readonly stderr: () => string
}

export interface RunOptions {
  readonly home?: string
  readonly env?: Readonly<Record<string, string | undefined>>
  /** @default 'ignore' */
  readonly stdin?: 'pipe' | 'ignore'
  /** the network namespace that it lives in. @default that of this process */
  readonly netns?: string
}

export class World {
  readonly dir = mkdtempSync(join(tmpdir(), 'tally-cli-'))
  readonly #running = new Set<Running>()

  path(...parts: readonly string[]): string {
    return join(this.dir, ...parts)
  }

  /** A home with a key that is quick to open, and the network `dev`. */
  async home(name: string): Promise<string> {
    const dir = this.path(name)
    await initHome({ dir, password: PASSWORD, config: { network: 'dev' }, scryptN: 2 })
    return dir
  }

  /** Runs a command to its end. Nothing is typed into it: it has no terminal. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    const child = this.spawn(args, options)
    const out = { stdout: '', stderr: '' }
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (out.stdout += text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (out.stderr += text))
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, ...out }
  }

  /** The result of a command that must succeed, as JSON. */
  async json<T = Record<string, unknown>>(args: readonly string[], options: RunOptions = {}): Promise<T> {
    const { code, stdout, stderr } = await this.run([...args, '--json'], options)
    if (code !== 0) throw new Error(`tallystick ${args.join(' ')} ended with ${code}: ${stderr}`)
    return JSON.parse(stdout) as T
  }

  /** Starts a process that stays up, and waits for its line that matches. */
  async start(args: readonly string[], line: RegExp, options: RunOptions = {}): Promise<Running> {
    const child = this.spawn(args, options)
    let stderr = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    const gone = once(child, 'exit')
    const running: Running = {
      child, first: '', stderr: () => stderr,
      stop: async (signal = 'SIGTERM') => {
        this.#running.delete(running)
        if (child.exitCode === null && child.signalCode === null) child.kill(signal)
        await gone
        return child.exitCode
      },
    } // biome-ignore format: a record
    this.#running.add(running)
    const first = await new Promise<string>((resolve, reject) => {
      let text = ''
      createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (one) => {
        text += `${one}\n`
        if (line.test(one)) resolve(text)
      })
      gone.then(() => reject(new Error(`tallystick ${args.join(' ')} ended with ${child.exitCode}: ${stderr}`)), reject)
    })
    return Object.assign(running, { first })
  }

  /** The local chain, its first peer, and the network file `dev`. */
  async dev(): Promise<Running> {
    return await this.start(['dev'], /^network /)
  }

  spawn(args: readonly string[], { home, env = {}, stdin = 'ignore', netns }: RunOptions = {}): ChildProcess {
    const path = [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter)
    const own = {
      TALLYSTICK_PASSWORD: PASSWORD,
      TALLYSTICK_NETWORKS: this.path('networks'),
      HOME: this.dir,
      NO_COLOR: '1',
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? this.path('compiled'),
      PATH: path,
    }
    const all = home === undefined ? args : ['--home', home, ...args]
    mkdirSync(this.path('cwd'), { recursive: true })
    const program = join(root, 'bin/tallystick')
    const [command, before] = netns === undefined ? [program, []] : ['ip', ['netns', 'exec', netns, program]]
    return spawn(command, [...before, ...all], {
      cwd: this.path('cwd'),
      env: { ...own, ...env },
      stdio: [stdin, 'pipe', 'pipe'],
    })
  }

  async end(): Promise<void> {
    for (const running of [...this.#running]) await running.stop('SIGKILL')
    rmSync(this.dir, { recursive: true, force: true })
  }
}

/** Resolves as soon as it holds; fails when it does not within half a minute. */
export async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 30_000
  while (!holds()) {
    if (performance.now() > end) throw new Error('it did not come to hold')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Everything that looks like an amount of the test token or the gas coin. */
export function amountsIn(text: string): string[] {
  return text.match(/\d[\d.]* (?:tUSDC|ETH)\b/g) ?? []
}
