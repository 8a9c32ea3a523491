// A disk with a queue: batches become durable one after the other, and a crash loses those that are not.
import { ByteReader, ByteWriter } from '../../src/core/bytes.ts'
import type { RecordCodec } from '../../src/session/record-codecs.ts'

interface Batch {
  readonly puts: readonly (readonly [key: string, value: Uint8Array])[]
  readonly then: () => void
}

export class Disk {
  readonly #durable = new Map<string, Uint8Array>()
  #queue: Batch[] = []

  get busy(): boolean {
    return this.#queue.length > 0
  }

  commit(puts: Batch['puts'], then: () => void): void {
    this.#queue.push({ puts, then })
  }

  /** The oldest batch is durable now. */
  sync(): void {
    const batch = this.#queue.shift()
    if (batch === undefined) return
    for (const [key, value] of batch.puts) this.#durable.set(key, value)
    batch.then()
  }

  /** What is in flight is lost, and so is whoever waited for it. */
  crash(): void {
    this.#queue = []
  }

  read<T>(prefix: string, codec: RecordCodec<T>): T[] {
    return [...this.#durable].filter(([key]) => key.startsWith(prefix)).map(([, value]) => {
      const reader = new ByteReader(value)
      const record = codec.read(reader)
      reader.end()
      return record
    }) // biome-ignore format: a pipeline
  }
}

export function record<T>(key: string, codec: RecordCodec<T>, value: T): readonly [string, Uint8Array] {
  const writer = new ByteWriter(512)
  codec.write(writer, value)
  return [key, writer.finish()]
}
