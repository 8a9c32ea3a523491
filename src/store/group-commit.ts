import { asTallyError, TallyError } from '../core/errors.ts'
import type { StoredOp } from './record.ts'

/** Most that one batch holds, unless a single call is larger: that call then has a batch of its own. */
export const GROUP_LIMITS = { ops: 4096, bytes: 4 * 1024 * 1024 } as const

/** What a store has made durable since it was opened. `commits / batches` says how well calls share their syncs. */
export interface StoreStats {
  readonly commits: number
  readonly ops: number
  readonly batches: number
  /** bytes of keys and values */
  readonly bytes: number
}

interface Call {
  readonly ops: readonly StoredOp[]
  readonly bytes: number
  readonly resolve: () => void
  readonly reject: (error: TallyError) => void
}

/**
 * Lets the calls that arrive while one batch is written share the next one. It owns the queue and is the authority on whether the
 * store still takes commits.
 *
 * The order of calls is kept, and a call is never split. When a batch fails, exactly its callers learn that error; then every queued
 * and later call is refused: a disk that has failed once may have lost what it confirmed, so nothing more may be promised on it.
 */
export class GroupCommit {
  readonly #write: (ops: readonly StoredOp[]) => Promise<void>
  readonly #stats = { commits: 0, ops: 0, batches: 0, bytes: 0 }
  #queue: Call[] = []
  #running: Promise<void> | undefined
  #failure: TallyError | undefined

  /** @param write makes one batch durable, all of it or nothing; never called again before it settles */
  constructor(write: (ops: readonly StoredOp[]) => Promise<void>) {
    this.#write = write
  }

  get stats(): StoreStats {
    return { ...this.#stats }
  }

  /** Resolves when the ops, and those of all earlier calls, are durable. An empty call is a barrier. */
  commit(ops: readonly StoredOp[]): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(refusal(this.#failure))
    return new Promise((resolve, reject) => {
      this.#queue.push({ ops, bytes: bytesOf(ops), resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** Resolves when nothing is queued or being written. Never rejects. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      await endOfTurn()
      await this.#writeGroup(this.#takeGroup())
    }
    this.#running = undefined
  }

  #takeGroup(): Call[] {
    let count = 0
    let ops = 0
    let bytes = 0
    for (const call of this.#queue) {
      ops += call.ops.length
      bytes += call.bytes
      if (count > 0 && (ops > GROUP_LIMITS.ops || bytes > GROUP_LIMITS.bytes)) break
      count += 1
    }
    return this.#queue.splice(0, count)
  }

  async #writeGroup(group: readonly Call[]): Promise<void> {
    const ops = group.flatMap((call) => call.ops)
    try {
      if (ops.length > 0) await this.#write(ops)
    } catch (thrown) {
      const failure = asTallyError(thrown)
      this.#failure = failure
      for (const call of group) call.reject(failure)
      for (const call of this.#queue.splice(0)) call.reject(refusal(failure))
      return
    }
    this.#count(group, ops.length)
    for (const call of group) call.resolve()
  }

  #count(group: readonly Call[], ops: number): void {
    this.#stats.commits += group.length
    this.#stats.ops += ops
    if (ops > 0) this.#stats.batches += 1
    for (const call of group) this.#stats.bytes += call.bytes
  }
}

function bytesOf(ops: readonly StoredOp[]): number {
  let bytes = 0
  for (const op of ops) bytes += op.key.length + (op.type === 'put' ? op.value.length : 0)
  return bytes
}

function refusal(failure: TallyError): TallyError {
  return new TallyError(failure.code, {
    message: `the store takes no more commits since one failed: ${failure.message}`,
    ...(failure.hint === undefined ? {} : { hint: failure.hint }),
    fields: failure.fields,
    cause: failure,
  })
}

/**
 * The end of everything that is ready to run now. Callers whose commit has just resolved often have their next one ready within a
 * few promise steps; without this wait the first of them would get a sync to itself.
 */
function endOfTurn(): Promise<void> {
  return new Promise((resolve) => queueMicrotask(() => process.nextTick(resolve)))
}
