// What a cheating payer signs in place of what it should.
import type { Amount } from '../../src/core/amount.ts'
import type { Seconds } from '../../src/core/ids.ts'
import type { Lock } from '../../src/core/lock.ts'
import { anchorOf, newChain } from './clearing-chains.ts'
import { BLOCK_S } from './clearing-ledger.ts'
import type { Random } from './random.ts'

interface Said {
  readonly amount: Amount
  readonly locks: readonly Lock[]
}

/** The promise with one thing or two that it should not say, or that it need not. */
export function mutate({ amount, locks }: Said, random: Random): Said {
  let said: Said = { amount, locks }
  for (let i = random.int(1, 2); i > 0; i--) said = mutateOnce(said, random)
  return said
}

function mutateOnce({ amount, locks }: Said, random: Random): Said {
  const at = locks.length === 0 ? -1 : random.int(0, locks.length - 1)
  const change = (of: Partial<Lock>): Said => ({ amount, locks: locks.map((lock, i) => (i === at ? { ...lock, ...of } : lock)) })
  const lock = locks[at]
  const by = BigInt(random.int(1, 20))
  switch (random.int(0, 8)) {
    case 0:
      return { amount: (amount > by ? amount - by : amount) as Amount, locks }
    case 1:
      return { amount: (amount + by) as Amount, locks }
    case 2:
      return { amount, locks: locks.filter((_, i) => i !== at) }
    case 3:
      return change({ unit: (lock === undefined || lock.unit < 2n ? 1n : lock.unit - 1n) as Amount })
    case 4:
      return change({ steps: Math.max(1, (lock?.steps ?? 1) + random.int(-1, 1)) })
    case 5:
      return change({ expiry: ((lock?.expiry ?? 0) + random.int(-5, 15) * BLOCK_S) as Seconds })
    case 6: {
      // all at once, as a payee that forwards asks for
      const expiry = ((lock?.expiry ?? 0) + random.int(-5, 15) * BLOCK_S) as Seconds
      return { amount, locks: locks.map((one) => ({ ...one, expiry })) }
    }
    case 7:
      return { amount, locks: [...locks].reverse() }
    default: {
      const chain = newChain(random.int(1, 6))
      const more: Lock = {
        anchor: anchorOf(chain),
        unit: by as Amount,
        steps: chain.words.length - 1,
        expiry: lock?.expiry ?? (0 as Seconds),
      }
      return { amount, locks: [...locks, more] }
    }
  }
}
