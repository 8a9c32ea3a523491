/** Where providers were reached before: a channel knows only their account, from which no peer id can be computed. */
import type { Address } from '../core/ids.ts'
import { readJson, writeJson } from '../node/json-file.ts'

/** providers that are remembered; the oldest go first */
const MAX_PEERS = 500
const MAX_TEXT = 512

export class PeerBook {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** How the provider was named last: a peer id or a multiaddr. A book that cannot be read is an empty one: it only saves typing. */
  async find(provider: Address): Promise<string | undefined> {
    return (await this.#read()).find(([address]) => address === provider)?.[1]
  }

  /** Never fails. */
  async remember(provider: Address, peer: string): Promise<void> {
    const known = await this.#read()
    if (known.some(([address, name]) => address === provider && name === peer)) return
    const others = known.filter(([address]) => address !== provider).slice(-MAX_PEERS + 1)
    await writeJson(this.#path, Object.fromEntries([...others, [provider, peer]])).catch(() => undefined)
  }

  async #read(): Promise<[string, string][]> {
    const content = await readJson(this.#path).catch(() => undefined)
    if (typeof content !== 'object' || content === null) return []
    return Object.entries(content).filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string' && entry[1].length <= MAX_TEXT,
    )
  }
}
