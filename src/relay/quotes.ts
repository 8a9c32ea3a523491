/** Fees that were promised for a while. In memory: after a restart a request pays what gas costs then, or asks again. */
import { randomBytes } from 'node:crypto'
import type { Amount } from '../core/amount.ts'
import { toHex } from '../core/bytes.ts'
import type { Address } from '../core/ids.ts'

export interface Quoted {
  readonly token: Address
  readonly gas: number
  readonly bytes: number
  readonly fee: Amount
}

/** How long a quote holds, seconds, and how many are remembered. */
export const QUOTE_LIFE_S = 60
const MAX_QUOTES = 4_096

export class Quotes {
  /** in the order of their making */
  readonly #quotes = new Map<string, Quoted & { readonly untilMs: number }>()

  /** Remembers one, and gives its name, 16 bytes. Of too many the oldest is forgotten. */
  add(quoted: Quoted, nowMs: number): Uint8Array {
    const id = Uint8Array.from(randomBytes(16))
    const oldest = this.#quotes.keys().next()
    if (this.#quotes.size >= MAX_QUOTES && oldest.done !== true) this.#quotes.delete(oldest.value)
    this.#quotes.set(toHex(id), { ...quoted, untilMs: nowMs + QUOTE_LIFE_S * 1_000 })
    return id
  }

  /** The quote of that name, as long as it holds. */
  get(id: Uint8Array, nowMs: number): Quoted | undefined {
    const quoted = this.#quotes.get(toHex(id))
    return quoted !== undefined && nowMs <= quoted.untilMs ? quoted : undefined
  }
}
