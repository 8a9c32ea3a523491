/**
 * How much an owner may owe. Credit belongs to the owner of the money, not to a key or a session: it cannot be multiplied by opening
 * more of them, and it grows only with what was durably paid.
 * @see protocols/session/SPEC.md S8, S9
 */
import type { Amount } from './amount.ts'
import type { Address } from './ids.ts'
import { type Meter, ZERO_METER } from './meter.ts'

/** The payee's account of one owner, in base units of one token. */
export interface OwnerAccount {
  readonly owner: Address
  readonly token: Address
  /** durably paid, all sessions together */
  readonly paid: bigint
  /** acknowledged and never paid */
  readonly debt: Amount
  /** delivered on credit and never acknowledged */
  readonly burnt: Amount
  /** what the newcomers' pool gave */
  readonly grant: Amount
  /** what it had of what prices give for nothing, once for each owner */
  readonly had: Meter
}

export interface CreditPolicy {
  /** which share of what was paid may be owed, in millionths */
  readonly sharePpm: bigint
  /** the most that one owner may ever owe, base units */
  readonly max: Amount
}

export function newOwner(owner: Address, token: Address): OwnerAccount {
  return { owner, token, paid: 0n, debt: 0n as Amount, burnt: 0n as Amount, grant: 0n as Amount, had: ZERO_METER }
}

/** The most that this owner may owe right now, over all its sessions, in base units. Zero while it owes from before. */
export function creditLimit(account: OwnerAccount, policy: CreditPolicy): Amount {
  if (account.debt > 0n) return 0n as Amount
  const earned = account.grant + (account.paid * policy.sharePpm) / 1_000_000n - account.burnt
  if (earned <= 0n) return 0n as Amount
  return (earned < policy.max ? earned : policy.max) as Amount
}

/** What new owners together may get on credit; refilled every hour (unix hour number), in base units. */
export interface Pool {
  readonly hour: number
  readonly left: Amount
}

/** The pool as it is in this hour. */
export function currentPool(pool: Pool, perHour: Amount, nowS: number): Pool {
  const hour = Math.floor(nowS / 3600)
  return pool.hour === hour ? pool : { hour, left: perHour }
}

/**
 * Gives an owner the credit of one chunk out of the newcomers' pool: all of what is missing or nothing. An owner that owes, or whose
 * record already allows a chunk, takes nothing.
 */
export function takeGrant(
  pool: Pool,
  account: OwnerAccount,
  want: Amount,
  policy: CreditPolicy & { readonly poolPerHour: Amount },
  nowS: number,
): { readonly pool: Pool; readonly account: OwnerAccount } {
  const current = currentPool(pool, policy.poolPerHour, nowS)
  if (account.debt > 0n || creditLimit(account, policy) >= want || account.grant >= want) return { pool: current, account }
  const missing = (want - account.grant) as Amount
  if (missing > current.left) return { pool: current, account }
  return { pool: { ...current, left: (current.left - missing) as Amount }, account: { ...account, grant: want } }
}
