import type { Stream } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'

type Chunk = Parameters<Stream['send']>[0]

/** What noise seals in one message at most, and the header of yamux that goes in front of what is sent. */
const NOISE_PLAINTEXT_BYTES = 65_519
const YAMUX_HEADER_BYTES = 12

/**
 * Bytes that make `messages` full noise messages. A write of 64 KiB makes one that is full and one of 29 bytes, which costs either side
 * nearly as much.
 */
export const packBytes = (messages: number): number => messages * NOISE_PLAINTEXT_BYTES - YAMUX_HEADER_BYTES

/** Joins small writes and cuts large ones into packs, without copies. */
export class Packer {
  readonly #packBytes: number
  #runs: Uint8Array[] = []
  #bytes = 0

  constructor(size: number) {
    this.#packBytes = size
  }

  get byteLength(): number {
    return this.#bytes
  }

  push(chunk: Chunk): void {
    if (chunk instanceof Uint8Array) this.#runs.push(chunk)
    else this.#runs.push(...chunk)
    this.#bytes += chunk.byteLength
  }

  /** The next full pack; undefined while there is less. */
  takeFull(): Chunk | undefined {
    if (this.#bytes < this.#packBytes) return undefined
    const pack: Uint8Array[] = []
    let room = this.#packBytes
    let at = 0
    for (; room > 0; at++) {
      const run = this.#runs[at]
      if (run === undefined) break
      if (run.byteLength > room) {
        pack.push(run.subarray(0, room))
        this.#runs[at] = run.subarray(room)
        break
      }
      pack.push(run)
      room -= run.byteLength
    }
    this.#runs.splice(0, at)
    this.#bytes -= this.#packBytes
    return listOf(pack)
  }

  /** All there is, at most a pack. */
  takeRest(): Chunk | undefined {
    const full = this.takeFull()
    if (full !== undefined || this.#bytes === 0) return full
    const rest = this.#runs
    this.clear()
    return listOf(rest)
  }

  clear(): void {
    this.#runs = []
    this.#bytes = 0
  }
}

function listOf(runs: readonly Uint8Array[]): Chunk {
  const [first] = runs
  return runs.length === 1 && first !== undefined ? first : Uint8ArrayList.fromUint8Arrays([...runs])
}
