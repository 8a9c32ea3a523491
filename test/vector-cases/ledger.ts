/** The vectors of protocols/ledger: channel ids, locks, promises, rows of a batch, closings. */
import { concat, dataLength, dataSlice, Signature } from 'ethers'
import { forgeries } from './forgery.ts'
import {
  account,
  channelIdOf,
  DOMAIN,
  encodePromise,
  encodeRow,
  hashChain,
  hashLockInputs,
  type LockInput,
  low,
  type Parties,
  packLockInputs,
  packShownInputs,
  promiseValue,
  type ShownInput,
  signTyped,
  TOKEN,
} from './reference.ts'

const [cold, hot, target, otherTarget, stranger] = [1, 2, 3, 4, 9].map(account) as [Wallet, Wallet, Wallet, Wallet, Wallet]
type Wallet = ReturnType<typeof account>

/** A key that signs for itself, and a hot key that signs for a cold one. */
export const OWN: Parties = { owner: low(hot.address), signer: low(hot.address), target: low(target.address), token: TOKEN }
export const DELEGATED: Parties = { ...OWN, owner: low(cold.address) }

const NEVER = 0
const PAST = 1
const FUTURE = 4_102_444_800
const MAX = `${2n ** 96n - 1n}`

const tickChain = hashChain('tallystick vector: ticks', 1024)
const htlc = hashChain('tallystick vector: hash lock', 1)
const old = hashChain('tallystick vector: expired', 16)

const lockOf = (chain: readonly string[], unit: string, steps: number, expiry: number): LockInput => ({
  anchor: chain[0] as string,
  unit,
  steps,
  expiry,
})
const TICKS = lockOf(tickChain, '1000', 1024, NEVER)
const HASH_LOCK = lockOf(htlc, '5000000', 1, FUTURE)
const EXPIRED = lockOf(old, '77', 16, PAST)

const shownOf = (lock: LockInput, chain: readonly string[], k: number): ShownInput => ({ ...lock, word: chain[k] as string, k })

/** 64 locks of one step each: the longest list. */
const MANY = Array.from({ length: 64 }, (_, i) => lockOf(hashChain(`tallystick vector: lock ${i}`, 1), `${i + 1}`, 1, FUTURE))

export function channelCases(): object[] {
  const cases: readonly (readonly [string, Parties])[] = [
    ['owner and signer are one key', OWN],
    ['a hot key signs for a cold one', DELEGATED],
    ['the same four in other places make another channel', { ...DELEGATED, owner: DELEGATED.signer, signer: DELEGATED.owner }],
    ['an account may be its own target', { ...OWN, target: OWN.owner }],
  ]
  return cases.map(([comment, input]) => ({ comment, input, id: channelIdOf(input) }))
}

export function lockCases(): object[] {
  const good: readonly (readonly [string, readonly ShownInput[]])[] = [
    ['no lock: the hash is zero', []],
    ['a hash lock that is open', [shownOf(HASH_LOCK, htlc, 1)]],
    ['a chain of ticks, none shown: the word is the anchor', [shownOf(TICKS, tickChain, 0)]],
    ['a chain of ticks, 700 of 1,024 shown', [shownOf(TICKS, tickChain, 700)]],
    [
      'three locks, one of them expired',
      [shownOf(TICKS, tickChain, 1024), shownOf(HASH_LOCK, htlc, 1), shownOf(EXPIRED, old, 16)],
    ],
  ]
  const anchorOnly = (locks: readonly LockInput[]): ShownInput[] => locks.map((lock) => ({ ...lock, word: lock.anchor, k: 0 }))
  const value = (shown: readonly ShownInput[]): string =>
    `${shown.reduce((sum, { k, unit, expiry }) => sum + (expiry === PAST ? 0n : BigInt(k) * BigInt(unit)), 0n)}`
  const bad: readonly (readonly [string, readonly LockInput[]])[] = [
    ['65 locks', [...MANY, TICKS]],
    ['an anchor twice', [TICKS, HASH_LOCK, { ...TICKS, unit: '1' }]],
    ['a lock of no steps', [{ ...TICKS, steps: 0 }]],
    ['a lock of 1,025 steps', [{ ...TICKS, steps: 1025 }]],
  ]
  return [
    ...[...good, ['64 locks, none open', anchorOnly(MANY)] as const].map(([comment, shown]) => ({
      comment,
      input: { shown },
      encoded: packLockInputs(shown),
      shown: packShownInputs(shown),
      hash: hashLockInputs(shown),
      value: value(shown),
    })),
    ...bad.map(([comment, locks]) => ({
      comment,
      input: { shown: anchorOnly(locks) },
      encoded: packLockInputs(locks),
      error: 'LOCKS_REFUSED',
    })),
    { comment: 'the word opens nothing', input: { shown: [{ ...shownOf(TICKS, tickChain, 5), k: 6 }] }, error: 'LOCKS_REFUSED' },
    {
      comment: 'more steps than the lock has',
      input: { shown: [{ ...TICKS, steps: 4, word: tickChain[5], k: 5 }] },
      error: 'LOCKS_REFUSED',
    },
  ]
}

interface PromiseInput {
  readonly parties: Parties
  readonly amount: string
  readonly locks: readonly LockInput[]
}

function promiseCase(comment: string, input: PromiseInput, by = hot): object {
  const signed = signTyped('Promise', promiseValue(input.parties, input.amount, input.locks), by)
  return { comment, input, encoded: encodePromise(input.amount, signed.signature, input.locks), ...signed }
}

/** `input` as a receiver sees it, with the signature of something else: `made` is what was signed. */
function forged(comment: string, input: PromiseInput, made: Record<string, unknown>, by = hot, domain = DOMAIN): object {
  const { digest } = signTyped('Promise', promiseValue(input.parties, input.amount, input.locks), hot)
  const { signature } = signTyped('Promise', made, by, domain)
  const encoded = encodePromise(input.amount, signature, input.locks)
  return { comment, input, encoded, digest, signature, signer: low(by.address), error: 'SIGNER_WRONG' }
}

export function promiseCases(): object[] {
  const plain = { parties: OWN, amount: '1000000', locks: [] }
  const delegated = { parties: DELEGATED, amount: '1000000', locks: [] }
  const locked = { parties: DELEGATED, amount: '250000', locks: [TICKS, HASH_LOCK] }
  const value = ({ parties, amount, locks }: PromiseInput): Record<string, unknown> => promiseValue(parties, amount, locks)
  const good = signTyped('Promise', value(plain), hot)
  const encoded = encodePromise(plain.amount, good.signature, [])
  const cut = (comment: string, bytes: string): object => ({ comment, input: plain, encoded: bytes, error: 'MALFORMED' })
  const listed = (comment: string, locks: readonly LockInput[]): object => {
    const signed = signTyped('Promise', value({ ...locked, locks }), hot)
    const bytes = encodePromise(locked.amount, signed.signature, locks)
    return { comment, input: { ...locked, locks }, encoded: bytes, ...signed, error: 'LOCKS_REFUSED' }
  }
  return [
    promiseCase('the owner signs for itself: the promise names no owner', plain),
    promiseCase('a hot key signs for a cold owner, which the promise names', delegated),
    promiseCase('the smallest promise', { ...plain, amount: '0' }),
    promiseCase('the largest promise', { ...delegated, amount: MAX }),
    promiseCase('with a chain of ticks and a hash lock', locked),
    promiseCase('with 64 locks', { ...locked, locks: MANY }),
    promiseCase('with a lock that has expired', { ...locked, locks: [EXPIRED] }),
    forged('signed by a stranger', plain, value(plain), stranger),
    forged('signed by the owner where another key is the signer', delegated, value(delegated), cold),
    forged('signed by the target', plain, value(plain), target),
    forged('made for another chain', plain, value(plain), hot, { ...DOMAIN, chainId: 1 }),
    forged('made for another contract', plain, value(plain), hot, { ...DOMAIN, verifyingContract: TOKEN }),
    forged('made for another version', plain, value(plain), hot, { ...DOMAIN, version: '2' }),
    forged('the amount was raised', { ...plain, amount: '1000001' }, value(plain)),
    forged('made for another target', plain, value({ ...plain, parties: { ...OWN, target: low(otherTarget.address) } })),
    forged('made for another token', plain, value({ ...plain, parties: { ...OWN, token: low(DOMAIN.verifyingContract) } })),
    forged('made for another owner', delegated, value(plain)),
    forged('it names its own signer as the owner: that is a second form', plain, { ...value(plain), owner: OWN.owner }),
    forged('the locks were dropped', { ...locked, locks: [] }, value(locked)),
    forged('locks were added', locked, value({ ...locked, locks: [] })),
    forged('the locks changed places', { ...locked, locks: [HASH_LOCK, TICKS] }, value(locked)),
    forged('the unit of a lock was raised', { ...locked, locks: [{ ...TICKS, unit: '1001' }, HASH_LOCK] }, value(locked)),
    forged('the expiry of a lock was moved', { ...locked, locks: [TICKS, { ...HASH_LOCK, expiry: FUTURE + 1 }] }, value(locked)),
    ...forgeries(good.signature).map(({ comment, signature }) => {
      const bytes = encodePromise(plain.amount, signature, [])
      return { comment, input: plain, encoded: bytes, digest: good.digest, signature, signer: OWN.signer, error: 'SIGNER_WRONG' }
    }),
    listed('an anchor twice', [TICKS, { ...TICKS, unit: '1' }]),
    listed('65 locks', [...MANY, TICKS]),
    listed('a lock of no steps', [{ ...TICKS, steps: 0 }]),
    listed('a lock of 1,025 steps', [{ ...TICKS, steps: 1025 }]),
    cut('cut off within the signature', dataSlice(encoded, 0, 76)),
    cut('cut off before the count of locks', dataSlice(encoded, 0, dataLength(encoded) - 1)),
    cut('cut off within a lock', concat([dataSlice(encoded, 0, 77), '0x01', dataSlice(packLockInputs([TICKS]), 0, 50)])),
    cut('a byte too many', concat([encoded, '0x00'])),
    cut('nothing at all', '0x'),
  ]
}

export function rowCases(): object[] {
  const row = (comment: string, parties: Parties, amount: string, shown: readonly ShownInput[]): object => {
    const signed = signTyped('Promise', promiseValue(parties, amount, shown), hot)
    const compact = Signature.from(signed.signature).compactSerialized
    return {
      comment,
      input: { parties, amount, shown },
      encoded: encodeRow(parties, amount, signed.signature, shown),
      compact,
      ...signed,
    }
  }
  const lie = (comment: string, signedLocks: readonly LockInput[], shown: readonly ShownInput[]): object => {
    const signed = signTyped('Promise', promiseValue(OWN, '1', signedLocks), hot)
    return {
      comment,
      input: { parties: OWN, amount: '1', locks: signedLocks, shown },
      encoded: encodeRow(OWN, '1', signed.signature, shown),
      ...signed,
      error: 'LOCKS_REFUSED',
    }
  }
  return [
    row('no owner, no locks: the shortest row', OWN, '1000000', []),
    row('with an owner', DELEGATED, '1000001', []),
    row('with an owner and two locks, 3 ticks and the hash lock open', DELEGATED, '1000002', [
      shownOf(TICKS, tickChain, 3),
      shownOf(HASH_LOCK, htlc, 1),
    ]),
    row('with a lock of which nothing is shown', OWN, '1000003', [shownOf(TICKS, tickChain, 0)]),
    row('with a lock that has expired: worth its amount only', OWN, '1000004', [shownOf(EXPIRED, old, 16)]),
    lie('a lock of the promise is not shown', [TICKS, HASH_LOCK], [shownOf(TICKS, tickChain, 1)]),
    lie('the locks are shown in another order', [TICKS, HASH_LOCK], [shownOf(HASH_LOCK, htlc, 1), shownOf(TICKS, tickChain, 1)]),
    lie('a lock is shown twice', [TICKS], [shownOf(TICKS, tickChain, 1), shownOf(TICKS, tickChain, 2)]),
    lie('the word is one step further than claimed', [TICKS], [{ ...shownOf(TICKS, tickChain, 2), k: 1 }]),
  ]
}

export function closingCases(): object[] {
  const input = { channel: channelIdOf(OWN), amount: '1000000', deadline: FUTURE, epoch: 0 }
  const good = signTyped('Close', input, target)
  const close = (comment: string, value: typeof input): object => ({
    comment,
    input: value,
    ...signTyped('Close', value, target),
  })
  const bad = (comment: string, made: Record<string, unknown>, by = target, domain = DOMAIN): object => {
    const { signature } = signTyped('Close', made, by, domain)
    return { comment, input, digest: good.digest, signature, signer: low(by.address), error: 'SIGNER_WRONG' }
  }
  return [
    close('the first epoch', input),
    close('the last epoch, the largest amount, the last deadline', {
      ...input,
      amount: MAX,
      deadline: 2 ** 40 - 1,
      epoch: 2 ** 24 - 1,
    }),
    close('nothing was ever promised', { ...input, channel: channelIdOf(DELEGATED), amount: '0', epoch: 7 }),
    bad('signed by the signer of the channel', input, hot),
    bad('signed by a stranger', input, stranger),
    bad('made for another channel', { ...input, channel: channelIdOf(DELEGATED) }),
    bad('made for another amount', { ...input, amount: '999999' }),
    bad('made for another deadline', { ...input, deadline: FUTURE - 1 }),
    bad('made for another epoch', { ...input, epoch: 1 }),
    bad('made for another chain', input, target, { ...DOMAIN, chainId: 1 }),
    bad('made for another contract', input, target, { ...DOMAIN, verifyingContract: TOKEN }),
    ...forgeries(good.signature).map(({ comment, signature }) => ({
      comment,
      input,
      digest: good.digest,
      signature,
      signer: low(target.address),
      error: 'SIGNER_WRONG',
    })),
  ]
}
