/** The programs of one service that are running: how many may, and that all are gone in the end. */
import { TallyError } from '../core/errors.ts'
import { Program, type ProgramInit } from './program.ts'

export class ProgramLives {
  readonly #most: number
  /** one for each program, from before its start until it is gone */
  readonly #lives = new Set<Promise<unknown>>()

  constructor(most: number) {
    this.#most = most
  }

  /** Starts a program that is stopped when `signal` says so. @throws TallyError BUSY, SERVICE_FAILED */
  async start(init: ProgramInit, signal: AbortSignal): Promise<Program> {
    if (this.#lives.size >= this.#most) {
      throw new TallyError('BUSY', {
        message: `${this.#most} programs of this service are running already`,
        fields: { max_programs: this.#most },
      })
    }
    const starting = Program.start(init)
    const life = starting.then((program) => stopWith(signal, program))
    this.#lives.add(life)
    const over = () => this.#lives.delete(life)
    life.then(over, over)
    return await starting
  }

  /** Resolves when every program is gone. */
  async gone(): Promise<void> {
    await Promise.allSettled(this.#lives)
  }
}

/** Stops the program when the signal says so; resolves when the program is gone. */
async function stopWith(signal: AbortSignal, program: Program): Promise<void> {
  const stop = () => program.stop()
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  await program.ended
  signal.removeEventListener('abort', stop)
}

/** The environment of this process without TALLYSTICK_*: there may be a password in it. */
export function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TALLYSTICK_')))
}
