/** Whom a purchase may buy from, one after the other. */
import type { Address } from '../../core/ids.ts'
import type { Found } from '../../discovery/market.ts'

export interface CandidatesInit {
  readonly found: Found
  readonly others: readonly Found[]
  /** how many may be bought from */
  readonly most: number
  /** the best first. @throws when nobody is found */
  readonly lookAgain: () => Promise<readonly Found[]>
}

export class Candidates {
  readonly #init: CandidatesInit
  readonly #tried: Set<Address>
  #others: readonly Found[]
  #isAlone = false

  constructor(init: CandidatesInit) {
    this.#init = init
    this.#tried = new Set([init.found.provider])
    this.#others = init.others
  }

  /** Whether another one may take the place of the present one. */
  get isOpen(): boolean {
    return !this.#isAlone && this.#tried.size < this.#init.most
  }

  /** The present one delivers: when it fails again, others may have come by then. */
  moved(): void {
    this.#isAlone = false
  }

  /** The best one that was not tried, which is looked for once more when none is known; undefined: there is none now. */
  async next(): Promise<Found | undefined> {
    if (!this.isOpen) return undefined
    this.#others = this.#untried(this.#others)
    if (this.#others.length === 0) this.#others = this.#untried(await this.#init.lookAgain().catch(() => []))
    const [next] = this.#others
    if (next === undefined) this.#isAlone = true
    else this.#tried.add(next.provider)
    return next
  }

  #untried(found: readonly Found[]): Found[] {
    return found.filter(({ provider }) => !this.#tried.has(provider))
  }
}
