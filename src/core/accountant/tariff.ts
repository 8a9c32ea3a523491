/**
 * What an accountant takes for a link.
 * @see protocols/clearing/SPEC.md section 5
 */
import type { Amount } from '../amount.ts'

export interface Tariff {
  /** it forwards; otherwise it is only paid, and the rest of the fees is zero */
  readonly forwards: boolean
  /** base units for each step */
  readonly perStep: Amount
  /** millionths of the unit that is promised outwards */
  readonly share: number
  /** base units for each link, whatever becomes of it */
  readonly rent: Amount
  /** the longest that a lock may still have to run, seconds */
  readonly longestS: number
  /** what the payee needs between the last word that it may learn and its own expiry, seconds */
  readonly marginS: number
}

const MILLION = 1_000_000n

/**
 * The least unit of the hop in for a unit of the hop out, base units; may be beyond any amount. Rounded once, upwards, for one step: so k steps
 * cost exactly k times that, in whatever order they are folded or claimed.
 */
export function unitIn({ perStep, share }: Pick<Tariff, 'perStep' | 'share'>, unitOut: Amount): bigint {
  return unitOut + perStep + (unitOut * BigInt(share) + MILLION - 1n) / MILLION
}
