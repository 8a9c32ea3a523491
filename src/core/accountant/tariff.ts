/**
 * What an accountant takes for a link.
 * @see protocols/clearing/SPEC.md section 5
 */
import { type Amount, amount } from '../amount.ts'

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
 * The least unit of the hop in for a unit of the hop out, base units. Rounded once, upwards, for one step: so k steps cost exactly k times
 * that, in whatever order they are folded or claimed.
 *
 * @throws TallyError AMOUNT_INVALID above 2^96 - 1
 */
export function unitIn({ perStep, share }: Pick<Tariff, 'perStep' | 'share'>, unitOut: Amount): Amount {
  const part = unitOut * BigInt(share)
  return amount(unitOut + perStep + (part + MILLION - 1n) / MILLION)
}

/** The least rise of the amount of the hop in, when the next hop asks for `rentOut`. @throws TallyError AMOUNT_INVALID */
export function rentIn({ rent }: Pick<Tariff, 'rent'>, rentOut: Amount): Amount {
  return amount(rent + rentOut)
}
