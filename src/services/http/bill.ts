/** What one request may be charged, by the tariff that both ends have signed and by what the answer turns out to be. */
import { TallyError } from '../../core/errors.ts'
import type { PaidSession, PaidStream } from '../../ports/service.ts'
import type { AnswerHead } from './head.ts'
import { costOf, decodeTariff, type RouteCost, type Tariff } from './tariff.ts'
import { UsageReader } from './usage.ts'

interface Asked {
  readonly method: string
  readonly path: string
}

// The terms of a session never change, and every request asks what it costs.
const tariffs = new WeakMap<Uint8Array, Tariff>()

function tariffOf(content: Uint8Array): Tariff {
  const tariff = tariffs.get(content) ?? decodeTariff(content)
  tariffs.set(content, tariff)
  return tariff
}

export class Bill {
  stream: PaidStream | undefined
  readonly #cost: RouteCost
  readonly #chargeFailures: boolean
  #calls = 0
  #units = 0n
  #usage: UsageReader | undefined

  /** @throws TallyError PRICE_TOO_HIGH when the route counts as more than the call allows, CONTENT_WRONG when the terms are not those of this service */
  constructor({ content, callLimits: limits }: PaidSession, { method, path }: Asked) {
    const tariff = tariffOf(content)
    this.#cost = costOf(tariff, { method, path })
    this.#chargeFailures = tariff.chargeFailures
    const { calls, usage } = this.#cost
    const tooMany = (count: bigint, limit: bigint | undefined): boolean => limit !== undefined && count > limit
    if (tooMany(BigInt(calls), limits?.calls) || tooMany(usage?.most ?? 0n, limits?.units))
      throw new TallyError('PRICE_TOO_HIGH', { message: 'this route costs more than the maximum price' })
  }

  onHead(head: AnswerHead): void {
    if (head.status >= 400 && !this.#chargeFailures) return
    const { calls, usage } = this.#cost
    if (usage !== undefined) this.#usage = new UsageReader(usage, head)
    this.#calls = calls
    this.settle()
  }

  onPiece(piece: Uint8Array): void {
    this.#usage?.add(piece)
  }

  /** Only what has come to its end is counted: the provider counts the same bytes. */
  onEnd(): void {
    this.#units = this.#usage?.end() ?? 0n
    this.settle()
  }

  /** Agrees to what is right so far, and never to more than was charged. Each word costs a step of the session: none is said twice. */
  settle(): void {
    if (this.stream === undefined) return
    const { charged, agreed } = this.stream
    const isNew = (kind: 'calls' | 'units', right: bigint): boolean => right > agreed[kind] && charged[kind] > agreed[kind]
    if (isNew('calls', BigInt(this.#calls)) || isNew('units', this.#units))
      this.stream.agree({ calls: this.#calls, units: this.#units })
  }
}
