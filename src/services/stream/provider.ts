import { TallyError } from '../../core/errors.ts'
import type { ServiceAdapter, ServiceAnswer, ServiceCall } from '../../ports/service.ts'
import { abortError, refuseAborted, unlessAborted } from '../abort.ts'
import type { Program, ProgramLog } from '../program.ts'
import { ownEnvironment, ProgramLives } from '../program-lives.ts'
import { prepareWordless, refuseWords } from '../wordless.ts'
import { FanOut, type FanOutInit } from './fan-out.ts'

export interface StreamInit {
  /** the program, by path or name; with `shell`, a line for the shell */
  readonly command: string
  readonly args?: readonly string[]
  readonly cwd?: string
  /** the whole environment of the program. @default this process's own, without TALLYSTICK_* (there may be a password in it) */
  readonly env?: NodeJS.ProcessEnv
  /** @default false */
  readonly shell?: boolean
  /** how long a program that was told to stop may take before it is killed. @default 2,000 */
  readonly killGraceMs?: number
  /** programs at the same time, over all sessions. @default 64 */
  readonly maxPrograms?: number
  /**
   * One run for all: it begins with the first data stream and is stopped after the last, and each data stream gives what is written from
   * when it was opened. A payer that falls further behind the others than its buffer is cut; it slows nobody. @default false
   */
  readonly shared?: boolean | FanOutInit
  /** what programs write to their standard error: at most 64 KiB of each, in lines of at most 1,024 characters */
  readonly onLog?: (entry: ProgramLog) => void
}

const ALWAYS = 'its program is always the same'

/**
 * Sells what a program writes to its standard output. Every data stream runs the program anew, unless it is `shared`; it is
 * stopped, with all that it started, when the stream ends. Nothing that a consumer sends reaches the program: no argument, no input.
 *
 * A program that exits with another code than 0 ends its stream with SERVICE_FAILED, after all that it wrote.
 */
export function streamService(init: StreamInit): ServiceAdapter {
  return new StreamService(init)
}

class StreamService implements ServiceAdapter {
  readonly kind = 'stream'
  readonly inputs = 'nothing'
  readonly outputs: string = 'the bytes that a program writes, from its start on, for each stream anew'
  readonly #init: StreamInit
  readonly #closing = new AbortController()
  readonly #lives: ProgramLives
  readonly #shared: FanOut | undefined

  constructor(init: StreamInit) {
    this.#init = init
    this.#lives = new ProgramLives(init.maxPrograms ?? 64)
    const { shared } = init
    if (shared === undefined || shared === false) return
    this.outputs = 'the bytes that a program writes, from now on, the same for all'
    this.#shared = new FanOut((signal) => this.#run(signal), shared === true ? {} : shared)
  }

  async prepare(inputs: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    return prepareWordless(inputs, ALWAYS, signal)
  }

  async open(call: ServiceCall): Promise<ServiceAnswer> {
    refuseWords(call.request, ALWAYS)
    const signal = AbortSignal.any([call.signal, this.#closing.signal])
    refuseAborted(signal)
    const body = await (this.#shared?.join(signal) ?? this.#run(signal))
    return { info: new Uint8Array(), free: false, body }
  }

  /** Resolves when every program is gone. */
  async close(): Promise<void> {
    this.#closing.abort(new TallyError('SHUTTING_DOWN'))
    await this.#lives.gone()
  }

  get #graceMs(): number {
    return this.#init.killGraceMs ?? 2_000
  }

  async #run(signal: AbortSignal): Promise<AsyncGenerator<Uint8Array>> {
    return outputOf(await this.#start(signal), signal, this.#graceMs)
  }

  #start(signal: AbortSignal): Promise<Program> {
    const { command, args = [], cwd, env = ownEnvironment(), shell = false, onLog } = this.#init
    const options = { ...(cwd !== undefined && { cwd }), ...(onLog && { onLog }) }
    return this.#lives.start({ command, args, env, shell, killGraceMs: this.#graceMs, ...options }, signal)
  }
}

/** What the program writes, as fast as it is pulled; then how it ended. */
async function* outputOf(program: Program, signal: AbortSignal, graceMs: number): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of program.output) yield piece as Uint8Array
    const end = await endWithin(program, graceMs, signal)
    if (end && end.code !== 0) throw failed(end.code === null ? `it was ended by ${end.signal}` : `its exit code was ${end.code}`)
  } catch (thrown) {
    if (signal.aborted) throw abortError(signal)
    throw thrown instanceof TallyError ? thrown : failed('its output broke off', thrown)
  } finally {
    program.stop()
  }
}

/** How the program ended; undefined if it closed its output and then went on living: it has nothing more to sell. */
async function endWithin(program: Program, graceMs: number, signal: AbortSignal) {
  const patience = Promise.withResolvers<undefined>()
  const timer = setTimeout(patience.resolve, graceMs, undefined)
  try {
    return await unlessAborted(Promise.race([program.ended, patience.promise]), signal)
  } finally {
    clearTimeout(timer)
  }
}

function failed(why: string, cause?: unknown): TallyError {
  return new TallyError('SERVICE_FAILED', { message: `the program failed: ${why}`, cause })
}
