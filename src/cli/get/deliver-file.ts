/** Buys one file of a `files` service into a local file, or to stdout. */
import { stat } from 'node:fs/promises'
import { toHex } from '../../core/bytes.ts'
import type { SessionId } from '../../core/ids.ts'
import type { PayerSession } from '../../core/session/payer.ts'
import type { NodeSession } from '../../node/node-session.ts'
import { decodeContent } from '../../services/files/content.ts'
import { fetchFile, saveFile } from '../../services/files/index.ts'
import type { Delivery } from './delivery.ts'
import type { ProgressNotes } from './progress-note.ts'
import type { Sink } from './sink.ts'

export interface FileDeliveryInit {
  readonly path: string
  /** absolute */
  readonly to: string
  readonly overwrite: boolean
  readonly root: Uint8Array | undefined
  readonly notes: ProgressNotes
  readonly signal: AbortSignal
}

/** What is known of the file while it comes. */
export interface FileState {
  readonly bytes: number
  readonly size: number | undefined
}

export class FileDelivery implements Delivery {
  readonly again = true
  readonly movable = true
  readonly #init: FileDeliveryInit
  /** of the file that has begun to come: another provider must have the very same */
  #root: Uint8Array | undefined
  state: FileState = { bytes: 0, size: undefined }
  /** 0x and 64 hex digits, when the file is complete */
  sha256: string | undefined

  constructor(init: FileDeliveryInit) {
    this.#init = init
  }

  async used({ id, terms }: PayerSession): Promise<bigint | undefined> {
    const note = await this.#init.notes.read(id)
    if (note === undefined || note.to !== this.#init.to || terms === undefined) return undefined
    const kept = await this.#kept(terms.content)
    return kept > note.before ? BigInt(kept - note.before) : 0n
  }

  async run(session: NodeSession): Promise<void> {
    const { path, to, overwrite, notes, signal } = this.#init
    const root = this.#init.root ?? this.#root
    const kept = await this.#kept(session.content)
    await notes.write(session.id, { to, before: kept - Number(session.figures.delivered.down) })
    const own = rootOf(session)
    const onProgress = (state: FileState): void => {
      this.state = state
      this.#root ??= own
    }
    const saved = await saveFile(session, { path, to, overwrite, ...(root !== undefined && { root }) }, { signal, onProgress })
    this.state = { bytes: saved.bytes, size: saved.bytes }
    this.sha256 = toHex(saved.sha256)
  }

  async over(session: SessionId): Promise<void> {
    await this.#init.notes.remove(session)
  }

  /** Bytes of whole chunks in the unfinished file; what a crash left behind them is bought again. */
  async #kept(terms: Uint8Array): Promise<number> {
    const content = decodeContent(terms)
    if (content.kind !== 'file') return 0
    const { size = 0 } = await stat(`${this.#init.to}.part`).catch(() => ({ size: 0 }))
    this.state = { bytes: Math.min(size, content.size), size: content.size }
    return size >= content.size ? content.size : Math.floor(size / content.chunkBytes) * content.chunkBytes
  }
}

export interface PipedFileInit extends Pick<FileDeliveryInit, 'path' | 'root' | 'signal'> {
  readonly sink: Sink
}

/** The same to a sink that cannot be read back: it goes on where it was within one run only. */
export class PipedFileDelivery implements Delivery {
  readonly again = true
  readonly movable = true
  readonly sha256 = undefined
  readonly #init: PipedFileInit
  #root: Uint8Array | undefined
  state: FileState = { bytes: 0, size: undefined }

  constructor(init: PipedFileInit) {
    this.#init = init
  }

  async used(): Promise<undefined> {
    return undefined
  }

  async run(session: NodeSession): Promise<void> {
    const { path, signal, sink } = this.#init
    const root = this.#init.root ?? this.#root
    const own = rootOf(session)
    const range = await fetchFile(session, { path, offset: this.state.bytes, ...(root !== undefined && { root }) }, { signal })
    for await (const piece of range) {
      if (!(await sink.write(piece))) return
      this.state = { bytes: this.state.bytes + piece.length, size: range.file.size }
      this.#root ??= own
    }
  }

  async over(): Promise<void> {
    // nothing is kept between runs
  }
}

function rootOf({ content }: NodeSession): Uint8Array | undefined {
  const described = decodeContent(content)
  return described.kind === 'file' ? described.root : undefined
}
