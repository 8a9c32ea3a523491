/**
 * Signature checks beside the main thread: a check costs fifteen times what all else of a payment does. The thread that asks takes its share
 * too, and all of it when a worker is slow or gone: nothing waits for a thread that has no processor.
 *
 * This file is also what its workers run.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verify } from '../core/crypto/secp256k1.ts'

/** One check; `isGood` is there once it was made. */
export interface SignatureCheck {
  /** 32 bytes */
  readonly digest: Uint8Array
  /** 65 bytes r | s | v */
  readonly signature: Uint8Array
  /** compressed, 33 bytes */
  readonly publicKey: Uint8Array
  isGood: boolean | undefined
}

const ROLE = 'tallystick signature checks'
const DIGEST_BYTES = 32
const JOB_BYTES = DIGEST_BYTES + SIGNATURE_BYTES + PUBLIC_KEY_BYTES
/** checks that the thread itself makes before it looks at anything else: five milliseconds */
const OWN_SHARE = 64
/** the most that a worker is given at once: what it holds is late by as much */
const MOST_AT_ONCE = 128

/** parts that a worker holds at a time: it goes on with the next one while this thread is busy with its own */
const AT_A_TIME = 2

/** Jobs as they travel: digest | signature | key, one after the other. */
function pack(jobs: readonly SignatureCheck[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(jobs.length * JOB_BYTES)
  jobs.forEach(({ digest, signature, publicKey }, i) => {
    bytes.set(digest, i * JOB_BYTES)
    bytes.set(signature, i * JOB_BYTES + DIGEST_BYTES)
    bytes.set(publicKey, i * JOB_BYTES + DIGEST_BYTES + SIGNATURE_BYTES)
  })
  return bytes
}

/** What a worker does with them: a byte for each, 1 = good. */
function checkPacked(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const good = new Uint8Array(bytes.length / JOB_BYTES)
  for (let i = 0; i < good.length; i++) {
    const [from, signed, key, end] = [0, DIGEST_BYTES, DIGEST_BYTES + SIGNATURE_BYTES, JOB_BYTES].map((at) => i * JOB_BYTES + at)
    good[i] = verify(bytes.subarray(from, signed), bytes.subarray(signed, key), bytes.subarray(key, end)) ? 1 : 0
  }
  return good
}

if (!isMainThread && workerData === ROLE)
  parentPort?.on('message', (bytes: Uint8Array) => {
    const good = checkPacked(bytes)
    parentPort?.postMessage(good, [good.buffer])
  })

/** Checks that were asked for together. */
interface Batch {
  left: number
  readonly done: () => void
}
interface Job {
  readonly check: SignatureCheck
  readonly batch: Batch
}

export interface CheckPoolInit {
  /** workers beside the thread that asks; 0 = none */
  readonly threads: number
  /** a worker is gone; what it held is checked here */
  readonly onLost: (error: unknown) => void
}

/** It owns its workers, which begin with the first work and do not keep the process alive; it ends with `stop`. */
export class CheckPool {
  readonly #init: CheckPoolInit
  /** undefined: not begun yet */
  #workers: Map<Worker, (readonly Job[])[]> | undefined
  /** those that may be given more, as often as they may */
  readonly #ready: Worker[] = []
  #waiting: Job[] = []
  #scheduled = false

  constructor(init: CheckPoolInit) {
    this.#init = init
  }

  /** Makes these checks; resolves when each has its answer. Never rejects. */
  check(checks: readonly SignatureCheck[]): Promise<void> {
    if (checks.length === 0) return Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    const batch = { left: checks.length, done: resolve }
    for (const check of checks) this.#waiting.push({ check, batch })
    this.#schedule()
    return promise
  }

  /** Ends the workers; what waits is checked here. */
  async stop(): Promise<void> {
    this.#workers ??= new Map()
    await Promise.all([...this.#workers.keys()].map((worker) => worker.terminate()))
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.length === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#share()
    })
  }

  /** Gives each idle worker its part, takes its own, and goes on with what is left in the next turn. */
  #share(): void {
    if (this.#waiting.length > OWN_SHARE) {
      this.#workers ??= this.#begin()
      const part = Math.min(MOST_AT_ONCE, Math.ceil(this.#waiting.length / (this.#workers.size + 1)))
      for (const worker of this.#ready.splice(0)) {
        const jobs = this.#waiting.splice(0, part)
        if (jobs.length > 0) this.#give(worker, jobs)
        else this.#ready.push(worker)
      }
    }
    for (const { check, batch } of this.#waiting.splice(0, OWN_SHARE)) {
      check.isGood = verify(check.digest, check.signature, check.publicKey)
      this.#count(batch)
    }
    this.#schedule()
  }

  #give(worker: Worker, jobs: readonly Job[]): void {
    const bytes = pack(jobs.map(({ check }) => check))
    this.#workers?.get(worker)?.push(jobs)
    worker.postMessage(bytes, [bytes.buffer])
  }

  #begin(): Map<Worker, (readonly Job[])[]> {
    const workers = new Map<Worker, (readonly Job[])[]>()
    for (let i = 0; i < this.#init.threads; i++) {
      const worker = new Worker(new URL(import.meta.url), { workerData: ROLE, name: ROLE, execArgv: [] })
      worker.unref()
      worker.on('message', (good: Uint8Array) => this.#answered(worker, good))
      worker.on('error', this.#init.onLost)
      worker.on('exit', () => this.#lost(worker))
      workers.set(worker, [])
      for (let at = 0; at < AT_A_TIME; at++) this.#ready.push(worker)
    }
    return workers
  }

  #answered(worker: Worker, good: Uint8Array): void {
    const parts = this.#workers?.get(worker)
    // one that is gone gets nothing more: what it held is waiting again
    if (parts === undefined) return
    const jobs = parts.shift() ?? []
    jobs.forEach(({ check, batch }, i) => {
      check.isGood = good[i] === 1
      this.#count(batch)
    })
    this.#ready.push(worker)
  }

  #lost(worker: Worker): void {
    const parts = this.#workers?.get(worker) ?? []
    this.#workers?.delete(worker)
    this.#ready.splice(0, this.#ready.length, ...this.#ready.filter((one) => one !== worker))
    this.#waiting.unshift(...parts.flat())
    this.#schedule()
  }

  #count(batch: Batch): void {
    batch.left -= 1
    if (batch.left === 0) batch.done()
  }
}
