/** One child process of the demo, as the parent sees it. */
import { type ChildProcess, fork } from 'node:child_process'
import { extname } from 'node:path'
import { TallyError } from '../../core/errors.ts'
import type { Setup, ToChild, ToParent } from './wire.ts'

type Of<T extends ToParent['type']> = Extract<ToParent, { type: T }>

export class Actor {
  readonly #child: ChildProcess
  readonly #seen: ToParent[] = []
  readonly #waiting = new Set<() => void>()
  #gone = false

  constructor(role: 'provider' | 'consumer' | 'relay', setup: Setup, onMessage: (message: ToParent) => void) {
    // the source in a checkout, the compiled file in a package: the same extension as this file
    const script = new URL(`./${role}${extname(import.meta.filename)}`, import.meta.url)
    this.#child = fork(script, {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      execArgv: process.execArgv,
    })
    this.#child.on('message', (message: ToParent) => {
      this.#seen.push(message)
      onMessage(message)
      this.#wake()
    })
    this.#child.on('exit', () => {
      this.#gone = true
      this.#wake()
    })
    this.tell({ type: 'setup', setup })
  }

  /** The next message of a type that has not been waited for yet. @throws what the child failed with; PEER_UNREACHABLE when it is gone */
  async wait<T extends ToParent['type']>(type: T, timeoutMs = 60_000): Promise<Of<T>> {
    const late = AbortSignal.timeout(timeoutMs)
    for (;;) {
      const at = this.#seen.findIndex((message) => message.type === type)
      if (at >= 0) return this.#seen.splice(at, 1)[0] as Of<T>
      const failed = this.#seen.find((message) => message.type === 'failed')
      if (failed?.type === 'failed') throw new TallyError('PEER_UNREACHABLE', { message: `${failed.code}: ${failed.message}` })
      if (this.#gone)
        throw new TallyError('PEER_UNREACHABLE', { message: `a process of the demo ended before it said "${type}"` })
      if (late.aborted)
        throw new TallyError('PEER_UNREACHABLE', {
          message: `a process of the demo did not say "${type}" within ${timeoutMs / 1000} s`,
        })
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve)
        late.addEventListener('abort', () => resolve(), { once: true })
      })
    }
  }

  /** Every message of a type so far. */
  all<T extends ToParent['type']>(type: T): Of<T>[] {
    return this.#seen.filter((message): message is Of<T> => message.type === type)
  }

  tell(message: ToChild): void {
    if (this.#child.connected) this.#child.send(message)
  }

  /** SIGKILL: no warning, nothing is saved. */
  async kill(): Promise<void> {
    await this.#end(() => this.#child.kill('SIGKILL'))
  }

  /** Ends in order; a child that does not is killed in the end. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 20_000)
    await this.#end(() => this.tell({ type: 'stop' }))
    clearTimeout(timer)
  }

  async #end(how: () => void): Promise<void> {
    if (this.#gone) return
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()))
    how()
    await gone
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }
}
