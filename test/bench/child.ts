/** Processes of the benchmark: the parent asks, the child answers, over the channel that fork makes. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** What a child can be asked, by name. */
export type Answers = Readonly<Record<string, (argument: never) => unknown>>

interface Question {
  readonly id: number
  readonly name: string
  readonly argument: unknown
}

interface Reply {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}

/** A child whose module calls `answer` with an `A`. */
export interface Child<A extends Answers> {
  ask<N extends keyof A & string>(name: N, ...argument: Parameters<A[N]>): Promise<Awaited<ReturnType<A[N]>>>
  /** Ends the process in order, so that a profile is written. */
  stop(): Promise<void>
}

/**
 * Starts a module of this folder as a process. Bigints and byte arrays travel as they are.
 *
 * @param profileDir where the child leaves a CPU profile when it stops
 */
export function start<A extends Answers>(file: string, profileDir?: string): Child<A> {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const profile =
    profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`, `--cpu-prof-name=${profileName(file)}`]
  // the flags of this process are those that bin/tallystick gives a node; those of a test runner are for itself
  const execArgv = [...process.execArgv.filter((flag) => !flag.startsWith('--test')), ...profile]
  return new ForkedChild(fork(path, { execArgv, serialization: 'advanced', stdio: ['ignore', 2, 2, 'ipc'] }), file)
}

const profileName = (file: string): string => `${file.replace(/\W/g, '-')}-${Date.now()}.cpuprofile`

class ForkedChild<A extends Answers> implements Child<A> {
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #next = 1

  constructor(process: ChildProcess, name: string) {
    this.#process = process
    process.on('message', (reply: Reply) => {
      const waiting = this.#waiting.get(reply.id)
      this.#waiting.delete(reply.id)
      if (reply.error === undefined) waiting?.resolve(reply.value)
      else waiting?.reject(new Error(`${name}: ${reply.error}`))
    })
    process.once('exit', (code) => {
      for (const waiting of this.#waiting.values()) waiting.reject(new Error(`${name} ended with code ${code}`))
    })
  }

  async ask<N extends keyof A & string>(name: N, ...[argument]: Parameters<A[N]>): Promise<Awaited<ReturnType<A[N]>>> {
    const waiting = Promise.withResolvers<unknown>()
    const question: Question = { id: this.#next++, name, argument }
    this.#waiting.set(question.id, waiting)
    this.#process.send(question)
    return (await waiting.promise) as Awaited<ReturnType<A[N]>>
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return
    const gone = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()))
    this.#process.disconnect()
    await gone
  }
}

/** The child's side: answers until the parent lets go. */
export function answer(answers: Answers): void {
  process.on('message', (question: Question) => {
    reply(answers, question).then(
      (value) => process.send?.({ id: question.id, value } satisfies Reply),
      (thrown: unknown) => process.send?.({ id: question.id, error: describe(thrown) } satisfies Reply),
    )
  })
  process.once('disconnect', () => process.exit(0))
}

async function reply(answers: Answers, { name, argument }: Question): Promise<unknown> {
  const run = answers[name] as ((argument: unknown) => unknown) | undefined
  if (run === undefined) throw new Error(`nobody answers ${name}`)
  return await run(argument)
}

function describe(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
}
