/** Random sequences of calls: raw choices, and what they mean where the sequence stands. */
import fc from 'fast-check'
import type { Amount } from '../../../src/core/amount.ts'
import { keccak256 } from '../../../src/core/crypto/keccak.ts'
import { type Address, type ChannelParties, hash32FromBytes, type Seconds, ZERO_ADDRESS } from '../../../src/core/ids.ts'
import { type ShownLock, walk } from '../../../src/core/lock.ts'
import type { Call, Row } from './calls.ts'
import type { Cast } from './cast.ts'
import { LEDGER } from './fixture.ts'
import type { Model } from './model.ts'

const MAX_96 = (1n << 96n) - 1n
const YEARS = 3n * 365n * 86_400n

interface RawRow {
  readonly a: number
  readonly amount: bigint
  readonly locks: readonly number[]
  readonly spoilt: number
}

/** Raw choices; what they mean depends on where the sequence stands. */
export interface Step {
  readonly fn: Call['fn'] | 'wait'
  /** which of the tokens */
  readonly side: number
  readonly a: number
  readonly b: number
  /** some numbers make something wrong with the call */
  readonly fault: number
  readonly amount: bigint
  readonly time: bigint
  readonly rows: readonly RawRow[]
}

const byWeight: readonly (readonly [Step['fn'], number])[] = [
  ['deposit', 3],
  ['depositWithPermit', 1],
  ['depositWithAuthorization', 2],
  ['sweep', 1],
  ['withdraw', 2],
  ['transfer', 1],
  ['open', 4],
  ['depositAndOpen', 3],
  ['depositAndOpenWithPermit', 1],
  ['depositAndOpenWithAuthorization', 2],
  ['topUp', 3],
  ['reclaim', 3],
  ['close', 3],
  ['settle', 6],
  ['settleDirect', 4],
  ['settleBatch', 5],
  ['proposePayout', 3],
  ['acceptPayout', 3],
  ['acceptPayoutWithSignature', 2],
  ['setMaxRelayFee', 3],
  ['wait', 3],
]

const choice = fc.nat({ max: 63 })

/** Amounts and times are small, so that limits are often met. */
const step: fc.Arbitrary<Step> = fc.record({
  fn: fc.oneof(...byWeight.map(([fn, weight]) => ({ weight, arbitrary: fc.constant(fn) }))),
  side: fc.nat({ max: 1 }),
  a: choice,
  b: choice,
  fault: fc.nat({ max: 31 }),
  amount: fc.bigInt(0n, 80n),
  time: fc.bigInt(0n, 300n),
  rows: fc.array(
    fc.record({
      a: choice,
      amount: fc.bigInt(0n, 160n),
      locks: fc.array(fc.nat({ max: 0xffff }), { maxLength: 3 }),
      spoilt: fc.nat({ max: 7 }),
    }),
    { minLength: 1, maxLength: 5 },
  ),
})

/** The first target names a payout, which lets it keep five units of each payment. */
const paidElsewhere: readonly Step[] = (['proposePayout', 'acceptPayout', 'setMaxRelayFee'] as const).map((fn) => {
  return { fn, side: 0, a: 0, b: 1, fault: 31, amount: 40n, time: 0n, rows: [] }
})

/** Whole sequences; in half of them a target is paid elsewhere from the start. */
export const sequence: fc.Arbitrary<readonly Step[]> = fc
  .tuple(fc.constantFrom([], paidElsewhere), fc.array(step, { minLength: 70, maxLength: 90, size: 'max' }))
  .map(([start, rest]) => [...start, ...rest])

/** When the step happens: mostly a second after the last, sometimes exactly when a channel expires, or the second before. */
export function timeOf({ fn, time, fault }: Step, cast: Cast, model: Model, last: bigint): bigint {
  if (fn === 'wait') return last + time
  const ahead = cast.channels.map((channel) => BigInt(model.channel(channel).expiry)).filter((expiry) => expiry > last + 1n)
  if ((fn !== 'reclaim' && fn !== 'topUp') || fault < 16 || ahead.length === 0) return last + 1n
  return ahead.reduce((a, b) => (a < b ? a : b)) - BigInt(fault % 2)
}

/** What the step is at this moment of the sequence; nothing for waiting. */
export function toCall(step: Step, cast: Cast, model: Model, now: bigint): Call | undefined {
  const { fn, a, b, fault, time, rows } = step
  const amount = capped(step.amount * cast.scale)
  const is = (number: number) => fault === number
  // mostly a channel that is open
  const open = cast.channels.filter((channel) => model.channel(channel).expiry > 0)
  const full = open.filter((channel) => model.channel(channel).deposit > model.channel(channel).settled)
  const parties = pick(b % 8 === 7 || open.length === 0 ? cast.channels : open, a)
  const target = pick(cast.targets, a)
  const named = cast.targets.filter((one) => model.proposedOf(one) !== ZERO_ADDRESS)
  /** mostly one for whom a payout is proposed */
  const proposed = pick(b % 8 === 4 || named.length === 0 ? cast.targets : named, a)
  const account = pick(cast.accounts, b)
  // who calls where anybody may
  const from = account
  /** mostly what one who has something can spend */
  const spend = (): { from: Address; amount: bigint } => {
    const rich = cast.accounts.filter((one) => model.balance(one) > 0n)
    const spender = pick(rich.length > 0 ? rich : cast.accounts, a)
    return { from: spender, amount: b % 4 === 0 ? amount : amount % (model.balance(spender) + 1n) }
  }
  switch (fn) {
    case 'wait':
      return undefined
    case 'deposit':
    case 'depositWithPermit':
    case 'depositWithAuthorization': {
      const into = is(0) ? ZERO_ADDRESS : account
      // now and then more than the wallet has, or all that the balance can hold, or one more
      const room = MAX_96 - model.balance(into)
      const much = fault > 20 && cast.scale > 1n ? room + BigInt(fault % 2) : b % 4 === 3 ? amount * 9n : amount
      const holder = pick(cast.owners, a)
      if (fn !== 'depositWithAuthorization' || !cast.authorizes) {
        return { fn: fn === 'depositWithPermit' ? fn : 'deposit', from: holder, account: into, amount: much }
      }
      const signedFor = fault > 0 && fault < 7 ? target : into
      return { fn, from, holder, signedFor, account: into, amount: fault > 24 ? 0n : much }
    }
    case 'sweep': {
      const filled = cast.accounts.filter((one) => model.wallet(boxOf(cast, one)) > 0n)
      const swept = pick(filled.length > 0 ? filled : cast.accounts, a)
      return { fn, from, account: is(0) ? ZERO_ADDRESS : swept, box: boxOf(cast, swept) }
    }
    case 'withdraw': {
      const outside = b % 4 === 3 ? boxOf(cast, account) : account
      return { fn, ...spend(), to: is(0) ? ZERO_ADDRESS : is(1) ? (LEDGER.toLowerCase() as Address) : outside }
    }
    case 'transfer':
      return { fn, ...spend(), to: is(0) ? ZERO_ADDRESS : account }
    case 'open':
    case 'depositAndOpen':
    case 'depositAndOpenWithPermit':
    case 'depositAndOpenWithAuthorization': {
      const chosen = pick(cast.channels, a)
      const any = is(0) ? { ...chosen, signer: ZERO_ADDRESS } : is(1) ? { ...chosen, target: ZERO_ADDRESS } : chosen
      const most = fn === 'open' ? model.balance(any.owner) : 80n * cast.scale
      const present = BigInt(model.channel(any).expiry)
      const expiry = is(2) ? now + YEARS : present > now && b % 4 !== 1 ? present + time : now + time
      const room = MAX_96 - model.channel(any).deposit
      const brim = fault > 27 && cast.scale > 1n ? capped(room + BigInt(fault % 2)) : undefined
      const opening = { parties: any, amount: brim ?? (b % 4 === 0 ? amount : amount % (most + 1n)), expiry }
      if (fn !== 'depositAndOpenWithAuthorization') return { fn, ...opening }
      if (!cast.authorizes) return { fn: 'depositAndOpen', ...opening }
      return { fn, from, ...opening, signedExpiry: is(3) ? expiry + 1n : expiry }
    }
    case 'topUp':
      return { fn, ...spend(), parties: fault < 16 ? parties : nearest(open, model, now, parties) }
    case 'reclaim': {
      const due = open.filter((channel) => model.channel(channel).expiry <= now)
      if (fault >= 16) return { fn, parties: nearest(open, model, now, parties) }
      return { fn, parties: b % 4 === 0 || due.length === 0 ? parties : pick(due, a) }
    }
    case 'close': {
      const { deposit, settled, epoch } = model.channel(parties)
      // mostly in order; else of another epoch, late, or of any amount
      const signedEpoch = BigInt(b % 8 === 0 && epoch > 0 ? epoch - 1 : b % 8 === 0 ? 1 : epoch)
      const final = b % 4 === 1 ? amount : settled + (amount % (deposit - settled + 1n))
      return { fn, parties, amount: final, deadline: b % 8 === 2 ? now - 1n : now, signedEpoch }
    }
    case 'settle': {
      const paying = pick(b % 4 === 0 || full.length === 0 ? [parties] : full, a)
      return { fn, from, row: toRow(rows[0], paying, now, cast.scale), cut: cutOf(fault) }
    }
    case 'settleDirect': {
      // mostly by the target itself, of a target that is paid itself
      const own = full.filter((channel) => model.payoutOf(channel.target) === channel.target)
      const chosen = b % 4 === 0 || own.length === 0 ? parties : pick(own, a)
      const by = is(10) ? from : fault > 25 ? pick(cast.owners, b) : chosen.target
      return { fn, from: by, row: toRow(rows[0], chosen, now, cast.scale), cut: cutOf(fault) }
    }
    case 'settleBatch': {
      const ofTarget = (b % 8 === 7 ? cast.channels : b % 4 === 0 ? open : full).filter((channel) => channel.target === target)
      if (ofTarget.length === 0) return undefined
      const batch = rows.map((row) => toRow(row, pick(ofTarget, row.a), now, cast.scale))
      return { fn, from, target, rows: batch, cut: cutOf(fault) }
    }
    case 'proposePayout': {
      const payout = is(0) ? ZERO_ADDRESS : pick([...cast.payouts, target, target], b)
      return { fn, from: b % 4 === 0 ? account : model.payoutOf(target), target, payout }
    }
    case 'acceptPayout':
      return { fn, from: b % 4 === 0 ? account : orElse(model.proposedOf(proposed), account), target: proposed }
    case 'acceptPayoutWithSignature': {
      const payout = orElse(model.proposedOf(proposed), account)
      const signedNonce = model.nonceOf(proposed) + (b % 8 === 1 ? 1n : 0n)
      return { fn, from, target: proposed, payout, deadline: b % 8 === 2 ? now - 1n : now, signedNonce }
    }
    case 'setMaxRelayFee': {
      const elsewhere = cast.targets.filter((one) => model.payoutOf(one) !== one)
      const served = pick(elsewhere.length === 0 ? cast.targets : elsewhere, a)
      return { fn, from: b % 4 === 0 ? account : model.payoutOf(served), target: served, amount: amount / 8n }
    }
  }
}

function toRow(raw: RawRow | undefined, parties: ChannelParties, now: bigint, scale: bigint): Row {
  const { amount, locks, spoilt } = raw ?? { amount: 1n, locks: [], spoilt: 9 }
  const anchors = new Set<string>()
  const shown = locks
    .map((seed) => showLock(seed, now, scale))
    .filter(({ lock }) => !anchors.has(lock.anchor) && anchors.add(lock.anchor))
  // the last lock is shown deeper than it goes: the words of those before it are told
  const deepest = spoilt === 1 ? shown.map((one, i) => (i < shown.length - 1 ? one : { ...one, k: one.lock.steps + 1 })) : shown
  return { parties, amount: capped(amount * scale) as Amount, shown: deepest, genuine: spoilt !== 0 }
}

/** A lock of up to six steps with some of them shown: without end, expired in this very second, or good for a while. */
function showLock(seed: number, now: bigint, scale: bigint): ShownLock {
  const steps = 1 + (seed % 6)
  const k = (seed >> 3) % (steps + 1)
  const word = keccak256(new Uint8Array([seed >> 8, seed & 0xff]))
  const expiry = [0, Number(now), Number(now) + 1, Number(now) + 200][(seed >> 6) % 4] as Seconds
  const unit = (BigInt((seed >> 8) % 16) * scale) as Amount
  return { lock: { anchor: hash32FromBytes(walk(word, k)), unit, steps, expiry }, word, k }
}

/** Sometimes a part of the last row is missing. The shortest row has 77 bytes. */
function cutOf(fault: number): number {
  return fault < 3 ? 1 + fault * 37 : 0
}

/** The channel whose expiry is closest to this moment. */
function nearest(open: readonly ChannelParties[], model: Model, now: bigint, other: ChannelParties): ChannelParties {
  const distance = (channel: ChannelParties) => Math.abs(model.channel(channel).expiry - Number(now))
  return open.reduce((best, one) => (distance(one) < distance(best) ? one : best), open[0] ?? other)
}

/** The most that an argument can say. */
function capped(amount: bigint): bigint {
  return amount < MAX_96 ? amount : MAX_96
}

function boxOf(cast: Cast, account: Address): Address {
  return cast.boxes.get(account) ?? ZERO_ADDRESS
}

function orElse(account: Address, other: Address): Address {
  return account === ZERO_ADDRESS ? other : account
}

function pick<T>(list: readonly T[], index: number): T {
  const found = list[index % list.length]
  if (found === undefined) throw new Error('nothing to pick from')
  return found
}
