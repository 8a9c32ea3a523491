/**
 * What a payee gives on a deposit that stands in a block and is not confirmed yet: promises count up to so much above the confirmed deposit.
 * It comes out of the newcomers' pool; where a reorganisation takes the deposit back, what was counted on it is a debt of the owner.
 * @see protocols/session/SPEC.md S12
 */
import type { Amount } from './amount.ts'
import { bestAmount, type ChannelFacts, type ChannelIn } from './channel.ts'
import { currentPool, type OwnerAccount, type Pool } from './credit.ts'

/** The three records that a look at the chain may change. */
export interface Trust {
  readonly pool: Pool
  readonly owner: OwnerAccount
  readonly channel: ChannelIn
}

export interface TrustPolicy {
  /** the most that counts on an unconfirmed deposit of one channel, base units */
  readonly unconfirmedCredit: Amount
  readonly poolPerHour: Amount
  /** how far above the deposit a promise may go in any case */
  readonly unreserved: Amount
}

const atLeastZero = (sum: bigint): Amount => (sum > 0n ? sum : 0n) as Amount
const least = (a: bigint, b: bigint): Amount => (a < b ? a : b) as Amount

/**
 * The facts that a session goes by while some of the deposit is unconfirmed: the deposit is the confirmed one, the expiry that of the newest
 * block, for an opening has none else.
 */
export function factsAhead(confirmed: ChannelFacts | undefined, latest: ChannelFacts): ChannelFacts {
  if (confirmed === undefined) return { ...latest, deposit: 0n as Amount, settled: 0n as Amount }
  return latest.expiry > confirmed.expiry ? { ...confirmed, expiry: latest.expiry } : confirmed
}

/** Counts on the deposit of the newest block: all of what is missing out of the pool, or nothing; nothing while the owner owes. */
export function trustSeen(before: Trust, seen: Amount, policy: TrustPolicy, nowS: number): Trust {
  const { owner, channel } = before
  const pool = currentPool(before.pool, policy.poolPerHour, nowS)
  const ahead = atLeastZero(seen - channel.facts.deposit)
  if (ahead === 0n) return { ...before, pool }
  const had = channel.pending?.credit ?? (0n as Amount)
  const missing = atLeastZero(least(policy.unconfirmedCredit, ahead) - had)
  const given = owner.debt === 0n && missing <= pool.left ? missing : (0n as Amount)
  return {
    pool: { ...pool, left: (pool.left - given) as Amount },
    owner,
    channel: { ...channel, pending: { credit: (had + given) as Amount, deposit: seen } },
  }
}

/**
 * What is left of that once the chain was looked at again; `seen` is the deposit of the newest block. What is confirmed needs no trust any
 * more. What is not even seen any more is a debt, as far as promises were counted on it, and no longer once they are covered after all.
 */
export function lookBack({ pool, owner, channel }: Trust, seen: Amount, { unreserved }: Pick<TrustPolicy, 'unreserved'>): Trust {
  const { pending, uncovered = 0n as Amount, facts } = channel
  if (pending === undefined && uncovered === 0n) return { pool, owner, channel }
  const trusted = pending?.credit ?? (0n as Amount)
  const ahead = atLeastZero(seen - facts.deposit)
  const credit = least(trusted, ahead)
  const bare = atLeastZero(bestAmount(channel) - facts.deposit - credit - unreserved)
  const lost = least(trusted + uncovered, bare)
  const { pending: _, uncovered: __, ...plain } = channel
  return {
    pool,
    owner: owing(owner, lost - uncovered),
    channel: { ...plain, ...(ahead > 0n && { pending: { credit, deposit: seen } }), ...(lost > 0n && { uncovered: lost }) },
  }
}

/** What was taken for paid and is not, is owed, and earns no credit; below zero the other way round. */
function owing(owner: OwnerAccount, change: bigint): OwnerAccount {
  if (change === 0n) return owner
  return { ...owner, debt: atLeastZero(owner.debt + change), paid: owner.paid > change ? owner.paid - change : 0n }
}
