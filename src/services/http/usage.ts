/** Reads a count out of the JSON of an answer. Both ends read the same bytes, so they come to the same count. @see protocols/http/SPEC.md */
import type { AnswerHead } from './head.ts'
import type { Usage } from './tariff.ts'

const PATH = /^\$(?:\.[A-Za-z_][A-Za-z0-9_-]{0,63}|\[\d{1,4}\]){1,8}$/
const STEP = /\.([A-Za-z_][A-Za-z0-9_-]*)|\[(\d+)\]/g

/** what of an answer, or of one event of it, is read at most */
const MAX_JSON_BYTES = 1024 * 1024

export const isUsagePath = (path: string): boolean => path.length <= 255 && PATH.test(path)

/** Reads along while an answer passes: a JSON text, or the last event of a stream of events that names the count. */
export class UsageReader {
  readonly #usage: Usage
  readonly #events: boolean
  #kept: Uint8Array[] = []
  #size = 0
  #found: bigint | undefined

  constructor(usage: Usage, head: AnswerHead) {
    this.#usage = usage
    const type = head.headers.find(([name]) => name === 'content-type')?.[1] ?? ''
    this.#events = type.toLowerCase().startsWith('text/event-stream')
  }

  add(piece: Uint8Array): void {
    if (!this.#events) return this.#keep(piece)
    for (let from = 0; from < piece.length; ) {
      const end = piece.indexOf(10, from)
      this.#keep(piece.subarray(from, end < 0 ? piece.length : end))
      if (end < 0) return
      this.#line()
      from = end + 1
    }
  }

  /** The count of the whole answer, never more than the most; the most when the answer does not say it: else whoever asks so that it is left out pays nothing. */
  end(): bigint {
    if (this.#events) this.#line()
    else this.#look(this.#take())
    const { most } = this.#usage
    return this.#found !== undefined && this.#found < most ? this.#found : most
  }

  #keep(piece: Uint8Array): void {
    this.#size += piece.length
    // a copy: the piece may be a part of something large
    if (this.#size <= MAX_JSON_BYTES) this.#kept.push(piece.slice())
    else this.#kept = []
  }

  #take(): string {
    const text = this.#size > MAX_JSON_BYTES ? '' : Buffer.concat(this.#kept).toString('utf8')
    this.#kept = []
    this.#size = 0
    return text
  }

  #line(): void {
    const line = this.#take()
    if (line.startsWith('data:')) this.#look(line.slice(5))
  }

  #look(text: string): void {
    if (!text.includes('{') && !text.includes('[')) return
    try {
      this.#found = countAt(JSON.parse(text), this.#usage.path) ?? this.#found
    } catch {
      // not JSON: it says nothing
    }
  }
}

/** Parts of a unit count as a whole one. */
function countAt(value: unknown, path: string): bigint | undefined {
  let at: unknown = value
  for (const [, name, index] of path.matchAll(STEP)) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name ?? Number(index))) return undefined
    at = (at as Record<string, unknown>)[name ?? Number(index)]
  }
  if (typeof at !== 'number' || !(at >= 0 && at <= Number.MAX_SAFE_INTEGER)) return undefined
  return BigInt(Math.ceil(at))
}
