/**
 * Which of several checked offers is bought first, and why. Whole numbers only, so that every machine ranks alike; a place in the order
 * depends on the set of offers and on nothing else.
 */
import type { Amount } from './amount.ts'
import type { Meter, MeterKind } from './meter.ts'
import type { Offer } from './offer.ts'
import { comparePrices, type Price } from './price.ts'

/** What the ledger's registry says of an offer's service. `breaks`: the offer is worse than what its provider registered, or another. */
export type Stake = 'none' | 'kept' | 'breaks'

/** What this node has seen of a provider in the sessions it paid for. */
export interface TradeRecord {
  /** sessions that ended with a receipt of both */
  readonly completed: number
  /** sessions that ended by a fault of the provider, or that it could not go on with */
  readonly failed: number
  /** signed for all of them, base units */
  readonly paid: Amount
}

export const NO_RECORD: TradeRecord = { completed: 0, failed: 0, paid: 0n as Amount }

export interface Candidate {
  readonly offer: Offer
  /** how long the provider took to answer, ms; anything that is no time counts as the longest */
  readonly tookMs: number
  readonly stake: Stake
  readonly record: TradeRecord
  /** what this node has reserved for the provider already and not promised, base units */
  readonly free: Amount
}

export const CRITERIA = ['price', 'record', 'latency', 'demands', 'stake'] as const
export type Criterion = (typeof CRITERIA)[number]

/** Points of each criterion, 0 to its weight, in millionths; the offer with the most in all comes first. */
export type Points = { readonly [criterion in Criterion]: number }

export interface Ranked<T extends Candidate> {
  readonly candidate: T
  readonly points: Points
  /** the sum of the points: at most 100 million */
  readonly score: number
}

/** Points of a hundred. */
export const WEIGHTS: Points = { price: 50, record: 20, latency: 10, demands: 10, stake: 10 }

/** What prices of different rates are compared by: this much of everything. */
export const BASKET: Meter = { down: 64n << 20n, up: 64n << 20n, ms: 60_000n, calls: 100n, units: 100n }

const MILLION = 1_000_000
/** the answer that is worth half the points, ms */
const HALF_LATENCY_MS = 200
const LONGEST_MS = 3_600_000
/** the time to the expiry of a reservation that is worth half the points, s */
const HALF_EXPIRY_S = 86_400

/**
 * The best first. A total order: offers that earn the same points go by price, latency, provider, service and sequence. One that breaks
 * what its provider registered comes after all others, whatever it promises. Never throws on anything that `checkOffer` lets through.
 */
export function rankOffers<T extends Candidate>(candidates: readonly T[]): Ranked<T>[] {
  const costs = new Map(candidates.map((candidate) => [candidate, basketCost(candidate.offer.price)]))
  const cost = (candidate: T): bigint => costs.get(candidate) ?? 0n
  const rivals = candidates.filter(({ stake }) => stake !== 'breaks')
  const least = (values: readonly bigint[]): bigint => values.reduce((a, b) => (a < b ? a : b), values[0] ?? 0n)
  const cheapest = least((rivals.length > 0 ? rivals : candidates).map(cost))
  const ranked = candidates.map((candidate): Ranked<T> => {
    const points = pointsOf(candidate, share(cheapest, cost(candidate)))
    return { candidate, points, score: CRITERIA.reduce((sum, criterion) => sum + points[criterion], 0) }
  })
  return ranked.sort((a, b) => {
    const [one, other] = [a.candidate, b.candidate]
    return (
      Number(one.stake === 'breaks') - Number(other.stake === 'breaks') ||
      b.score - a.score ||
      order(cost(one), cost(other)) ||
      order(time(one.tookMs), time(other.tookMs)) ||
      order(one.offer.provider, other.offer.provider) ||
      order(one.offer.service, other.offer.service) ||
      order(other.offer.sequence, one.offer.sequence)
    )
  })
}

/** One line that says why the first came first. Empty where there is none. */
export function whyFirst(ranked: readonly Ranked<Candidate>[]): string {
  const [first, second] = ranked
  if (first === undefined) return ''
  if (first.candidate.stake === 'breaks') return 'no offer keeps what its provider registered on chain'
  if (second === undefined) return 'the only offer'
  if (second.candidate.stake === 'breaks') return 'the only offer that keeps what its provider registered on chain'
  const leads = CRITERIA.map((criterion) => ({ criterion, lead: first.points[criterion] - second.points[criterion] }))
  const ahead = leads.filter(({ lead }) => lead > 0).sort((a, b) => b.lead - a.lead)
  if (ahead.length === 0) return `as good as the next of ${ranked.length}: the order of their addresses decided`
  const named = ahead.slice(0, 2).map(({ criterion }) => reason(criterion, first.candidate, second.candidate))
  return `the best of ${ranked.length}: ${named.join(' and ')} than the next`
}

/**
 * What the basket costs in millionths of a base unit, rounded down; exact on any figures. The dearest rate of each kind counts, whatever
 * it holds from: else a price could buy its place with a free first part that is smaller than what is bought.
 */
export function basketCost({ rates }: Price): bigint {
  const most = new Map<MeterKind, bigint>()
  for (const { kind, amount, per } of rates) {
    const cost = (amount * BASKET[kind] * BigInt(MILLION)) / per
    if (cost > (most.get(kind) ?? 0n)) most.set(kind, cost)
  }
  return [...most.values()].reduce((sum, cost) => sum + cost, 0n)
}

function pointsOf({ offer, tookMs, stake, record, free }: Candidate, price: number): Points {
  const reserved = offer.minReservation <= free ? MILLION : share(free, offer.minReservation)
  const lasting = Math.floor((MILLION * HALF_EXPIRY_S) / (HALF_EXPIRY_S + offer.minTimeToExpiry))
  // one failure weighs as much as two sessions that went well; nobody knows a stranger: half
  const tries = record.completed + 2 * record.failed
  return {
    price: WEIGHTS.price * price,
    record: WEIGHTS.record * Math.floor((MILLION * (record.completed + 1)) / (tries + 2)),
    latency: WEIGHTS.latency * Math.floor((MILLION * HALF_LATENCY_MS) / (HALF_LATENCY_MS + time(tookMs))),
    demands: WEIGHTS.demands * Math.floor((reserved + lasting) / 2),
    stake: stake === 'kept' ? WEIGHTS.stake * MILLION : 0,
  }
}

/** least / value in millionths; both may be zero */
function share(least: bigint, value: bigint): number {
  return least >= value ? MILLION : Number(((least + 1n) * BigInt(MILLION)) / (value + 1n))
}

/** A whole number of ms. */
function time(ms: number): number {
  return ms >= 0 && ms < LONGEST_MS ? Math.round(ms) : LONGEST_MS
}

function order<V extends bigint | number | string>(a: V, b: V): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function reason(criterion: Criterion, first: Candidate, second: Candidate): string {
  if (criterion === 'price')
    return comparePrices(first.offer.price, second.offer.price) === -1 ? 'a lower price' : 'a lower price of a mixed basket'
  if (criterion === 'record') return second.record.failed > first.record.failed ? 'fewer failures' : 'a better record with us'
  if (criterion === 'latency') return 'a quicker answer'
  return criterion === 'demands' ? 'lower demands' : 'more at stake on chain'
}
