import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { TallyError } from '../core/errors.ts'

/** A line that a program wrote to its standard error, or a note about it. */
export interface ProgramLog {
  readonly pid: number
  readonly line: string
}

export interface ProgramInit {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd?: string
  readonly env: NodeJS.ProcessEnv
  /** true: `command` is a line for the shell */
  readonly shell: boolean
  /** how long a program that was told to stop may take before it is killed */
  readonly killGraceMs: number
  readonly onLog?: (entry: ProgramLog) => void
  /** whether it is given an input; else that is empty. @default false */
  readonly takesInput?: boolean
}

/** How a program ended: `code`, or the `signal` that ended it. */
export interface ProgramEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

// What a program may say on its standard error before the rest is dropped: it must fill neither the log nor the memory.
const MAX_LINE_CHARS = 1_024
const MAX_LOG_CHARS = 64 * 1024
const MAX_TAIL_CHARS = 4_096

/**
 * One running program and everything that it started: they are one process group, and when the program ends, for whatever reason,
 * what is left of the group is killed. Its output is read only when somebody reads `output`, so a program that nobody listens to
 * stands still in its own write.
 */
export class Program {
  readonly pid: number
  readonly output: Readable
  /** its standard input, where it takes one; errors of it are nobody's failure: a program need not read */
  readonly input: Writable | undefined
  /** resolves when its standard error is read to the end; never rejects */
  readonly logged: Promise<void>
  /** resolves when the program is gone; never rejects */
  readonly ended: Promise<ProgramEnd>
  readonly #child: ChildProcess
  readonly #killGraceMs: number
  #killTimer: NodeJS.Timeout | undefined
  #isOver = false
  #logTail = ''

  private constructor(child: ChildProcess, pid: number, output: Readable, init: ProgramInit) {
    this.#child = child
    this.pid = pid
    this.output = output
    this.#killGraceMs = init.killGraceMs
    // whoever reads the output sees its errors; without a reader they must not end this process
    output.on('error', () => undefined)
    this.input = child.stdin ?? undefined
    this.input?.on('error', () => undefined)
    const { stderr } = child
    this.logged = stderr === null ? Promise.resolve() : new Promise((resolve) => void stderr.once('close', resolve))
    if (stderr) readLog(stderr, pid, init.onLog)
    stderr?.on('data', (text: string) => (this.#logTail = (this.#logTail + text).slice(-MAX_TAIL_CHARS)))
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#isOver = true
        clearTimeout(this.#killTimer)
        this.#signalGroup('SIGKILL')
        resolve({ code, signal })
      })
    })
  }

  /** Starts the program. SERVICE_FAILED when it cannot be started. */
  static start(init: ProgramInit): Promise<Program> {
    return new Promise((resolve, reject) => {
      const child = spawn(init.command, init.args, {
        ...(init.cwd !== undefined && { cwd: init.cwd }),
        env: init.env,
        shell: init.shell,
        // a group of its own, so that one signal reaches all of it
        detached: true,
        stdio: [init.takesInput === true ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      })
      child.on('error', (cause) => reject(new TallyError('SERVICE_FAILED', { message: 'the program did not start', cause })))
      child.once('spawn', () => {
        if (child.pid !== undefined && child.stdout) resolve(new Program(child, child.pid, child.stdout, init))
      })
    })
  }

  /** the last that it wrote to its standard error, at most 4,096 characters */
  get logTail(): string {
    return this.#logTail
  }

  /** As `end`, and nobody wants its output any more. */
  stop(): void {
    this.output.destroy()
    this.end()
  }

  /** Tells the group to stop, and kills it when it takes longer than the grace. Harmless when it is over already. */
  end(): void {
    if (this.#isOver || this.#killTimer) return
    this.#signalGroup('SIGTERM')
    this.#killTimer = setTimeout(() => this.#signalGroup('SIGKILL'), this.#killGraceMs)
  }

  #signalGroup(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, signal)
    } catch {
      // nobody is left in the group; the program itself is signalled in case the group could not be made
      if (!this.#isOver) this.#child.kill(signal)
    }
  }
}

/** Reads all of it, so that the program never waits for its log, and passes on what fits. */
function readLog(stderr: Readable, pid: number, onLog: ((entry: ProgramLog) => void) | undefined): void {
  let line = ''
  let left = MAX_LOG_CHARS
  const say = (text: string) => {
    if (left <= 0) return
    left -= text.length + 1
    onLog?.({ pid, line: text })
    if (left <= 0) onLog?.({ pid, line: '(more is not shown)' })
  }
  stderr.setEncoding('utf8')
  stderr.on('data', (text: string) => {
    const [first = '', ...others] = text.split('\n')
    line = (line + first).slice(0, MAX_LINE_CHARS)
    for (const next of others) {
      say(line)
      line = next.slice(0, MAX_LINE_CHARS)
    }
  })
  stderr.once('end', () => line !== '' && say(line))
  // a broken pipe of the log is no reason to end a delivery
  stderr.on('error', () => undefined)
}
