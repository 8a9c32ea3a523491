import type { Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { TallyError } from '../../core/errors.ts'
import type { ServiceAdapter, ServiceAnswer, ServiceCall } from '../../ports/service.ts'
import { abortError, refuseAborted } from '../abort.ts'
import type { Program, ProgramEnd, ProgramLog } from '../program.ts'
import { ownEnvironment, ProgramLives } from '../program-lives.ts'
import { prepareWordless, refuseWords } from '../wordless.ts'
import { type CallEnd, encodeRecord, MAX_LOG_BYTES } from './records.ts'
import { signalNumber } from './signals.ts'

export interface ExecInit {
  /** the program, by path or name, and its words: the provider's own, always the same */
  readonly command: string
  readonly args?: readonly string[]
  readonly cwd?: string
  /** the whole environment of the program. @default this process's own, without TALLYSTICK_* */
  readonly env?: NodeJS.ProcessEnv
  /** how long one call may take, waiting for payments included. @default 60,000 */
  readonly maxMs?: number
  /** the most memory that each process of a call may have (its address space). @default no limit but the system's */
  readonly maxMemoryBytes?: number
  /** calls at the same time, over all sessions. @default 16 */
  readonly maxPrograms?: number
  /** whether a consumer is told the last 4,096 bytes of the standard error. @default false: there may be something in it that is not for sale */
  readonly tellsLog?: boolean
  /** how long a program that was told to stop may take before it is killed. @default 2,000 */
  readonly killGraceMs?: number
  /** what programs write to their standard error: at most 64 KiB of each, in lines of at most 1,024 characters */
  readonly onLog?: (entry: ProgramLog) => void
}

const ALWAYS = 'its program is always the same, and reads its input'
/** the words come as words: nothing in them is ever read by the shell */
const LIMITED = 'ulimit -c 0; ulimit -v "$1" || exit 126; shift; exec "$@"'

/**
 * Sells runs of a program: each data stream is one run. What the consumer sends is its standard input and nothing else; its standard
 * output comes back, then how it ended. It is a process group of its own, stopped with all that it started when its time is over or the
 * consumer leaves.
 *
 * A call is one run, charged once the program has started, whatever it makes of it.
 */
export function execService(init: ExecInit): ServiceAdapter {
  return new ExecService(init)
}

class ExecService implements ServiceAdapter {
  readonly kind = 'exec'
  readonly inputs = 'the standard input of the program'
  readonly outputs = 'its standard output, then how it ended'
  readonly charges = ['up', 'calls'] as const
  readonly costly = true
  readonly #init: ExecInit
  readonly slots: number
  readonly #lives: ProgramLives
  readonly #closing = new AbortController()

  constructor(init: ExecInit) {
    this.#init = init
    this.slots = init.maxPrograms ?? 16
    this.#lives = new ProgramLives(this.slots)
  }

  async prepare(inputs: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    return prepareWordless(inputs, ALWAYS, signal)
  }

  async open(call: ServiceCall): Promise<ServiceAnswer> {
    refuseWords(call.request, ALWAYS)
    const signal = AbortSignal.any([call.signal, this.#closing.signal])
    refuseAborted(signal)
    const reserved = await call.reserve({ calls: 1 })
    try {
      const program = await this.#start(signal)
      reserved.debit()
      return { info: new Uint8Array(), free: false, body: new Run(program, this.#init).body(call.input, signal) }
    } catch (thrown) {
      reserved.release()
      throw thrown
    }
  }

  /** Resolves when every program is gone. */
  async close(): Promise<void> {
    this.#closing.abort(new TallyError('SHUTTING_DOWN'))
    await this.#lives.gone()
  }

  async #start(signal: AbortSignal): Promise<Program> {
    const { command, args = [], cwd, env = ownEnvironment(), maxMemoryBytes, killGraceMs = 2_000, onLog } = this.#init
    const limited = maxMemoryBytes !== undefined
    const words = limited ? ['-c', LIMITED, 'sh', `${Math.floor(maxMemoryBytes / 1024)}`, command, ...args] : args
    const options = { ...(cwd !== undefined && { cwd }), ...(onLog && { onLog }) }
    const init = {
      command: limited ? '/bin/sh' : command,
      args: words,
      env,
      shell: false,
      takesInput: true,
      killGraceMs,
      ...options,
    }
    return await this.#lives.start(init, signal)
  }
}

/** One call. */
class Run {
  readonly #program: Program
  readonly #init: ExecInit
  #isLate = false
  #timer: NodeJS.Timeout | undefined

  constructor(program: Program, init: ExecInit) {
    this.#program = program
    this.#init = init
  }

  /** Feeds the program from now on; the records of what it makes of it, as fast as they are pulled. */
  body(input: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const program = this.#program
    this.#timer = setTimeout(() => this.#onLate(), this.#init.maxMs ?? 60_000)
    signal.addEventListener('abort', () => clearTimeout(this.#timer), { once: true })
    // a consumer that hangs up wants no answer
    if (program.input !== undefined) feed(input, program.input).catch(() => program.stop())
    return this.#records(signal)
  }

  /** What it has written by now may still be taken, for a moment: something that it started may hold its output open for ever. */
  #onLate(): void {
    this.#isLate = true
    this.#program.end()
    this.#timer = setTimeout(() => this.#program.stop(), 2 * (this.#init.killGraceMs ?? 2_000))
  }

  async *#output(): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of this.#program.output) yield encodeRecord({ type: 'output', bytes: piece as Uint8Array })
    } catch (thrown) {
      if (!this.#isLate) throw thrown
    }
  }

  async *#records(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const program = this.#program
    try {
      yield* this.#output()
      const end = await program.ended
      if (signal.aborted) throw abortError(signal)
      if (this.#init.tellsLog === true) {
        await this.#logged()
        const tail = new TextEncoder().encode(program.logTail).slice(-MAX_LOG_BYTES)
        if (tail.length > 0) yield encodeRecord({ type: 'log', tail })
      }
      yield encodeRecord({ type: 'end', end: this.#isLate ? { how: 'time' } : endOf(end) })
    } catch (thrown) {
      if (signal.aborted) throw abortError(signal)
      throw thrown instanceof TallyError
        ? thrown
        : new TallyError('SERVICE_FAILED', { message: 'its output broke off', cause: thrown })
    } finally {
      clearTimeout(this.#timer)
      program.stop()
    }
  }

  /** What left the group may hold the log open for ever. */
  async #logged(): Promise<void> {
    const enough = new AbortController()
    const patience = delay(this.#init.killGraceMs ?? 2_000, undefined, { signal: enough.signal }).catch(() => undefined)
    await Promise.race([this.#program.logged, patience])
    enough.abort()
  }
}

/** Hands the consumer's bytes on as fast as the program reads; one that reads no more is fed no more. Throws what the input throws. */
async function feed(input: AsyncIterable<Uint8Array>, program: Writable): Promise<void> {
  for await (const piece of input) {
    const isTaken = await new Promise<boolean>((resolve) => program.write(piece, (error) => resolve(!error)))
    if (!isTaken) return
  }
  program.end()
}

function endOf({ code, signal }: ProgramEnd): CallEnd {
  return code === null ? { how: 'signal', signal: signalNumber(signal) } : { how: 'exit', code: code & 0xff }
}
