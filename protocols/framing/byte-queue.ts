/** What libp2p hands over: one run of bytes, or a list of them. A list is known by being iterable, never by its class. */
export type Bytes = Uint8Array | (Iterable<Uint8Array> & { readonly byteLength: number })

/** Runs shorter than this are copied together while nobody reads, because a view costs more memory than they do. */
const SMALL_RUN_BYTES = 1024
const BLOCK_BYTES = 4096

/**
 * A first-in first-out queue of bytes that keeps large runs as they came (no copy) and packs small ones.
 *
 * Packing bounds the memory: a peer that sends single bytes makes us hold at most about three times what it sent, where a
 * list of one-byte views would hold a hundred times as much.
 */
export class ByteQueue {
  #runs: Uint8Array[] = []
  #head = 0
  /** Bytes of the first run that are already taken. */
  #offset = 0
  #length = 0
  /** Bytes used in the last run, when that run is a block of ours with room behind it. */
  #block: { readonly bytes: Uint8Array; used: number } | undefined

  /** Bytes waiting. */
  get byteLength(): number {
    return this.#length
  }

  /** Adds bytes at the end. The queue keeps views on them: the caller gives them away. */
  push(bytes: Bytes): void {
    if (bytes instanceof Uint8Array) this.#pushRun(bytes)
    else for (const run of bytes) this.#pushRun(run)
  }

  /** The next four bytes as a big-endian unsigned number; undefined while there are fewer. Takes nothing. */
  peekUint32(): number | undefined {
    if (this.#length < 4) return undefined
    let value = 0
    let index = this.#head
    let at = this.#offset
    for (let n = 0; n < 4; n++) {
      let run = this.#run(index)
      while (at >= run.byteLength) {
        at = 0
        run = this.#run(++index)
      }
      value = value * 256 + (run[at++] ?? 0)
    }
    return value
  }

  /** Drops `count` bytes from the front. The caller has checked that they are there. */
  skip(count: number): void {
    this.#length -= count
    let left = count
    while (left > 0) {
      const here = this.#run(this.#head).byteLength - this.#offset
      if (left < here) {
        this.#offset += left
        return
      }
      left -= here
      this.#dropHead()
    }
  }

  /** Takes exactly `count` bytes: a view when they lie in one run, else a copy. The caller has checked that they are there. */
  take(count: number): Uint8Array {
    if (count === 0) return new Uint8Array(0)
    const head = this.#run(this.#head)
    if (head.byteLength - this.#offset >= count) {
      const view = new Uint8Array(head.buffer, head.byteOffset + this.#offset, count)
      this.skip(count)
      return view
    }
    const copy = new Uint8Array(count)
    let filled = 0
    while (filled < count) {
      const run = this.#run(this.#head)
      const part = Math.min(run.byteLength - this.#offset, count - filled)
      copy.set(run.subarray(this.#offset, this.#offset + part), filled)
      filled += part
      this.skip(part)
    }
    return copy
  }

  /** Takes the first run as it lies there, without a copy; undefined when the queue is empty. */
  takeRun(): Uint8Array | undefined {
    if (this.#length === 0) return undefined
    return this.take(this.#run(this.#head).byteLength - this.#offset)
  }

  /** Forgets everything. */
  clear(): void {
    this.#runs = []
    this.#head = 0
    this.#offset = 0
    this.#length = 0
    this.#block = undefined
  }

  #pushRun(run: Uint8Array): void {
    if (run.byteLength === 0) return
    const block = this.#block
    if (block !== undefined && block.bytes.byteLength - block.used >= run.byteLength) {
      block.bytes.set(run, block.used)
      block.used += run.byteLength
      this.#runs[this.#runs.length - 1] = block.bytes.subarray(0, block.used)
    } else if (run.byteLength < SMALL_RUN_BYTES && this.#length > 0) {
      const bytes = new Uint8Array(BLOCK_BYTES)
      bytes.set(run)
      this.#block = { bytes, used: run.byteLength }
      this.#runs.push(bytes.subarray(0, run.byteLength))
    } else {
      this.#block = undefined
      this.#runs.push(run)
    }
    this.#length += run.byteLength
  }

  #run(index: number): Uint8Array {
    const run = this.#runs[index]
    if (run === undefined) throw new RangeError('byte queue read past its end')
    return run
  }

  #dropHead(): void {
    this.#offset = 0
    this.#head += 1
    if (this.#head === this.#runs.length) {
      this.#runs = []
      this.#head = 0
      this.#block = undefined
    } else if (this.#head > 1024 && this.#head * 2 > this.#runs.length) {
      this.#runs.splice(0, this.#head)
      this.#head = 0
    }
  }
}
